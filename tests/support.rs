//! The test harness: runs pgset as a child process, creates a namespace per test, and provides two servers:
//! one between pgset and Kubernetes, and one in place of Kubernetes.

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod forms;
pub(crate) mod http;
pub(crate) mod mount;
pub(crate) mod node;
pub(crate) mod pgset;
pub(crate) mod proxy;
pub(crate) mod served;
pub(crate) mod server;
pub(crate) mod space;
pub(crate) mod state;
pub(crate) mod terminal;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// The tag of the article's image on the test cluster.
pub(crate) const CRUNCHY_TAG: &str = "centos7-9.5-1.2.6";

/// A short form of `Duration::from_secs`.
pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Whether this run refreshes files that are compared with what the program makes.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
pub(crate) fn updates() -> bool {
    std::env::var_os("PGSET_UPDATE").is_some_and(|value| value == "1")
}

/// Retries `ask` until it returns `Ok`. Panics with the last `Err` at the deadline. Tests must wait only with
/// this function.
pub(crate) async fn eventually<T, F>(what: &str, deadline: Duration, ask: F) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    ask_until(what, deadline, Duration::from_millis(50)..=Duration::from_millis(500), ask).await
}

/// The same as [`eventually`] with short pauses, for states that exist only briefly.
#[cfg(feature = "sandbox")]
pub(crate) async fn eventually_seen<T, F>(what: &str, deadline: Duration, ask: F) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    ask_until(what, deadline, Duration::from_millis(2)..=Duration::from_millis(2), ask).await
}

async fn ask_until<T, F>(
    what: &str,
    deadline: Duration,
    pauses: RangeInclusive<Duration>,
    mut ask: F,
) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    let start = Instant::now();
    let mut pause = *pauses.start();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) => assert!(
                start.elapsed() < deadline,
                "{what}: not within {deadline:?}; at the end: {reason}"
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(*pauses.end());
    }
}

/// A random suffix, so that names do not collide with other tests or earlier runs.
pub(crate) fn unique() -> String {
    use rand::Rng;
    let mut random = rand::rng();
    (0..6).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}
