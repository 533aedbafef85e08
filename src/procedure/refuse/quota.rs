//! Quotas: whether the namespace has room for the new pods after the old ones are gone. A dry run of a pod can't
//! tell, because for the server the old pod is still there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::values::quantity::Amount;

/// What pods use of a quota, by the quota's name of the resource: `limits.memory`.
pub(super) type Usage = BTreeMap<String, Amount>;

/// What one pod uses, from its specification or its template's.
pub(super) fn of_pod(spec: &Value) -> Usage {
    let mut usage = Usage::new();
    for kind in ["requests", "limits"] {
        for resource in ["cpu", "memory", "ephemeral-storage"] {
            let amount = of_containers(spec, kind, resource);
            usage.insert(format!("{kind}.{resource}"), amount);
        }
    }
    usage.insert("pods".to_owned(), Amount::ONE);
    usage
}

/// The containers run together, the init containers one after the other before them.
fn of_containers(spec: &Value, kind: &str, resource: &str) -> Amount {
    let amounts = |list: &str| -> Vec<Amount> {
        let containers = spec[list].as_array().into_iter().flatten();
        containers.map(|container| of_container(&container["resources"], kind, resource)).collect()
    };
    let together = amounts("containers").into_iter().fold(Amount::ZERO, Amount::plus);
    amounts("initContainers").into_iter().fold(together, Amount::max)
}

/// Without a request, the server takes the limit as the request.
fn of_container(resources: &Value, kind: &str, resource: &str) -> Amount {
    let read = |kind: &str| match &resources[kind][resource] {
        Value::String(text) => Amount::read(text),
        Value::Number(number) => Amount::read(&number.to_string()),
        _ => None,
    };
    let limit = || if kind == "requests" { read("limits") } else { None };
    read(kind).or_else(limit).unwrap_or(Amount::ZERO)
}

/// The sum of what several pods use.
pub(super) fn sum(pods: impl IntoIterator<Item = Usage>) -> Usage {
    let mut all = Usage::new();
    for (resource, amount) in pods.into_iter().flatten() {
        let before = all.get(&resource).copied().unwrap_or(Amount::ZERO);
        all.insert(resource, before.plus(amount));
    }
    all
}

/// The name by which [`Usage`] has a resource. Some resources have two names in quotas.
fn canonical(resource: &str) -> String {
    match resource {
        "cpu" | "memory" | "ephemeral-storage" => format!("requests.{resource}"),
        "count/pods" => "pods".to_owned(),
        other => other.to_owned(),
    }
}

/// A quota, as far as pods are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    name: String,
    /// For each resource: what the namespace uses now, and the most that it may use.
    limits: BTreeMap<String, (Amount, Amount)>,
}

impl Quota {
    /// Reads a ResourceQuota. `None` if it has a scope, so that it is not known whether it counts the pods.
    pub(super) fn read(quota: &Value) -> Option<Self> {
        let spec = &quota["spec"];
        if !spec["scopes"].is_null() || !spec["scopeSelector"].is_null() {
            return None;
        }
        let name = quota["metadata"]["name"].as_str()?.to_owned();
        let (hard, used) = (&quota["status"]["hard"], &quota["status"]["used"]);
        let amount = |value: &Value| Amount::read(value.as_str()?);
        let limits = hard.as_object().into_iter().flatten().filter_map(|(resource, hard)| {
            Some((resource.clone(), (amount(&used[resource])?, amount(hard)?)))
        });
        Some(Self { name, limits: limits.collect() })
    }

    /// Reads the server's refusal of a pod: `exceeded quota: small, requested: limits.cpu=3,pods=1, used:
    /// limits.cpu=2,pods=2, limited: limits.cpu=4,pods=2`. Also returns what the pod would use of it.
    pub(super) fn of_refusal(message: &str) -> Option<(Self, Usage)> {
        let (_, rest) = message.split_once("exceeded quota: ")?;
        let (name, rest) = rest.split_once(", requested: ")?;
        let (requested, rest) = rest.split_once(", used: ")?;
        let (used, limited) = rest.split_once(", limited: ")?;
        let (requested, used, limited) = (amounts(requested)?, amounts(used)?, amounts(limited)?);
        let limits = limited.into_iter().map(|(resource, hard)| {
            let used = used.get(&resource).copied().unwrap_or(Amount::ZERO);
            (resource, (used, hard))
        });
        let requested = requested.into_iter().map(|(name, amount)| (canonical(&name), amount));
        Some((Self { name: name.to_owned(), limits: limits.collect() }, requested.collect()))
    }

