use std::time::Duration;

use crate::readiness::Phase;
use crate::readiness::fixtures::{APPLIED, EARLIER, LATER, World, event, healthy, yaml};
use crate::readiness::{Cause, Graces, StreamingReplica};

const POD: &str = "Pod pgset-1";
const LATEST: &str = "2026-11-24T02:00:40Z";

fn waiting(reason: &str, message: &str) -> World {
    let state =
        serde_json::json!({"waiting": {"reason": reason, "message": message}, "running": null});
    healthy(2).container(1, &serde_json::json!({"state": state}).to_string())
}

fn pod_event(reason: &str, at: &str, message: &str) -> k8s_openapi::api::core::v1::Event {
    event("pod-1-uid", reason, 1, at, message)
}

fn init(world: World, status: &str) -> World {
    world.pod(
        1,
        &format!("status: {{initContainerStatuses: [{{name: prepare, image: x, imageID: '', ready: false, restartCount: 0, {status}}}]}}"),
    )
}

#[test]
fn ready_pods_say_what_they_are() {
    healthy(2).assert_state("Pod pgset-0", Phase::Ready, "Ready, master");
    healthy(2).assert_state(POD, Phase::Ready, "Ready, streaming");
}

#[test]
fn replicas_must_stream_when_that_is_wanted() {
    let row = |state: &str| StreamingReplica { pod: "pgset-1".to_owned(), state: state.to_owned() };
    let asked = |rows: Vec<StreamingReplica>, error: Option<&str>| {
        healthy(2).with(|world| {
            let streaming = world.snapshot.streaming.as_mut().unwrap();
            streaming.replicas = rows;
            streaming.error = error.map(str::to_owned);
        })
    };
    for (world, state) in [
        (asked(vec![row("catchup")], None), "Ready, not streaming: catchup"),
        (asked(vec![], None), "Ready, not streaming yet"),
        (asked(vec![], Some("exec failed")), "Ready, cannot check replication: exec failed"),
        (healthy(2).with(|world| world.snapshot.streaming = None), "Ready, checking replication"),
    ] {
        world.assert_waits(&format!("{POD}: {state}"));
        world.with(|world| world.expected.want_streaming = false).assert_ready();
    }
    // A base backup runs beside the streaming connection.
    asked(vec![row("backup"), row("streaming")], None).assert_ready();
}

#[test]
fn a_pod_that_is_not_there_says_what_it_waits_for() {
    let none = healthy(3).with(|world| world.snapshot.pods.clear());
    none.assert_state("Pod pgset-0", Phase::Pending, "not created yet");
    let waits = "not created yet: waiting for pgset-0 (OrderedReady)";
    none.assert_state("Pod pgset-2", Phase::Pending, waits);
    none.set("spec: {podManagementPolicy: Parallel}").assert_state(
        "Pod pgset-2",
        Phase::Pending,
        "not created yet",
    );
}

#[test]
fn a_starting_pod_says_how_far_it_is() {
    let unscheduled = |conditions: &str| {
        healthy(2).unready(1).pod(
            1,
            &format!("{{spec: {{nodeName: null}}, status: {{phase: Pending, containerStatuses: null, conditions: {conditions}}}}}"),
        )
    };
    let creating = || waiting("ContainerCreating", "");
    for (world, state) in vec![
        (unscheduled("[]"), "Pending: waiting for a node"),
        (
            unscheduled(
                "[{type: PodScheduled, status: 'False', reason: SchedulingGated, message: gated}]",
            ),
            "Pending: gated",
        ),
        (creating(), "Starting"),
        (creating().event(pod_event("Pulling", LATER, "Pulling image")), "Pulling image"),
        (
            creating()
                .event(pod_event("Pulled", LATEST, ""))
                .event(pod_event("Pulling", LATER, "")),
            "Starting",
        ),
        (init(creating(), "state: {running: {}}"), "Starting: init container prepare"),
        (init(creating(), "state: {terminated: {exitCode: 0}}"), "Starting"),
        (
            init(creating(), "started: true, state: {running: {}}"),
            "Starting: init container prepare",
        ),
        (
            init(creating(), "started: true, state: {running: {}}")
                .pod(1, "spec: {initContainers: [{name: prepare, restartPolicy: Always}]}"),
            "Starting",
        ),
        (
            healthy(2)
                .container(1, "state: {running: null, terminated: {exitCode: 1, reason: Error}}"),
            "Stopped: exit code 1",
        ),
    ] {
        world.assert_state(POD, Phase::Pending, state);
        world.assert_waits(&format!("{POD}: {state}"));
    }
    let going = healthy(2).pod(1, "metadata: {deletionTimestamp: '2026-11-24T02:00:00Z'}");
    going.assert_state(POD, Phase::Terminating, "Terminating");
    going
        .pod(1, "status: {conditions: [{type: Ready, status: Unknown, reason: NodeStatusUnknown}]}")
        .assert_state(POD, Phase::Terminating, "Terminating: its node n1 does not answer");
    healthy(2)
        .pod(1, "metadata: {ownerReferences: [{apiVersion: v1, kind: X, name: y, uid: z, controller: true}]}")
        .assert_state(POD, Phase::Pending, "owned by X y, not by this StatefulSet");
}

