//! What a server reports about itself, its replicas, its base backups and its slots.
//!
//! One script works on PostgreSQL 9.5 to 18: it queries the version first and stores the function and view
//! names of that version in psql variables. Each row is one JSON object. The parser accepts the column
//! names of every version (`sent_location` before 10, `sent_lsn` since 10).

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::psql::{ExecOutput, Script};
use crate::settings::synchronous;
pub use crate::values::Lsn;

/// Queries version, role and position; walsenders; running base backups; slots.
const OBSERVE: &str = "\
select case when v >= 100000 then 'pg_current_wal_lsn' else 'pg_current_xlog_location' end as current_lsn,
  case when v >= 100000 then 'pg_last_wal_replay_lsn' else 'pg_last_xlog_replay_location' end as replay_lsn,
  case when v >= 130000 then 'pg_stat_progress_basebackup' else '(select 0 as pid where false)' end as progress,
  case when v >= 130000 then 's.wal_status, s.safe_wal_size' else 'null::text as wal_status, null::bigint as safe_wal_size' end as slot_limits
  from (select current_setting('server_version_num')::int as v) s \\gset
select row_to_json(r) from (select 'server' as kind, current_setting('server_version_num')::int as version_num, pg_is_in_recovery() as in_recovery, (case when pg_is_in_recovery() then :replay_lsn() else :current_lsn() end)::text as lsn, current_setting('synchronous_standby_names') as synchronous, current_setting('max_connections')::int as max_connections, (select string_agg(name, ', ' order by name) from pg_settings s where pending_restart and (source = 'configuration file' or exists (select 1 from pg_file_settings f where lower(f.name) = lower(s.name)))) as pending_restart) r;
select row_to_json(r) from (select 'replica' as kind, s.* from pg_stat_replication s order by s.application_name, s.pid) r;
select row_to_json(r) from (select 'clone' as kind, p.*, s.application_name, s.client_addr from :progress p left join pg_stat_replication s on s.pid = p.pid order by p.pid) r;
select row_to_json(r) from (select 'slot' as kind, s.slot_name, s.slot_type, s.active, s.restart_lsn::text as restart_lsn, :slot_limits from pg_replication_slots s order by s.slot_name) r;
";

/// The script that observes the server of a pod, over the pod's Unix socket, as superuser.
#[must_use]
pub fn observe(pod: &str) -> Script {
    Script::new(pod, OBSERVE)
}

/// The statements of [`observe`], for a script that starts with `\connect`.
pub(super) fn statements() -> &'static str {
    OBSERVE
}

/// A row of `pg_stat_replication`: one walsender.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaRow {
    /// The replica's `application_name`; `walreceiver` if the replica does not set one.
    pub application_name: String,
    /// Its address; `None` for a connection over a Unix socket.
    pub client_addr: Option<String>,
    /// `startup`, `catchup`, `streaming`, `backup`, `stopping`.
    pub state: String,
    /// `async`, `potential`, `sync`, `quorum`.
    pub sync_state: String,
    /// The last position sent to it.
    pub sent_lsn: Option<Lsn>,
    /// The last position that it has replayed. Its readers see everything up to here.
    pub replay_lsn: Option<Lsn>,
    /// Bytes of WAL that the master has written and the replica has not replayed.
    pub lag_bytes: Option<u64>,
    /// Replay lag, from PostgreSQL 10 on; `None` while nothing is written.
    #[serde(serialize_with = "seconds", rename = "replay_lag_seconds")]
    pub replay_lag: Option<Duration>,
}

impl ReplicaRow {
    /// Whether this is a streaming replica, and not the connection of a base backup or another tool.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.state == "streaming" && !self.is_tool()
    }

    /// Whether commits wait for this replica: it streams and is a synchronous standby.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.streams() && ["sync", "quorum"].contains(&self.sync_state.as_str())
    }

    /// A base backup uses two walsenders: one copies (`backup`), one streams (`streaming`).
    fn is_tool(&self) -> bool {
        self.state == "backup"
            || ["pg_basebackup", "pg_receivewal", "pg_receivexlog"]
                .contains(&self.application_name.as_str())
    }
}

/// A running base backup: PostgreSQL 13 and up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CloneRow {
    /// The tool's `application_name`.
    pub application_name: Option<String>,
    /// The address of the tool.
    pub client_addr: Option<String>,
    /// `estimating backup size`, `streaming database files`, ...
    pub phase: String,
    /// 0 to 100; none before the size is known.
    pub percent: Option<f64>,
}

/// A replication slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlotRow {
    /// Its name.
    pub name: String,
    /// `physical` or `logical`.
    pub kind: String,
    /// Whether a client uses it.
    pub active: bool,
    /// Bytes of WAL that it retains.
    pub retained_bytes: Option<u64>,
    /// Whether its WAL is still there, from PostgreSQL 13 on: `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
    /// Bytes that can be written before it is lost; `None` without `max_slot_wal_keep_size`.
    pub safe_wal_bytes: Option<u64>,
}

