use k8s_openapi::api::core::v1::Event;

use crate::readiness::Cause;
use crate::readiness::Phase;
use crate::readiness::fixtures::{
    EARLIER, LATER, World, class, event, healthy, patch, pod, volume,
};

const CLAIM: &str = "PersistentVolumeClaim pgset-pvc";
const PENDING: &str = "{spec: {volumeName: null}, status: {phase: Pending, capacity: null}}";

/// A Pending claim of a class, without pod and volume.
fn pending(class: &str) -> World {
    healthy(1).claim(PENDING).claim(&format!("spec: {{storageClassName: {class}}}")).with(|world| {
        world.snapshot.pods.clear();
        world.snapshot.volumes.clear();
    })
}

fn claim_event(reason: &str, at: &str, message: &str) -> Event {
    event("claim-uid", reason, 3, at, message)
}

/// A Pending claim and an Available volume, both of the static class.
fn unbound() -> World {
    healthy(2).claim(PENDING).volume("{spec: {claimRef: null}, status: {phase: Available}}")
}

#[test]
fn a_bound_claim_is_ready() {
    healthy(2).assert_state(CLAIM, Phase::Ready, "Bound to pv1");
}

#[test]
fn a_resize_is_waited_for() {
    let growing = healthy(2).claim("spec: {resources: {requests: {storage: 1Gi}}}");
    growing.assert_waits("PersistentVolumeClaim pgset-pvc: Growing: 150M of 1Gi");
    growing.claim("status: {capacity: {storage: 2Gi}}").assert_ready();
}

#[test]
fn a_pending_claim_is_waited_for() {
    let state = "Pending: no volume yet";
    pending("standard").assert_waits(&format!("{CLAIM}: {state}"));
    pending("standard").assert_state(CLAIM, Phase::Pending, state);
    unbound().assert_waits(&format!("{CLAIM}: {state}"));
    let going = healthy(2).claim("metadata: {deletionTimestamp: '2026-11-24T02:00:00Z'}");
    going.assert_waits(&format!("{CLAIM}: Terminating"));
}

#[test]
fn a_claim_that_waits_for_its_first_pod_is_not_waited_for() {
    let late = |world: World| {
        world.with(|world| {
            let classes = vec![class("late", "csi.example", "WaitForFirstConsumer", false)];
            world.snapshot.storage_classes = Some(classes);
        })
    };
    let unreadable = |world: World| {
        let said = claim_event("WaitForFirstConsumer", LATER, "waiting for first consumer");
        world.event(said).with(|world| world.snapshot.storage_classes = None)
    };
    for world in [late(pending("late")), unreadable(pending("late"))] {
        world.assert_state(CLAIM, Phase::Pending, "Pending: waiting for its first pod");
        let found = world.assess();
        assert!(!found.waiting_for.iter().any(|line| line.starts_with(CLAIM)), "a deadlock");
        let scheduled = world.with(|world| world.snapshot.pods.push(pod(0)));
        scheduled.assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
    }
}

#[test]
fn a_lost_claim_fails_at_once() {
    let lost = healthy(2).claim("status: {phase: Lost}");
    lost.assert_trouble(CLAIM, Cause::ClaimLost, 0);
    lost.assert_state(CLAIM, Phase::Troubled, "Lost: its volume pv1 does not exist");
}

#[test]
fn a_class_that_does_not_exist_fails_at_once() {
    let trouble = pending("fast").assert_trouble(CLAIM, Cause::NoStorageClass, 0);
    assert_eq!(trouble.message, "there is no StorageClass fast");

    let none = pending("null").with(|world| {
        world.snapshot.storage_classes =
            Some(vec![class("slow", "csi.example", "Immediate", false)]);
    });
    let trouble = none.assert_trouble(CLAIM, Cause::NoStorageClass, 0);
    assert_eq!(trouble.message, "it names no StorageClass, and the cluster has no default one");
    // If there is a default StorageClass, it is used.
    pending("null").assert_waits("PersistentVolumeClaim pgset-pvc: Pending: no volume yet");

    // pgset can't read StorageClasses; the controller's event has the reason.
    let said = "storageclass.storage.k8s.io \"fast\" not found";
    let unreadable = pending("fast").with(|world| world.snapshot.storage_classes = None);
    unreadable.assert_waits("PersistentVolumeClaim pgset-pvc: Pending: no volume yet");
    let told = unreadable.event(claim_event("ProvisioningFailed", LATER, said));
    told.assert_trouble(CLAIM, Cause::NoStorageClass, 0);
    // Before the command: the class may have been created since.
    let began = Some("2026-11-24T02:30:00Z".parse().unwrap());
    told.with(|world| world.expected.began = began).assert_trouble(
        CLAIM,
        Cause::ProvisioningFailed,
        60,
    );
}