    /// Whether both are about the same object.
    pub(super) fn is_named_as(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// What the quota does not allow when the new pods take the place of the old ones.
    fn excess(&self, old: &Usage, new: &Usage) -> Vec<String> {
        let of = |usage: &Usage, resource: &str| {
            usage.get(&canonical(resource)).copied().unwrap_or(Amount::ZERO)
        };
        let exceeded = self.limits.iter().filter_map(|(resource, (used, hard))| {
            let (old, new) = (of(old, resource), of(new, resource));
            let after = used.minus(old).plus(new);
            (after > *hard && new > Amount::ZERO).then(|| {
                let words = format!("ResourceQuota {} allows {resource} {hard}", self.name);
                format!("{words}, and the namespace would use {after} (now {used})")
            })
        });
        exceeded.collect()
    }
}

/// `limits.cpu=3,pods=1`.
fn amounts(text: &str) -> Option<Usage> {
    let pairs = text.split(',').map(|pair| {
        let (name, amount) = pair.trim().split_once('=')?;
        Some((name.to_owned(), Amount::read(amount)?))
    });
    pairs.collect()
}

/// What the quotas do not allow. `old` is what the pods of the set use now, `new` what one new pod uses, and
/// `pods` the new number of pods.
pub(super) fn excess(quotas: &[Quota], old: &Usage, new: &Usage, pods: u32) -> Vec<String> {
    let all: Usage = new.iter().map(|(name, amount)| (name.clone(), amount.times(pods))).collect();
    quotas.iter().flat_map(|quota| quota.excess(old, &all)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(cpu: &str) -> Value {
        json!({
            "initContainers": [{"resources": {"limits": {"cpu": cpu}}}],
            "containers": [{"resources": {"requests": {"memory": "1Gi"}, "limits": {"cpu": cpu}}}],
        })
    }

    fn quota(hard: &Value, used: &Value) -> Quota {
        let quota = json!({"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}});
        Quota::read(&quota).unwrap()
    }

    fn amount(text: &str) -> Amount {
        Amount::read(text).unwrap()
    }

    #[test]
    fn what_a_pod_uses() {
        let usage = of_pod(&json!({
            "initContainers": [{"resources": {"limits": {"cpu": "3"}}}],
            "containers": [
                {"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": 1, "memory": "1Gi"}}},
                {"resources": {"requests": {"cpu": 1}}},
            ],
        }));
        for (resource, expected) in [
            // An init container without a request has its limit as its request.
            ("requests.cpu", "3"),
            ("limits.cpu", "3"),
            ("limits.memory", "1Gi"),
            ("requests.memory", "1Gi"),
            ("limits.ephemeral-storage", "0"),
            ("pods", "1"),
        ] {
            assert_eq!(usage[resource], amount(expected), "{resource}");
        }
    }

    #[test]
    fn a_quota_counts_only_after_the_old_pods_are_gone() {
        for (hard, used, old, new, pods, refused) in [
            // One pod at a time is replaced: the dry run sees one pod more than there will be.
            (json!({"pods": "2"}), json!({"pods": "2"}), "1", "3", 2, false),
            (json!({"count/pods": "2"}), json!({"count/pods": "2"}), "1", "3", 3, true),
            (json!({"limits.cpu": "4"}), json!({"limits.cpu": "2"}), "1", "2", 2, false),
            (json!({"limits.cpu": "4"}), json!({"limits.cpu": "2"}), "1", "3", 2, true),
            // The first pod would be admitted, the second would not.
            (json!({"limits.cpu": "4"}), json!({"limits.cpu": "2"}), "1", "2500m", 2, true),
            // Another client uses a part.
            (json!({"limits.cpu": "4"}), json!({"limits.cpu": "3"}), "1", "2", 2, true),
            (json!({"cpu": "4"}), json!({"cpu": "2"}), "1", "3", 2, true),
            // The quota was reduced afterwards: even a smaller pod is not created again.
            (json!({"limits.cpu": "1"}), json!({"limits.cpu": "4"}), "2", "1500m", 2, true),
            (json!({"pods": "2"}), json!({"pods": "3"}), "1", "1", 2, true),
            (
                json!({"requests.storage": "1Gi"}),
                json!({"requests.storage": "2Gi"}),
                "1",
                "3",
                2,
                false,
            ),
        ] {
            let quotas = [quota(&hard, &used)];
            let old = sum([of_pod(&spec(old)), of_pod(&spec(old))]);
            let found = excess(&quotas, &old, &of_pod(&spec(new)), pods);
            assert_eq!(!found.is_empty(), refused, "{hard} {used} {new}: {found:?}");
        }
        let quotas = [quota(&json!({"limits.cpu": "4"}), &json!({"limits.cpu": "2"}))];
        assert_eq!(
            excess(&quotas, &of_pod(&spec("2")), &of_pod(&spec("3")), 2),
            ["ResourceQuota q allows limits.cpu 4, and the namespace would use 6 (now 2)"]
        );
    }

    #[test]
    fn a_refusal_has_the_numbers() {
        let message = "pods \"pgset-2\" is forbidden: exceeded quota: small, requested: limits.cpu=3,pods=1, used: limits.cpu=2,pods=2, limited: limits.cpu=4,pods=2";
        let (quota, requested) = Quota::of_refusal(message).unwrap();
        assert_eq!(quota.name, "small");
        assert_eq!(quota.limits["limits.cpu"], (amount("2"), amount("4")));
        assert_eq!(requested["limits.cpu"], amount("3"));
        assert_eq!(Quota::of_refusal("failed quota: small: must specify limits.cpu"), None);
    }

    #[test]
    fn a_quota_with_a_scope_may_not_count_the_pods() {
        let quota = json!({"metadata": {"name": "q"}, "spec": {"scopes": ["BestEffort"]},
            "status": {"hard": {"pods": "1"}, "used": {"pods": "1"}}});
        assert_eq!(Quota::read(&quota), None);
    }
}