#[test]
fn waiting_reasons_have_their_cause_and_grace() {
    let not_found = "failed to pull and unpack image \"docker.io/x/y:z\": failed to resolve \
                     reference \"docker.io/x/y:z\": docker.io/x/y:z: not found";
    let unreachable = "failed to resolve reference \"docker.io/x/y:z\": failed to do request: dial \
                       tcp: lookup registry-1.docker.io: no such host";
    let refused = "pull access denied, repository does not exist or may require authorization";
    for (reason, message, cause, grace) in [
        ("InvalidImageName", "couldn't parse", Cause::InvalidImageName, 0),
        ("ErrImageNeverPull", "image is not present", Cause::ImagePull, 0),
        ("ErrImagePull", not_found, Cause::ImagePull, 0),
        ("ImagePullBackOff", not_found, Cause::ImagePull, 0),
        ("ErrImagePull", unreachable, Cause::ImagePull, 30),
        ("ErrImagePull", "dial tcp: lookup x: host not found", Cause::ImagePull, 30),
        ("ErrImagePull", refused, Cause::ImagePull, 30),
        ("ImagePullBackOff", "Back-off pulling image \"x\"", Cause::ImagePull, 30),
        ("CreateContainerConfigError", "secret \"x\" not found", Cause::CreateContainerConfig, 0),
        ("CreateContainerError", "no command specified", Cause::CreateContainer, 30),
        ("CrashLoopBackOff", "back-off 10s", Cause::CrashLoop, 30),
    ] {
        let world = waiting(reason, message);
        let trouble = world.assert_trouble(POD, cause, grace);
        assert_eq!(trouble.container.as_deref(), Some("database"));
        assert_eq!(world.state(POD).phase, Phase::Troubled);
        // The message of a failed pull says all that the reason says.
        let begin = if cause == Cause::ImagePull { "image " } else { reason };
        assert!(world.state(POD).state.starts_with(begin), "{}", world.state(POD).state);

        let status = serde_json::json!({"reason": reason, "message": message});
        let in_init =
            init(waiting("PodInitializing", ""), &format!("state: {{waiting: {status}}}"));
        let trouble = in_init.assert_trouble(POD, cause, grace);
        assert_eq!(trouble.container.as_deref(), Some("prepare"), "init containers alike");
    }
    waiting("CreateContainerConfigError", "failed to sync secret cache: timed out").assert_waits(
        &format!("{POD}: CreateContainerConfigError: failed to sync secret cache: timed out"),
    );
}

#[test]
fn the_event_says_what_a_bare_back_off_does_not() {
    let image = "crunchydata/crunchy-postgres:centos7-9.5-1.2.6";
    let failed = |at, image: &str| {
        let said = format!("Failed to pull image \"{image}\": rpc error: {image}: not found");
        waiting("ImagePullBackOff", &format!("Back-off pulling image \"{image}\""))
            .event(pod_event("Failed", at, &said))
    };
    failed(LATER, image).assert_trouble(POD, Cause::ImagePull, 0);
    failed(EARLIER, image).assert_trouble(POD, Cause::ImagePull, 30);
    failed(LATER, "another").assert_trouble(POD, Cause::ImagePull, 30);
}

