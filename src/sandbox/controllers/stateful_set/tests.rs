use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::super::kinds::{CLAIMS, EVENTS, PODS, REVISIONS, STATEFUL_SETS};
use super::super::super::registry::Delete;
use super::super::fixture::{Cluster, NAMESPACE};
use super::super::{is_owned_by, text};
use super::sync;

const POLICIES: [&str; 2] = ["OrderedReady", "Parallel"];

fn rolling(partition: u64) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}})
}

fn on_delete() -> Value {
    json!({"type": "OnDelete"})
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A set of three pods with the first image.
fn running(policy: &str, strategy: &Value) -> Cluster {
    let cluster = Cluster::new();
    cluster.create_set(policy, strategy, 3);
    cluster.settle(3);
    cluster
}

fn images(cluster: &Cluster) -> Vec<String> {
    (0..3).map(|n| cluster.image(&format!("db-{n}")).unwrap_or_default()).collect()
}

/// The numbers that `kubectl rollout status` reads.
fn numbers(status: &Value) -> [&Value; 4] {
    ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas"].map(|field| &status[field])
}

#[test]
fn a_new_template_replaces_one_pod_at_a_time_from_the_highest_ordinal_down() {
    for policy in POLICIES {
        let cluster = running(policy, &rolling(0));
        cluster.set_image("postgres:2");
        let mut stopped: Vec<String> = Vec::new();
        for unavailable in cluster.settle(3) {
            assert!(unavailable.len() <= 1, "{policy}: {unavailable:?} at once");
            stopped.extend(unavailable);
        }
        stopped.dedup();
        assert_eq!(stopped, ["db-2", "db-1", "db-0"], "{policy}");
        assert_eq!(images(&cluster), ["postgres:2"; 3], "{policy}");
        let status = cluster.status();
        assert_eq!(status["currentRevision"], status["updateRevision"], "{policy}");
        assert_eq!(numbers(&status), [3; 4], "{policy}");
    }
}

#[test]
fn a_rolling_update_waits_for_the_pod_that_it_replaced() {
    for policy in POLICIES {
        let cluster = running(policy, &rolling(0));
        cluster.set_image("postgres:2");
        cluster.sync();
        assert_eq!(cluster.terminating(), names(&["db-2"]), "{policy}");
        cluster.end("db-2");
        cluster.sync();
        assert_eq!(cluster.image("db-2").as_deref(), Some("postgres:2"), "{policy}");
        assert_eq!(cluster.terminating(), names(&[]), "{policy}: db-2 does not run yet");
        cluster.report_pod("db-2", "Running", false);
        cluster.sync();
        assert_eq!(cluster.terminating(), names(&[]), "{policy}: db-2 is not ready yet");
        let status = cluster.status();
        assert_ne!(status["currentRevision"], status["updateRevision"], "{policy}");
        assert_eq!(numbers(&status), [3, 2, 2, 1], "{policy}");
        cluster.start("db-2");
        cluster.sync();
        assert_eq!(cluster.terminating(), names(&["db-1"]), "{policy}");
    }
}

#[test]
fn a_pod_deleted_during_a_rolling_update_comes_back_with_the_new_template() {
    for policy in POLICIES {
        let cluster = running(policy, &rolling(0));
        cluster.set_image("postgres:2");
        cluster.delete(&PODS, "db-0");
        cluster.end("db-0");
        cluster.sync();
        assert_eq!(cluster.image("db-0").as_deref(), Some("postgres:2"), "{policy}");
    }
}

#[test]
fn a_pod_below_the_partition_keeps_the_old_template_even_when_it_is_deleted() {
    for policy in POLICIES {
        let cluster = running(policy, &rolling(2));
        cluster.set_image("postgres:2");
        cluster.settle(3);
        assert_eq!(images(&cluster), ["postgres:1", "postgres:1", "postgres:2"], "{policy}");
        for pod in ["db-0", "db-2"] {
            cluster.delete(&PODS, pod);
        }
        cluster.settle(3);
        assert_eq!(images(&cluster), ["postgres:1", "postgres:1", "postgres:2"], "{policy}");
        let status = cluster.status();
        assert_ne!(status["currentRevision"], status["updateRevision"], "{policy}");
        assert_eq!(numbers(&status), [3, 3, 2, 1], "{policy}");
    }
}

#[test]
fn with_on_delete_only_a_deleted_pod_gets_the_new_template() {
    for policy in POLICIES {
        let cluster = running(policy, &on_delete());
        cluster.set_image("postgres:2");
        cluster.settle(3);
        assert_eq!(images(&cluster), ["postgres:1"; 3], "{policy}");
        let old = cluster.status()["currentRevision"].clone();
        assert_eq!(numbers(&cluster.status()), [3, 3, 3, 0], "{policy}");
        cluster.delete(&PODS, "db-0");
        cluster.settle(3);
        assert_eq!(images(&cluster), ["postgres:2", "postgres:1", "postgres:1"], "{policy}");
        assert_eq!(numbers(&cluster.status()), [3, 3, 2, 1], "{policy}");
        for pod in ["db-1", "db-2"] {
            cluster.delete(&PODS, pod);
        }
        cluster.settle(3);
        assert_eq!(images(&cluster), ["postgres:2"; 3], "{policy}");
        // `OnDelete` never completes an update.
        let status = cluster.status();
        assert_eq!(status["currentRevision"], old, "{policy}");
        assert_eq!(numbers(&status), [3, 3, 0, 3], "{policy}");
    }
}

#[test]
fn a_strategy_that_can_not_be_is_refused_in_the_server_s_words() {
    let cluster = running("Parallel", &rolling(0));
    let refusal = cluster.edit(&STATEFUL_SETS, "db", |set| {
        set["spec"]["updateStrategy"]["type"] = json!("OnDelete");
    });
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.code, 422);
    assert_eq!(
        refusal.message,
        "StatefulSet.apps \"db\" is invalid: spec.updateStrategy.rollingUpdate: Invalid value: \
         {\"Partition\":0,\"MaxUnavailable\":null}: only allowed for updateStrategy 'RollingUpdate'"
    );
    let refusal = cluster.edit(&STATEFUL_SETS, "db", |set| {
        set["spec"]["updateStrategy"] = json!({"type": "Never"});
    });
    assert_eq!(
        refusal.unwrap_err().message,
        "StatefulSet.apps \"db\" is invalid: spec.updateStrategy: Invalid value: \
         {\"Type\":\"Never\",\"RollingUpdate\":null}: must be 'RollingUpdate' or 'OnDelete'"
    );
}

