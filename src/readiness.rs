//! Rules for each kind that decide whether an object is ready, failed or gone. They are pure functions of the
//! objects in the cluster.
//!
//! The caller fills a [`Snapshot`] from its watches, describes the applied objects in an [`Expectation`]
//! and calls [`assess()`]. It returns problems as [`Trouble`]s, each with a grace period. [`Graces`] tells
//! which troubles have lasted longer than that. [`explain()`] turns a trouble into a message and the next
//! command to run.
//!
//! Nothing here does I/O or reads a clock: the time is a parameter, the monotonic duration since the wait
//! began.

mod assess;
mod claim;
mod container;
mod deletion;
mod events;
mod explain;
#[cfg(test)]
mod fixtures;
mod group;
mod hint;
mod lost;
mod milestone;
mod mount;
mod phase;
mod pod;
mod problems;
mod pull;
mod revision;
mod service;
mod snapshot;
mod state;
mod statefulset;
mod text;
mod trouble;
mod view;
mod volume;

pub use assess::{Assessment, assess, unmet, waiting};
pub use deletion::deletion_blocked;
pub use explain::{Explanation, explain};
pub use lost::{LostMaster, lost_master};
pub use milestone::Milestone;
pub use phase::Phase;
pub use problems::{Problem, problems};
pub use revision::{previous, revision};
pub use snapshot::{Endpoint, Expectation, Logs, Snapshot, Streaming, StreamingReplica};
pub use state::{ObjectState, WedgedPod};
pub use trouble::{Cause, Graces, Trouble, WEDGE_GRACE};
pub use view::is_ready;