#[test]
fn a_crash_loop_fails_at_the_second_restart() {
    let crashed = |restarts: i32, end: &str| {
        waiting("CrashLoopBackOff", "back-off").container(
            1,
            &format!("{{restartCount: {restarts}, lastState: {{terminated: {end}}}}}"),
        )
    };
    let once = crashed(1, "{exitCode: 1, reason: Error}");
    let trouble = once.assert_trouble(POD, Cause::CrashLoop, 30);
    assert_eq!(trouble.message, "container database crashes (1 restart): exit code 1");

    let twice = crashed(2, "{exitCode: 137, reason: OOMKilled}");
    let trouble = twice.assert_trouble(POD, Cause::CrashLoop, 0);
    assert_eq!(
        (trouble.restarts, trouble.exit_code, trouble.out_of_memory),
        (Some(2), Some(137), true)
    );
    assert_eq!(
        trouble.message,
        "container database crashes (2 restarts): out of memory (exit code 137)"
    );
    // The kubelet may have put the end of the log into the message, which then contains the cause.
    let said = "bootstrap: pod pgset-1 is the replica\nbootstrap: error: the volume is full\n\n";
    let end = serde_json::json!({"exitCode": 22, "reason": "Error", "message": said});
    let trouble = crashed(2, &end.to_string()).assert_trouble(POD, Cause::CrashLoop, 0);
    assert_eq!(
        trouble.message,
        "container database crashes (2 restarts): exit code 22: the volume is full"
    );
    let said = "LOG:  starting\nFATAL:  could not map memory\nLOG:  database system is shut down";
    let end = serde_json::json!({"exitCode": 1, "message": said});
    let trouble = crashed(2, &end.to_string()).assert_trouble(POD, Cause::CrashLoop, 0);
    assert!(trouble.message.ends_with("exit code 1: FATAL: could not map memory"));
    // It runs again, so it seems to have recovered.
    let running = healthy(2).container(1, "{ready: true, restartCount: 5}");
    running.pod(1, "status: {conditions: [{type: Ready, status: 'True'}]}").assert_ready();
}

/// `up` with a wrong setting, then with the right one: the pod has not started again in between.
#[test]
fn a_crash_before_the_configuration_changed_is_no_cause() {
    let crashed = |state: &str, began: &str, configured: Option<&str>| {
        let end = serde_json::json!({"exitCode": 1, "startedAt": began, "message": "FATAL: wrong"});
        let status = match state {
            "waiting" => format!(
                "{{restartCount: 4, state: {{running: null, waiting: {{reason: CrashLoopBackOff}}}}, lastState: {{terminated: {end}}}}}"
            ),
            "ended" => format!("{{restartCount: 4, state: {{running: null, terminated: {end}}}}}"),
            _ => format!("{{restartCount: 4, lastState: {{terminated: {end}}}}}"),
        };
        let configured = configured.map(|time| time.parse().unwrap());
        let world = healthy(2).unready(1).container(1, &status);
        world.with(|world| world.expected.configured = configured)
    };
    let waits =
        "Starting: container database has not started again since the configuration was changed";
    for state in ["waiting", "ended"] {
        for began in [EARLIER, APPLIED] {
            let world = crashed(state, began, Some(APPLIED));
            world.assert_state(POD, Phase::Pending, waits);
            assert_eq!(world.assess().troubles, []);
        }
    }
    // The run after the change counts, and without a change every run does.
    for (began, configured) in [(LATER, Some(APPLIED)), (EARLIER, None)] {
        let trouble =
            crashed("waiting", began, configured).assert_trouble(POD, Cause::CrashLoop, 0);
        assert!(trouble.message.ends_with("FATAL: wrong"), "{}", trouble.message);
        assert!(!trouble.ran_before_change);
    }
    // It runs now, and what its probe said before the change does not matter either.
    let probe = |at| {
        let said = pod_event("Unhealthy", at, "Readiness probe failed: no answer");
        crashed("running", EARLIER, Some(LATER)).event(said).assess()
    };
    let state = |assessment: &crate::readiness::Assessment| {
        let found = assessment.states.iter().find(|one| one.object.to_string() == POD);
        found.unwrap().state.clone()
    };
    assert_eq!(state(&probe(APPLIED)), "Running, not ready");
    assert_eq!(state(&probe(LATER)), "Running, not ready: no answer");
    let troubles = probe(LATER).troubles;
    assert!(troubles.iter().all(|trouble| trouble.ran_before_change), "{troubles:?}");
}

#[test]
fn what_a_server_tells_its_clients_is_not_why_it_ended() {
    let said = "FATAL:  could not map memory\nFATAL:  the database system is starting up\n";
    let end = serde_json::json!({"exitCode": 1, "message": said});
    let crashed = waiting("CrashLoopBackOff", "back-off")
        .container(1, &format!("{{restartCount: 2, lastState: {{terminated: {end}}}}}"));
    let trouble = crashed.assert_trouble(POD, Cause::CrashLoop, 0);
    assert!(trouble.message.ends_with("FATAL: could not map memory"), "{}", trouble.message);
}

