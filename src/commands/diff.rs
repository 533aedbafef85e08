//! `pgset diff`.

use std::collections::BTreeMap;

use console::Style;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use similar::TextDiff;

use crate::cli::DiffArgs;
use crate::cluster::Cluster;
use crate::cluster::objects::Apply;
use crate::context::Context;
use crate::error::Exit;
use crate::manifest::{ObjectId, parse};
use crate::plan::{Action, Step};
use crate::procedure::early::READS;
use crate::procedure::kept::Probe;
use crate::procedure::planning::{Planned, Planning, Purpose};
use crate::procedure::wanted::Wanted;

/// Prints what `up` would change, according to a server-side dry run. Writes nothing.
///
/// Exit codes are those of `kubectl diff`: 0 for no difference, 1 for differences. Errors keep their own exit
/// code, except that 1 becomes 2.
pub async fn run(args: &DiffArgs, context: &Context) -> anyhow::Result<Exit> {
    let target = context.target().await?;
    let first = Wanted::before_requests(context, &args.settings, &args.reset, &target)?;
    let cluster = context.cluster(&target).await?;
    let (wanted, known, early) = Wanted::with_recipe(
        context,
        &args.settings,
        &args.reset,
        &target,
        &cluster,
        Probe::Forbidden,
        first.as_ref(),
    )
    .await?;
    let planning = Planning {
        settings: &wanted.settings,
        templates: &wanted.templates,
        draft: &wanted.draft,
        purpose: Purpose::Diff,
        known: &known,
        create_namespace: false,
        switchover: false,
    };
    let planned = Box::pin(planning.plan(&cluster, early)).await?;
    planned.announce(context);
    let Planned { live, plan, .. } = planned;
    let growth = plan.growth.as_ref().map(|growth| format!("{}\n", growth.detail()));
    let plan = plan.without_growth(&live.objects);
    let changing = plan.steps.into_iter().filter(|step| !matches!(step.action, Action::Unchanged));
    let texts: Vec<String> = stream::iter(changing)
        .map(|step| one(&cluster, step, &live.objects))
        .buffered(READS)
        .try_collect()
        .await?;
    let color = context.reporter.display().color_stdout;
    let texts = texts.iter().map(|text| if color { painted(text) } else { text.clone() });
    let text = growth.unwrap_or_default() + &texts.collect::<String>();
    context.reporter.print(&text)?;
    Ok(if text.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn one(
    cluster: &Cluster,
    step: Step,
    live: &BTreeMap<ObjectId, Value>,
) -> anyhow::Result<String> {
    let object = &step.object;
    let after = cluster.apply(&step.sent(), Apply { dry_run: true, force: true }).await?;
    let before = live.get(&object.id);
    let (before, after) = (before.map(|v| shown(v.clone(), None)), shown(after, before));
    let before = before.map(|v| parse::to_yaml(&v)).unwrap_or_default();
    let after = parse::to_yaml(&after);
    Ok(unified(&object.id.to_string(), &before, &after))
}

/// A unified diff with three lines of context. Empty if there is no difference.
fn unified(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let (before, after) = (format!("{name} (live)"), format!("{name} (after pgset up)"));
    diff.unified_diff().header(&before, &after).to_string()
}

/// Colours a unified diff as git does.
fn painted(diff: &str) -> String {
    let mut is_header = true;
    let paint = |line: &str| {
        is_header &= !line.starts_with("@@");
        let style = match line.chars().next() {
            _ if is_header => Style::new().bold(),
            Some('@') => Style::new().cyan(),
            Some('-') => Style::new().red(),
            Some('+') => Style::new().green(),
            _ => Style::new(),
        };
        format!("{}\n", style.apply_to(line).force_styling(true))
    };
    diff.lines().map(paint).collect()
}

/// Removes the fields that the server manages, and masks secrets. A changed value is marked as changed; its
/// content is never shown.
fn shown(mut value: Value, before: Option<&Value>) -> Value {
    let secret = value["kind"] == "Secret";
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in
                ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"]
            {
                metadata.remove(key);
            }
            // This annotation of `kubectl apply` contains the whole Secret.
            let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
            if let Some(annotations) = annotations.filter(|_| secret) {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        }
        for field in ["data", "stringData"] {
            let Some(data) = object.get_mut(field).filter(|_| secret) else { continue };
            for (key, value) in data.as_object_mut().into_iter().flatten() {
                let changed = before.is_some_and(|before| before[field][key] != *value);
                *value = json!(if changed { "*** (changed)" } else { "***" });
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_on_both_sides() {
        let secret = |password: &str| json!({"kind": "Secret", "metadata": {"name": "x", "uid": "1"}, "data": {"p": password}});
        let before = secret("b25l");
        let mut applied = before.clone();
        applied["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/last-applied-configuration": "{p: b25l}", "a": "b"});
        assert_eq!(shown(applied, None)["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!(
            shown(before.clone(), None),
            json!({"kind": "Secret", "metadata": {"name": "x"}, "data": {"p": "***"}})
        );
        assert_eq!(shown(secret("dHdv"), Some(&before))["data"]["p"], "*** (changed)");
        assert_eq!(shown(secret("b25l"), Some(&before))["data"]["p"], "***");
    }

    fn script(changed: &str) -> String {
        let line = |n: usize| if n == 6 { changed.to_owned() } else { format!("echo {n}") };
        (1..12).map(|n| line(n) + "\n").collect()
    }

    fn config(script: &str) -> String {
        parse::to_yaml(&json!({"kind": "ConfigMap", "data": {"bootstrap.sh": script, "x": "y"}}))
    }

    #[test]
    fn a_script_differs_line_by_line() {
        let (before, after) = (config(&script("  echo \"a\"")), config(&script("-- b")));
        let diff = "\
--- ConfigMap pgset (live)
+++ ConfigMap pgset (after pgset up)
@@ -6,7 +6,7 @@
     echo 3
     echo 4
     echo 5
-      echo \"a\"
+    -- b
     echo 7
     echo 8
     echo 9
";
        assert_eq!(unified("ConfigMap pgset", &before, &after), diff);
        assert_eq!(unified("ConfigMap pgset", &after, &after), "");
        let painted = painted(diff);
        assert_eq!(console::strip_ansi_codes(&painted), diff);
        for line in [
            "\u{1b}[1m--- ConfigMap pgset (live)\u{1b}[0m",
            "\u{1b}[36m@@ -6,7 +6,7 @@\u{1b}[0m",
            "\u{1b}[31m-      echo \"a\"\u{1b}[0m",
            "\u{1b}[32m+    -- b\u{1b}[0m",
            "     echo 7",
        ] {
            assert!(painted.lines().any(|painted| painted == line), "{line:?}: {painted:?}");
        }
    }
}
