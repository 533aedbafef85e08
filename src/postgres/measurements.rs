//! What is measured in each server for `status` and `test`: replay, space, ages, and what may be damaged or kept.
//!
//! One script asks for this and for what [`replication`] observes, so that each pod is asked once. Like that one
//! it works on PostgreSQL 9.5 to 18; what a version can't tell is null.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::altered;
use super::psql::{ExecOutput, Script};
use super::replication::{self, Lsn};
use crate::set::Knowledge;
use crate::settings::{max_lag, parameters};

/// The age from which transactions count as old.
pub const OLD_TRANSACTION: Duration = Duration::from_secs(3600);

/// Queries one row. The file `max-lag` lies beside the server's configuration file.
/// `json_agg` of rows would print a line for each; the whole row must be one line.
const MEASURE: &str = r#"\set df `df -Pk "${PGDATA:-/pgdata}"`
\set knows `cat "${PGDATA:-/pgdata}.role" 2>/dev/null || true`
select case when v >= 100000 then 'pg_is_wal_replay_paused' else 'pg_is_xlog_replay_paused' end as paused,
  case when v >= 100000 then 'pg_walfile_name' else 'pg_xlogfile_name' end as walfile,
  case when v >= 100000 then 'pg_last_wal_receive_lsn' else 'pg_last_xlog_receive_location' end as received,
  case when v >= 100000 then 's.backend_type = ''client backend''' else 's.query not like ''autovacuum: %''' end as client,
  case when v >= 120000 then '(select row_to_json(c) from (select sum(checksum_failures)::bigint as failures, max(checksum_last_failure)::text as last, string_agg(coalesce(datname, ''shared objects''), '', '' order by datname) as databases from pg_stat_database where checksum_failures > 0 having count(*) > 0) c)' else 'null::text' end as checksums,
  case when v >= 150000 then '(select array_to_json(array_agg(c)) from (select datname as database, datcollversion as recorded, pg_database_collation_actual_version(oid) as actual from pg_database where datcollversion <> pg_database_collation_actual_version(oid) order by datname) c)' else 'null::text' end as collations,
  case when v >= 130000 then '(select sum(size)::bigint from pg_ls_waldir())' else 'null::bigint' end as wal,
  case when v >= 130000 then 'pg_size_bytes(current_setting(''wal_keep_size''))' else 'null::bigint' end as wal_keep,
  case when v >= 130000 then 'pg_read_file(regexp_replace(current_setting(''config_file''), ''[^/]*$'', ''max-lag''), 0, 100, true)' else 'null::text' end as max_lag
  from (select current_setting('server_version_num')::int as v) s \gset
select row_to_json(r) from (select 'measurements' as kind, :'df' as df, :'knows' as knows, :max_lag as max_lag,
  case when not pg_is_in_recovery() then ('x' || left(:walfile(:current_lsn()), 8))::bit(32)::int end as timeline,
  case when pg_is_in_recovery() then (select row_to_json(l) from (select :paused() as paused, :replay_lsn()::text as replayed_lsn, case when :received() is not null then greatest(:received() - :replay_lsn(), 0)::bigint end as unreplayed_bytes, extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) as last_commit_seconds) l) end as replay,
  (select json_agg(name) from unnest(array[RISKY]) name where current_setting(name) = 'off') as risky_settings, ALTERED as altered_settings,
  :wal as wal_bytes, :wal_keep as wal_keep_bytes,
  (select row_to_json(d) from (select datname as database, age(datfrozenxid) as age from pg_database order by age(datfrozenxid) desc, datname limit 1) d) as transaction_ids,
  (select row_to_json(d) from (select datname as database, mxid_age(datminmxid) as age from pg_database order by mxid_age(datminmxid) desc, datname limit 1) d) as multixact_ids,
  :checksums as checksum_failures, :collations as collations,
  (select row_to_json(t) from (select s.pid, s.usename as user, s.datname as database, s.application_name as application, s.state, extract(epoch from clock_timestamp() - s.xact_start) as seconds, count(*) filter (where s.xact_start < clock_timestamp() - interval 'OLD') over () as old from pg_stat_activity s where s.xact_start is not null and s.pid <> pg_backend_pid() and :client order by s.xact_start limit 1) t) as oldest_transaction,
  (select row_to_json(p) from (select gid, database, owner as user, extract(epoch from clock_timestamp() - prepared) as seconds, count(*) filter (where prepared < clock_timestamp() - interval 'OLD') over () as old from pg_prepared_xacts order by prepared limit 1) p) as oldest_prepared,
  case when not pg_is_in_recovery() then (select array_to_json(array_agg(t)) from (select spcname as name, pg_tablespace_location(oid) as location, regexp_replace(current_setting('data_directory'), '/[^/]*$', '') as volume from pg_tablespace where spcname not in ('pg_default', 'pg_global') order by spcname) t) end as tablespaces) r;
