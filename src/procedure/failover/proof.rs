//! How it is proved that the lost master writes no more. Pure.

use super::evidence::{Answer, Container, Evidence, Lost};
use crate::postgres::standing::Standing;
use crate::set::{SetIdentity, Topology};
use crate::settings::synchronous;

/// How much older than a replica's last contact with the master the master's word may be, in seconds: it is asked every 5 s.
const WORD_AGE: i64 = 20;
/// How long the master must have said the same, in seconds: until all its processes have read a changed setting.
const WORD_LASTS: i64 = 5;

/// What proves it, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Its container can be reached: its server is stopped there.
    Stop,
    /// Its container does not run: its pod is deleted, so that none starts.
    Delete {
        /// Whether the container has not started in this pod. Then an earlier pod may have been deleted by force.
        never_started: bool,
    },
    /// The user says that its node is switched off.
    NodeIsOff(String),
    /// A person has told Kubernetes that its node is switched off.
    OutOfService(String),
    /// Too few replicas listen to it, once the others are told not to: it acknowledges nothing.
    Synchronous(Synchronous),
}

/// The synchronous replication of the lost master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synchronous {
    /// How many replicas had to confirm each commit.
    pub(crate) number: u32,
    /// The pods that can confirm one: the replicas.
    pub(crate) replicas: Vec<u32>,
}

impl Synchronous {
    /// What the running master has said to each of the replicas that can be reached. `pods` is how many pods there are.
    pub(crate) fn of(
        set: &SetIdentity,
        evidence: &Evidence,
        epoch: u64,
        pods: u32,
    ) -> Option<Self> {
        let Evidence { lost, replicas, synchronous } = evidence;
        let reached = replicas.iter().filter(|it| it.reached);
        let said = reached.map(|it| said_to(set, it.standing.as_ref().ok()?, epoch));
        let said: Option<Vec<u32>> = said.collect();
        // The settings are changed before the server's.
        let number = said?.into_iter().min()?.min(*synchronous);
        let known = replicas.iter().map(|it| it.ordinal).max().map_or(0, |last| last + 1);
        let replicas = (0..pods.max(known)).filter(|it| *it != lost.ordinal).collect();
        Some(Self { number, replicas })
    }

    /// Whether the master can't acknowledge a commit any more, when these replicas do not listen to it.
    pub(crate) fn is_proved_by(&self, silent: &[u32]) -> bool {
        let listening = self.replicas.iter().filter(|it| !silent.contains(it)).count();
        listening < self.number as usize
    }
}

/// What the master said to a replica shortly before it was lost, and for a while.
fn said_to(set: &SetIdentity, standing: &Standing, epoch: u64) -> Option<u32> {
    let (attested, (contact, _)) = (standing.attested.as_ref()?, standing.contact?);
    let is_recent = contact - attested.last <= WORD_AGE;
    let lasts = attested.last - attested.since >= WORD_LASTS;
    let number = synchronous::of_pods(set, &attested.names)?;
    (attested.epoch == epoch && is_recent && lasts).then_some(number)
}

/// What the user says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said<'a> {
    /// This node is switched off.
    pub(crate) node_is_off: Option<&'a str>,
}

/// Why there is no proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The pod runs on another node.
    OtherNode(String),
    /// Nothing proves it. What would.
    Proof {
        /// What is known.
        why: String,
        /// The node that has to be off. `None` if it is not known.
        node: Option<String>,
        /// Whether the user may read nodes.
        reads_nodes: bool,
    },
}

/// What proves that the lost master writes no more. `pods` is how many pods the set has.
///
/// # Errors
/// When nothing proves it.
pub(crate) fn find(
    set: &SetIdentity,
    topology: &Topology,
    evidence: &Evidence,
    pods: u32,
    said: Said<'_>,
) -> Result<Way, Missing> {
    let Evidence { lost, replicas, .. } = evidence;
    let pods = topology.pods.unwrap_or(0).max(pods);
    let reached = replicas.iter().filter(|it| it.reached).map(|it| it.ordinal);
    let synchronous = Synchronous::of(set, evidence, topology.epoch, pods);
    way(set, lost, &reached.collect::<Vec<_>>(), synchronous, said)
}

