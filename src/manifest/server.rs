//! The version of the Kubernetes API server.

/// What a server can do, by its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerVersion {
    /// `v1.37.2`.
    pub text: String,
    /// `37`; 0 when the server does not say.
    pub minor: u32,
}

impl ServerVersion {
    /// Whether there is `EndpointSlice` in `discovery.k8s.io/v1`: from 1.21 on.
    #[must_use]
    pub fn has_endpoint_slices(&self) -> bool {
        self.minor >= 21
    }
}