fn unschedulable(message: &str) -> World {
    let condition = serde_json::json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
    healthy(2).unready(1).pod(
        1,
        &format!("{{spec: {{nodeName: null}}, status: {{phase: Pending, containerStatuses: null, conditions: [{condition}]}}}}"),
    )
}

#[test]
fn a_pod_that_no_node_takes_fails_after_a_minute() {
    let world = unschedulable("0/1 nodes are available: 1 Insufficient cpu.");
    let trouble = world.assert_trouble(POD, Cause::Unschedulable, 60);
    assert_eq!(trouble.message, "0/1 nodes are available: 1 Insufficient cpu");
    let state = "Pending: unschedulable: 0/1 nodes are available: 1 Insufficient cpu";
    world.assert_state(POD, Phase::Troubled, state);
}

#[test]
fn a_pod_that_waits_for_its_claim_points_at_it() {
    let message = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
    let alone = unschedulable(message);
    alone.assert_trouble(POD, Cause::Unschedulable, 60);
    alone.assert_state(POD, Phase::Troubled, "Pending: unbound claim pgset-pvc");

    let two = "spec: {volumes: [{name: a, persistentVolumeClaim: {claimName: pgset-pvc}}, {name: b, persistentVolumeClaim: {claimName: second}}]}";
    unschedulable(message).pod(1, two).assert_state(
        POD,
        Phase::Troubled,
        "Pending: unbound claim second",
    );

    let with_cause = unschedulable(message)
        .claim("{spec: {storageClassName: fast, volumeName: null}, status: {phase: Pending}}")
        .with(|world| world.snapshot.volumes.clear());
    let troubles = with_cause.assess().troubles;
    let found: Vec<_> = troubles.iter().map(|t| (t.cause, t.message.as_str())).collect();
    let root = "there is no StorageClass fast";
    let pod = "waiting for PersistentVolumeClaim pgset-pvc: there is no StorageClass fast";
    assert_eq!(found, [(Cause::NoStorageClass, root), (Cause::Unschedulable, pod)]);
}

#[test]
fn a_failed_pod_fails_at_once_unless_it_was_evicted() {
    let failed = |status: &str| {
        healthy(2).unready(1).pod(1, &format!("status: {{phase: Failed, {status}}}"))
    };
    let trouble = failed("reason: OutOfcpu, message: Node has no cpu").assert_trouble(
        POD,
        Cause::PodFailed,
        0,
    );
    assert_eq!(trouble.message, "the pod failed: OutOfcpu: Node has no cpu");
    failed("reason: Evicted, message: low on disk")
        .assert_waits("Pod pgset-1: Failed, will be created again: Evicted: low on disk");
    failed("conditions: [{type: DisruptionTarget, status: 'True'}]")
        .assert_waits("Pod pgset-1: Failed, will be created again: no reason reported");
}

#[test]
fn a_mount_that_fails_is_given_a_minute() {
    let nfs = "MountVolume.SetUp failed for volume \"pv1\" : mount failed: exit status 32\nMounting command: \
               mount\nOutput: mount: /x: bad option; for several filesystems (e.g. nfs, cifs) you might need a \
               /sbin/mount.<type> helper program.";
    let world = waiting("ContainerCreating", "").event(pod_event("FailedMount", LATER, nfs));
    let trouble = world.assert_trouble(POD, Cause::FailedMount, 60);
    let cause = "volume pv1: mount: /x: bad option; for several filesystems (e.g. nfs, cifs) you might need a \
                 /sbin/mount.<type> helper program";
    assert_eq!(trouble.message, cause);
    assert_eq!(world.state(POD).state, format!("Starting: {cause}"));

    // Cases without trouble: mounted since; an old event; a running container.
    let pulling = waiting("ContainerCreating", "")
        .event(pod_event("FailedMount", LATER, nfs))
        .event(pod_event("Pulling", LATER, ""));
    pulling.assert_waits("Pod pgset-1: Pulling image");
    let old = waiting("ContainerCreating", "").event(pod_event("FailedMount", EARLIER, nfs));
    old.assert_waits("Pod pgset-1: Starting");
    healthy(2).event(pod_event("FailedMount", LATER, nfs)).assert_ready();
}

