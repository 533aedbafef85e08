use crate::readiness::Phase;
use crate::readiness::fixtures::{APPLIED, EARLIER, LATER, World, event, healthy, pod};
use crate::readiness::{Cause, WedgedPod};

const QUOTA: &str = "create Pod pgset-1 in StatefulSet pgset failed error: pods \"pgset-1\" is forbidden: \
                     exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1";

/// A set with two replicas, where the second pod is missing everywhere.
fn half() -> World {
    healthy(2)
        .set("status: {replicas: 1, readyReplicas: 1, availableReplicas: 1, updatedReplicas: 1}")
        .with(|world| {
            world.snapshot.pods.pop();
            world.snapshot.endpoints.insert("pgset-replica".to_owned(), Vec::new());
        })
}

#[test]
fn a_healthy_set_is_ready_whatever_its_size() {
    for replicas in [1, 2, 5] {
        healthy(replicas).assert_ready();
    }
    healthy(2).assert_state("StatefulSet pgset", Phase::Ready, "Ready, 2 of 2 pods");
    healthy(1).assert_state("StatefulSet pgset", Phase::Ready, "Ready, 1 of 1 pod");
}

#[test]
fn the_first_rule_that_does_not_hold_is_shown() {
    for (patch, line) in [
        ("status: null", "waiting for the StatefulSet controller"),
        ("status: {observedGeneration: 2}", "waiting for the StatefulSet controller"),
        ("status: {observedGeneration: null}", "waiting for the StatefulSet controller"),
        ("metadata: {generation: 2}", "the applied change is not visible yet"),
        ("spec: {replicas: 4}", "another client set replicas to 4, expected 2"),
        ("status: {replicas: 1, readyReplicas: 0}", "1 of 2 pods created"),
        ("status: {readyReplicas: 1}", "1 of 2 pods ready"),
        ("status: {readyReplicas: null}", "0 of 2 pods ready"),
        (
            "{spec: {minReadySeconds: 10}, status: {availableReplicas: 1}}",
            "1 of 2 pods ready for 10 s",
        ),
        ("status: {replicas: 3}", "1 pod still to be deleted"),
        ("status: {updatedReplicas: 1}", "1 of 2 pods updated"),
        ("status: {currentRevision: pgset-old}", "the update is not finished"),
    ] {
        healthy(2).set(patch).assert_waits(&format!("StatefulSet pgset: {line}"));
    }
}

#[test]
fn available_replicas_count_only_where_they_are_kept() {
    healthy(2).set("status: {availableReplicas: 0}").assert_ready();
    healthy(2)
        .set("{spec: {minReadySeconds: 10}, status: {availableReplicas: null}}")
        .with(|world| world.expected.server_minor = 20)
        .assert_ready();
}

#[test]
fn the_pods_themselves_count_where_the_status_lags() {
    healthy(2)
        .pod(1, "status: {conditions: [{type: Ready, status: 'False'}]}")
        .assert_waits("StatefulSet pgset: pgset-1 is not ready");
    healthy(2)
        .pod(1, "metadata: {ownerReferences: null}")
        .assert_waits("StatefulSet pgset: pgset-1 is not owned by this StatefulSet");
    healthy(2)
        .pod(1, "metadata: {labels: {controller-revision-hash: pgset-old}}")
        .assert_waits("StatefulSet pgset: pgset-1 runs the old revision");
    healthy(2)
        .pod(1, "metadata: {deletionTimestamp: '2026-11-24T02:00:00Z'}")
        .assert_waits("StatefulSet pgset: pgset-1 is not ready");
}

#[test]
fn scaling_down_waits_for_the_pods_above() {
    let down = healthy(2).with(|world| world.snapshot.pods.push(pod(2)));
    down.assert_waits("StatefulSet pgset: pgset-2 still to be deleted");
    down.assert_state("Pod pgset-2", Phase::Pending, "will be deleted");

    let going = healthy(2)
        .with(|world| world.snapshot.pods.push(pod(2)))
        .pod(2, "metadata: {deletionTimestamp: '2026-11-24T02:00:00Z'}");
    going.assert_waits("Pod pgset-2: Terminating");
    going.assert_state("Pod pgset-2", Phase::Terminating, "Terminating");
}

#[test]
fn pods_of_another_set_are_ignored() {
    healthy(2)
        .with(|world| {
            for name in ["pgset-x-0", "pgset2-2", "pgset-02", "pgset-2x"] {
                let mut other = pod(7);
                other.metadata.name = Some(name.to_owned());
                world.snapshot.pods.push(other);
            }
        })
        .assert_ready();
}

