//! The marker: a table that the test writes on the master, reads on every replica, and drops.

use std::time::Duration;

/// The longest pause between two checks for the marker.
const LONGEST_NAP: Duration = Duration::from_millis(250);
/// The prefix of marker table names. The time and a random part follow.
const MARKER_PREFIX: &str = "pgset_test_";

/// The marker of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    pub(super) table: String,
    pub(super) value: String,
}

impl Marker {
    /// A marker written at `now` (seconds since 1970). `random` is the random part of the name; characters
    /// that are not ASCII letters or digits are dropped.
    #[must_use]
    pub fn new(now: u64, random: &str) -> Self {
        let random: String = random
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(24)
            .collect();
        Self { table: format!("{MARKER_PREFIX}{now}_{random}"), value: format!("{now}-{random}") }
    }

    pub(super) fn write(&self) -> String {
        format!(
            "create table public.{} as select '{}'::text as marker;\n\
             select row_to_json(r) from (select 'written' as kind, host(inet_server_addr()) as address) r;\n",
            self.table, self.value
        )
    }

    /// Polls for the marker with separate statements. A loop inside one statement would hold a snapshot,
    /// which can delay the replay that it waits for.
    pub(super) fn read(&self, limit: Duration) -> String {
        use std::fmt::Write as _;
        let mut sql = "select extract(epoch from clock_timestamp()) as started \\gset\n".to_owned();
        let mut waited = Duration::ZERO;
        let mut nap = Duration::from_millis(10);
        while waited < limit {
            let now = nap.min(limit.saturating_sub(waited));
            let _ = writeln!(
                sql,
                "select pg_sleep(case when exists (select 1 from pg_catalog.pg_class where relname = '{}') then 0 else {} end);",
                self.table,
                now.as_secs_f64()
            );
            waited += now;
            nap = (nap * 2).min(LONGEST_NAP);
        }
        let _ = writeln!(
            sql,
            "select row_to_json(r) from (select 'marker' as kind, m.marker, pg_is_in_recovery() as in_recovery, extract(epoch from clock_timestamp()) - :started as waited from public.{} m) r;",
            self.table
        );
        sql
    }

    /// Drops the marker, and markers of killed runs that are at least two days old: clocks may differ by a
    /// day.
    pub(super) fn clean(&self) -> String {
        format!(
            "set client_min_messages to warning;\n\
             drop table if exists public.{table};\n\
             do $$ declare t record; begin for t in select relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = 'public' and c.relkind = 'r' and c.relname ~ '^{MARKER_PREFIX}[0-9]{{9,12}}_[a-z0-9]*$' \
             and split_part(c.relname::text, '_', 3)::bigint < extract(epoch from clock_timestamp()) - 172800 \
             loop execute format('drop table if exists public.%I', t.relname); end loop; end $$;\n\
             select row_to_json(r) from (select 'left' as kind, count(*) as tables from pg_catalog.pg_class where relname = '{table}') r;\n",
            table = self.table
        )
    }
}
