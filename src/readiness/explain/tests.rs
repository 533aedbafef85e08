use std::time::Duration;

use crate::manifest::{Kind, ObjectId};
use crate::readiness::fixtures::{LATER, World, class, event, healthy, patch};
use crate::readiness::{Cause, Explanation, Logs, Trouble, explain, hint, unmet};

fn trouble(kind: Kind, name: &str, cause: Cause, message: &str) -> Trouble {
    let uid = match kind {
        Kind::Pod => Some("pod-0-uid"),
        Kind::StatefulSet => Some("set-uid"),
        _ => None,
    };
    Trouble::new(ObjectId::new(kind, "pg", name), uid, cause, Duration::ZERO, message)
}

fn pod(cause: Cause, message: &str) -> Trouble {
    trouble(Kind::Pod, "pgset-0", cause, message).in_container("database")
}

fn hints(trouble: &Trouble, world: &World) -> Vec<String> {
    hint::hints(trouble, &world.snapshot, &Logs::default())
}

fn crashed(log: &str, world: &World) -> Explanation {
    let trouble = Trouble {
        restarts: Some(3),
        exit_code: Some(1),
        ..pod(Cause::CrashLoop, "container database crashes (3 restarts): exit code 1")
    };
    let logs = Logs { current: Some("starting".to_owned()), previous: Some(log.to_owned()) };
    explain(&trouble, &[], &world.snapshot, &logs)
}

#[test]
fn a_crash_shows_events_exit_code_and_both_logs() {
    let long: Vec<String> = (1..=25).map(|n| format!("\x1b[31mline {n}\x07")).collect();
    let world = healthy(2)
        .event(event("pod-0-uid", "BackOff", 7, LATER, "Back-off restarting failed container"))
        .event(event("pod-0-uid", "Unhealthy", 7, LATER, "Liveness probe failed\nno answer"))
        .event(event("pod-0-uid", "Pulled", 1, LATER, "not a warning"))
        .event(event("pod-1-uid", "BackOff", 1, LATER, "another pod's"));
    let found = crashed(&long.join("\n"), &world);
    assert_eq!(found.summary, "Pod pgset-0: container database crashes (3 restarts): exit code 1");
    let mut expected = vec![
        "event Unhealthy (7 times): Liveness probe failed; no answer".to_owned(),
        "last run: exit code 1".to_owned(),
        "previous log of database, last 20 lines:".to_owned(),
    ];
    expected.extend((6..=25).map(|n| format!("  line {n}")));
    expected.extend(["log of database:".to_owned(), "  starting".to_owned()]);
    assert_eq!(found.details, expected);
    assert_eq!(found.hint.unwrap(), "kubectl -n pg logs pgset-0 -c database --previous");
}

#[test]
fn only_the_last_warnings_are_shown() {
    let mut world = healthy(2);
    for second in 10..17 {
        let at = format!("2026-11-24T02:00:{second}Z");
        world = world.event(event("pod-0-uid", "Unhealthy", 1, &at, &format!("at {second}")));
    }
    world.snapshot.events.reverse();
    let found = explain(&pod(Cause::PodFailed, "x"), &[], &world.snapshot, &Logs::default());
    let expected: Vec<String> = (12..17).map(|n| format!("event Unhealthy: at {n}")).collect();
    assert_eq!(found.details, expected);
}

#[test]
fn one_log_is_shown_once() {
    let same = Some("FATAL".to_owned());
    let logs = Logs { current: same.clone(), previous: same };
    let found = explain(&pod(Cause::CrashLoop, "x"), &[], &healthy(1).snapshot, &logs);
    assert_eq!(found.details, ["previous log of database:", "  FATAL"]);
    // A container that never crashed has no previous log, but it has a current one.
    let found = explain(&pod(Cause::ProbeFailing, "x"), &[], &healthy(1).snapshot, &logs);
    assert_eq!(found.details, ["log of database:", "  FATAL"]);
}