"#;

/// Queries the sizes of the master's tablespaces. PostgreSQL asks the file system for the size of each file, which may
/// take long: all else is printed before.
const MEASURE_TABLESPACES: &str = r"\set ON_ERROR_STOP off
set statement_timeout = '2s';
select row_to_json(r) from (select 'tablespaces' as kind, (select json_object_agg(spcname, pg_tablespace_size(oid)) from pg_tablespace where spcname not in ('pg_default', 'pg_global')) as bytes where not pg_is_in_recovery()) r;
";

/// The script that observes and measures the server of a pod, over the pod's Unix socket, as superuser.
#[must_use]
pub fn ask(pod: &str) -> Script {
    let risky: Vec<String> =
        parameters::RISKY.iter().map(|(name, _)| format!("'{name}'")).collect();
    let measure = MEASURE
        .replace("'OLD'", &format!("'{} seconds'", OLD_TRANSACTION.as_secs()))
        .replace("RISKY", &risky.join(", "))
        .replace("ALTERED", altered::NAMES);
    Script::new(pod, &format!("{}{measure}{MEASURE_TABLESPACES}", replication::statements()))
}

/// What was measured in one server. What its version or image can't tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// The space of its volume.
    #[serde(skip_deserializing)]
    pub space: Option<Space>,
    /// How many bytes it may be behind and still be ready, by its own configuration.
    #[serde(skip_deserializing)]
    pub max_lag_bytes: u64,
    /// What it knows about the topology; `None` if it has not been compared with a master yet.
    #[serde(skip_deserializing)]
    pub knows: Option<Knowledge>,
    /// Its timeline, if it is not in recovery.
    pub timeline: Option<u32>,
    /// Its replay; `None` if it is not in recovery.
    pub replay: Option<Replay>,
    /// The size of its `pg_wal`.
    pub wal_bytes: Option<u64>,
    /// `wal_keep_size`: what it keeps without any slot.
    pub wal_keep_bytes: Option<u64>,
    /// The database with the oldest transaction id.
    pub transaction_ids: Option<Age>,
    /// The database with the oldest multixact id.
    pub multixact_ids: Option<Age>,
    /// Its checksum failures; `None` if there are none.
    pub checksum_failures: Option<ChecksumFailures>,
    /// The databases that were created with another version of their collation.
    #[serde(deserialize_with = "or_default")]
    pub collations: Vec<Collation>,
    /// The settings of [`parameters::RISKY`] that are off.
    #[serde(default, deserialize_with = "or_default")]
    pub risky_settings: Vec<String>,
    /// The settings that ALTER SYSTEM has left: see [`altered`].
    #[serde(default, deserialize_with = "or_default")]
    pub altered_settings: Vec<String>,
    /// The oldest open transaction of a client.
    pub oldest_transaction: Option<OpenTransaction>,
    /// The oldest prepared transaction.
    pub oldest_prepared: Option<PreparedTransaction>,
    /// The tablespaces of users, if it is the master. The status has them in one place, for the set.
    #[serde(default, deserialize_with = "or_default", skip_serializing)]
    pub tablespaces: Vec<Location>,
    /// Their sizes, by name; empty if that took too long.
    #[serde(skip)]
    pub tablespace_bytes: BTreeMap<String, u64>,
}

/// The space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Used bytes.
    pub used_bytes: u64,
    /// Bytes that the server can still write.
    pub free_bytes: u64,
}

