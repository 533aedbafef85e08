//! `pgset render`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::RenderArgs;
use crate::context::{Context, files};
use crate::error::Exit;
use crate::manifest::{Kind, Object, ObjectId, parse};
use crate::procedure::desired;
use crate::render::{NEWEST_SERVER, Scripts};
use crate::set::SetIdentity;
use crate::set::objects;
use crate::settings::Settings;

/// Prints the manifests, or the list of templates. Sends nothing to the cluster.
pub async fn run(args: &RenderArgs, context: &Context) -> anyhow::Result<Exit> {
    // The kubeconfig only supplies the namespace: rendering works without it.
    let target = context.target().await.ok();
    let settings = context.settings(&args.settings, target.as_ref())?;
    let templates = context.templates(&settings)?;
    if args.list {
        let list = templates.list();
        let width = list.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = list.iter().map(|(name, origin)| format!("{name:<width$}  {origin}\n"));
        context.reporter.print(&lines.collect::<String>())?;
        return Ok(Exit::Done);
    }
    let server = args.kube_version.map_or(NEWEST_SERVER, |version| version.minor);
    let objects = desired::draft(&settings, &templates, server, Scripts::WithPrevious)?;
    match &args.output_dir {
        Some(directory) => {
            write_files(context, directory, &objects, args.show_secrets)?;
        }
        None => context.reporter.print(&text(&objects, &settings.set, args.show_secrets))?,
    }
    for Object { id, .. } in objects.iter().filter(|object| object.id.kind == Kind::Secret) {
        let what = holds(id, &settings.set);
        if !args.show_secrets {
            context.note(format!(
                "{id} is not printed, because it contains {what}: --show-secrets prints it, `pgset up` creates it"
            ));
        } else if is_generated(id, &settings) {
            context.note(format!(
                "{id}: {what} that are not given are generated each time: a set that exists, or that `pgset up` creates, has others"
            ));
        }
    }
    Ok(Exit::Done)
}

/// Whether something in the Secret is generated. pgset renders no Secret for certificates that were given.
fn is_generated(id: &ObjectId, settings: &Settings) -> bool {
    *id == objects::certificates(&settings.set) || !settings.credentials.all_passwords_given()
}

/// All objects as one YAML stream, in the order in which they are applied.
fn text(objects: &[Object], set: &SetIdentity, secrets: bool) -> String {
    let mut text = String::new();
    for object in ordered(objects) {
        text.push_str("---\n");
        if object.id.kind == Kind::Secret && !secrets {
            let what = holds(&object.id, set);
            let _ = writeln!(text, "# {} is not printed: it contains {what}", object.id);
        } else {
            text.push_str(&parse::to_yaml(&object.value));
        }
    }
    text
}

/// What the Secret contains that must stay secret.
fn holds(id: &ObjectId, set: &SetIdentity) -> &'static str {
    if *id == objects::certificates(set) { "private keys" } else { "passwords" }
}

fn ordered(objects: &[Object]) -> Vec<&Object> {
    let mut ordered: Vec<&Object> = objects.iter().collect();
    ordered.sort_by_key(|object| object.id.kind);
    ordered
}

/// Writes one file per object. The names sort in the order in which objects are applied:
/// `03-secret-pgset-auth.yaml`.
fn write_files(
    context: &Context,
    directory: &Path,
    objects: &[Object],
    secrets: bool,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("creating directory {}", directory.display()))?;
    for (number, object) in ordered(objects).into_iter().enumerate() {
        let secret = object.id.kind == Kind::Secret;
        if secret && !secrets {
            continue;
        }
        let kind = object.id.kind.name().to_lowercase();
        let file = directory.join(format!("{number:02}-{kind}-{}.yaml", object.id.name));
        files::write(&file, &parse::to_yaml(&object.value), secret)?;
        context.reporter.print(&format!("{}\n", file.display()))?;
    }
    Ok(())
}