#[test]
fn what_a_run_before_the_change_has_left_is_not_shown() {
    let old = Some("FATAL: invalid value for parameter".to_owned());
    let trouble =
        Trouble { restarts: Some(3), ran_before_change: true, ..pod(Cause::ProbeFailing, "x") };
    let of = |current: Option<&str>| {
        let logs = Logs { current: current.map(str::to_owned), previous: old.clone() };
        explain(&trouble, &[], &healthy(1).snapshot, &logs)
    };
    assert_eq!(of(Some("starting")).details, ["log of database:", "  starting"]);
    // Between two runs the current log is that of the last run.
    assert!(of(old.as_deref()).details.is_empty());
    // Neither does a hint follow from it.
    let full = Logs { current: None, previous: Some("No space left on device".to_owned()) };
    let hint = explain(&trouble, &[], &healthy(1).snapshot, &full).hint.unwrap();
    assert!(!hint.contains("full"), "{hint}");
}

#[test]
fn a_volume_that_is_not_writable_is_given_to_its_user() {
    let denied = "mkdir: cannot create directory '/pgdata/pgset-0': Permission denied";
    let first = |world: World| crashed(denied, &world).hint.unwrap();
    assert_eq!(first(healthy(2)), "on node n1: chown 26:26 '/srv/pg data'");
    let nfs = "spec: {hostPath: null, nfs: {server: nfs.example, path: /nfsfileshare}}";
    assert_eq!(
        first(healthy(2).volume(nfs)),
        "on the NFS server nfs.example: chown 26:26 /nfsfileshare"
    );
    let user = "spec: {securityContext: {runAsUser: 999, fsGroup: 998}}";
    assert_eq!(first(healthy(2).pod(0, user)), "on node n1: chown 999:998 '/srv/pg data'");
    assert_eq!(
        first(healthy(2).with(|world| world.snapshot.volumes.clear())),
        "the volume must be writable for 26:26 (kubectl -n pg logs pgset-0 -c database --previous)"
    );
    assert!(!crashed("all is well", &healthy(2)).hint.unwrap().contains("chown"));
}

#[test]
fn what_the_log_says_decides() {
    for (log, hint) in [
        ("FATAL: password authentication failed for user \"master\"", "restore the Secret"),
        ("could not write: No space left on device", "the volume is full"),
        (
            "initdb: error: could not look up effective user ID 999: user does not exist",
            "no user with the ID 999: pgset up --user-id 70 -n pg",
        ),
        (
            "Read-only file system",
            "mounted read-only: make it writable; or a replica becomes the master: pgset failover -n pg",
        ),
        (
            "FATAL:  could not open file \"global/pg_filenode.map\": No such file or directory",
            "pgset failover -n pg  # stops pgset-0, and makes a replica the master",
        ),
        (
            "error: the volume is empty, but this set was initialized",
            "pgset failover -n pg  # if the volume is lost: a replica, such as pgset-1, becomes",
        ),
        (
            "error: /pgdata/pgset-0 is on timeline 1 and the pod at 10.0.0.1:5432 on 2, which begins there: it was promoted and has newer data",
            "pgset failover -n pg  # if pgset-0 has an older copy",
        ),
        (
            "error: /pgdata/pgset-0 does not have the WAL that the pod at 10.0.0.1:5432 has",
            "pgset failover -n pg",
        ),
        (
            "error: /pgdata/pgset-0 has diverged from the master: it has WAL",
            "pgset rejoin pgset-0 -n pg  # keeps its directory",
        ),
        (
            "error: ... knows epoch 2, and ConfigMap pgset-topology has 1: it was replaced by an earlier one",
            "pgset up -n pg  # records the topology",
        ),
        (
            "error: /pgdata/pgset-0/global/pg_control is missing; where a replica has the data, make it the master: pgset failover -n pg",
            "pgset failover -n pg  # stops pgset-0, and makes a replica the master",
        ),
        (
            "error: label: HTTP/1.1 403 Forbidden: cannot patch resource \"pods/status\"",
            "gives the set's Role what the pod needs",
        ),
        (
            "error: to read the topology (ConfigMap pgset-topology): HTTP/1.1 403 Forbidden",
            "gives the set's Role what the pod needs",
        ),
    ] {
        let first = crashed(log, &healthy(2)).hint.unwrap();
        assert!(first.contains(hint), "{first}");
    }
    // Without a replica there is nothing to make the master.
    let alone = crashed("Read-only file system", &healthy(1)).hint.unwrap();
    assert!(!alone.contains("failover"), "{alone}");
    let lost = "FATAL:  database \"postgres\" does not exist";
    assert!(!crashed(lost, &healthy(1)).hint.unwrap().contains("failover"));
    let replica = healthy(2).pod(0, "metadata: {labels: {name: pgset-replica}}");
    let rejoin = crashed(lost, &replica).hint.unwrap();
    assert!(rejoin.starts_with("pgset rejoin pgset-0 --clone -n pg  # "), "{rejoin}");
    let killed =
        Trouble { out_of_memory: true, exit_code: Some(137), ..pod(Cause::CrashLoop, "x") };
    let found = explain(&killed, &[], &healthy(2).snapshot, &Logs::default());
    assert_eq!(found.details, ["last run: killed, out of memory (exit code 137)"]);
    assert_eq!(
        found.hint.unwrap(),
        "raise the memory limit of container database (kubectl -n pg logs pgset-0 -c database --previous)"
    );
}