/// The replay of a standby.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Whether it is paused, or is about to pause.
    pub paused: bool,
    /// The last replayed position.
    pub replayed_lsn: Option<Lsn>,
    /// Bytes of WAL that were received and are not replayed; `None` if nothing was received since its start.
    pub unreplayed_bytes: Option<u64>,
    /// Time since the last replayed commit, by both servers' clocks.
    pub last_commit_seconds: Option<f64>,
}

/// The oldest id of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// The database.
    pub database: String,
    /// How many ids were assigned since.
    pub age: u64,
}

/// Pages that were not what had been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumFailures {
    /// Their number since the statistics were reset.
    pub failures: u64,
    /// When the last one was found.
    pub last: Option<String>,
    /// Where, separated by commas.
    pub databases: String,
}

/// A database with another version of its collation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collation {
    /// The database.
    pub database: String,
    /// The version that its indexes were created with.
    pub recorded: String,
    /// The version of the image's library.
    pub actual: String,
}

/// An open transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenTransaction {
    /// The process id.
    pub pid: u32,
    /// The role.
    pub user: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// `application_name`.
    pub application: Option<String>,
    /// `active`, `idle in transaction`.
    pub state: Option<String>,
    /// Its age.
    pub seconds: f64,
    /// How many transactions are older than [`OLD_TRANSACTION`].
    pub old: u64,
}

/// A prepared transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreparedTransaction {
    /// The name that its client gave it.
    pub gid: String,
    /// The database.
    pub database: String,
    /// The role.
    pub user: Option<String>,
    /// Its age.
    pub seconds: f64,
    /// How many prepared transactions are older than [`OLD_TRANSACTION`].
    pub old: u64,
}

/// The directory of a tablespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The tablespace.
    pub name: String,
    /// Its directory, or one relative to the data directory.
    pub location: String,
    /// Where the server's volume is mounted.
    pub volume: String,
}

impl Measurements {
    /// Reads what [`ask`] printed.
    ///
    /// # Errors
    /// When the output has no such row.
    pub fn parse(output: &ExecOutput) -> Result<Self, String> {
        let of = |kind: &str| {
            output.rows().find(|row| row.get("kind").and_then(Value::as_str) == Some(kind))
        };
        let row = of("measurements").ok_or("psql did not print the measurements")?;
        let bytes = of("tablespaces").and_then(|mut row| row.remove("bytes"));
        let bytes: Option<BTreeMap<String, Option<u64>>> =
            bytes.and_then(|it| serde_json::from_value(it).ok());
        let measured = |(name, bytes): (String, Option<u64>)| Some((name, bytes?));
        let tablespace_bytes = bytes.unwrap_or_default().into_iter().filter_map(measured).collect();
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (df, limit) = (text("df"), text("max_lag"));
        let knows = Knowledge::parse(&text("knows"));
        let measured: Self =
            serde_json::from_value(Value::Object(row)).map_err(|e| e.to_string())?;
        let max_lag_bytes = limit.trim().parse().unwrap_or(max_lag::DEFAULT_BYTES);
        let space = Space::of_df(&df);
        Ok(Self { space, max_lag_bytes, knows, tablespace_bytes, ..measured })
    }
}

impl Space {
    /// Reads the output of `df -Pk`. A file system and a directory may have spaces in their names, so the numbers
    /// are found by the percentage that follows them.
    pub(super) fn of_df(output: &str) -> Option<Self> {
        let words: Vec<&str> = output.lines().last()?.split_whitespace().collect();
        words.windows(4).find_map(|words| {
            words[3].strip_suffix('%')?.parse::<u64>().ok()?;
            let kilobytes = |word: &str| word.parse::<u64>().ok()?.checked_mul(1024);
            kilobytes(words[0])?;
            Some(Self { used_bytes: kilobytes(words[1])?, free_bytes: kilobytes(words[2])? })
        })
    }

    /// The bytes of the server's file system. The part that is reserved for root is neither used nor free.
    #[must_use]
    pub fn all(self) -> u64 {
        self.used_bytes.saturating_add(self.free_bytes)
    }

    /// The free part in percent.
    #[must_use]
    pub fn free_percent(self) -> u64 {
        let (free, all) = (u128::from(self.free_bytes), u128::from(self.all().max(1)));
        u64::try_from(free * 100 / all).unwrap_or_default()
    }
}

