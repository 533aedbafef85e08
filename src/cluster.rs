//! All communication with Kubernetes.

pub mod access;
pub mod call;
mod channel;
pub mod connect;
pub mod error;
pub mod exec;
pub mod follow;
pub mod lease;
pub mod logs;
pub mod objects;
pub mod observe;
pub mod session;
pub mod task;

pub use call::{Cluster, Deadline};
pub use connect::Target;
pub use error::ClusterError;