#[test]
fn a_bad_image_is_answered_by_the_command_that_mends_it() {
    let world = healthy(2);
    let of = |message: &str| hints(&pod(Cause::ImagePull, message), &world);
    assert_eq!(
        of("x/y:z: not found"),
        ["pgset up --image NAME:TAG -n pg", "kubectl -n pg describe pod pgset-0"]
    );
    assert_eq!(of("dial tcp: no such host")[0], "node n1 can't reach the registry");
    assert!(of("pull access denied")[0].contains("imagePullSecrets"));
    let named = healthy(2).set("metadata: {name: other}");
    assert_eq!(
        hints(&pod(Cause::InvalidImageName, "x"), &named)[0],
        "pgset up --image NAME:TAG -n pg --name other"
    );
}

#[test]
fn a_node_without_nfs_is_told_what_to_install() {
    let world = healthy(2).volume("spec: {hostPath: null, nfs: {server: nfs.example, path: /x}}");
    let of = |message: &str| hints(&pod(Cause::FailedMount, message), &world)[0].clone();
    let helper = "bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program";
    assert_eq!(
        of(helper),
        "node n1 has no NFS client: install nfs-common (Debian, Ubuntu) or nfs-utils (Fedora, RHEL) on it"
    );
    assert_eq!(
        of("mount.nfs: Connection refused"),
        "on node n1: showmount -e nfs.example (it must export /x to the node)"
    );
    let missing = pod(Cause::FailedMount, "hostPath type check failed");
    assert_eq!(hints(&missing, &healthy(2))[0], "on node n1: mkdir -p '/srv/pg data'");
}

#[test]
fn a_refusal_names_what_refuses() {
    let of = |message: &str| {
        let trouble = trouble(Kind::StatefulSet, "pgset", Cause::FailedCreate, message);
        hints(&trouble, &healthy(2))
    };
    let quota = "pods \"pgset-1\" is forbidden: exceeded quota: small, requested: pods=1,memory=1Gi, used: \
                 pods=1,memory=0, limited: pods=1,memory=512Mi";
    assert_eq!(
        of(quota),
        [
            "ResourceQuota small allows pods=1,memory=512Mi; pods=1,memory=0 is used, \
             pods=1,memory=1Gi more is requested",
            "kubectl -n pg describe resourcequota small"
        ]
    );
    let unspecified = "pods \"pgset-1\" is forbidden: failed quota: small: must specify limits.cpu";
    assert_eq!(
        of(unspecified),
        [
            "ResourceQuota small requires every container to specify limits.cpu",
            "kubectl -n pg describe resourcequota small"
        ]
    );
    assert!(of("violates PodSecurity \"restricted:latest\"")[0].contains("namespace pg "));
    let account = "pods \"pgset-1\" is forbidden: error looking up service account pg/pgset-sa: \
                   serviceaccount \"pgset-sa\" not found";
    assert_eq!(
        of(account)[0],
        "ServiceAccount pgset-sa does not exist: run the same `pgset up` again to create it; one of \
         --service-account must be created by an administrator"
    );
    let webhook = "admission webhook \"deny.example\" denied the request: no";
    assert_eq!(of(webhook)[0], "the admission webhook deny.example refuses the pod");
}

#[test]
fn a_claim_without_class_is_shown_those_that_exist() {
    let missing = trouble(Kind::PersistentVolumeClaim, "pgset-pvc", Cause::NoStorageClass, "x");
    let world = healthy(2).with(|world| {
        let classes = world.snapshot.storage_classes.as_mut().unwrap();
        classes.push(class("fast", "csi.example", "Immediate", false));
    });
    let describe = "kubectl -n pg describe pvc pgset-pvc";
    assert_eq!(
        hints(&missing, &world),
        [
            "pgset up --storage class:fast -n pg",
            "pgset up --storage class:standard -n pg",
            describe
        ]
    );
    let none = healthy(2).with(|world| world.snapshot.storage_classes = Some(Vec::new()));
    assert_eq!(hints(&missing, &none)[1], "pgset up --storage hostpath:/PATH -n pg");
    let unreadable = healthy(2).with(|world| world.snapshot.storage_classes = None);
    assert_eq!(hints(&missing, &unreadable)[0], "pgset up --storage class:NAME -n pg");
}

