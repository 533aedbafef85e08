//! Decides which number of pods to apply.

use serde_json::Value;

use super::Refusal;
use super::fields::owners;
use super::path::Path;
use crate::manifest::object::MANAGER;
use crate::values::Replicas;

/// The owner in messages if no field manager is recorded.
const NO_OWNER: &str = "another client";

/// What to do about `spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicasDecision {
    /// Apply this number.
    Apply(Replicas),
    /// Apply the live number, because no other number was requested.
    Keep(Replicas),
    /// Leave `spec.replicas` out of the apply, because another manager owns it.
    LeaveOut {
        /// The live number, which stays; 0 if the set was stopped.
        live: u32,
        /// The other manager.
        owner: String,
    },
}

impl ReplicasDecision {
    /// The number for the templates; `None` if they must leave it out.
    #[must_use]
    pub fn rendered(&self) -> Option<Replicas> {
        match self {
            Self::Apply(replicas) | Self::Keep(replicas) => Some(*replicas),
            Self::LeaveOut { .. } => None,
        }
    }

    /// The resulting number of pods.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::Apply(replicas) | Self::Keep(replicas) => replicas.get(),
            Self::LeaveOut { live, .. } => *live,
        }
    }

    /// The message for the user, if any.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            // What is not given stays: that is no news.
            Self::Apply(_) | Self::Keep(_) => None,
            Self::LeaveOut { live, owner } => {
                let plural = if *live == 1 { "" } else { "s" };
                Some(format!("keeps {live} replica{plural}: {owner} owns spec.replicas"))
            }
        }
    }
}

/// Decides about `spec.replicas`, given the requested number and the live StatefulSet.
///
/// A requested number is applied, unless another manager owns the field with a different value. Without a
/// request, the live number is kept, or the default is used for a new set. The field is left out if
/// another manager owns it, but not if only pgset owns it: when the only owner omits a field, the server
/// resets it to 1. A set that pgset itself stopped (an interrupted `down`) starts with the default number.
///
/// # Errors
/// [`Refusal::ReplicasConflict`], unless `force` takes over the field.
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
            // A number larger than pgset ever applies was set by another manager.
            Err(_) => ReplicasDecision::LeaveOut { live: count, owner: NO_OWNER.to_owned() },
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
        assert_eq!(kept.detail(), None, "what is not given stays");
        assert_eq!(decide(Some(3), Some(&live(4, &["pgset"]))), Ok(apply(3)));
        let one = decide(None, Some(&live(1, &["none"]))).unwrap();
        assert_eq!(one.count(), 1);
        // pgset itself stopped the set.
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
        // A request for the live number is not a conflict.
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
