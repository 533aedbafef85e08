//! Restarts pods: one at a time, in the right order, each when the one before it serves again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::configure::{self, server};
use super::replay::Replay;
use super::switchover::moving::{self, Moves};
use super::undo::Undo;
use super::wait::{self, Wait};
use super::{Consent, Next, Procedure, Work, lease, pods, poll, run, sql};
use crate::error::{Exit, Failure};
use crate::postgres::configuration::{self, Order};
use crate::set::{Role, SetIdentity, Topology, objects};

/// A pod that needs a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The pod.
    pub(crate) pod: String,
    /// Why: `image postgres:17.5 -> postgres:17.6`.
    pub(crate) why: Vec<String>,
    /// Whether a setting is changed that must have at least the master's value on every replica.
    pub(crate) followed: bool,
    /// Whether the pod is not ready. Such pods restart first: no other pod has to wait for them then.
    pub(crate) broken: bool,
}

/// The pods in their order: `pgset-2, pgset-1, then pgset-0 (the master)`. `to` is the pod to which the master moves first.
pub(crate) fn in_order(
    set: &SetIdentity,
    topology: &Topology,
    pods: &[String],
    to: Option<u32>,
) -> String {
    let shown = |pod: &String| match (topology.role_of(set, pod), to) {
        (Some(Role::Master), None) => format!("{pod} (the master)"),
        (Some(Role::Master), Some(to)) => {
            format!("{pod} (the master moves to {} first)", set.pod(to))
        }
        _ => pod.clone(),
    };
    let shown: Vec<String> = pods.iter().map(shown).collect();
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{}, then {last}", before.join(", ")),
        None => String::new(),
    }
}

/// Asks whether pods may be restarted, which are given in their order, and shows what changes. `to` is the pod to which
/// the master moves first. `declined` is the message if they may not.
///
/// # Errors
/// When the user declines, or there is no terminal to ask.
pub(crate) async fn agree(
    work: Work<'_>,
    pods: &[String],
    why: &[String],
    to: Option<u32>,
    declined: &str,
) -> anyhow::Result<()> {
    let context = work.context;
    let order = in_order(work.set, work.topology, pods, to);
    if !context.prompt.answers() {
        let message = format!("this restarts {order}, and there is no terminal to ask; {declined}");
        let failure = Failure::new(Exit::Refused, message).details(why.to_vec());
        return Err(failure.hint(format!("{} --yes  # restarts them", context.again)).into());
    }
    let mut lines = vec![format!("this restarts {order}")];
    lines.extend(why.iter().map(|why| format!("  {why}")));
    let lines = lines.join("\n");
    if context.global.yes {
        context.detail(lines);
    } else {
        context.note(lines);
    }
    let (noun, each) = match pods.len() {
        1 => ("this pod", "The restart closes its connections"),
        _ => ("these pods", "Each restart closes the pod's connections"),
    };
    let moves = to.map_or("", |_| ", and nothing can be written while the master moves");
    if context.confirm(&format!("{each}{moves}. Restart {noun}?")).await? {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, format!("cancelled, {declined}"))
        .hint(format!("{}  # asks again", context.again))
        .into())
}

/// What was written before the restarts.
#[derive(Debug)]
pub(crate) enum Written {
    /// Nothing: the restart itself is what the user wants.
    Nothing,
    /// Settings. If the first pod does not become ready with them, it gets back what it had before.
    Settings(Option<Undo>),
}

impl Written {
    /// What to say if the user declines the restarts.
    fn declined(&self) -> &'static str {
        match self {
            Self::Nothing => "no pod was restarted",
            Self::Settings(_) => "the settings are written, but no pod was restarted",
        }
    }

    /// How to undo what was written; only once.
    fn take(&mut self) -> Option<Undo> {
        match self {
            Self::Nothing => None,
            Self::Settings(undo) => undo.take(),
        }
    }
}

/// How pods restart.
#[derive(Debug)]
pub(crate) struct Restarts<'a> {
    /// The StatefulSet.
    pub(crate) statefulset: &'a Value,
    /// The pods.
    pub(crate) pending: Vec<Pending>,
    pub(crate) consent: Consent,
    /// Whether the master moves to a replica before its pod restarts.
    pub(crate) moves: Moves,
    pub(crate) written: Written,
}