#[test]
fn a_volume_that_can_not_be_used_comes_with_the_fix() {
    let of =
        |cause| hints(&trouble(Kind::PersistentVolume, "pv1", cause, "x"), &healthy(2))[0].clone();
    let released = of(Cause::VolumeReleased);
    assert!(
        released.starts_with("kubectl patch pv pv1 --type=json -p '[{\"op\":\"remove\""),
        "{released}"
    );
    assert_eq!(of(Cause::VolumeClaimedByOther), "pgset up --volume-prefix PREFIX -n pg");
    assert!(of(Cause::ClaimLost).starts_with("create the PersistentVolume again"));
}

#[test]
fn what_the_nodes_lack_is_said() {
    let mut world = healthy(2);
    patch(
        &mut world.snapshot.pods[0],
        "spec: {containers: [{name: database, resources: {requests: {cpu: '100'}}}]}",
    );
    let of = |message: &str| hints(&pod(Cause::Unschedulable, message), &world);
    assert_eq!(
        of("0/1 nodes are available: 1 Insufficient cpu"),
        [
            "no node has enough cpu left: the pod requests 100; request less, or add a node",
            "kubectl describe nodes",
            "kubectl -n pg describe pod pgset-0"
        ]
    );
    assert!(of("1 node(s) had untolerated taint {x: }")[0].contains("taint"));
    assert_eq!(
        of("waiting for PersistentVolumeClaim pgset-pvc: x")[0],
        "kubectl -n pg describe pvc pgset-pvc"
    );
}

#[test]
fn a_wedged_pod_can_be_deleted() {
    let found = hints(&pod(Cause::Wedged, "x"), &healthy(2));
    assert_eq!(
        found[0],
        "run the same `pgset up` again with --yes: it deletes the pod and keeps its claim"
    );
    assert_eq!(found[1], "kubectl -n pg delete pod pgset-0");
}

#[test]
fn a_timeout_says_what_is_still_waited_for() {
    let world = healthy(2).with(|world| world.snapshot.streaming = None);
    assert_eq!(unmet(&world.assess()), ["Pod pgset-1: Ready, checking replication"]);
    let world = healthy(3).with(|world| world.snapshot.endpoints.clear());
    assert_eq!(unmet(&world.assess()).len(), 3, "the Services");
}

#[test]
fn a_cause_that_pods_share_is_told_once() {
    let of = |name: &str, message: &str| {
        trouble(Kind::Pod, name, Cause::ImagePull, message).in_container("database")
    };
    let all = [
        of("pgset-0", "image x can't be pulled: read udp 10.0.0.1:41389: i/o timeout"),
        of("pgset-1", "image x can't be pulled: read udp 10.0.0.1:9: i/o timeout"),
        of("pgset-2", "image y can't be pulled: denied"),
    ];
    let world = healthy(3)
        .event(event("pod-0-uid", "Failed", 2, LATER, "Error: ErrImagePull"))
        .event(event("pod-0-uid", "FailedScheduling", 2, LATER, "unbound"))
        .event(event("pod-0-uid", "BackOff", 2, LATER, "Back-off pulling image \"x\""));
    let found = explain(&all[0], &all, &world.snapshot, &Logs::default());
    assert_eq!(
        found.summary,
        "Pods pgset-0 and pgset-1: image x can't be pulled: read udp 10.0.0.1:41389: i/o timeout"
    );
    assert!(found.details.is_empty(), "{:?}", found.details);
    assert_eq!(
        found.hint.unwrap(),
        "node n1 can't reach the registry (kubectl -n pg describe pod pgset-0)"
    );
}

#[test]
fn what_somebody_took_away_is_put_back() {
    for cause in [Cause::Replaced, Cause::Deleted] {
        let gone = trouble(Kind::StatefulSet, "pgset", cause, "x");
        assert_eq!(hints(&gone, &healthy(2)), ["run the same `pgset up` again to restore it"]);
    }
}