/// What one server reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observation {
    /// `server_version_num`: `90505`, `150018`.
    pub version_num: u32,
    /// Whether the server is in recovery: it is a replica, or it has not finished crash recovery.
    pub in_recovery: bool,
    /// Its position: the last written one on a master, the last replayed one on a replica.
    pub lsn: Option<Lsn>,
    /// The number of replicas that must confirm each commit. 0 if there are none, or if
    /// `synchronous_standby_names` was not written by pgset.
    pub synchronous: u32,
    /// The number of connections that it accepts.
    pub max_connections: Option<u32>,
    /// The settings that were changed in the configuration files and need a restart.
    pub pending_restart: Option<String>,
    /// Its walsenders.
    pub replicas: Vec<ReplicaRow>,
    /// The base backups that clients take from it.
    pub clones: Vec<CloneRow>,
    /// Its slots.
    pub slots: Vec<SlotRow>,
}

/// Why there is no observation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// psql failed.
    #[error("{0}")]
    Psql(String),
    /// psql printed something else.
    #[error("psql did not print the expected output")]
    NoServerRow,
}

impl Observation {
    /// Reads what [`observe`] printed.
    pub fn parse(output: &ExecOutput) -> Result<Self, ObserveError> {
        if let Some(trouble) = output.trouble() {
            return Err(ObserveError::Psql(trouble.to_string()));
        }
        let mut server = None;
        let (mut replicas, mut clones, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        for row in output.rows() {
            match row.get("kind").and_then(Value::as_str) {
                Some("server") => server = Some(row),
                Some("replica") => replicas.push(row),
                Some("clone") => clones.push(row),
                Some("slot") => slots.push(row),
                _ => {}
            }
        }
        let server = server.ok_or(ObserveError::NoServerRow)?;
        let version_num = server.get("version_num").and_then(Value::as_u64);
        let in_recovery = server.get("in_recovery").and_then(Value::as_bool);
        let (Some(version_num), Some(in_recovery)) = (version_num, in_recovery) else {
            return Err(ObserveError::NoServerRow);
        };
        let here = lsn(&server, &["lsn"]);
        Ok(Self {
            version_num: u32::try_from(version_num).map_err(|_| ObserveError::NoServerRow)?,
            in_recovery,
            lsn: here,
            synchronous: text(&server, "synchronous")
                .and_then(|names| synchronous::of_names(&names))
                .unwrap_or(0),
            max_connections: server
                .get("max_connections")
                .and_then(Value::as_u64)
                .and_then(|number| u32::try_from(number).ok()),
            pending_restart: text(&server, "pending_restart"),
            replicas: replicas.iter().map(|row| replica_row(row, here)).collect(),
            clones: clones.iter().map(clone_row).collect(),
            slots: slots.iter().map(|row| slot_row(row, here)).collect(),
        })
    }

    /// The number of replicas that confirm commits, if it is too small: then every commit waits.
    #[must_use]
    pub fn too_few_confirm(&self) -> Option<usize> {
        let confirm = self.replicas.iter().filter(|row| row.confirms()).count();
        (confirm < self.synchronous as usize).then_some(confirm)
    }

    /// The progress of the base backup that a pod takes from this server.
    #[must_use]
    pub fn clone_of(&self, pod: &str, address: &str) -> Option<&CloneRow> {
        self.clones.iter().find(|clone| {
            clone.application_name.as_deref() == Some(pod)
                || (!address.is_empty() && clone.client_addr.as_deref() == Some(address))
        })
    }

    /// The progress of the running base backup, if there is exactly one.
    #[must_use]
    pub fn clone_percent(&self) -> Option<f64> {
        match self.clones.as_slice() {
            [clone] => clone.percent,
            _ => None,
        }
    }

    /// The rows of each of `pods` (name and address), and the rows of other clients.
    ///
    /// The rows of base backups are left out: a pod that takes one does not stream yet.
    #[must_use]
    pub fn by_pod<'a>(&'a self, pods: &'a [(String, String)]) -> ByPod<'a> {
        let mut rows: Vec<(&str, Vec<&ReplicaRow>)> =
            pods.iter().map(|(name, _)| (name.as_str(), Vec::new())).collect();
        let mut strangers = Vec::new();
        for row in self.replicas.iter().filter(|row| !row.is_tool()) {
            let pod = match_pod(row, pods);
            match rows.iter_mut().find(|(name, _)| Some(*name) == pod) {
                Some((_, rows)) => rows.push(row),
                None => strangers.push(row),
            }
        }
        for row in self.replicas.iter().filter(|row| row.is_tool()) {
            match match_pod(row, pods) {
                Some(pod) if row.state == "backup" => {
                    rows.iter_mut().filter(|(name, _)| *name == pod).for_each(|(_, r)| r.clear());
                }
                Some(_) => {}
                None => strangers.push(row),
            }
        }
        ByPod { rows, strangers }
    }
}

/// Walsenders by pod.
#[derive(Clone, Debug, PartialEq)]
pub struct ByPod<'a> {
    /// Each pod with its rows. A healthy replica has exactly one.
    pub rows: Vec<(&'a str, Vec<&'a ReplicaRow>)>,
    /// Rows of clients that are not pods of the set: a backup, a replica of another cluster.
    pub strangers: Vec<&'a ReplicaRow>,
}