#[test]
fn a_failing_probe_has_its_own_budget() {
    let said = "Readiness probe failed: psql: could not connect\nto server";
    let world = healthy(2).unready(1).event(pod_event("Unhealthy", LATER, said));
    // 5 s initial delay, 3 times 10 s, and 5 s timeout of the last probe.
    let trouble = world.assert_trouble(POD, Cause::ProbeFailing, 40);
    assert!(
        trouble.message.ends_with(": psql: could not connect; to server"),
        "{}",
        trouble.message
    );
    let state = "Running, not ready: psql: could not connect; to server";
    world.assert_state(POD, Phase::Pending, state);

    let mut graces = Graces::default();
    assert_eq!(graces.observe(&world.assess().troubles, Duration::from_secs(1)), []);
    assert_eq!(graces.observe(&world.assess().troubles, Duration::from_secs(41)), [trouble]);
    assert_eq!(graces.observe(&healthy(2).assess().troubles, Duration::from_secs(42)), []);
}

#[test]
fn a_probe_that_is_not_asked_yet_does_not_fail() {
    let starting = |started: bool| {
        healthy(2)
            .pod(
                1,
                "spec: {containers: [{name: database, readinessProbe: {}, startupProbe: {failureThreshold: 300}}]}",
            )
            .container(1, &format!("started: {started}"))
    };
    starting(false).assert_waits("Pod pgset-1: Running, PostgreSQL is starting");
    // The API server's defaults: 3 times 10 s, and 1 s. Plus a minute, because the kubelet has reported
    // nothing.
    starting(true).assert_trouble(POD, Cause::ProbeFailing, 91);
    // Without a probe nothing can fail.
    healthy(2)
        .unready(1)
        .pod(1, "spec: {containers: [{name: database}]}")
        .assert_waits("Pod pgset-1: Running, not ready");
}

#[test]
fn a_pod_on_a_node_that_is_lost_says_so() {
    let ready =
        |condition: &str| healthy(2).pod(1, &format!("status: {{conditions: [{condition}]}}"));
    for (condition, state) in [
        ("{type: Ready, status: Unknown}", "Running, not ready: its node n1 does not answer"),
        (
            "{type: Ready, status: 'False', reason: ReadinessGatesNotReady, message: gate closed}",
            "Running, not ready: gate closed",
        ),
        ("{type: Ready, status: 'False'}", "Running, not ready"),
    ] {
        ready(condition).assert_waits(&format!("{POD}: {state}"));
    }
    ready("").pod(1, "status: {containerStatuses: null}").assert_waits("Pod pgset-1: Starting");
}

#[test]
fn a_replica_that_is_behind_is_waited_for() {
    let said = "Readiness probe failed: bootstrap: not ready: 9 bytes of WAL are not replayed yet, the limit is 8 (--max-lag)";
    let world = healthy(2).unready(1).event(pod_event("Unhealthy", LATER, said));
    let state = said.trim_start_matches("Readiness probe failed: ");
    world.assert_waits(&format!("Pod pgset-1: Running, not ready: {state}"));
}

#[test]
fn a_clone_takes_as_long_as_it_takes() {
    let cloning = |percent: Option<f64>| {
        healthy(2).unready(1).event(pod_event("Unhealthy", LATER, "x")).with(|world| {
            let streaming = world.snapshot.streaming.as_mut().unwrap();
            streaming.replicas[0].state = "backup".to_owned();
            streaming.clone_percent.extend(percent.map(|percent| ("pgset-1".to_owned(), percent)));
        })
    };
    cloning(Some(40.4)).assert_waits("Pod pgset-1: Cloning 40 %");
    cloning(None).assert_waits("Pod pgset-1: Cloning");
    // The same if an init container clones.
    let first = init(waiting("PodInitializing", ""), "state: {running: {}}").with(|world| {
        let streaming = world.snapshot.streaming.as_mut().unwrap();
        streaming.clone_percent.insert("pgset-1".to_owned(), 7.0);
    });
    first.assert_waits("Pod pgset-1: Cloning 7 %");
}

#[test]
fn a_probes_budget_is_the_sum_of_its_parts() {
    let budget = |text: &str| crate::readiness::container::budget(&yaml(text)).as_secs();
    assert_eq!(budget("{}"), 31);
    assert_eq!(budget("{initialDelaySeconds: 15, periodSeconds: 5, failureThreshold: 4}"), 36);
    assert_eq!(budget("{successThreshold: 2, timeoutSeconds: 5}"), 45);
    assert_eq!(budget("{periodSeconds: -1}"), 31);
}