fn or_default<'de, D, T>(value: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(row: &str) -> Result<Measurements, String> {
        Measurements::parse(&ExecOutput { stdout: row.to_owned(), ..ExecOutput::default() })
    }

    #[test]
    fn the_row_of_a_standby_is_read() {
        let row = r#"{"kind":"measurements","df":"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda 1000 600 300 67% /pg data","max_lag":"16777216\n","knows":"77 2 pgset-1","timeline":null,"replay":{"paused":true,"replayed_lsn":"0/10","unreplayed_bytes":512,"last_commit_seconds":7.5},"wal_bytes":16777216,"wal_keep_bytes":0,"transaction_ids":{"database":"postgres","age":9},"multixact_ids":{"database":"postgres","age":0},"checksum_failures":{"failures":2,"last":"2026-11-24 13:00:00+00","databases":"userdb"},"collations":[{"database":"userdb","recorded":"2.31","actual":"2.36"}],"risky_settings":["fsync"],"altered_settings":null,"oldest_transaction":{"pid":7,"user":"app","database":"userdb","application":"","state":"active","seconds":3601.5,"old":1},"oldest_prepared":null}"#;
        let measured = parsed(row).unwrap();
        assert_eq!(measured.space, Some(Space { used_bytes: 600 << 10, free_bytes: 300 << 10 }));
        assert_eq!(measured.space.unwrap().free_percent(), 33);
        assert_eq!(measured.max_lag_bytes, 16 << 20);
        assert_eq!(measured.knows.as_ref().map(|it| it.epoch), Some(2));
        assert!(measured.replay.is_some_and(|r| r.paused && r.unreplayed_bytes == Some(512)));
        assert_eq!(measured.collations[0].actual, "2.36");
        assert_eq!(
            (measured.risky_settings, measured.altered_settings.len()),
            (vec!["fsync".into()], 0)
        );
        assert_eq!(measured.oldest_transaction.unwrap().old, 1);
    }

    #[test]
    fn what_a_version_does_not_tell_is_left_out() {
        let measured = parsed(
            r#"{"kind":"measurements","df":"","max_lag":null,"replay":null,"collations":null}"#,
        );
        let nothing = Measurements { max_lag_bytes: 1 << 30, ..Measurements::default() };
        assert_eq!(measured, Ok(nothing));
        assert!(parsed(r#"{"kind":"server"}"#).is_err());
        assert!(parsed(r#"{"kind":"measurements","replay":{"paused":"yes"}}"#).is_err());
    }

    #[test]
    fn a_list_of_rows_is_one_line() {
        let lists = MEASURE.matches("json_agg(").count();
        assert_eq!((lists, MEASURE.matches("json_agg(name)").count()), (1, 1));
    }

    #[test]
    fn tablespaces_have_a_size_if_it_was_measured() {
        let row = r#"{"kind":"measurements","df":"","max_lag":null,"replay":null,"collations":null,"tablespaces":[{"name":"fast","location":"/pgdata/fast","volume":"/pgdata"}]}"#;
        let measured = parsed(row).unwrap();
        assert_eq!((measured.tablespaces.len(), measured.tablespace_bytes.len()), (1, 0));
        assert_eq!(measured.tablespaces[0].location, "/pgdata/fast");
        for (bytes, size) in
            [(r#"{"fast":8192}"#, Some(8192)), (r#"{"fast":null,"other":1}"#, None), ("null", None)]
        {
            let rows = format!("{row}\n{{\"kind\":\"tablespaces\",\"bytes\":{bytes}}}");
            assert_eq!(parsed(&rows).unwrap().tablespace_bytes.get("fast").copied(), size);
        }
    }

    #[test]
    fn the_names_of_file_systems_may_have_spaces() {
        let of = |line: &str| Space::of_df(&format!("Filesystem ...\n{line}"));
        let space = Some(Space { used_bytes: 1 << 20, free_bytes: 3 << 20 });
        assert_eq!(of("10.0.0.5:/my data 4096 1024 3072 25% /pgdata"), space);
        assert_eq!(of("tmpfs 4096 1024 - 25% /pgdata"), None);
        assert_eq!(Space::of_df(""), None);
    }
}
