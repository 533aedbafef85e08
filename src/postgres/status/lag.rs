//! How far each replica is behind the master.

use std::time::Duration;

use serde::Serialize;

use super::{PodFacts, names};
use crate::postgres::replication::{Observation, ReplicaRow};
use crate::settings::max_lag;
use crate::text;

/// The time that a replica may be behind. The readiness probe of the pods has the same limit.
pub const DELAY_LIMIT: Duration = Duration::from_secs(300);

/// A replica, as the master and the replica itself report it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaStatus {
    /// The pod; `None` for a client that is not a pod of the set.
    pub pod: Option<String>,
    /// Its row of `pg_stat_replication`; `None` if it has none.
    pub row: Option<ReplicaRow>,
    /// Progress of its base backup in percent.
    pub clone_percent: Option<f64>,
    /// How far it is behind; `None` for a client that is not a pod of the set.
    pub lag: Option<ReplicaLag>,
}

/// How far a replica is behind the master.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaLag {
    /// The pod.
    #[serde(skip)]
    pub pod: String,
    /// Its ordinal.
    #[serde(skip)]
    pub ordinal: u32,
    /// Whether its replay is paused.
    pub paused: bool,
    /// Bytes of WAL that the master has written and the replica has not replayed; `None` if one of them did not
    /// answer.
    pub bytes: Option<u64>,
    /// The largest number of bytes that is no problem (`--max-lag`).
    pub max_bytes: u64,
    /// How long ago the WAL that it replays next was written. `None` if it has replayed all that it has received.
    pub seconds: Option<f64>,
    /// The function that ends a pause, in this version of PostgreSQL.
    #[serde(skip)]
    resume: &'static str,
}

impl ReplicaLag {
    /// What is wrong. `None` if the replica keeps up.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let Self { pod, ordinal, resume, .. } = self;
        let limit = text::size(self.max_bytes);
        if self.paused {
            let behind = self.bytes.map_or_else(String::new, |bytes| {
                format!(", {} behind the master", text::size(bytes))
            });
            return Some(format!(
                "Pod {pod}: replay is paused{behind}; `pgset psql --replica {ordinal} -- -c 'select {resume}()'` resumes it"
            ));
        }
        let far = self.bytes.filter(|bytes| *bytes > self.max_bytes);
        let far = far.map(|bytes| format!("{}, more than {limit} (--max-lag)", text::size(bytes)));
        let late = self.seconds.filter(|seconds| *seconds > DELAY_LIMIT.as_secs_f64());
        let late = late.map(|s| format!("{s:.0} s, more than {} s", DELAY_LIMIT.as_secs()));
        let behind = far.or(late)?;
        Some(format!(
            "Pod {pod} is behind the master by {behind}; `pgset psql --replica {ordinal} -- -c \"select wait_event from pg_stat_activity where backend_type = 'startup'\"` shows what its replay waits for"
        ))
    }
}

/// How many bytes may be left to replay (`--max-lag`), as the master knows it. All pods have the same limit, and one that
/// does not answer can't tell it.
pub(super) fn limit_of_master(pods: &[PodFacts]) -> u64 {
    let master = pods.iter().find(|pod| pod.is_writable());
    let measured = master.and_then(|pod| pod.measurements.as_ref());
    measured.map_or(max_lag::DEFAULT_BYTES, |measured| measured.max_lag_bytes)
}

