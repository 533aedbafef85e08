//! The PostgreSQL side of pgset: scripts for psql, parsers for psql's output, and the checks on it.
//!
//! These modules are pure: they take values and return values. `cluster` runs psql in a pod; `commands`
//! decides what to run.

pub mod address;
pub mod altered;
pub mod configuration;
pub mod connections;
pub mod follows;
pub mod identity;
pub mod interactive;
pub mod measurements;
pub mod pipe;
pub mod psql;
pub mod replication;
pub mod rotation;
pub mod script;
pub mod slots;
pub mod smoke;
pub mod standing;
pub mod status;
pub mod takeover;
pub mod tls;
pub mod verifier;

pub use psql::{Connection, ExecOutput, Script, ScriptError};
pub use replication::Observation;