impl ByPod<'_> {
    /// The pods that stream.
    pub fn streaming(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter(|(_, rows)| rows.iter().any(|r| r.streams())).map(|(pod, _)| *pod)
    }

    /// The pods that stream and have not replayed `position`, as far as the master knows. It learns from an idle
    /// replica only every `wal_receiver_status_interval` (10 s) what that has replayed.
    pub fn late(&self, position: Lsn) -> impl Iterator<Item = &str> {
        let replayed = move |row: &&ReplicaRow| row.streams() && row.replay_lsn >= Some(position);
        let late = self.rows.iter().filter(move |(_, rows)| {
            rows.iter().any(|row| row.streams()) && !rows.iter().any(replayed)
        });
        late.map(|(pod, _)| *pod)
    }
}

/// The pod (name and address) of a walsender: found by `application_name`, otherwise by address.
#[must_use]
pub fn match_pod<'a>(row: &ReplicaRow, pods: &'a [(String, String)]) -> Option<&'a str> {
    let by_name = pods.iter().find(|(name, _)| *name == row.application_name);
    let by_address = || {
        let address = row.client_addr.as_deref().filter(|address| !address.is_empty())?;
        pods.iter().find(|(_, pod_address)| pod_address == address)
    };
    by_name.or_else(by_address).map(|(name, _)| name.as_str())
}

fn text(row: &Map<String, Value>, key: &str) -> Option<String> {
    row.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn lsn(row: &Map<String, Value>, keys: &[&str]) -> Option<Lsn> {
    keys.iter().find_map(|key| Lsn::parse(row.get(*key)?.as_str()?))
}

/// PostgreSQL prints an `inet` with its netmask unless it is a single host.
fn address(row: &Map<String, Value>) -> Option<String> {
    let address = text(row, "client_addr")?;
    Some(address.split('/').next().unwrap_or_default().to_owned())
}

fn replica_row(row: &Map<String, Value>, master: Option<Lsn>) -> ReplicaRow {
    let replay_lsn = lsn(row, &["replay_lsn", "replay_location"]);
    ReplicaRow {
        application_name: text(row, "application_name").unwrap_or_default(),
        client_addr: address(row),
        state: text(row, "state").unwrap_or_default(),
        sync_state: text(row, "sync_state").unwrap_or_default(),
        sent_lsn: lsn(row, &["sent_lsn", "sent_location"]),
        replay_lsn,
        lag_bytes: behind(master, replay_lsn),
        replay_lag: text(row, "replay_lag").as_deref().and_then(interval),
    }
}

/// A replica may have replayed more than the master reported a moment earlier. Then the lag is 0.
fn behind(master: Option<Lsn>, replica: Option<Lsn>) -> Option<u64> {
    Some(master?.0.saturating_sub(replica?.0))
}

fn clone_row(row: &Map<String, Value>) -> CloneRow {
    let bytes = |key: &str| row.get(key).and_then(Value::as_f64);
    let percent = match (bytes("backup_streamed"), bytes("backup_total")) {
        // The total is an estimate: the backup may stream more.
        (Some(streamed), Some(total)) if total > 0.0 => {
            Some((streamed / total * 100.0).clamp(0.0, 100.0))
        }
        _ => None,
    };
    CloneRow {
        application_name: text(row, "application_name"),
        client_addr: address(row),
        phase: text(row, "phase").unwrap_or_default(),
        percent,
    }
}

fn slot_row(row: &Map<String, Value>, master: Option<Lsn>) -> SlotRow {
    SlotRow {
        name: text(row, "slot_name").unwrap_or_default(),
        kind: text(row, "slot_type").unwrap_or_default(),
        active: row.get("active").and_then(Value::as_bool).unwrap_or_default(),
        retained_bytes: behind(master, lsn(row, &["restart_lsn"])),
        wal_status: text(row, "wal_status"),
        // It is negative when the slot may be lost at any moment.
        safe_wal_bytes: row
            .get("safe_wal_size")
            .and_then(Value::as_i64)
            .map(|bytes| u64::try_from(bytes).unwrap_or_default()),
    }
}

/// Parses an interval in the style `postgres`: `00:00:01.5`, `1 day 02:00:00`. A negative interval counts
/// as 0: it appears when a clock was set back.
fn interval(text: &str) -> Option<Duration> {
    let (days, clock) = match text.split_once(' ') {
        Some((days, rest)) => {
            (days.parse::<f64>().ok()?, rest.split_once(' ').map_or("0:0:0", |r| r.1))
        }
        None => (0.0, text),
    };
    if days < 0.0 || clock.starts_with('-') {
        return Some(Duration::ZERO);
    }
    let mut parts = clock.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Duration::try_from_secs_f64(days * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds).ok()
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn seconds<S: Serializer>(lag: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    lag.map(|lag| lag.as_secs_f64()).serialize(serializer)
}

#[cfg(test)]
mod tests;