/// How far each pod that is not the master is behind it, by ordinal. `observation` is the master's; without it
/// only a pause can be seen.
#[must_use]
pub fn lags(observation: Option<&Observation>, pods: &[PodFacts]) -> Vec<ReplicaLag> {
    let replicas = names(pods, |pod| !pod.is_writable());
    let by_pod = observation.map(|observation| observation.by_pod(&replicas));
    let of_master = limit_of_master(pods);
    let lag = |pod: &PodFacts| {
        let rows = by_pod.iter().flat_map(|by_pod| &by_pod.rows);
        let row = rows.filter(|(name, _)| *name == pod.name).find_map(|(_, rows)| rows.first());
        let measured = pod.measurements.as_ref();
        let replay = measured.and_then(|measured| measured.replay.as_ref());
        let replayed = replay.and_then(|replay| replay.replayed_lsn);
        let difference = || Some(observation?.lsn?.0.saturating_sub(replayed?.0));
        // The master knows the delay exactly. The age of the last commit may be that of a long transaction.
        let unreplayed = replay.filter(|replay| replay.unreplayed_bytes.is_some_and(|b| b > 0));
        let by_master = row.and_then(|row| row.replay_lag).map(|lag| lag.as_secs_f64());
        let is_old = observation.is_some_and(|o| o.version_num < 100_000);
        ReplicaLag {
            pod: pod.name.clone(),
            ordinal: pod.ordinal,
            paused: replay.is_some_and(|replay| replay.paused),
            bytes: row.and_then(|row| row.lag_bytes).or_else(difference),
            max_bytes: measured.map_or(of_master, |measured| measured.max_lag_bytes),
            seconds: unreplayed.and_then(|replay| by_master.or(replay.last_commit_seconds)),
            resume: if is_old { "pg_xlog_replay_resume" } else { "pg_wal_replay_resume" },
        }
    };
    pods.iter().filter(|pod| !pod.is_writable()).map(lag).collect()
}

/// The replicas of the set, then other clients that stream.
pub(super) fn replication(observation: &Observation, pods: &[PodFacts]) -> Vec<ReplicaStatus> {
    let replicas = names(pods, |pod| !pod.is_writable());
    let lags = lags(Some(observation), pods);
    let by_pod = observation.by_pod(&replicas);
    let mut all = Vec::new();
    for ((pod, rows), (_, address)) in by_pod.rows.iter().zip(&replicas) {
        let clone_percent = observation.clone_of(pod, address).and_then(|clone| clone.percent);
        let lag = lags.iter().find(|lag| lag.pod == *pod);
        let status = |row| ReplicaStatus {
            pod: Some((*pod).to_owned()),
            row,
            clone_percent,
            lag: lag.cloned(),
        };
        if rows.is_empty() {
            all.push(status(None));
        }
        all.extend(rows.iter().map(|row| status(Some((*row).clone()))));
    }
    for row in by_pod.strangers {
        let row = Some(row.clone());
        all.push(ReplicaStatus { pod: None, row, clone_percent: None, lag: None });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag() -> ReplicaLag {
        ReplicaLag {
            pod: "pgset-1".into(),
            ordinal: 1,
            paused: false,
            bytes: Some(0),
            max_bytes: 1 << 30,
            seconds: None,
            resume: "pg_wal_replay_resume",
        }
    }

    #[test]
    fn a_replica_is_judged_by_a_pause_by_bytes_and_by_time() {
        for lag in [
            lag(),
            ReplicaLag { bytes: Some(1 << 30), seconds: Some(300.0), ..lag() },
            ReplicaLag { bytes: None, ..lag() },
        ] {
            assert_eq!(lag.problem(), None);
        }
        let paused = ReplicaLag { paused: true, bytes: Some(3 << 29), ..lag() }.problem().unwrap();
        assert_eq!(
            paused,
            "Pod pgset-1: replay is paused, 1.5 GiB behind the master; `pgset psql --replica 1 -- -c 'select pg_wal_replay_resume()'` resumes it"
        );
        let alone = ReplicaLag { paused: true, bytes: None, ..lag() }.problem().unwrap();
        assert!(alone.starts_with("Pod pgset-1: replay is paused; "), "{alone}");
        let far = ReplicaLag { bytes: Some(3 << 29), ..lag() }.problem().unwrap();
        let words = "Pod pgset-1 is behind the master by 1.5 GiB, more than 1 GiB (--max-lag); ";
        assert!(far.starts_with(words), "{far}");
        let late = ReplicaLag { seconds: Some(300.6), ..lag() }.problem().unwrap();
        let words = "Pod pgset-1 is behind the master by 301 s, more than 300 s; ";
        assert!(late.starts_with(words), "{late}");
    }

    #[test]
    fn the_pods_have_the_same_limit_of_time() {
        let script = include_str!("../../../templates/postgres/bootstrap.sh");
        assert!(script.contains(&format!("${{PGSET_MAX_DELAY:={}}}", DELAY_LIMIT.as_secs())));
    }
}
