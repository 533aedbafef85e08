//! Changes the number of pods.

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::pod_numbers::{self, Record};
use super::{Next, Procedure, Work, account, configure, lease, live, role, run};
use crate::cluster::Cluster;
use crate::cluster::objects::Apply;
use crate::error::{Exit, Failure};
use crate::event::{Audience, Event, Outcome};
use crate::image::{ImageReference, Profile, ProfileName};
use crate::manifest::{Object, ObjectId};
use crate::plan;
use crate::set::{objects, rights};
use crate::settings::{Source, resolve, synchronous};
use crate::values::Replicas;

/// Checks that a set can have this number of pods, and prepares the change. Writes nothing.
///
/// # Errors
/// When the number does not fit the image or the settings, or a right is missing.
pub(crate) async fn prepare(
    work: Work<'_>,
    statefulset: Value,
    wanted: Replicas,
) -> anyhow::Result<Scale<'_>> {
    check_image(&statefulset, wanted)?;
    let (record, ()) = futures::try_join!(
        to_record(work, &statefulset, wanted),
        check_synchronous(work, &statefulset, wanted)
    )?;
    if record.is_condition() {
        live::check_rights(work.cluster, rights::recording(work.set)).await?;
    }
    let own = account::check_scale(work, &statefulset, wanted.get()).await?;
    let role = if own && objects::capabilities(&statefulset).names_pods_in_role {
        live::check_rights(work.cluster, rights::naming(work.set)).await?;
        let names = work.topology.pods(work.set, wanted.get());
        let role = role::changed(work.cluster, work.set, &names).await?;
        if let Some(role) = &role {
            live::check_rights(work.cluster, rights::granted(&role.value, work.set)).await?;
        }
        role
    } else {
        None
    };
    let facts = Facts {
        before: objects::replicas(&statefulset),
        wanted: wanted.get(),
        recorded: !record.is_needed(),
        named: role.is_none(),
        asked: false,
        statefulset,
    };
    Ok(Scale { work, role, record, facts })
}

/// The progress of the change.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The number of pods before the change.
    before: u32,
    /// The desired number of pods.
    wanted: u32,
    /// Whether the topology has the number of pods.
    recorded: bool,
    /// Whether the Role lists exactly the desired pods.
    named: bool,
    /// Whether the StatefulSet was asked for the number. The server may have set another one.
    asked: bool,
    /// The current StatefulSet.
    statefulset: Value,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Write the number of pods into the topology.
    Record,
    /// Update the list of pods in the Role.
    NamePods,
    /// Update the StatefulSet.
    SetReplicas,
}

/// A change of the number of pods.
pub(crate) struct Scale<'a> {
    work: Work<'a>,
    /// The Role to apply. `None` if it already lists the right pods.
    role: Option<Object>,
    /// The numbers of pods for the topology.
    record: Record,
    facts: Facts,
}

impl Scale<'_> {
    /// The number of pods that the set has.
    pub(crate) fn before(&self) -> u32 {
        self.facts.before
    }

    /// The most pods that the set ever had, with the new ones.
    pub(crate) fn most(&self) -> u32 {
        self.record.numbers.most
    }

    /// Changes the number. Returns the updated StatefulSet.
    ///
    /// # Errors
    /// When a write fails, or the user interrupts.
    pub(crate) async fn run(self) -> anyhow::Result<Value> {
        if Self::next(&self.facts) != Next::Done {
            lease::hold_as_planned(self.work, Some(&self.facts.statefulset)).await?;
        }
        Ok(run(self.work, self).await?.statefulset)
    }
}