#[test]
fn volumes_made_by_hand_need_no_class() {
    // The set's own class, which never exists: before the watch shows the volume, and afterwards.
    pending("pg.pgset.static").assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
    unbound().assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
    // The class of another owner, which does not exist either.
    unbound()
        .volume("{metadata: {labels: null}, spec: {storageClassName: by-hand}}")
        .claim("spec: {storageClassName: by-hand}")
        .assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
    // A volume without a class for a claim without a class.
    unbound()
        .volume("spec: {storageClassName: null}")
        .claim("spec: {storageClassName: null}")
        .with(|world| world.snapshot.storage_classes = Some(Vec::new()))
        .assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
    // The binder's event about a class that does not need to exist.
    let said = "storageclass.storage.k8s.io \"pg.pgset.static\" not found";
    unbound()
        .event(claim_event("ProvisioningFailed", LATER, said))
        .assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
    // pgset can't read volumes, so it has only the event.
    pending("pg.pgset.static")
        .event(claim_event("ProvisioningFailed", LATER, said))
        .assert_trouble(CLAIM, Cause::FailedBinding, 60);
}

#[test]
fn failing_events_are_given_a_minute() {
    for (reason, cause) in
        [("ProvisioningFailed", Cause::ProvisioningFailed), ("FailedBinding", Cause::FailedBinding)]
    {
        let world = pending("standard").event(claim_event(reason, LATER, "out of disks."));
        let trouble = world.assert_trouble(CLAIM, cause, 60);
        assert_eq!(trouble.message, "out of disks");
        let waits = format!("{CLAIM}: Pending: no volume yet");
        pending("standard")
            .event(claim_event(reason, EARLIER, "out of disks"))
            .assert_waits(&waits);
        healthy(2).event(claim_event(reason, LATER, "out of disks")).assert_ready();
    }
}

#[test]
fn a_volume_that_does_not_fit_is_named_with_the_reason() {
    for (patch, reason) in [
        ("spec: {capacity: {storage: 50M}}", "is 50M, not 100M"),
        ("spec: {accessModes: [ReadWriteOnce]}", "is ReadWriteOnce, not ReadWriteMany"),
        (
            "spec: {storageClassName: other}",
            "is of storage class \"other\", not \"pg.pgset.static\"",
        ),
        ("spec: {volumeMode: Block}", "is a Block volume"),
        ("metadata: {deletionTimestamp: '2026-11-24T02:00:00Z'}", "is being deleted"),
    ] {
        let world = unbound().volume(patch);
        let trouble = world.assert_trouble(CLAIM, Cause::FailedBinding, 60);
        assert_eq!(trouble.message, format!("no PersistentVolume fits: pv1 {reason}"));
    }
    let labelled = unbound().claim("spec: {selector: {matchLabels: {disk: fast}}}");
    let trouble = labelled.assert_trouble(CLAIM, Cause::FailedBinding, 60);
    assert_eq!(trouble.message, "no PersistentVolume fits: pv1 has no label disk=fast");
}

#[test]
fn one_volume_that_fits_is_enough() {
    unbound()
        .volume("spec: {capacity: {storage: 50M}}")
        .with(|world| {
            let mut fitting = volume("pv2");
            patch(&mut fitting, "{spec: {claimRef: null}, status: {phase: Available}}");
            world.snapshot.volumes.push(fitting);
        })
        .assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
}

#[test]
fn a_volume_kept_for_the_claim_fits() {
    let kept = "spec: {claimRef: {namespace: pg, name: pgset-pvc, uid: null}}";
    unbound().volume(kept).assert_waits(&format!("{CLAIM}: Pending: no volume yet"));
}

#[test]
fn volumes_that_can_not_be_used_fail_at_once() {
    for (text, cause, message) in [
        (
            "{spec: {claimRef: {uid: before}}, status: {phase: Released}}",
            Cause::VolumeReleased,
            "it is Released: it still refers to the deleted claim pg/pgset-pvc",
        ),
        (
            "status: {phase: Failed, message: no recycler}",
            Cause::VolumeFailed,
            "it could not be reclaimed: no recycler",
        ),
        (
            "{spec: {claimRef: {namespace: them, name: data}}, status: {phase: Bound}}",
            Cause::VolumeClaimedByOther,
            "it is bound to the claim them/data",
        ),
    ] {
        let found = healthy(2).claim(PENDING).volume(text).assess();
        let [volume, claim] = found.troubles.as_slice() else { panic!("{:?}", found.troubles) };
        assert_eq!((volume.cause, volume.grace.as_secs()), (cause, 0));
        assert_eq!(volume.message, message);
        assert_eq!((claim.cause, claim.grace.as_secs()), (Cause::FailedBinding, 60));
        assert!(!found.ready);

        // A spare volume does no harm.
        healthy(2)
            .with(|world| {
                let mut spare = crate::readiness::fixtures::volume("pv2");
                patch(&mut spare, text);
                world.snapshot.volumes.push(spare);
            })
            .assert_ready();
    }
}

#[test]
fn only_the_claims_of_the_pods_wanted_count() {
    let own = |ordinal: u32| {
        healthy(2)
            .with(|world| world.snapshot.volumes.clear())
            .set("spec: {template: {spec: {volumes: null}}, volumeClaimTemplates: [{metadata: {name: data}}]}")
            .pod(0, "spec: {volumes: null}")
            .pod(1, "spec: {volumes: null}")
            .claim(&format!("{{metadata: {{name: data-pgset-{ordinal}}}, status: {{phase: Lost}}}}"))
    };
    let name = "PersistentVolumeClaim data-pgset-1";
    own(1).assert_trouble(name, Cause::ClaimLost, 0);
    // The claim remains from a larger set.
    own(2).assert_ready();
}