/// Restarts the pods, in an order that keeps the set serving as long as possible. Returns the topology after that.
///
/// # Errors
/// When the user declines, a pod does not become ready again, there is no valid order, or the master can't move.
pub(crate) async fn restart(
    work: Work<'_>,
    wait: &Wait<'_>,
    restarts: Restarts<'_>,
) -> anyhow::Result<Topology> {
    let Restarts { statefulset, pending, consent, moves, written } = restarts;
    let facts = Facts {
        followed: pending.iter().any(|pending| pending.followed),
        left: pending.iter().map(|pending| pending.pod.clone()).collect(),
        order: None,
        consent,
        to_replay: None,
        moves,
        master: work.topology.master_pod(work.set),
    };
    let topology = work.topology.clone();
    let mut restart = Restart { work, topology, statefulset, wait, pending, facts, written };
    Box::pin(run(work, &mut restart)).await?;
    Ok(restart.topology)
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
    /// Whether the master moves before its pod restarts.
    moves: Moves,
    /// The master's pod.
    master: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Find out the order of the restarts.
    FindOrder,
    /// Ask the user.
    Ask,
    /// Wait until the replicas have replayed the master's decrease.
    AwaitReplay(String),
    /// Move the master to the pod with this ordinal.
    Move(u32),
    /// Delete a pod and wait until its replacement is ready.
    Restart(String),
}

struct Restart<'a> {
    work: Work<'a>,
    /// The topology: the master may have moved.
    topology: Topology,
    statefulset: &'a Value,
    wait: &'a Wait<'a>,
    pending: Vec<Pending>,
    facts: Facts,
    written: Written,
}

impl Restart<'_> {
    /// Why the pods restart, without duplicates: `max_connections 100 -> 200`.
    fn why(&self) -> Vec<String> {
        let mut why: Vec<String> =
            self.pending.iter().flat_map(|pending| pending.why.clone()).collect();
        why.sort();
        why.dedup();
        why
    }

    fn work(&self) -> Work<'_> {
        Work { topology: &self.topology, ..self.work }
    }

    fn is_master(&self, pod: &str) -> bool {
        self.facts.master.as_deref() == Some(pod)
    }

    async fn find_order(&mut self) -> anyhow::Result<()> {
        let work = self.work;
        let order = if self.facts.followed { order(work).await? } else { Order::ReplicasFirst };
        let left = &mut self.facts.left;
        work.topology.sort_for_restart(left, order, |pod| work.set.ordinal(pod));
        let broken = |pod: &String| self.pending.iter().any(|it| it.pod == *pod && it.broken);
        left.sort_by_key(|pod| !broken(pod));
        if self.facts.followed && !self.facts.left.iter().any(|pod| self.is_master(pod)) {
            // An earlier run restarted the master. The replicas must replay its decrease before they start
            // with lower values themselves.
            self.facts.to_replay = server::running(work).await?;
        }
        self.facts.order = Some(order);
        self.choose_master(order).await
    }

    /// Chooses the replica to which the master moves, if its pod is to restart.
    async fn choose_master(&mut self, order: Order) -> anyhow::Result<()> {
        let left = &self.facts.left;
        if !left.iter().any(|pod| self.is_master(pod)) {
            self.facts.moves = Moves::No;
        }
        if self.facts.moves == Moves::Yes {
            let version = &self.wait.scope.version;
            let target = moving::target(self.work, self.statefulset, version, left, order);
            self.facts.moves = Moves::To(target.await?);
        }
        Ok(())
    }

    /// Moves the master to the pod with the ordinal `to`.
    async fn move_master(&mut self, to: u32) -> anyhow::Result<()> {
        let version = &self.wait.scope.version;
        let moved = moving::before_restart(self.work(), self.statefulset, version, to).await?;
        self.facts.master = moved.master_pod(self.work.set);
        self.topology = moved;
        self.facts.moves = Moves::No;
        Ok(())
    }

    /// Deletes a pod and waits until its replacement is ready and every replica streams.
    async fn restart(&mut self, pod: &str) -> anyhow::Result<()> {
        let undo = self.written.take();
        let (work, is_master) = (self.work(), self.is_master(pod));
        let role = if is_master { "the master" } else { "a replica" };
        let pending = self.pending.iter().find(|pending| pending.pod == pod);
        let why = pending.map(|pending| pending.why.join(", ")).unwrap_or_default();
        let why = if why.is_empty() { why } else { format!(": {why}") };
        work.context.note(format!("restarting {pod}, {role}{why}"));
        lease::still_ours(work).await?;
        pods::delete(work, pod).await?;
        let mut again = Wait {
            done: "the new settings are applied, but not every pod uses them yet",
            replace: &[],
            ..self.wait.clone()
        };
        again.expectation.topology = self.topology.clone();
        if let Err(error) = wait::until_ready(work, again.clone()).await {
            return Err(match undo {
                Some(undo) => undo.after(work, &again, pod, error).await,
                None => error,
            });
        }
        if is_master && self.facts.order == Some(Order::MasterFirst) {
            self.facts.to_replay = Some(pod.to_owned());
        }
        self.facts.left.retain(|left| left != pod);
        Ok(())
    }
}