impl Procedure for Scale<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        Ok(self.facts.clone())
    }

    /// A pod is added to the topology and to the Role before it starts, and removed after the StatefulSet has been
    /// scaled down.
    fn next(facts: &Facts) -> Next<Step> {
        let scaled = facts.asked || objects::replicas(&facts.statefulset) == facts.wanted;
        let shrinks = facts.wanted < facts.before;
        match facts {
            _ if shrinks && !scaled => Next::Act(Step::SetReplicas),
            Facts { recorded: false, .. } => Next::Act(Step::Record),
            Facts { named: false, .. } => Next::Act(Step::NamePods),
            _ if !scaled => Next::Act(Step::SetReplicas),
            _ => Next::Done,
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match (step, &self.role) {
            (Step::Record, _) => {
                self.record.write(self.work).await?;
                self.facts.recorded = true;
            }
            (Step::SetReplicas, _) => {
                lease::still_ours(self.work).await?;
                let (cluster, there) = (self.work.cluster, &self.facts.statefulset);
                let id = objects::statefulset(self.work.set);
                self.facts.statefulset =
                    set_replicas(cluster, there, &id, self.facts.wanted).await?;
                self.facts.asked = true;
            }
            (Step::NamePods, role) => {
                if let Some(role) = role {
                    lease::hold(self.work).await?;
                    role::apply(self.work.cluster, role)
                        .await
                        .context("updating the pod names in the Role")?;
                    let (object, outcome) = (role.id.clone(), Outcome::Configured);
                    // Bookkeeping: the user asked for another number of pods.
                    let (detail, audience) = (None, Audience::Verbose);
                    let event = Event::Object { object, outcome, detail, audience };
                    self.work.context.reporter.emit(event);
                }
                self.facts.named = true;
            }
        }
        Ok(())
    }

    fn done(&self) -> String {
        let named = self.facts.named && self.role.is_some();
        match (self.facts.asked, named) {
            (true, _) => "the new number of pods is requested".to_owned(),
            (false, true) => {
                "the Role is updated, but the number of pods is not changed yet".to_owned()
            }
            (false, false) if self.facts.recorded && self.record.is_needed() => {
                "the number of pods is recorded, but not changed yet".to_owned()
            }
            (false, false) => "nothing was changed".to_owned(),
        }
    }
}

/// The numbers of pods for the topology.
async fn to_record(work: Work<'_>, live: &Value, wanted: Replicas) -> anyhow::Result<Record> {
    let before = objects::replicas(live);
    let has_topology = objects::capabilities(live).has_topology;
    let seen = if has_topology { pod_numbers::look(work.cluster, work.set).await? } else { 0 };
    let record = Record::new(work.topology, seen, before, wanted.get());
    Ok(if has_topology { record } else { record.unneeded() })
}

/// Applies the StatefulSet as pgset last applied it, with another number of pods.
///
/// What pgset last applied is read from the object itself, so neither the settings nor the templates of that
/// time are needed. `force` takes over only `spec.replicas`: pgset already owns every other field with the
/// same value. The UID is a precondition, so a set that was deleted in the meantime is not created again.
pub(crate) async fn set_replicas(
    cluster: &Cluster,
    live: &Value,
    id: &ObjectId,
    replicas: u32,
) -> anyhow::Result<Value> {
    let mut value = plan::reapplied(live, id);
    value["spec"]["replicas"] = json!(replicas);
    let object = Object { id: id.clone(), value, template: "the live object".to_owned() };
    cluster.apply(&object, Apply { dry_run: false, force: true }).await.context("scaling")
}

/// Checks the image's limit. The image is read from the live pod template, because the settings may have
/// changed.
fn check_image(live: &Value, wanted: Replicas) -> anyhow::Result<()> {
    let containers = &live["spec"]["template"]["spec"]["containers"];
    let image = super::sql::container(containers).and_then(|it| it["image"].as_str());
    let Some(image) = image.and_then(|i| i.parse::<ImageReference>().ok()) else { return Ok(()) };
    let recorded = objects::profile(live).and_then(|name| ProfileName::from_str(name, false).ok());
    let name = recorded.unwrap_or_else(|| Profile::name_for(&image));
    let limit = Profile::of(&image, name).ok().map(|profile| profile.limit());
    resolve::replicas(&wanted.to_string(), Source::Flag("--replicas"), limit)?;
    Ok(())
}