/// Decides it. `reached` are the replicas that can be told not to listen to it.
///
/// An object that was deleted, also that of a node, proves nothing: the node may be cut off, and its pods go on.
///
/// # Errors
/// When nothing proves it.
fn way(
    set: &SetIdentity,
    lost: &Lost,
    reached: &[u32],
    synchronous: Option<Synchronous>,
    said: Said<'_>,
) -> Result<Way, Missing> {
    let node = lost.pod.as_ref().and_then(|pod| pod.node.as_deref());
    match (&lost.answer, &lost.pod) {
        (Answer::Works | Answer::Broken(_), _) => return Ok(Way::Stop),
        // The user may know better than an API server that has no word for a node that is away.
        (Answer::NotRunning, Some(pod)) if pod.node.is_some() && said.node_is_off != node => {
            let never_started = pod.container == Container::NeverStarted;
            return Ok(Way::Delete { never_started });
        }
        _ => {}
    }
    if let Some(off) = said.node_is_off {
        if let Some(node) = node.filter(|node| *node != off) {
            return Err(Missing::OtherNode(node.to_owned()));
        }
        return Ok(Way::NodeIsOff(off.to_owned()));
    }
    let out_of_service = lost.pod.as_ref().and_then(|pod| pod.out_of_service);
    if let (Some(true), Some(node)) = (out_of_service, node) {
        return Ok(Way::OutOfService(node.to_owned()));
    }
    // A pod of a previous template does not look for its successor when it is back.
    let is_previous = lost.pod.as_ref().is_some_and(|pod| pod.previous);
    if let Some(synchronous) = synchronous.filter(|it| !is_previous && it.is_proved_by(reached)) {
        return Ok(Way::Synchronous(synchronous));
    }
    let name = set.pod(lost.ordinal);
    let why = match (&lost.answer, node) {
        (Answer::Away(_), None) if lost.pod.is_none() => format!("there is no pod {name}"),
        (Answer::Away(why), _) => format!("{name} can't be reached: {why}"),
        _ => format!("{name} is on no node"),
    };
    let node = node.map(str::to_owned);
    Err(Missing::Proof { why, node, reads_nodes: out_of_service.is_some() })
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{LostPod, Replica};
    use super::*;
    use crate::postgres::standing::Attested;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn lost(answer: Answer, pod: Option<LostPod>) -> Lost {
        Lost { ordinal: 0, pod, answer }
    }

    fn on(node: &str) -> LostPod {
        LostPod { uid: "u".to_owned(), node: Some(node.to_owned()), ..LostPod::default() }
    }

    /// In a set without synchronous replication.
    fn without(lost: &Lost, said: Said<'_>) -> Result<Way, Missing> {
        way(&set(), lost, &[1, 2], None, said)
    }

    fn away() -> Answer {
        Answer::Away("no route".to_owned())
    }

    #[test]
    fn a_server_that_can_be_reached_is_stopped_whatever_is_said() {
        let off = Said { node_is_off: Some("n1") };
        for answer in [Answer::Works, Answer::Broken("files".to_owned())] {
            for said in [Said::default(), off] {
                let lost = lost(answer.clone(), Some(on("n1")));
                assert_eq!(without(&lost, said), Ok(Way::Stop));
            }
        }
    }

    #[test]
    fn a_container_that_does_not_run_is_kept_from_starting() {
        for (container, never_started) in
            [(Container::NeverStarted, true), (Container::Ended, false)]
        {
            let lost = lost(Answer::NotRunning, Some(LostPod { container, ..on("n1") }));
            // The node that is off may be that of an earlier pod.
            for said in [Said::default(), Said { node_is_off: Some("n2") }] {
                assert_eq!(without(&lost, said), Ok(Way::Delete { never_started }));
            }
            let here = Said { node_is_off: Some("n1") };
            assert_eq!(without(&lost, here), Ok(Way::NodeIsOff("n1".to_owned())));
        }
        // A pod on no node: its predecessor's node may have been removed from the cluster, and go on.
        let unscheduled = LostPod { node: None, container: Container::NeverStarted, ..on("n1") };
        let lost = lost(Answer::NotRunning, Some(unscheduled));
        let missing = without(&lost, Said::default()).unwrap_err();
        let Missing::Proof { why, node: None, .. } = missing else { panic!("{missing:?}") };
        assert_eq!(why, "pgset-0 is on no node");
    }

    #[test]
    fn a_node_that_is_away_needs_a_person() {
        let said = Said { node_is_off: Some("n1") };
        let there = || lost(away(), Some(on("n1")));
        assert_eq!(without(&there(), said), Ok(Way::NodeIsOff("n1".to_owned())));
        let other = Said { node_is_off: Some("n2") };
        assert_eq!(without(&there(), other), Err(Missing::OtherNode("n1".to_owned())));
        let tainted = LostPod { out_of_service: Some(true), ..on("n1") };
        let known = without(&lost(away(), Some(tainted)), Said::default());
        assert_eq!(known, Ok(Way::OutOfService("n1".to_owned())));
        for (out_of_service, reads_nodes) in [(None, false), (Some(false), true)] {
            let pod = LostPod { out_of_service, ..on("n1") };
            let missing = without(&lost(away(), Some(pod)), Said::default()).unwrap_err();
            let why = "pgset-0 can't be reached: no route".to_owned();
            assert_eq!(missing, Missing::Proof { why, node: Some("n1".to_owned()), reads_nodes });
        }
        // No pod: the name of the node can't be compared with anything.
        let none = || lost(away(), None);
        assert!(matches!(without(&none(), Said::default()), Err(Missing::Proof { .. })));
        assert_eq!(without(&none(), said), Ok(Way::NodeIsOff("n1".to_owned())));
    }

    const NAMES: &str = r#"ANY 1 ("pgset-0", "pgset-1", "pgset-2", "pgset-3")"#;

    fn replica(ordinal: u32, attested: Option<(u64, i64, i64, &str)>) -> Replica {
        let attested = attested.map(|(epoch, since, last, names)| Attested {
            epoch,
            since,
            last,
            names: names.to_owned(),
        });
        let standing = Standing { attested, contact: Some((1000, 1060)), ..Standing::default() };
        Replica { ordinal, node: None, reached: true, standing: Ok(standing) }
    }

    fn number(replicas: &[Replica], synchronous: u32) -> Option<u32> {
        let lost = lost(away(), Some(on("n1")));
        let evidence = Evidence { lost, replicas: replicas.to_vec(), synchronous };
        Synchronous::of(&set(), &evidence, 3, 3).map(|it| it.number)
    }

    #[test]
    fn what_the_running_master_said_counts() {
        let heard = |ordinal| replica(ordinal, Some((3, 900, 995, NAMES)));
        assert_eq!(number(&[heard(1), heard(2)], 1), Some(1));
        // The settings say less, or a replica was told less.
        assert_eq!(number(&[heard(1), heard(2)], 0), Some(0));
        let two = NAMES.replace("ANY 1", "ANY 2");
        assert_eq!(number(&[replica(1, Some((3, 900, 995, &two))), heard(2)], 2), Some(1));
        for word in [
            None,
            // Of another master.
            Some((2, 900, 995, NAMES)),
            // Long before the last contact.
            Some((3, 900, 979, NAMES)),
            // Just changed.
            Some((3, 995, 995, NAMES)),
            // Anything may confirm.
            Some((3, 900, 995, "ANY 1 (*)")),
            Some((3, 900, 995, "")),
        ] {
            assert_eq!(number(&[replica(1, word), heard(2)], 1), None, "{word:?}");
        }
        let silent = Replica { standing: Err("x".to_owned()), ..replica(1, None) };
        assert_eq!(number(&[silent.clone(), heard(2)], 1), None);
        // One that can't be reached says nothing, and may still listen.
        assert_eq!(number(&[Replica { reached: false, ..silent }, heard(2)], 1), Some(1));
        assert_eq!(number(&[], 1), None);
    }

    #[test]
    fn a_master_to_which_too_few_replicas_listen_acknowledges_nothing() {
        let of = |number, replicas: &[u32]| Synchronous { number, replicas: replicas.to_vec() };
        assert!(of(1, &[1]).is_proved_by(&[1]));
        assert!(of(1, &[1, 2]).is_proved_by(&[1, 2]));
        assert!(!of(1, &[1, 2]).is_proved_by(&[1]));
        assert!(of(2, &[1, 2]).is_proved_by(&[2]));
        assert!(!of(0, &[1]).is_proved_by(&[1]));
        let there = |previous| lost(away(), Some(LostPod { previous, ..on("n1") }));
        let asked = |lost: &Lost, reached: &[u32]| {
            way(&set(), lost, reached, Some(of(1, &[1, 2])), Said::default())
        };
        assert_eq!(asked(&there(false), &[1, 2]), Ok(Way::Synchronous(of(1, &[1, 2]))));
        assert!(asked(&there(false), &[1]).is_err());
        assert!(asked(&there(true), &[1, 2]).is_err());
        // Also if its pod was deleted.
        assert!(asked(&lost(away(), None), &[1, 2]).is_ok());
        let off = Said { node_is_off: Some("n1") };
        let way = way(&set(), &there(false), &[1, 2], Some(of(1, &[1, 2])), off);
        assert_eq!(way, Ok(Way::NodeIsOff("n1".to_owned())));
    }
}