impl Procedure for &mut Restart<'_> {
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
            (Some(_), Some(_)) if facts.consent == Consent::NotAsked => Next::Act(Step::Ask),
            (Some(first), Some(_)) => replay().unwrap_or_else(|| match facts.moves.to() {
                Some(to) if facts.master.as_ref() == Some(first) => Next::Act(Step::Move(to)),
                _ => Next::Act(Step::Restart(first.clone())),
            }),
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::FindOrder => self.find_order().await?,
            Step::Ask => {
                let declined = self.written.declined();
                let (left, to) = (&self.facts.left, self.facts.moves.to());
                agree(self.work, left, &self.why(), to, declined).await?;
                self.facts.consent = Consent::Given;
            }
            Step::AwaitReplay(master) => {
                replayed(self.work, &master).await?;
                self.facts.to_replay = None;
            }
            Step::Move(to) => self.move_master(to).await?,
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
    let text = configure::postgresql_conf(&config).unwrap_or_default();
    let after = server::dry_start(work, &pod, text).await?;
    let script = configuration::settings(&pod, &[], &[]);
    let output = sql::run(work.cluster, work.namespace(), &script).await?;
    let before: BTreeMap<String, i64> = server::numbers(&configuration::Setting::parse(&output));
    Ok(configuration::order(&before, &after).map_err(|mixed| server::two_steps(&mixed))?)
}

/// Waits until the replicas have replayed the master's decrease. A replica that starts with lower values
/// before that refuses to start.
async fn replayed(work: Work<'_>, master: &str) -> anyhow::Result<()> {
    let mut replay = Replay::new(work, master);
    let look = async || replay.look().await;
    let done = "the master is restarted, but not the replicas";
    poll(work, done, look, |why| {
        Failure::new(Exit::TimedOut, format!("the replicas lag: {why}"))
            .hint(format!("{}  # resumes", work.context.again))
    })
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(facts: &Facts) -> Next<Step> {
        <&mut Restart<'_>>::next(facts)
    }

    #[test]
    fn pods_restart_one_by_one_once_the_order_and_the_consent_are_known() {
        let mut facts = Facts {
            left: vec!["pgset-1".to_owned(), "pgset-0".to_owned()],
            followed: true,
            order: None,
            consent: Consent::NotAsked,
            to_replay: None,
            moves: Moves::No,
            master: Some("pgset-0".to_owned()),
        };
        assert_eq!(next(&facts), Next::Act(Step::FindOrder));
        // The question comes before a wait that may last.
        facts.to_replay = Some("pgset-0".to_owned());
        facts.order = Some(Order::MasterFirst);
        assert_eq!(next(&facts), Next::Act(Step::Ask));
        facts.consent = Consent::Given;
        assert_eq!(next(&facts), Next::Act(Step::AwaitReplay("pgset-0".to_owned())));
        facts.to_replay = None;
        assert_eq!(next(&facts), Next::Act(Step::Restart("pgset-1".to_owned())));
        facts.left.clear();
        assert_eq!(next(&facts), Next::Done);
    }

    #[test]
    fn the_master_moves_when_it_is_next() {
        let mut facts = Facts {
            left: vec!["pgset-1".to_owned(), "pgset-0".to_owned()],
            followed: false,
            order: Some(Order::ReplicasFirst),
            consent: Consent::Given,
            to_replay: None,
            moves: Moves::To(1),
            master: Some("pgset-0".to_owned()),
        };
        assert_eq!(next(&facts), Next::Act(Step::Restart("pgset-1".to_owned())));
        facts.left.remove(0);
        assert_eq!(next(&facts), Next::Act(Step::Move(1)));
        (facts.moves, facts.master) = (Moves::No, Some("pgset-1".to_owned()));
        assert_eq!(next(&facts), Next::Act(Step::Restart("pgset-0".to_owned())));
    }

    #[test]
    fn the_order_names_the_master() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let shown = |pods: &[&str], to: Option<u32>| {
            let pods: Vec<String> = pods.iter().map(ToString::to_string).collect();
            let data = serde_json::json!({"data": {"master": "pgset-1"}});
            in_order(&set, &Topology::recorded(&set, Some(&data)).unwrap(), &pods, to)
        };
        assert_eq!(shown(&["pgset-1"], None), "pgset-1 (the master)");
        let all = ["pgset-2", "pgset-0", "pgset-1"];
        assert_eq!(shown(&all, None), "pgset-2, pgset-0, then pgset-1 (the master)");
        assert_eq!(
            shown(&all, Some(0)),
            "pgset-2, pgset-0, then pgset-1 (the master moves to pgset-0 first)"
        );
    }
}