/// Refuses a number of pods that is too small for synchronous replication. Does not apply to sets that pgset
/// does not configure.
async fn check_synchronous(work: Work<'_>, live: &Value, wanted: Replicas) -> anyhow::Result<()> {
    if !objects::mounts_config_map(live, &work.set.config()) {
        return Ok(());
    }
    let config = work.cluster.get(&objects::config(work.set)).await?.unwrap_or_default();
    let number = configure::postgresql_conf(&config).map_or(0, synchronous::of_set);
    if synchronous::check(number, wanted.get()).is_err() {
        let hint =
            format!("{} --synchronous 0  # commits wait for no replica", work.set.command("up"));
        return Err(too_few(number, wanted.get(), Some(hint)).into());
    }
    Ok(())
}

/// The failure when a set has too few pods for the number of replicas that must confirm each commit.
pub(crate) fn too_few(synchronous: u32, pods: u32, hint: Option<String>) -> Failure {
    let words = format!(
        "{synchronous} replica{} must confirm each commit (--synchronous): in a set of {pods}, the master included, no commit would complete",
        if synchronous == 1 { "" } else { "s" }
    );
    let failure = Failure::new(Exit::Refused, words);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_carries_what_its_senders_allow() {
        let live = |image: &str| {
            json!({"spec": {"template": {"spec": {"containers": [
            {"name": "sidecar", "image": "other:1"}, {"name": "postgres", "image": image}]}}}})
        };
        let crunchy = live("crunchydata/crunchy-postgres:centos7-9.5-1.2.6");
        assert!(check_image(&crunchy, "6".parse().unwrap()).is_ok());
        assert!(check_image(&crunchy, "20".parse().unwrap()).is_err());
        assert!(check_image(&live("registry.example/unknown"), "31".parse().unwrap()).is_ok());
        assert!(check_image(&live("postgres:17"), "32".parse().unwrap()).is_err());
        assert_eq!(objects::replicas(&json!({"spec": {}})), 1);
    }

    #[test]
    fn a_pod_is_named_before_it_comes_and_forgotten_after_it_is_told_to_go() {
        let facts = |before: u32, now: u32, wanted: u32, named: bool| Facts {
            before,
            wanted,
            recorded: true,
            named,
            asked: false,
            statefulset: json!({"spec": {"replicas": now}}),
        };
        for (facts, next) in [
            (facts(2, 2, 3, false), Next::Act(Step::NamePods)),
            (facts(2, 2, 3, true), Next::Act(Step::SetReplicas)),
            (facts(2, 3, 3, true), Next::Done),
            (facts(3, 3, 2, false), Next::Act(Step::SetReplicas)),
            (facts(3, 2, 2, false), Next::Act(Step::NamePods)),
            (facts(2, 2, 2, true), Next::Done),
            // An interrupted run left a Role with other pods.
            (facts(2, 2, 2, false), Next::Act(Step::NamePods)),
        ] {
            assert_eq!(Scale::next(&facts), next, "{facts:?}");
        }
        let unrecorded = |facts: Facts| Facts { recorded: false, ..facts };
        for (facts, next) in [
            (facts(2, 2, 3, false), Step::Record),
            (facts(2, 2, 3, true), Step::Record),
            (facts(3, 3, 2, true), Step::SetReplicas),
            (facts(3, 2, 2, false), Step::Record),
            (facts(2, 2, 2, true), Step::Record),
        ] {
            let facts = unrecorded(facts);
            assert_eq!(Scale::next(&facts), Next::Act(next), "{facts:?}");
        }
        // An admission policy has set another number: it is not asked for again.
        let asked = Facts { asked: true, ..facts(2, 2, 3, true) };
        assert_eq!(Scale::next(&asked), Next::Done);
    }
}
