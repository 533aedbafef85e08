//! Changes of a set by other clients: in the middle of a wait (fault 44), and of its labels (faults 47 and 48).

use std::time::Duration;

use pgset::sandbox::kinds::{PODS, SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS};
use pgset::sandbox::ownership::Writer;
use serde_json::{Value, json};

use super::World;
use super::quick::{PROFILES, Profile};
use crate::support::pgset::Pgset;
use crate::support::seconds;

/// A stranger's change ends a wait within this time.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What another client does.
type Change = fn(&World);

impl World {
    fn call_official(&self, line: &str) -> Pgset {
        Profile::Official.of(self.pgset(line))
    }

    /// As `kubectl scale` does.
    pub(super) fn kubectl_scale(&self, replicas: u32) {
        let writer = Writer { manager: "kubectl", subresource: "scale" };
        let key = Self::key(&STATEFUL_SETS, "pgset");
        let scaled = self.sandbox.registry.update(&key, writer, false, |set| {
            set["spec"]["replicas"] = json!(replicas);
            Ok(())
        });
        scaled.unwrap();
    }

    fn label(&self, pod: &str) -> Value {
        self.object(&Self::key(&PODS, pod)).expect(pod)["metadata"]["labels"]["name"].clone()
    }

    fn relabel(&self, pod: &str, label: Option<&str>) {
        self.edit(&Self::key(&PODS, pod), |pod| match label {
            Some(label) => pod["metadata"]["labels"]["name"] = json!(label),
            None => drop(pod["metadata"]["labels"].as_object_mut().unwrap().remove("name")),
        });
    }
}

#[tokio::test]
pub(super) async fn a_change_in_the_middle_of_a_wait_ends_it() {
    let set = World::key(&STATEFUL_SETS, "pgset");
    let changes: [(Change, &str); 4] = [
        (
            |world| world.kubectl_scale(1),
            "StatefulSet pgset: spec.replicas 2 -> 1, changed by kubectl",
        ),
        (
            |world| {
                world.edit(&World::key(&STATEFUL_SETS, "pgset"), |set| {
                    set["spec"]["template"]["spec"]["containers"][0]["image"] =
                        json!("postgres:16");
                });
            },
            "spec.template.spec.containers[name=postgres].image postgres:17 -> postgres:16, changed by kubectl-edit",
        ),
        (
            |world| {
                world.edit(&World::key(&STATEFUL_SETS, "pgset"), |set| {
                    let metadata = &mut set["spec"]["template"]["metadata"];
                    metadata["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("now");
                });
            },
            "restartedAt], changed by kubectl-edit",
        ),
        (|world| world.delete(&World::key(&STATEFUL_SETS, "pgset")), "deleted by another client"),
    ];
    for (change, words) in changes {
        let world = World::quick().await;
        world.faults().fail("schedule", "no room.");
        let up = world.call_official("up -v").spawn();
        up.says("pod/pgset-0").await;
        // What the controllers write is no change, and neither are labels and annotations.
        world.edit(&set, |set| set["metadata"]["annotations"]["note"] = json!("x"));
        let began = std::time::Instant::now();
        change(&world);
        let output = up.finish().await.exits(4);
        assert!(began.elapsed() < AT_ONCE * 2, "{output}");
        output.says(words).says("pgset up");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_change_while_pods_are_scaled_or_stopped_ends_the_wait() {
    let world = World::quick().await;
    world.call_official("up").run().await.ok();
    world.faults().fail("schedule", "no room.");
    let scale = world.call_official("scale --replicas 3 -v").spawn();
    scale.says("pod/pgset-2").await;
    world.kubectl_scale(4);
    scale.finish().await.exits(4).says("spec.replicas 3 -> 4, changed by kubectl");
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_set_whose_labels_were_rewritten_is_refused_by_every_command() {
    const LINES: [&str; 8] = [
        "up",
        "status",
        "down --yes",
        "down --yes --delete-data",
        "scale --replicas 1",
        "password rotate",
        "connect",
        "psql",
    ];
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).run().await;
        run("up").await.ok();
        let rewrite = |kind, name: &str, to: &str| {
            world.edit(&World::key(kind, name), |object| {
                object["metadata"]["labels"]["app.kubernetes.io/instance"] = json!(to);
            });
        };
        rewrite(&STATEFUL_SETS, "pgset", "shop");
        world.faults().record();
        for line in LINES {
            let refused = run(line).await.exits(4);
            refused.says("StatefulSet pgset is owned by the set shop");
        }
        assert_eq!(world.faults().writes(), []);
        for n in 0..2 {
            assert!(world.object(&World::key(&PODS, &format!("pgset-{n}"))).is_some());
        }
        assert!(world.object(&World::key(&SERVICE_ACCOUNTS, "pgset-sa")).is_some());
        // Another object of the set.
        rewrite(&STATEFUL_SETS, "pgset", "pgset");
        rewrite(&SERVICES, "pgset-master", "shop");
        run("down --yes").await.exits(4).says("Service pgset-master is owned by the set shop");
        rewrite(&SERVICES, "pgset-master", "pgset");
        run("down --yes").await.ok().says("is down");
        world.stop().await;
    }
}

#[tokio::test]
pub(super) async fn a_wrong_label_is_corrected_at_once() {
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).run().await;
        run("up").await.ok();
        for (pod, label, said) in [
            ("pgset-0", None, "label name: (none) -> pgset-master"),
            ("pgset-0", Some("pgset-replica"), "label name: pgset-replica -> pgset-master"),
            ("pgset-1", Some("pgset-master"), "label name: pgset-master -> pgset-replica"),
        ] {
            let right = world.label(pod);
            world.relabel(pod, label);
            let up = run("up").await.ok().within(seconds(30));
            up.says(&format!("pod/{pod} configured")).says(said).never_says("nothing changed");
            assert_eq!(world.label(pod), right);
            run("up").await.ok().says("nothing changed");
        }
        world.stop().await;
    }
}