#[test]
fn a_partition_keeps_the_pods_below_it() {
    let partitioned = healthy(3)
        .set(
            "{spec: {updateStrategy: {rollingUpdate: {partition: 2}}}, \
             status: {updatedReplicas: 1, currentRevision: pgset-old}}",
        )
        .pod(0, "metadata: {labels: {controller-revision-hash: pgset-old}}")
        .pod(1, "metadata: {labels: {controller-revision-hash: pgset-old}}");
    partitioned.assert_ready();
    let state = "Ready, 3 of 3 pods; pgset-0, pgset-1 still run the old revision (partition)";
    partitioned.assert_state("StatefulSet pgset", Phase::Ready, state);
    partitioned
        .pod(2, "metadata: {labels: {controller-revision-hash: pgset-old}}")
        .assert_waits("StatefulSet pgset: pgset-2 runs the old revision");
}

#[test]
fn with_on_delete_the_old_pods_are_named() {
    let world = healthy(2)
        .set(
            "{spec: {updateStrategy: {type: OnDelete, rollingUpdate: null}}, \
             status: {updatedReplicas: 1, currentRevision: pgset-old}}",
        )
        .pod(0, "metadata: {labels: {controller-revision-hash: pgset-old}}");
    world.assert_ready();
    let state = "Ready, 2 of 2 pods; pgset-0 still runs the previous template";
    world.assert_state("StatefulSet pgset", Phase::Ready, state);
}

#[test]
fn a_set_that_somebody_replaced_or_deleted_fails() {
    let replaced = healthy(2).with(|world| {
        world.expected.statefulset_uid = Some("the one we applied".to_owned());
    });
    replaced.assert_trouble("StatefulSet pgset", Cause::Replaced, 0);
    // Nothing was applied: this is `status`.
    healthy(2).with(|world| world.expected.statefulset_uid = None).assert_ready();

    let gone = healthy(2).with(|world| world.snapshot.statefulset = None);
    gone.assert_trouble("StatefulSet pgset", Cause::Deleted, 3);
    let never = gone.with(|world| world.expected.statefulset_uid = None);
    never.assert_waits("StatefulSet pgset: not created yet");
}

#[test]
fn a_set_on_its_way_out_is_terminating() {
    let world = healthy(2).set("metadata: {deletionTimestamp: '2026-11-24T02:00:00Z'}");
    world.assert_state("StatefulSet pgset", Phase::Terminating, "Terminating");
    assert!(!world.assess().ready);
}

#[test]
fn refused_pods_fail_at_the_second_time_or_after_a_while() {
    let refused = |count, at, message: &str| {
        half().event(event("set-uid", "FailedCreate", count, at, message))
    };
    let trouble =
        refused(1, LATER, QUOTA).assert_trouble("StatefulSet pgset", Cause::FailedCreate, 15);
    assert!(trouble.message.starts_with("pods \"pgset-1\" is forbidden"), "{}", trouble.message);
    let twice = refused(2, LATER, QUOTA);
    twice.assert_trouble("StatefulSet pgset", Cause::FailedCreate, 0);
    assert!(twice.state("Pod pgset-1").state.starts_with("not created: pods \"pgset-1\""));

    for message in [
        "create Pod pgset-1 in StatefulSet pgset failed error: violates PodSecurity \"restricted\"",
        "create Pod pgset-1 in StatefulSet pgset failed error: admission webhook \"x\" denied the request",
        "create Claim pgdata-pgset-1 for Pod pgset-1 in StatefulSet pgset failed error: forbidden",
    ] {
        refused(2, LATER, message).assert_trouble("StatefulSet pgset", Cause::FailedCreate, 0);
    }
    let waits = "StatefulSet pgset: 1 of 2 pods created";
    // Not a refusal; older than the apply; of another set; of a pod that has been created since.
    let already = "create Pod pgset-1 in StatefulSet pgset failed error: already exists";
    refused(9, LATER, already).assert_waits(waits);
    refused(9, EARLIER, QUOTA).assert_waits(waits);
    half().event(event("other", "FailedCreate", 9, LATER, QUOTA)).assert_waits(waits);
    healthy(2).event(event("set-uid", "FailedCreate", 9, LATER, QUOTA)).assert_ready();
}

#[test]
fn refusals_before_the_apply_do_not_count_as_the_second() {
    let mut old = event("set-uid", "FailedCreate", 9, LATER, QUOTA);
    old.first_timestamp = event("", "", 1, EARLIER, "").first_timestamp;
    half().event(old).assert_trouble("StatefulSet pgset", Cause::FailedCreate, 15);
}

/// The apply may be that of an earlier command: the quota may have been raised since its refusals.
#[test]
fn refusals_before_the_command_are_no_cause() {
    let refused = |began: &str| {
        let mut old = event("set-uid", "FailedCreate", 9, LATER, QUOTA);
        old.first_timestamp = event("", "", 1, APPLIED, "").first_timestamp;
        half().event(old).with(|world| world.expected.began = Some(began.parse().unwrap()))
    };
    refused("2026-11-24T02:30:00Z").assert_waits("StatefulSet pgset: 1 of 2 pods created");
    // In the same second, or since then.
    refused(LATER).assert_trouble("StatefulSet pgset", Cause::FailedCreate, 15);
    refused(APPLIED).assert_trouble("StatefulSet pgset", Cause::FailedCreate, 0);
}

