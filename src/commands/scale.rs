//! `pgset scale`.

use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::wait::{self, Wait};
use super::{Context, configure, live, named, rights, slots, up};
use crate::cli::ScaleArgs;
use crate::cluster::Cluster;
use crate::cluster::objects::Apply;
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::image::{ImageReference, Profile};
use crate::manifest::{Kind, Object, ObjectId};
use crate::plan::{self, Path};
use crate::settings::{Replicas, SetIdentity, Source, resolve, synchronous};

/// Changes the number of pods and waits until every replica streams.
pub async fn run(args: &ScaleArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let wanted = resolve::replicas(&args.replicas, Source::Flag("--replicas"), None)?.value;
    let cluster = context.cluster(&target).await?;
    context.begin("scale", &set, &target);

    let id = statefulset_id(&set);
    let version = cluster.version().await?;
    let mut needed = rights::waiting(&set, &version);
    needed.extend(rights::scaling(&set));
    let (missing, live) = futures::join!(live::check_rights(&cluster, needed), cluster.get(&id));
    missing?;
    let live = live?.ok_or_else(|| no_set(&set, context))?;
    live::check_ours(&live, &id, &set)?;
    check_image(&live, wanted)?;
    check_synchronous(&cluster, &set, &live, wanted).await?;
    let role = role(&cluster, &set, &live, wanted.get()).await?;
    let before = replicas_of(&live);
    let owner = other_owner(&live);
    let has_slots = named::profile(&live) == Some(Profile::POSTGRES);

    let next = context.again.as_str();
    context.interrupt.check(|| "nothing was changed".into(), next)?;
    // Named before they start; forgotten once they were told to go.
    let forget = before > wanted.get();
    rename(context, &cluster, role.as_ref().filter(|_| !forget)).await?;
    let applied = if before == wanted.get() {
        live
    } else {
        set_replicas(&cluster, &live, &id, wanted.get()).await?
    };
    rename(context, &cluster, role.as_ref().filter(|_| forget)).await?;
    let detail = detail(before, wanted.get(), owner.as_deref(), &set);
    let outcome = if before == wanted.get() { Outcome::Unchanged } else { Outcome::Configured };
    context.reporter.emit(Event::Object { object: id, outcome, detail });
    if !args.no_wait {
        let expectation = up::expectation(&set, &applied, wanted.get(), &version);
        let scope = up::scope(&set, &applied, version);
        let done = "the number of pods is asked for";
        let wait = Wait { scope, expectation, done, next };
        wait::until_ready(context, &cluster, wait).await?;
    }
    if has_slots && !args.no_wait {
        // Also when nothing changes: an interrupted scaling left them.
        slots::drop_beyond(context, &cluster, &set, wanted.get()).await?;
    } else if has_slots && forget {
        context.note(format!(
            "their replication slots keep log until this is run: {next}  # without --no-wait"
        ));
    }
    let state = if args.no_wait { "is asked for" } else { "is ready" };
    context.finish(format!("{} {state}: {}", set.name, up::pods(wanted.get())), started);
    Ok(Exit::Done)
}

/// The StatefulSet of a set.
pub(crate) fn statefulset_id(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::StatefulSet, set.namespace.as_str(), set.name.as_str())
}

pub(crate) fn no_set(set: &SetIdentity, context: &Context) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("there is no set {} in namespace {}", set.name, set.namespace),
    )
    .hint(format!("{}  # makes one", context.sibling("up")))
    .hint("another set: --name NAME, another namespace: -n NAMESPACE")
}

pub(crate) fn replicas_of(statefulset: &Value) -> u32 {
    // Unset means 1 (apps/v1).
    let replicas = statefulset["spec"]["replicas"].as_u64().unwrap_or(1);
    u32::try_from(replicas).unwrap_or(u32::MAX)
}

/// Applies the StatefulSet as pgset applied it before, with another number of pods.
///
/// What pgset applied is read from the object itself, so that neither the settings nor the templates
/// of that time are needed. `force` takes over `spec.replicas` alone: every other field is already
/// ours, with the value that it has. The UID is a precondition: a set that was deleted meanwhile is
/// not made again.
pub(crate) async fn set_replicas(
    cluster: &Cluster,
    live: &Value,
    id: &ObjectId,
    replicas: u32,
) -> anyhow::Result<Value> {
    let mut value = plan::extract(live, crate::manifest::object::MANAGER).unwrap_or_else(|| {
        json!({
            "apiVersion": id.kind.api_version(),
            "kind": id.kind.name(),
            "metadata": { "name": id.name, "namespace": id.namespace },
        })
    });
    value["spec"]["replicas"] = json!(replicas);
    value["metadata"]["uid"] = live["metadata"]["uid"].clone();
    let object = Object { id: id.clone(), value, template: "the live object".to_owned() };
    cluster.apply(&object, Apply { dry_run: false, force: true }).await.context("scaling")
}

