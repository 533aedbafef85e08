//! Whether a replica can become the master: what decides it, and what is prepared on its server.

use std::collections::BTreeMap;

use super::configuration::FOLLOWED;
use super::measurements::Space;
use super::psql::{ExecOutput, Script};
use super::replication::Lsn;
use super::rotation::literal;

/// What a server reports before the master changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Whether it is in recovery.
    pub in_recovery: bool,
    /// Whether its replay is paused.
    pub paused: bool,
    /// The last position that it has written, or replayed in recovery.
    pub position: Option<Lsn>,
    /// Its timeline, or that of the server that it streams from.
    pub timeline: Option<u32>,
    /// The settings of which no replica may have less than the master.
    pub settings: BTreeMap<String, i64>,
    /// The same as they will be once it starts again: its file may have changed.
    pub next: BTreeMap<String, i64>,
    /// The bytes that are free for its WAL. `None` if they can't be counted.
    pub free: Option<u64>,
    /// The bytes of a segment of its WAL.
    pub segment: Option<u64>,
}

/// Reads how much is free where its WAL is.
const DF: &str = "\\set df `df -Pk \"${PGDATA:-/pgdata}/pg_wal\"`\n";

/// Asks a server for it.
#[must_use]
pub fn ask(pod: &str) -> Script {
    let names = FOLLOWED.map(literal).join(", ");
    // The file as it is now, whether the server has loaded it or not.
    let in_file = "select substring(f.setting from '^[0-9]+$') from pg_file_settings f \
                   where lower(f.name) = pg_settings.name order by f.seqno desc limit 1";
    let sql = format!(
        "select row_to_json(r) from (select pg_is_in_recovery() as in_recovery, \
         case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end as paused, \
         (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)::text as position, \
         case when pg_is_in_recovery() then (select received_tli from pg_stat_wal_receiver where status = 'streaming') \
         else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline, \
         (select json_object_agg(name, setting::bigint) from pg_settings where name in ({names})) as settings, \
         (select json_object_agg(name, (case when source = 'command line' then setting \
         else coalesce(({in_file}), case when source = 'configuration file' then boot_val else setting end) end)::bigint) \
         from pg_settings where name in ({names})) as next, \
         :'df' as df, \
         (select setting::bigint from pg_settings where name = 'wal_segment_size') as segment) r;\n"
    );
    Script::new(pod, &(DF.to_owned() + &sql))
}

impl Candidate {
    /// Reads the answer. The error is a message for the user.
    pub fn parse(output: &ExecOutput) -> Result<Self, String> {
        if let Some(trouble) = output.trouble() {
            return Err(trouble.to_string());
        }
        let row = output.rows().next().ok_or("psql did not print the expected output")?;
        let text = |key: &str| row.get(key).and_then(|value| value.as_str());
        let number = |key: &str| row.get(key).and_then(serde_json::Value::as_u64);
        let is = |key: &str| row.get(key) == Some(&true.into());
        let numbers = |key: &str| {
            let settings = row.get(key).and_then(|value| value.as_object()).into_iter().flatten();
            settings.filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect()
        };
        Ok(Self {
            in_recovery: is("in_recovery"),
            paused: is("paused"),
            position: text("position").and_then(Lsn::parse),
            timeline: number("timeline").and_then(|number| u32::try_from(number).ok()),
            settings: numbers("settings"),
            next: numbers("next"),
            free: text("df").and_then(Space::of_df).map(|space| space.free_bytes),
            segment: number("segment").filter(|segment| *segment > 0),
        })
    }

    /// The bytes that are free for its WAL, and those that a promotion needs, if these are more: it begins a segment, and what
    /// follows fills it. Without room it fails, when the old master has already stopped.
    #[must_use]
    pub fn room_missing(&self) -> Option<(u64, u64)> {
        let (free, needed) = (self.free?, 2 * self.segment?);
        (free < needed).then_some((free, needed))
    }

    /// The settings that are smaller than the master's. A replica with fewer could not replay what the next master writes,
    /// and as the master it would refuse clients.
    #[must_use]
    pub fn too_small(&self, master: &Self) -> Vec<String> {
        smaller(&self.settings, &master.settings, "the master")
    }
}

/// The settings that are smaller than those of another server: `max_connections is 100, and 200 on the master`.
#[must_use]
pub fn smaller(
    own: &BTreeMap<String, i64>,
    other: &BTreeMap<String, i64>,
    name_of_other: &str,
) -> Vec<String> {
    let less = |(name, wanted): (&String, &i64)| {
        let own = own.get(name).filter(|own| *own < wanted)?;
        Some(format!("{name} is {own}, and {wanted} on {name_of_other}"))
    };
    other.iter().filter_map(less).collect()
}

/// Creates the replication slots of other pods on a replica. They keep WAL from now on.
#[must_use]
pub fn create_slots(pod: &str, slots: &[String]) -> Script {
    let names = slots.iter().map(|slot| literal(slot)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "select pg_create_physical_replication_slot(name, true) from unnest(array[{names}]::name[]) name \
         where not exists (select from pg_replication_slots where slot_name = name);\n"
    );
    Script::new(pod, &sql)
}

/// Writes what is in memory to the disk while the master serves, so that its shutdown is short.
#[must_use]
pub fn checkpoint(pod: &str) -> Script {
    // As long as the disk needs for it: the limit of a statement is for short ones.
    let mut script = Script::new(pod, "set statement_timeout = 0;\ncheckpoint;\n");
    script.deadline = CHECKPOINT_WITHIN;
    script
}

/// The time limit of the checkpoint.
const CHECKPOINT_WITHIN: std::time::Duration = std::time::Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str) -> ExecOutput {
        ExecOutput { stdout: stdout.to_owned(), exit_code: Some(0), ..ExecOutput::default() }
    }

    #[test]
    fn a_candidate_is_read_and_compared_with_the_master() {
        let answer = r#"{"in_recovery":true,"paused":false,"position":"0/3000060","timeline":4,"settings":{"max_connections":100,"max_wal_senders":10},"next":{"max_connections":120},"df":"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/my disk 99999 67232 32767 68% /pg data","segment":16777216}"#;
        let replica = Candidate::parse(&output(answer)).unwrap();
        assert!(replica.in_recovery && !replica.paused);
        assert_eq!((replica.position, replica.timeline), (Some(Lsn(0x300_0060)), Some(4)));
        assert_eq!(replica.next, [("max_connections".to_owned(), 120)].into());
        assert_eq!(replica.room_missing(), Some((33_553_408, 33_554_432)));
        let answer = answer.replace(" 32767 ", " 32768 ");
        assert_eq!(Candidate::parse(&output(&answer)).unwrap().room_missing(), None);
        let answer = answer.replace("100", "200").replace("true", "false");
        let master = Candidate::parse(&output(&answer)).unwrap();
        let small = replica.too_small(&master);
        assert_eq!(small, ["max_connections is 100, and 200 on the master"]);
        assert!(master.too_small(&replica).is_empty());
        let none = r#"{"in_recovery":true,"paused":false,"position":null,"timeline":null,"settings":null}"#;
        let none = Candidate::parse(&output(none)).unwrap();
        assert_eq!((none.position, none.room_missing()), (None, None));
        assert!(Candidate::parse(&output("")).is_err());
    }

    #[test]
    fn slots_that_exist_are_not_created_again() {
        let script = create_slots("pgset-1", &["pgset_0".to_owned(), "pgset_2".to_owned()]);
        assert!(script.stdin.contains("array[E'pgset_0', E'pgset_2']::name[]"), "{}", script.stdin);
        assert!(script.stdin.contains("where not exists"));
    }
}
