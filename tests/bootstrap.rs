//! Tests of the bootstrap script of the profile `postgres`, unmodified, with real servers on this machine.
//!
//! Run them with `PGSET_POSTGRES=1 tests/run.sh`, or `cargo test --test pgset -- --ignored bootstrap::`.
//! They need PostgreSQL's server programs (13 or later). Root runs these programs as the user `postgres`.
//! `tests/bootstrap-in.sh` runs them with the PostgreSQL of another Debian.

mod api;
mod beside;
mod clone;
mod killed;
mod label;
mod lost;
mod machine;
mod peers;
mod refused;
mod running;
mod serving;
mod set;
mod switch;
mod tablespaces;
mod tls;
mod topology;

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Exit codes of the script, as listed in its header.
mod code {
    pub(super) const USAGE: i32 = 2;
    pub(super) const OPENSSL: i32 = 10;
    pub(super) const LABEL: i32 = 11;
    pub(super) const VOLUME: i32 = 12;
    pub(super) const LOCKED: i32 = 13;
    pub(super) const LOST: i32 = 14;
    pub(super) const STRANGER: i32 = 15;
    pub(super) const VERSION: i32 = 16;
    pub(super) const DIRECTORY: i32 = 17;
    pub(super) const INITDB: i32 = 18;
    pub(super) const PASSWORD: i32 = 20;
    pub(super) const CLONE: i32 = 21;
    pub(super) const FULL: i32 = 22;
    pub(super) const DIVERGED: i32 = 23;
    pub(super) const UNPREPARED: i32 = 24;
    pub(super) const TLS: i32 = 25;
    pub(super) const TOPOLOGY: i32 = 26;
    pub(super) const BEHIND: i32 = 27;
    pub(super) const TABLESPACE: i32 = 28;
    pub(super) const FENCED: i32 = 29;
    pub(super) const PROMOTION: i32 = 31;
}

/// Calls `ask` until it returns `Ok`; panics with the last `Err` after 60 seconds.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(reason) => {
                assert!(start.elapsed() < Duration::from_secs(60), "{what}: at the end: {reason}");
            }
        }
        sleep(Duration::from_millis(20));
    }
}

/// Prints to standard error why a part of the suite did not run.
#[expect(clippy::print_stderr, reason = "what was not tested has to be seen")]
fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}