/// The Role with the names of the pods that there will be, where it has others.
async fn role(
    cluster: &Cluster,
    set: &SetIdentity,
    live: &Value,
    pods: u32,
) -> anyhow::Result<Option<Object>> {
    if named::profile(live) != Some(Profile::POSTGRES) {
        return Ok(None);
    }
    live::check_rights(cluster, rights::naming(set)).await?;
    named::changed(cluster, set, pods).await
}

async fn rename(context: &Context, cluster: &Cluster, role: Option<&Object>) -> anyhow::Result<()> {
    let Some(role) = role else { return Ok(()) };
    named::apply(cluster, role).await.context("naming the pods in their Role")?;
    let (object, outcome) = (role.id.clone(), Outcome::Configured);
    context.reporter.emit(Event::Object { object, outcome, detail: None });
    Ok(())
}

/// What the image can carry is read from the live pods' template: the settings may have changed.
fn check_image(live: &Value, wanted: Replicas) -> anyhow::Result<()> {
    let image = live["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    let Some(image) = image.and_then(|i| i.parse::<ImageReference>().ok()) else { return Ok(()) };
    let by_name = Profile::name_for(&image);
    let crunchy = named::profile(live).unwrap_or(by_name) == Profile::CRUNCHY;
    let limit = Profile::of(&image, crunchy).ok().map(|profile| profile.limit());
    resolve::replicas(&wanted.to_string(), Source::Flag("--replicas"), limit)?;
    Ok(())
}

/// Refuses fewer pods than commits wait for. Sets whose image configures itself know nothing of it.
async fn check_synchronous(
    cluster: &Cluster,
    set: &SetIdentity,
    live: &Value,
    wanted: Replicas,
) -> anyhow::Result<()> {
    let volumes = live["spec"]["template"]["spec"]["volumes"].as_array().into_iter().flatten();
    let mut names = volumes.filter_map(|volume| volume["configMap"]["name"].as_str());
    if !names.any(|name| name == set.config()) {
        return Ok(());
    }
    let config = cluster.get(&configure::config_id(set)).await?.unwrap_or_default();
    let number = configure::postgresql_conf(&config).map_or(0, synchronous::of_set);
    if synchronous::check(number, wanted.get()).is_err() {
        let hint = format!("{} --synchronous 0  # no commit waits", set.command("up"));
        return Err(too_few(number, wanted.get(), Some(hint)).into());
    }
    Ok(())
}

/// The refusal of fewer pods than commits wait for.
pub(crate) fn too_few(synchronous: u32, pods: u32, hint: Option<String>) -> Failure {
    let words = format!(
        "a commit waits for {synchronous} replica{} (--synchronous): none would ever end in a set of {pods}, the master included",
        if synchronous == 1 { "" } else { "s" }
    );
    let failure = Failure::new(Exit::Refused, words);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Who else set the number of pods last.
fn other_owner(live: &Value) -> Option<String> {
    plan::owners(live, &Path::of(&["spec", "replicas"]))
        .into_iter()
        .map(|m| m.name)
        .find(|name| name != crate::manifest::object::MANAGER)
}

fn detail(before: u32, after: u32, owner: Option<&str>, set: &SetIdentity) -> Option<String> {
    let mut words = Vec::new();
    if before != after {
        words.push(format!("replicas {before} -> {after}"));
        words.extend(owner.map(|owner| format!("{owner} had set it before")));
    }
    if after < before {
        words.push(if before - after == 1 {
            format!("{} goes, its data is kept", set.pod(after))
        } else {
            format!("{} to {} go, their data is kept", set.pod(after), set.pod(before - 1))
        });
    }
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(before: u32, after: u32, owner: Option<&str>) -> Option<String> {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        detail(before, after, owner, &set)
    }

    #[test]
    fn what_scaling_says() {
        assert_eq!(said(3, 3, Some("kubectl")), None);
        assert_eq!(said(2, 3, None).unwrap(), "replicas 2 -> 3");
        assert_eq!(
            said(3, 2, Some("kubectl")).unwrap(),
            "replicas 3 -> 2; kubectl had set it before; pgset-2 goes, its data is kept"
        );
        assert_eq!(
            said(4, 2, None).unwrap(),
            "replicas 4 -> 2; pgset-2 to pgset-3 go, their data is kept"
        );
    }

    #[test]
    fn an_image_carries_what_its_senders_allow() {
        let live = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"image": image}]}}}});
        let crunchy = live("crunchydata/crunchy-postgres:centos7-9.5-1.2.6");
        assert!(check_image(&crunchy, "6".parse().unwrap()).is_ok());
        assert!(check_image(&crunchy, "20".parse().unwrap()).is_err());
        assert!(check_image(&live("registry.example/unknown"), "31".parse().unwrap()).is_ok());
        assert!(check_image(&live("postgres:17"), "32".parse().unwrap()).is_err());
        assert_eq!(replicas_of(&json!({"spec": {}})), 1);
    }
}
