//! Reads the last lines of a container's log.

use http::Request;

use super::{Cluster, ClusterError};

impl Cluster {
    /// The last `lines` lines of a container's log; with `previous`, of its previous run. `None` if there
    /// is no such log.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        lines: u32,
    ) -> Option<String> {
        let uri = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&previous={previous}\
             &tailLines={lines}&limitBytes=65536"
        );
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = uri.parse().ok()?;
        let action = format!("reading the log of pod {pod}");
        let read = self.call_bytes(&action, request);
        // The log is only part of an explanation, so a failure to read it is not an error.
        let bytes = match tokio::time::timeout(std::time::Duration::from_secs(5), read).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(ClusterError::Refused { status, .. })) => {
                tracing::debug!(?status.message, "no log");
                return None;
            }
            _ => return None,
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (!text.trim().is_empty()).then_some(text)
    }
}
