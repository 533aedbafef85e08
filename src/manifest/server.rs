//! The version of the Kubernetes API server.

/// The version of an API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerVersion {
    /// `v1.37.2`.
    pub text: String,
    /// `37`. 0 if the server does not report it.
    pub minor: u32,
}

impl ServerVersion {
    /// Whether the server has `EndpointSlice` in `discovery.k8s.io/v1`: from version 1.21 on.
    #[must_use]
    pub fn has_endpoint_slices(&self) -> bool {
        self.minor >= 21
    }

    /// Whether the server records who changes the number of pods with the subresource `scale`: from version 1.22
    /// on.
    #[must_use]
    pub fn records_who_scales(&self) -> bool {
        self.minor >= 22
    }
}
