//! The bootstrap script of the profile `postgres`, run as it is, with real servers on this machine.
//!
//! `PGSET_POSTGRES=1 tests/run.sh`, or `cargo test --test pgset -- --ignored bootstrap::`; needs PostgreSQL's
//! server programs (13 or later). Root runs them as the user `postgres`.

mod clone;
mod killed;
mod label;
mod lost;
mod machine;
mod refused;
mod running;
mod set;
mod tls;

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Exit codes of the script, as its head lists them.
mod code {
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
}

/// Asks until the answer is `Ok`; panics with the last `Err` when it takes too long.
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

/// Says on standard error why a part of the suite did not run.
#[expect(clippy::print_stderr, reason = "what was not tested has to be seen")]
fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}
