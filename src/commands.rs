//! A file per subcommand: arguments to procedures to an outcome.

pub mod completions;
pub mod connect;
pub mod diff;
pub mod down;
pub mod env;
pub mod failover;
pub mod man;
pub mod password;
pub mod psql;
pub mod rejoin;
pub mod render;
pub mod restart;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod scale;
pub mod start;
pub mod status;
pub mod stop;
pub mod switchover;
pub mod templates;
pub mod test;
pub mod up;
