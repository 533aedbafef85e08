//! How it is proved that the lost master writes no more. Pure.

use super::evidence::{Answer, Container, Lost};
use crate::set::SetIdentity;

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

/// Decides what proves that the lost master writes no more.
///
/// An object that was deleted, also that of a node, proves nothing: the node may be cut off, and its pods go on.
///
/// # Errors
/// When nothing proves it.
pub(crate) fn way(set: &SetIdentity, lost: &Lost, said: Said<'_>) -> Result<Way, Missing> {
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
    use super::super::evidence::LostPod;
    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn lost(answer: Answer, pod: Option<LostPod>) -> Lost {
        Lost { ordinal: 0, pod, answer }
    }

    fn on(node: &str) -> LostPod {
        LostPod { uid: "u".to_owned(), node: Some(node.to_owned()), ..LostPod::default() }
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
                assert_eq!(way(&set(), &lost, said), Ok(Way::Stop));
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
                assert_eq!(way(&set(), &lost, said), Ok(Way::Delete { never_started }));
            }
            let here = Said { node_is_off: Some("n1") };
            assert_eq!(way(&set(), &lost, here), Ok(Way::NodeIsOff("n1".to_owned())));
        }
        // A pod on no node: its predecessor's node may have been removed from the cluster, and go on.
        let unscheduled = LostPod { node: None, container: Container::NeverStarted, ..on("n1") };
        let lost = lost(Answer::NotRunning, Some(unscheduled));
        let missing = way(&set(), &lost, Said::default()).unwrap_err();
        let Missing::Proof { why, node: None, .. } = missing else { panic!("{missing:?}") };
        assert_eq!(why, "pgset-0 is on no node");
    }

    #[test]
    fn a_node_that_is_away_needs_a_person() {
        let said = Said { node_is_off: Some("n1") };
        let there = || lost(away(), Some(on("n1")));
        assert_eq!(way(&set(), &there(), said), Ok(Way::NodeIsOff("n1".to_owned())));
        let other = Said { node_is_off: Some("n2") };
        assert_eq!(way(&set(), &there(), other), Err(Missing::OtherNode("n1".to_owned())));
        let tainted = LostPod { out_of_service: Some(true), ..on("n1") };
        let known = way(&set(), &lost(away(), Some(tainted)), Said::default());
        assert_eq!(known, Ok(Way::OutOfService("n1".to_owned())));
        for (out_of_service, reads_nodes) in [(None, false), (Some(false), true)] {
            let pod = LostPod { out_of_service, ..on("n1") };
            let missing = way(&set(), &lost(away(), Some(pod)), Said::default()).unwrap_err();
            let why = "pgset-0 can't be reached: no route".to_owned();
            assert_eq!(missing, Missing::Proof { why, node: Some("n1".to_owned()), reads_nodes });
        }
        // No pod: the name of the node can't be compared with anything.
        let none = || lost(away(), None);
        assert!(matches!(way(&set(), &none(), Said::default()), Err(Missing::Proof { .. })));
        assert_eq!(way(&set(), &none(), said), Ok(Way::NodeIsOff("n1".to_owned())));
    }
}
