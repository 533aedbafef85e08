//! The steps of a pod on its way to serve: what a summary tells about it.

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use super::container;
use super::snapshot::Snapshot;

/// A step that a pod has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case", tag = "milestone")]
pub enum Milestone {
    /// All its claims are bound.
    VolumeBound,
    /// `initdb` has created the data directory.
    Initialized,
    /// The data directory was cloned from the master.
    Cloned {
        /// The size of the data directory on disk, in bytes.
        bytes: u64,
    },
    /// The pod is ready.
    Ready,
    /// The pod is ready, and is the master.
    MasterReady,
    /// The pod is ready, and streams from the master.
    Streaming,
    /// The pod is deleted.
    Deleted,
}

impl Milestone {
    /// Whether nothing more is expected of the pod.
    #[must_use]
    pub fn is_last(self) -> bool {
        matches!(self, Self::MasterReady | Self::Streaming | Self::Deleted)
    }
}

/// The steps before the pod is ready, in their order.
pub(super) fn before_ready(snapshot: &Snapshot, pod: &Pod) -> Vec<Milestone> {
    let claims = Snapshot::claims_of(pod);
    let bound = !claims.is_empty() && claims.iter().all(|claim| snapshot.is_bound(claim));
    bound.then_some(Milestone::VolumeBound).into_iter().chain(bootstrapped(pod)).collect()
}

/// What the bootstrap script wrote to the termination message of its init container: `initialized` or
/// `cloned 31457 kB`. Nothing if it found an existing data directory.
fn bootstrapped(pod: &Pod) -> Option<Milestone> {
    let inits = pod.status.as_ref()?.init_container_statuses.iter().flatten();
    let message = inits
        .filter_map(container::last_end)
        .filter(|end| end.exit_code == 0)
        .find_map(|end| end.message.as_deref())?;
    match message.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["initialized"] => Some(Milestone::Initialized),
        ["cloned", kilobytes, "kB"] => {
            let kilobytes: u64 = kilobytes.parse().ok()?;
            Some(Milestone::Cloned { bytes: kilobytes.saturating_mul(1024) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{healthy, patch};
    use super::*;
    use crate::readiness::assess;

    fn reached(message: &str) -> Vec<Vec<Milestone>> {
        let mut world = healthy(2);
        for pod in &mut world.snapshot.pods {
            let status = format!(
                "status: {{initContainerStatuses: [{{name: bootstrap, image: i, imageID: '', ready: true,
                 restartCount: 0, state: {{terminated: {{exitCode: 0, message: '{message}'}}}}}}]}}"
            );
            patch(pod, &status);
        }
        let states = assess(&world.snapshot, &world.expected).states;
        states
            .into_iter()
            .filter(|s| {
                s.object.name.starts_with("pgset-0") || s.object.name.starts_with("pgset-1")
            })
            .map(|s| s.reached)
            .collect()
    }

    #[test]
    fn a_pod_tells_its_steps() {
        use Milestone::{Cloned, Initialized, MasterReady, Ready, Streaming, VolumeBound};
        assert_eq!(reached("initialized")[0], [VolumeBound, Initialized, Ready, MasterReady]);
        let bytes = 31457 * 1024;
        assert_eq!(
            reached("cloned 31457 kB")[1],
            [VolumeBound, Cloned { bytes }, Ready, Streaming]
        );
        for other in ["", "cloned", "cloned many kB", "started"] {
            assert_eq!(reached(other)[1], [VolumeBound, Ready, Streaming], "{other}");
        }
    }

    #[test]
    fn a_pod_that_is_not_ready_has_not_reached_more() {
        let mut world = healthy(2);
        patch(&mut world.snapshot.pods[1], "status: {conditions: []}");
        patch(&mut world.snapshot.claims[0], "status: {phase: Pending}");
        let states = assess(&world.snapshot, &world.expected).states;
        let of =
            |name: &str| states.iter().find(|s| s.object.name == name).unwrap().reached.clone();
        assert_eq!(of("pgset-0"), [Milestone::Ready, Milestone::MasterReady]);
        assert_eq!(of("pgset-1"), []);
    }
}
