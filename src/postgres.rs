//! PostgreSQL as pgset sees it: scripts for psql, what psql answers, and what follows from it.
//!
//! Everything here takes values and returns values. Running psql in a pod is `cluster`'s, deciding
//! what to run is `commands`'.

pub mod configuration;
pub mod identity;
pub mod psql;
pub mod replication;
pub mod smoke;
pub mod status;
mod table;

pub use psql::{Connection, ExecOutput, Script, ScriptError};
pub use replication::Observation;