#[test]
fn a_pod_that_ended_does_not_hold_up_the_others_of_a_parallel_set() {
    let cluster = running("Parallel", &rolling(0));
    cluster.report_pod("db-0", "Failed", false);
    cluster.delete(&PODS, "db-1");
    cluster.end("db-1");
    sync(&cluster.registry, &cluster.faults).unwrap();
    assert!(cluster.get(&PODS, "db-1").is_some(), "created in the same pass");
    cluster.sync();
    assert_eq!(images(&cluster), ["postgres:1"; 3]);
}

#[test]
fn a_parallel_set_rolls_while_pods_above_its_size_terminate() {
    let cluster = running("Parallel", &rolling(0));
    cluster.edit(&STATEFUL_SETS, "db", |set| set["spec"]["replicas"] = json!(2)).unwrap();
    cluster.set_image("postgres:2");
    cluster.sync();
    assert_eq!(cluster.terminating(), names(&["db-1", "db-2"]));
}

#[test]
fn an_ordered_set_scales_down_past_one_pod_that_is_not_ready_but_not_past_two() {
    for (broken, terminating) in [(&["db-2"][..], &["db-2"][..]), (&["db-1", "db-2"], &[])] {
        let cluster = running("OrderedReady", &rolling(0));
        for pod in broken {
            cluster.report_pod(pod, "Running", false);
        }
        cluster.edit(&STATEFUL_SETS, "db", |set| set["spec"]["replicas"] = json!(1)).unwrap();
        cluster.sync();
        assert_eq!(cluster.terminating(), names(terminating), "{broken:?} not ready");
    }
}

#[test]
fn a_new_set_adopts_the_pods_and_revisions_that_an_old_one_left() {
    for policy in POLICIES {
        let cluster = running(policy, &rolling(0));
        let pods = || -> Vec<Value> {
            let pods = cluster.registry.store.list(&PODS, Some(NAMESPACE)).0;
            pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect()
        };
        let before = pods();
        let orphan = Delete { orphan: true, ..Delete::default() };
        cluster.registry.delete(&Cluster::key(&STATEFUL_SETS, "db"), &orphan).unwrap();
        cluster.sync();
        assert!(cluster.get(&STATEFUL_SETS, "db").is_none());
        // This pod has the label, but its name does not belong to the set.
        cluster.create(
            &PODS,
            "other-0",
            json!({"metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "x", "image": "x"}]}}),
        );
        cluster.create_set(policy, &rolling(0), 3);
        cluster.sync();
        let set = cluster.get(&STATEFUL_SETS, "db").unwrap();
        for n in 0..3 {
            assert!(is_owned_by(&cluster.get(&PODS, &format!("db-{n}")).unwrap(), &set));
        }
        assert!(!is_owned_by(&cluster.get(&PODS, "other-0").unwrap(), &set));
        cluster.end("other-0");
        assert_eq!(pods(), before, "{policy}: a pod was replaced");
        assert_eq!(numbers(&set["status"]), [3; 4], "{policy}");
        let revisions = cluster.registry.store.list(&REVISIONS, Some(NAMESPACE)).0;
        assert!(revisions.iter().all(|revision| is_owned_by(revision, &set)), "{revisions:?}");
        // An update replaces the adopted pods, too.
        cluster.set_image("postgres:2");
        assert!(cluster.settle(3).iter().all(|unavailable| unavailable.len() <= 1));
        assert_eq!(images(&cluster), ["postgres:2"; 3], "{policy}");
    }
}

#[test]
fn a_pod_that_is_in_the_way_is_no_failure_to_tell() {
    let cluster = Cluster::new();
    let pod = json!({"spec": {"containers": [{"name": "x", "image": "x"}]}});
    cluster.create(&PODS, "db-0", pod);
    cluster.create_set("Parallel", &rolling(0), 1);
    cluster.sync();
    let events = cluster.registry.store.all(&EVENTS);
    let failed: Vec<_> = events.iter().filter(|e| e["reason"] == "FailedCreate").collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_claim_that_is_deleted_with_its_pod_is_created_anew() {
    let cluster = Cluster::new();
    let set = json!({"spec": {
        "replicas": 1, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "db", "image": "postgres:1"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
    }});
    cluster.create(&STATEFUL_SETS, "db", set);
    cluster.settle(1);
    let uid = || text(&cluster.get(&CLAIMS, "data-db-0").unwrap(), "/metadata/uid").to_owned();
    let before = uid();
    cluster.delete(&CLAIMS, "data-db-0");
    cluster.sync();
    assert_eq!(uid(), before, "the running pod has it mounted");
    cluster.delete(&PODS, "db-0");
    cluster.end("db-0");
    // This controller may notice the deleted pod before the claim controller does.
    sync(&cluster.registry, &cluster.faults).unwrap();
    cluster.settle(1);
    assert_ne!(uid(), before);
    assert_eq!(cluster.available(), names(&["db-0"]));
}
