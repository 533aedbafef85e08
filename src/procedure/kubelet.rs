//! Makes the kubelet sync a pod now. Without a change of the pod, a kubelet updates mounted ConfigMaps and
//! Secrets only about once a minute.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;

use super::{Work, lease, pods};
use crate::cluster::objects::Apply;
use crate::manifest::Object;
use crate::set::objects;

/// The time after which the annotation is applied again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The annotation that changes the pod. Its value is the version of the objects that the kubelet should
/// mount.
const ANNOTATION: &str = "pgset/config";

/// When the pod was last annotated.
#[derive(Default)]
pub(crate) struct Nudges(Option<Instant>);

impl Nudges {
    /// Whether the pod should be annotated, for the first time or again.
    pub(crate) fn are_due(&self) -> bool {
        self.0.is_none_or(|at| at.elapsed() >= AGAIN_AFTER)
    }

    /// Annotates the pod.
    ///
    /// # Errors
    /// When the pod can't be changed.
    pub(crate) async fn nudge(
        &mut self,
        work: Work<'_>,
        pod: &Pod,
        version: &str,
    ) -> anyhow::Result<()> {
        lease::hold(work).await?;
        let id = objects::pod(work.set, pods::name(pod));
        let value = json!({
            "apiVersion": id.kind.api_version(),
            "kind": id.kind.name(),
            // The UID is a precondition: if the pod is gone, this does not create a new one.
            "metadata": {
                "name": id.name,
                "namespace": work.namespace(),
                "uid": pod.metadata.uid,
                "annotations": { ANNOTATION: version },
            },
        });
        let object = Object { id, value, template: "the live object".to_owned() };
        match work.cluster.apply(&object, Apply { dry_run: false, force: true }).await {
            Ok(_) => {}
            // The pod was deleted or replaced in the meantime: a new pod starts with the new files.
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        self.0 = Some(Instant::now());
        Ok(())
    }
}
