//! Restarts servers to apply settings that need a restart: one pod at a time, in the right order.

use std::collections::BTreeMap;

use super::change::postgresql_conf;
use super::server;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::postgres::configuration::{self, FOLLOWED, Order};
use crate::postgres::replication::Lsn;
use crate::procedure::wait::{self, Wait};
use crate::procedure::{Next, Poll, Procedure, Work, lease, live, poll, run, sql};
use crate::set::{Role, objects};

/// Whether the user has agreed to restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// The user answered yes.
    Given,
    /// The user was not asked yet.
    NotAsked,
}

/// A pod that needs a restart, and the settings that require it.
pub(super) struct Pending {
    pub(super) pod: String,
    pub(super) settings: Vec<configuration::Pending>,
}

/// Asks whether the pods may be restarted.
///
/// # Errors
/// When there is no answer.
pub(super) async fn agree(context: &Context, what: &str, order: Order) -> anyhow::Result<bool> {
    let how = match order {
        Order::ReplicasFirst => "the replicas one by one, then the master",
        Order::MasterFirst => "the master, then the replicas one by one",
    };
    let question = format!(
        "Restart {how}, to apply {what} (PostgreSQL reads it only at startup; each restart closes the pod's connections)?"
    );
    context.confirm(&question).await
}

/// Restarts the pods that need it.
///
/// # Errors
/// When the user declines, a pod does not become ready again, or there is no valid order.
pub(super) async fn restart(
    work: Work<'_>,
    wait: &Wait<'_>,
    pending: Vec<Pending>,
    consent: Consent,
) -> anyhow::Result<()> {
    let followed = |pending: &Pending| {
        pending.settings.iter().any(|setting| FOLLOWED.contains(&setting.name.as_str()))
    };
    let facts = Facts {
        followed: pending.iter().any(followed),
        left: pending.iter().map(|pending| pending.pod.clone()).collect(),
        order: None,
        consent,
        to_replay: None,
    };
    run(work, Restart { work, wait, pending, facts }).await?;
    Ok(())
}

/// The progress of the restarts.
#[derive(Clone, Debug)]
struct Facts {
    /// The pods that still need a restart. Sorted once the order is known.
    left: Vec<String>,
    /// Whether a changed setting must have at least the master's value on every replica.
    followed: bool,
    /// The order. `None` until it is known.
    order: Option<Order>,
    consent: Consent,
    /// The master whose change the replicas must replay before they restart.
    to_replay: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Find out the order of the restarts.
    FindOrder,
    /// Ask the user.
    Ask(Order),
    /// Wait until the replicas have replayed the master's decrease.
    AwaitReplay(String),
    /// Delete a pod and wait until its replacement is ready.
    Restart(String),
}

struct Restart<'a> {
    work: Work<'a>,
    wait: &'a Wait<'a>,
    pending: Vec<Pending>,
    facts: Facts,
}

impl Restart<'_> {
    /// The settings that require a restart, without duplicates: `max_connections 100 -> 200, ...`.
    fn words(&self) -> String {
        let settings = self.pending.iter().flat_map(|pending| &pending.settings);
        let mut words: Vec<String> = settings.map(ToString::to_string).collect();
        words.sort();
        words.dedup();
        words.join(", ")
    }

    fn is_master(&self, pod: &str) -> bool {
        self.work.topology.role_of(self.work.set, pod) == Some(Role::Master)
    }

    async fn find_order(&mut self) -> anyhow::Result<()> {
        let work = self.work;
        let order = if self.facts.followed { order(work).await? } else { Order::ReplicasFirst };
        work.topology.sort_for_restart(&mut self.facts.left, order, |pod| work.set.ordinal(pod));
        if self.facts.followed && !self.facts.left.iter().any(|pod| self.is_master(pod)) {
            // An earlier run restarted the master. The replicas must replay its decrease before they start
            // with lower values themselves.
            self.facts.to_replay = server::running(work).await?;
        }
        self.facts.order = Some(order);
        Ok(())
    }

    /// Deletes a pod and waits until its replacement is ready and every replica streams.
    async fn restart(&mut self, pod: &str) -> anyhow::Result<()> {
        let work = self.work;
        let is_master = self.is_master(pod);
        let role = if is_master { "the master" } else { "a replica" };
        let settings =
            self.pending.iter().filter(|pending| pending.pod == pod).flat_map(|it| &it.settings);
        let why: Vec<String> = settings.map(ToString::to_string).collect();
        work.context.note(format!("restarting {pod}, {role}: {}", why.join(", ")));
        let id = objects::pod(work.set, pod);
        lease::still_ours(work).await?;
        if let Some(there) = work.cluster.get(&id).await? {
            work.cluster.delete(&id, live::uid_of(&there)).await?;
        }
        let again = Wait {
            done: "the new settings are applied, but not every pod uses them yet",
            ..self.wait.clone()
        };
        wait::until_ready(work, again).await?;
        if is_master && self.facts.order == Some(Order::MasterFirst) {
            self.facts.to_replay = Some(pod.to_owned());
        }
        self.facts.left.retain(|left| left != pod);
        Ok(())
    }
}

