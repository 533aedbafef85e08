//! Who decides the number of pods.

use serde_json::Value;

use super::Refusal;
use super::fields::owners;
use super::path::Path;
use crate::manifest::object::MANAGER;
use crate::values::Replicas;

/// What to do about `spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicasDecision {
    /// Apply it.
    Apply(Replicas),
    /// Apply what runs: nobody asked for another number.
    Keep(Replicas),
    /// Leave it out of the apply: another manager owns it.
    LeaveOut {
        /// The number that stays; 0 where somebody stopped the set.
        live: u32,
        /// The other manager.
        owner: String,
    },
}

impl ReplicasDecision {
    /// What templates are rendered with.
    #[must_use]
    pub fn rendered(&self) -> Option<Replicas> {
        match self {
            Self::Apply(replicas) | Self::Keep(replicas) => Some(*replicas),
            Self::LeaveOut { .. } => None,
        }
    }

    /// How many pods there are to be.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::Apply(replicas) | Self::Keep(replicas) => replicas.get(),
            Self::LeaveOut { live, .. } => *live,
        }
    }

    /// What there is to say of it.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Apply(_) => None,
            // 1.20 does not record who scaled a set: then this is all there is to say.
            Self::Keep(replicas) => {
                let plural = if replicas.get() == 1 { "" } else { "s" };
                Some(format!("keeps {replicas} replica{plural}"))
            }
            Self::LeaveOut { live, owner } => {
                let plural = if *live == 1 { "" } else { "s" };
                Some(format!("keeps {live} replica{plural}: {owner} owns spec.replicas"))
            }
        }
    }
}

/// Decides on `spec.replicas` from what somebody asked for and the live StatefulSet.
///
/// Asked: that, unless another manager owns the field with another value. Not asked: what runs, or
/// the default; left out when another manager owns it, never when only pgset does, because leaving
/// out a field that one owns alone resets it to 1. A set that pgset itself stopped (`down`, half
/// way) starts with the default.
///
/// # Errors
/// [`Refusal::ReplicasConflict`], unless `force` takes the field over.
pub fn replicas(
    asked: Option<Replicas>,
    live: Option<&Value>,
    force: bool,
) -> Result<ReplicasDecision, Refusal> {
    let Some(live) = live else {
        return Ok(ReplicasDecision::Apply(asked.unwrap_or(Replicas::DEFAULT)));
    };
    // The server's default is 1.
    let count =
        live["spec"]["replicas"].as_u64().map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX));
    let other = owners(live, &Path::of(&["spec", "replicas"]))
        .into_iter()
        .find(|manager| manager.name != MANAGER)
        .map(|manager| manager.name);
    match (asked, other) {
        (Some(asked), Some(owner)) if asked.get() != count && !force => {
            Err(Refusal::ReplicasConflict { asked: asked.get(), live: count, owner })
        }
        (Some(asked), _) => Ok(ReplicasDecision::Apply(asked)),
        (None, Some(owner)) => Ok(ReplicasDecision::LeaveOut { live: count, owner }),
        (None, None) if count == 0 => Ok(ReplicasDecision::Apply(Replicas::DEFAULT)),
        (None, None) => Ok(match count.to_string().parse() {
            Ok(replicas) if replicas != Replicas::DEFAULT => ReplicasDecision::Keep(replicas),
            Ok(replicas) => ReplicasDecision::Apply(replicas),
            // More than pgset ever applies: it is not pgset's.
            Err(_) => ReplicasDecision::LeaveOut { live: count, owner: "nobody".to_owned() },
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(count: u32, managers: &[&str]) -> Value {
        let managed: Vec<_> = managers
            .iter()
            .map(|manager| match *manager {
                "pgset" => json!({"manager": "pgset", "operation": "Apply",
                    "fieldsV1": {"f:spec": {"f:replicas": {}, "f:serviceName": {}}}}),
                "none" => json!({"manager": "pgset", "operation": "Apply",
                    "fieldsV1": {"f:spec": {"f:serviceName": {}}}}),
                other => json!({"manager": other, "operation": "Update", "subresource": "scale",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}}}),
            })
            .collect();
        json!({"spec": {"replicas": count}, "metadata": {"managedFields": managed}})
    }

    fn decide(asked: Option<u32>, live: Option<&Value>) -> Result<ReplicasDecision, Refusal> {
        replicas(asked.map(|n| n.to_string().parse().unwrap()), live, false)
    }

    fn apply(n: u32) -> ReplicasDecision {
        ReplicasDecision::Apply(n.to_string().parse().unwrap())
    }

    #[test]
    fn what_is_asked_else_what_runs_else_the_default() {
        assert_eq!(decide(None, None), Ok(apply(2)));
        assert_eq!(decide(Some(5), None), Ok(apply(5)));
        let kept = decide(None, Some(&live(4, &["pgset"]))).unwrap();
        assert_eq!(kept, ReplicasDecision::Keep("4".parse().unwrap()));
        assert_eq!(kept.rendered().unwrap().get(), 4);
        assert_eq!(kept.detail().unwrap(), "keeps 4 replicas");
        assert_eq!(decide(Some(3), Some(&live(4, &["pgset"]))), Ok(apply(3)));
        let one = decide(None, Some(&live(1, &["none"]))).unwrap();
        assert_eq!((one.count(), one.detail().unwrap()), (1, "keeps 1 replica".to_owned()));
        // Stopped by pgset itself.
        assert_eq!(decide(None, Some(&live(0, &["pgset"]))), Ok(apply(2)));
    }

    #[test]
    fn another_owner_keeps_it() {
        for managers in [&["none", "kubectl"][..], &["pgset", "kubectl"]] {
            let decision = decide(None, Some(&live(4, managers))).unwrap();
            assert_eq!(decision.rendered(), None);
            assert_eq!(decision.count(), 4);
            assert_eq!(decision.detail().unwrap(), "keeps 4 replicas: kubectl owns spec.replicas");
        }
        assert_eq!(decide(None, Some(&live(0, &["none", "kubectl"]))).unwrap().count(), 0);
        // Asking for what is there is no conflict.
        assert_eq!(decide(Some(4), Some(&live(4, &["none", "kubectl"]))), Ok(apply(4)));
    }

    #[test]
    fn asking_for_something_else_than_another_owner_is_a_conflict() {
        let live = live(4, &["none", "vpa"]);
        let refusal = decide(Some(2), Some(&live)).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::ReplicasConflict { asked: 2, live: 4, owner: "vpa".to_owned() }
        );
        let forced = replicas(Some("2".parse().unwrap()), Some(&live), true);
        assert_eq!(forced, Ok(apply(2)));
    }
}
