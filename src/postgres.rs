//! PostgreSQL as pgset sees it: scripts for psql, what psql answers, and what follows from it.
//!
//! Everything here takes values and returns values. Running psql in a pod is `cluster`'s, deciding
//! what to run is `commands`'.

pub mod address;
pub mod configuration;
pub mod identity;
pub mod interactive;
pub mod psql;
pub mod replication;
pub mod rotation;
pub mod slots;
pub mod smoke;
pub mod status;
mod table;
pub mod tls;

pub use psql::{Connection, ExecOutput, Script, ScriptError};
pub use replication::Observation;
