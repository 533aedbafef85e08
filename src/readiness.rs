//! Ready, failed, gone: the rule for each kind, as pure functions of what is in the cluster.
//!
//! The caller fills a [`Snapshot`] from its watches, says with an [`Expectation`] what it applied,
//! and asks [`assess()`]. What is wrong comes back as [`Trouble`]s, each with a grace; [`Graces`] tells
//! which of them have lasted. [`explain()`] turns one into words and the next command to type.
//!
//! Nothing here does I/O or reads a clock: time comes in as the monotonic duration since the wait began.

mod assess;
mod claim;
mod container;
mod deletion;
mod events;
mod explain;
#[cfg(test)]
mod fixtures;
mod hint;
mod phase;
mod pod;
mod service;
mod snapshot;
mod state;
mod statefulset;
mod text;
mod trouble;
mod view;
mod volume;

pub use assess::{Assessment, assess, timed_out};
pub use deletion::deletion_blocked;
pub use explain::{Explanation, explain};
pub use phase::Phase;
pub use snapshot::{Endpoint, Expectation, Logs, Snapshot, Streaming, StreamingReplica};
pub use state::{ObjectState, WedgedPod};
pub use trouble::{Cause, Graces, Trouble, WEDGE_GRACE};
pub use view::is_ready;
