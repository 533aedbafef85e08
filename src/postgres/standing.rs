//! Where a server stands when the master is lost: whether the master still works, and what a replica has.

use std::time::Duration;

use super::psql::{ExecOutput, Script};
use super::replication::Lsn;
use crate::settings::synchronous;

/// The time limit of these questions. psql gives up a server that does not answer after
/// [`super::psql::CONNECT_TIMEOUT`].
const WITHIN: Duration = Duration::from_secs(8);

/// Reads the catalog and writes a record to the WAL of the master. It does not wait for a replica.
#[must_use]
pub fn works(pod: &str) -> Script {
    let sql = "set statement_timeout = 5000;\n\
         select count(*) from pg_class;\n\
         select pg_logical_emit_message(true, 'pgset', 'failover: does the master work?');\n";
    Script { deadline: WITHIN, ..Script::new(pod, sql) }
}

/// What a replica has of the master's WAL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is in recovery.
    pub in_recovery: bool,
    /// Where the WAL ends that it has received.
    pub received: Option<Lsn>,
    /// Where the WAL ends that it has replayed.
    pub replayed: Option<Lsn>,
    /// Its timeline: the newest of which it has WAL.
    pub timeline: Option<u32>,
    /// When it last heard from the master, and when it was asked: seconds since 1970, by the clock of its node.
    pub contact: Option<(i64, i64)>,
    /// How much WAL it keeps for others, in bytes (`wal_keep_size`).
    pub keeps: u64,
    /// How many replicas had to confirm each commit, by its configuration (`synchronous_standby_names`).
    pub synchronous: u32,
    /// What the running master said about that.
    pub attested: Option<Attested>,
}

/// The master's own `synchronous_standby_names`, as a replica heard it while it streamed: see `attest` in replica.sh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The master's epoch.
    pub epoch: u64,
    /// Since when the master has said so, each time it was asked: seconds since 1970, by the clock of the replica's node.
    pub since: i64,
    /// When it said so last.
    pub last: i64,
    /// `ANY 1 ("pgset-0", "pgset-1")`.
    pub names: String,
}

impl Attested {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let epoch = words.next()?.parse().ok()?;
        let since = words.next()?.parse().ok()?;
        let last = words.next()?.parse().ok()?;
        Some(Self { epoch, since, last, names: words.next()?.to_owned() })
    }
}

/// Asks a replica for it. The readiness probe writes the file `contact` while it streams.
#[must_use]
pub fn ask(pod: &str) -> Script {
    let sql = "\\set contact `cat \"${PGSET_RUN:-/run/pgset}/contact\" 2>/dev/null || echo 0`\n\
         \\set attested `cat \"${PGSET_RUN:-/run/pgset}/synchronous\" 2>/dev/null || true`\n\
         select row_to_json(r) from (select pg_is_in_recovery() as in_recovery, \
         pg_last_wal_receive_lsn()::text as received, pg_last_wal_replay_lsn()::text as replayed, \
         greatest((select timeline_id from pg_control_checkpoint()), \
         (select min_recovery_end_timeline from pg_control_recovery()), \
         (select max(('x' || left(name, 8))::bit(32)::int) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'), \
         (select received_tli from pg_stat_wal_receiver)) as timeline, \
         greatest((select extract(epoch from last_msg_receipt_time)::bigint from pg_stat_wal_receiver), \
         :'contact'::bigint) as contact, extract(epoch from clock_timestamp())::bigint as now, \
         (select setting::bigint * 1024 * 1024 from pg_settings where name = 'wal_keep_size') as keeps, \
         current_setting('synchronous_standby_names') as synchronous, :'attested' as attested) r;\n";
    Script { deadline: WITHIN, ..Script::new(pod, sql) }
}

impl Standing {
    /// Reads the answer. The error is a message for the user.
    pub fn parse(output: &ExecOutput) -> Result<Self, String> {
        if let Some(trouble) = output.trouble() {
            return Err(trouble.to_string());
        }
        let row = output.rows().next().ok_or("psql did not print the expected output")?;
        let text = |key: &str| row.get(key).and_then(|value| value.as_str());
        let number = |key: &str| row.get(key).and_then(serde_json::Value::as_i64);
        let contact = number("contact").filter(|at| *at > 0).zip(number("now"));
        Ok(Self {
            in_recovery: row.get("in_recovery") == Some(&true.into()),
            received: text("received").and_then(Lsn::parse),
            replayed: text("replayed").and_then(Lsn::parse),
            timeline: number("timeline").and_then(|number| u32::try_from(number).ok()),
            contact,
            keeps: number("keeps").and_then(|number| u64::try_from(number).ok()).unwrap_or(0),
            synchronous: text("synchronous").and_then(synchronous::of_names).unwrap_or(0),
            attested: text("attested").and_then(Attested::parse),
        })
    }

    /// Where its WAL ends. After a restart without a master nothing is received, and what is on the disk is replayed.
    #[must_use]
    pub fn end(&self) -> Option<Lsn> {
        self.received.max(self.replayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str) -> ExecOutput {
        ExecOutput { stdout: stdout.to_owned(), exit_code: Some(0), ..ExecOutput::default() }
    }

    #[test]
    fn an_answer_is_read() {
        let answer = r#"{"in_recovery":true,"received":"0/3000060","replayed":"0/3000028","timeline":2,"contact":1764500000,"now":1764500012,"keeps":134217728,"synchronous":"ANY 1 (\"pgset-0\", \"pgset-1\")","attested":"3 1764499990 1764499995 ANY 1 (\"pgset-0\", \"pgset-1\")"}"#;
        let standing = Standing::parse(&output(answer)).unwrap();
        assert_eq!(standing.end(), Some(Lsn(0x300_0060)));
        assert_eq!((standing.timeline, standing.synchronous), (Some(2), 1));
        assert_eq!(standing.contact, Some((1_764_500_000, 1_764_500_012)));
        assert_eq!(standing.keeps, 134_217_728);
        let names = r#"ANY 1 ("pgset-0", "pgset-1")"#.to_owned();
        let (since, last) = (1_764_499_990, 1_764_499_995);
        assert_eq!(standing.attested, Some(Attested { epoch: 3, since, last, names }));
        let answer = r#"{"in_recovery":true,"received":null,"replayed":"0/3000028","timeline":1,"contact":0,"now":5,"keeps":0,"synchronous":"","attested":""}"#;
        let standing = Standing::parse(&output(answer)).unwrap();
        assert_eq!((standing.end(), standing.contact), (Some(Lsn(0x300_0028)), None));
        assert_eq!(standing.attested, None);
        assert!(Standing::parse(&output("")).is_err());
    }
}
