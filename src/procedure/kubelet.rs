//! Having the kubelet of a pod look at it now: a kubelet updates mounted ConfigMaps and Secrets only about once a
//! minute, unless the pod changes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;

use super::{Work, pods};
use crate::cluster::objects::Apply;
use crate::manifest::Object;
use crate::set::objects;

/// The kubelet is told again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The annotation that changes the pod; its value is the version of what the kubelet is to bring.
const ANNOTATION: &str = "pgset/config";

/// When the kubelet of a pod was told last.
#[derive(Default)]
pub(crate) struct Nudges(Option<Instant>);

impl Nudges {
    /// Whether it is time to tell it, for the first time or again.
    pub(crate) fn are_due(&self) -> bool {
        self.0.is_none_or(|at| at.elapsed() >= AGAIN_AFTER)
    }

    /// Tells it.
    ///
    /// # Errors
    /// When the pod can't be changed.
    pub(crate) async fn nudge(
        &mut self,
        work: Work<'_>,
        pod: &Pod,
        version: &str,
    ) -> anyhow::Result<()> {
        let id = objects::pod(work.set, pods::name(pod));
        let value = json!({
            "apiVersion": id.kind.api_version(),
            "kind": id.kind.name(),
            // The UID is a precondition: a pod that is gone is not created by this.
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
            // Gone or replaced meanwhile: the new pod has the new files.
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        self.0 = Some(Instant::now());
        Ok(())
    }
}
