//! The harness: the program as a child process, a namespace per test, and two servers that stand
//! between the program and Kubernetes, or in its place.

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

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// The image of the article, as the test cluster has it.
pub(crate) const CRUNCHY_TAG: &str = "centos7-9.5-1.2.6";

/// Seconds, spelled short.
pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Asks again and again until the answer is `Ok`, and panics with the last `Err` at the deadline.
/// The one way in which a test waits.
pub(crate) async fn eventually<T, F>(what: &str, deadline: Duration, ask: F) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    ask_until(what, deadline, Duration::from_millis(50)..=Duration::from_millis(500), ask).await
}

/// As [`eventually`], for what is there for a moment only.
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

/// A suffix that no other test has, of this run or of one before.
pub(crate) fn unique() -> String {
    use rand::Rng;
    let mut random = rand::rng();
    (0..6).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}