impl Procedure for Restart<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        Ok(self.facts.clone())
    }

    fn next(facts: &Facts) -> Next<Step> {
        let replay = || facts.to_replay.clone().map(|master| Next::Act(Step::AwaitReplay(master)));
        match (facts.left.first(), facts.order) {
            (None, _) => replay().unwrap_or(Next::Done),
            (Some(_), None) => Next::Act(Step::FindOrder),
            (Some(_), Some(order)) if facts.consent == Consent::NotAsked => {
                Next::Act(Step::Ask(order))
            }
            (Some(first), Some(_)) => {
                replay().unwrap_or_else(|| Next::Act(Step::Restart(first.clone())))
            }
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::FindOrder => self.find_order().await?,
            Step::Ask(order) => {
                let context = self.work.context;
                if !agree(context, &self.words(), order).await? {
                    let message =
                        "cancelled: the settings are written, but no server was restarted";
                    return Err(Failure::new(Exit::Refused, message)
                        .hint(format!("{}  # asks again", context.again))
                        .into());
                }
                self.facts.consent = Consent::Given;
            }
            Step::AwaitReplay(master) => {
                replayed(self.work, &master).await?;
                self.facts.to_replay = None;
            }
            Step::Restart(pod) => self.restart(&pod).await?,
        }
        Ok(())
    }

    fn done(&self) -> String {
        let (left, total) = (self.facts.left.len(), self.pending.len());
        format!("{} of {total} pods are restarted, nothing is lost", total - left)
    }
}

/// Decides the order from the master's running values and the values after a restart.
async fn order(work: Work<'_>) -> anyhow::Result<Order> {
    let Some(pod) = server::running(work).await? else { return Ok(Order::ReplicasFirst) };
    let config = work.cluster.get(&objects::config(work.set)).await?.unwrap_or_default();
    let text = postgresql_conf(&config).unwrap_or_default();
    let after = server::dry_start(work, &pod, text).await?;
    let script = configuration::settings(&pod, &[], &[]);
    let output = sql::run(work.cluster, work.namespace(), &script).await?;
    let before: BTreeMap<String, i64> = server::numbers(&configuration::Setting::parse(&output));
    Ok(configuration::order(&before, &after).map_err(|mixed| server::two_steps(&mixed))?)
}

/// Waits until the replicas have replayed the master's decrease. A replica that starts with lower values
/// before that refuses to start.
async fn replayed(work: Work<'_>, master: &str) -> anyhow::Result<()> {
    let mut position: Option<Lsn> = None;
    let look = async || {
        let observation = match sql::observe(work.cluster, work.namespace(), master).await {
            Ok(observation) => observation,
            Err(words) => return Ok(Poll::Pending(words)),
        };
        let position = *position.get_or_insert(observation.lsn.unwrap_or(Lsn(0)));
        let mut streaming = observation.replicas.iter().filter(|row| row.streams());
        let late = streaming.find(|row| row.replay_lsn.is_none_or(|lsn| lsn < position));
        Ok(match late {
            None => Poll::Ready(()),
            Some(row) => {
                Poll::Pending(format!("{} has not replayed {position}", row.application_name))
            }
        })
    };
    let done = "the master is restarted, but not the replicas";
    poll(work, done, look, |why| {
        Failure::new(Exit::TimedOut, format!("the replicas lag: {why}"))
            .hint(format!("{}  # resumes", work.set.command("up")))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_restart_one_by_one_once_the_order_and_the_consent_are_known() {
        let mut facts = Facts {
            left: vec!["pgset-1".to_owned(), "pgset-0".to_owned()],
            followed: true,
            order: None,
            consent: Consent::NotAsked,
            to_replay: None,
        };
        assert_eq!(Restart::next(&facts), Next::Act(Step::FindOrder));
        // The question comes before a wait that may last.
        facts.to_replay = Some("pgset-0".to_owned());
        facts.order = Some(Order::MasterFirst);
        assert_eq!(Restart::next(&facts), Next::Act(Step::Ask(Order::MasterFirst)));
        facts.consent = Consent::Given;
        assert_eq!(Restart::next(&facts), Next::Act(Step::AwaitReplay("pgset-0".to_owned())));
        facts.to_replay = None;
        assert_eq!(Restart::next(&facts), Next::Act(Step::Restart("pgset-1".to_owned())));
        facts.left.clear();
        assert_eq!(Restart::next(&facts), Next::Done);
    }
}