#[test]
fn an_event_in_the_second_of_the_apply_counts() {
    half()
        .event(event("set-uid", "FailedCreate", 2, APPLIED, QUOTA))
        .with(|world| {
            world.expected.not_before = Some("2026-11-24T02:00:00.9Z".parse().unwrap());
        })
        .assert_trouble("StatefulSet pgset", Cause::FailedCreate, 0);
}

#[test]
fn an_owner_that_is_not_the_controller_does_not_own() {
    let owner =
        "{apiVersion: apps/v1, kind: StatefulSet, name: pgset, uid: set-uid, controller: false}";
    healthy(2)
        .pod(1, &format!("metadata: {{ownerReferences: [{owner}]}}"))
        .assert_waits("StatefulSet pgset: pgset-1 is not owned by this StatefulSet");
}

#[test]
fn events_with_a_series_count_too() {
    let mut new = event("set-uid", "FailedCreate", 1, LATER, QUOTA);
    crate::readiness::fixtures::patch(
        &mut new,
        "{count: null, firstTimestamp: null, lastTimestamp: null, eventTime: '2026-11-24T02:00:01.000000Z', \
         series: {count: 4, lastObservedTime: '2026-11-24T02:00:20.000000Z'}}",
    );
    half().event(new).assert_trouble("StatefulSet pgset", Cause::FailedCreate, 0);
}

/// A bad tag was applied, then corrected: `pgset-1` has the bad revision and can't start.
fn wedged() -> World {
    healthy(2)
        .set("status: {readyReplicas: 1, updatedReplicas: 1, currentRevision: pgset-bad}")
        .container(1, "state: {running: null, waiting: {reason: ErrImagePull, message: not found}}")
        .pod(1, "metadata: {labels: {controller-revision-hash: pgset-bad}}")
}

#[test]
fn an_old_pod_that_never_gets_ready_is_wedged() {
    wedged().assert_trouble("Pod pgset-1", Cause::Wedged, 20);
    let pod = WedgedPod {
        name: "pgset-1".to_owned(),
        uid: "pod-1-uid".to_owned(),
        revision: "pgset-bad".to_owned(),
    };
    assert_eq!(wedged().assess().wedged, [pod]);
    wedged().assert_state(
        "Pod pgset-1",
        Phase::Troubled,
        "image crunchydata/crunchy-postgres:centos7-9.5-1.2.6 can't be pulled: not found",
    );
}

#[test]
fn what_the_controller_replaces_itself_is_not_wedged() {
    let parallel = wedged().set("spec: {podManagementPolicy: Parallel}");
    let going = wedged().pod(1, "metadata: {deletionTimestamp: '2026-11-24T02:00:00Z'}");
    let unseen = wedged().set("status: {observedGeneration: 2}");
    let stale = wedged().set("metadata: {generation: 2}").set("status: {observedGeneration: 2}");
    for world in [parallel, going, unseen, stale] {
        let found = world.assess();
        assert_eq!(found.wedged, []);
        // The failure of the old pod itself does not count either.
        assert_eq!(found.troubles, []);
        assert!(!found.ready);
    }
    // A ready old pod waits for its update.
    let ready = healthy(2).pod(1, "metadata: {labels: {controller-revision-hash: pgset-old}}");
    ready.assert_waits("Pod pgset-1: Ready, will be updated");
}

#[test]
fn an_old_master_that_an_updated_replica_waits_for_is_wedged_in_parallel_too() {
    let world = healthy(2)
        .set("spec: {podManagementPolicy: Parallel}")
        .set("status: {readyReplicas: 0, updatedReplicas: 1, currentRevision: pgset-bad}")
        .container(1, "state: {running: null, waiting: {reason: PodInitializing}}")
        .container(0, "state: {running: null, waiting: {reason: ErrImagePull, message: not found}}")
        .pod(0, "metadata: {labels: {controller-revision-hash: pgset-bad}}");
    let trouble = world.assert_trouble("Pod pgset-0", Cause::Wedged, 20);
    assert!(
        trouble.message.ends_with("until pgset-1 is ready, and pgset-1 may be waiting for pgset-0"),
        "{trouble:?}"
    );
    assert_eq!(world.assess().wedged[0].name, "pgset-0");
}

#[test]
fn pods_that_keep_their_revision_fail_for_themselves() {
    for patch in [
        "spec: {updateStrategy: {type: OnDelete}}",
        "spec: {updateStrategy: {rollingUpdate: {partition: 2}}}",
    ] {
        wedged().set(patch).assert_trouble("Pod pgset-1", Cause::ImagePull, 0);
    }
}

#[test]
fn another_pod_does_not_matter_where_only_one_is_waited_for() {
    let only = |pod: &str| half().with(|world| world.expected.only = Some(pod.to_owned()));
    only("pgset-0").assert_ready();
    only("pgset-1").assert_waits("Pod pgset-1: not created yet");
}
