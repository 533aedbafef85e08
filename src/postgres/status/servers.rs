//! Judges what was measured in each server: space, ages of ids, damage, old transactions.

use super::{PodFacts, VolumeFacts};
use crate::postgres::measurements::{Age, Collation, Measurements, OLD_TRANSACTION, Space};
use crate::text::{counted, shell_word, size};
use crate::values::Quantity;

/// The part of a volume that must be free, in percent.
pub const FREE_PERCENT: u64 = 10;
/// How many transaction or multixact ids may be in use. A database has 2.1 billion of them: PostgreSQL warns when 40
/// million are left, and accepts no writes when 3 million are left. Autovacuum begins at 200 million
/// (`autovacuum_freeze_max_age`), so that more than this means that something holds it back.
pub const IDS_LIMIT: u64 = 1_000_000_000;

/// The free space in bytes that is enough on a disk that is much larger than its claim, such as that of a node.
pub const FREE_OF_A_DISK: u64 = 10 << 30;

/// The volumes with less free space than they need.
pub(super) fn space_problems(volumes: &[VolumeFacts]) -> Vec<String> {
    let full = volumes.iter().filter_map(|volume| Some((volume, volume.space?)));
    let full = full.filter(|(volume, space)| space.free_bytes < needed(volume, *space));
    full.map(|(volume, space)| {
        format!(
            "claim {} has {} of {} free, less than {}: `pgset up --size SIZE` makes it larger if its class allows that",
            volume.claim, size(space.free_bytes), size(space.all()), size(needed(volume, space))
        )
    })
    .collect()
}

/// The bytes that must be free: [`FREE_PERCENT`] of the volume. A claim of 1 GiB may be a directory on the large disk
/// of a node or of an NFS server, which other data fills.
fn needed(volume: &VolumeFacts, space: Space) -> u64 {
    let part = |bytes: u64| bytes / 100 * FREE_PERCENT;
    let claim = volume.capacity.parse::<Quantity>().map_or(0, |capacity| capacity.bytes());
    part(space.all()).min(part(claim).max(FREE_OF_A_DISK))
}

/// The space of a volume, as the first of its pods reports it.
pub(super) fn space(volume: &VolumeFacts, pods: &[PodFacts]) -> Option<Space> {
    let mounts = |pod: &&PodFacts| volume.pods.contains(&pod.name);
    pods.iter().filter(mounts).find_map(|pod| pod.measurements.as_ref()?.space)
}

/// The problems of the servers.
pub(super) fn problems(pods: &[PodFacts]) -> Vec<String> {
    let measured = pods.iter().filter_map(|pod| Some((pod, pod.measurements.as_ref()?)));
    let master = measured.clone().find(|(pod, _)| pod.is_writable());
    let known = master.map_or(&[][..], |(_, measured)| &measured.collations);
    measured.flat_map(|(pod, measured)| of_one(pod, measured, known)).collect()
}

/// `known` are the collations that are a problem of the master.
fn of_one(pod: &PodFacts, measured: &Measurements, known: &[Collation]) -> Vec<String> {
    let mut found = Vec::new();
    // The ids and the collations' recorded versions are the same in every server of a set.
    if pod.is_writable() {
        found.extend(ids("transaction", measured.transaction_ids.as_ref()));
        found.extend(ids("multixact", measured.multixact_ids.as_ref()));
    }
    found.extend(checksums(pod, measured));
    let news = |one: &&Collation| pod.is_writable() || !known.contains(one);
    found.extend(collations(pod, &measured.collations.iter().filter(news).collect::<Vec<_>>()));
    found.extend(transactions(pod, measured));
    found.extend(prepared(pod, measured));
    found
}

/// psql in this pod, with its first arguments.
fn psql(pod: &PodFacts, database: Option<&str>) -> String {
    let database = database.map(|name| format!(" -d {}", shell_word(name))).unwrap_or_default();
    let pod = if pod.is_writable() { String::new() } else { format!(" --replica {}", pod.ordinal) };
    format!("pgset psql{pod}{database} --")
}

fn ids(what: &str, age: Option<&Age>) -> Option<String> {
    let Age { database, age } = age.filter(|oldest| oldest.age > IDS_LIMIT)?;
    let millions = |ids: u64| ids / 1_000_000;
    Some(format!(
        "database {database} uses {} million {what} ids, more than {} million, and PostgreSQL stops writes at 2100 million: end old transactions and inactive slots, then `pgset psql -d {} -- -c 'vacuum (freeze)'`",
        millions(*age),
        millions(IDS_LIMIT),
        shell_word(database)
    ))
}

fn checksums(pod: &PodFacts, measured: &Measurements) -> Option<String> {
    let found = measured.checksum_failures.as_ref().filter(|found| found.failures > 0)?;
    let last = found.last.as_ref().map_or_else(String::new, |at| format!(", the last at {at}"));
    let next = if pod.is_writable() {
        "copy the data with pg_dump before anything else, and check the disk"
    } else {
        "check the disk, and clone the replica again: delete its data and its Pod"
    };
    Some(format!(
        "Pod {}: {} ({}{last}): files are damaged; {next}",
        pod.name,
        counted(usize::try_from(found.failures).unwrap_or(usize::MAX), "checksum failure"),
        found.databases,
    ))
}

fn collations(pod: &PodFacts, found: &[&Collation]) -> Option<String> {
    let first = found.first()?;
    let more = match found.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let name = format!("\"{}\"", first.database.replace('"', "\"\""));
    let next = if pod.is_writable() {
        let reindex = shell_word(&format!("reindex database {name}")).into_owned();
        let refresh = format!("alter database {name} refresh collation version");
        let psql = psql(pod, Some(&first.database));
        format!("`{psql} -c {reindex} -c {}` repairs it", shell_word(&refresh))
    } else {
        "all pods must run the same image".to_owned()
    };
    Some(format!(
        "Pod {}: database {}{more} was created with version {} of its collation and runs with version {}: indexes on text may be wrong; {next}",
        pod.name, first.database, first.recorded, first.actual
    ))
}

fn transactions(pod: &PodFacts, measured: &Measurements) -> Option<String> {
    let oldest = measured.oldest_transaction.as_ref()?;
    let old = old(oldest.old, oldest.seconds, "transaction")?;
    let of = |what: &str, name: Option<&String>| {
        name.filter(|name| !name.is_empty()).map(|name| format!(", {what}{name}"))
    };
    let who = [
        of("role ", oldest.user.as_ref()),
        of("database ", oldest.database.as_ref()),
        of("", oldest.application.as_ref()),
        of("", oldest.state.as_ref()),
    ];
    let (pid, who) = (oldest.pid, who.into_iter().flatten().collect::<String>());
    let psql = psql(pod, None);
    Some(format!(
        "Pod {}: {old} (pid {pid}{who}): `{psql} -c 'select pg_terminate_backend({pid})'` ends it",
        pod.name
    ))
}

fn prepared(pod: &PodFacts, measured: &Measurements) -> Option<String> {
    let oldest = measured.oldest_prepared.as_ref()?;
    let old = old(oldest.old, oldest.seconds, "prepared transaction")?;
    let name = oldest.gid.replace('\'', "''");
    let sql = format!("rollback prepared '{name}'");
    let psql = psql(pod, Some(&oldest.database));
    Some(format!(
        "Pod {}: {old} ({}): commit it, or `{psql} -c {}` ends it",
        pod.name,
        oldest.gid,
        shell_word(&sql)
    ))
}

/// `2 transactions are older than 1 h, the oldest is 3.5 h old`.
fn old(number: u64, seconds: f64, what: &str) -> Option<String> {
    let limit = OLD_TRANSACTION.as_secs_f64();
    // Both were counted by the server; the number may be that of a moment earlier.
    let number = usize::try_from(number).ok().filter(|number| *number > 0 && seconds > limit)?;
    let are = if number == 1 { "is" } else { "are" };
    Some(format!(
        "{} {are} older than {} h, the oldest is {:.1} h old",
        counted(number, what),
        OLD_TRANSACTION.as_secs() / 3600,
        seconds / 3600.0
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::measurements::{ChecksumFailures, OpenTransaction, PreparedTransaction};
    use crate::postgres::status::tests::pod;
    use crate::set::Role;

    fn judged(role: Role, change: impl FnOnce(&mut Measurements)) -> Vec<String> {
        let mut measured = Measurements::default();
        change(&mut measured);
        let mut pod = pod(u32::from(role == Role::Replica), role);
        pod.measurements = Some(measured);
        problems(&[pod])
    }

    fn age(age: u64) -> Age {
        Age { database: "my app".into(), age }
    }

    #[test]
    fn ids_are_a_problem_of_the_master_from_a_thousand_millions_on() {
        let ids = |role, number| {
            judged(role, |m| {
                (m.transaction_ids, m.multixact_ids) = (Some(age(number)), Some(age(number)));
            })
        };
        assert_eq!(ids(Role::Master, IDS_LIMIT), Vec::<String>::new());
        assert_eq!(ids(Role::Replica, 2_000_000_000), Vec::<String>::new());
        let found = ids(Role::Master, 1_234_000_000);
        let words = "database my app uses 1234 million transaction ids, more than 1000 million, ";
        assert!(found[0].starts_with(words), "{found:?}");
        assert!(
            found[0].ends_with("`pgset psql -d 'my app' -- -c 'vacuum (freeze)'`"),
            "{found:?}"
        );
        assert!(found[1].contains(" 1234 million multixact ids, "), "{found:?}");
    }

    #[test]
    fn the_page_about_status_has_the_limits() {
        use crate::postgres::status::{lag::DELAY_LIMIT, slots::SAFE_PERCENT};
        use crate::settings::max_lag::DEFAULT_BYTES;
        let page = include_str!("../../../docs/status.md");
        for limit in [
            format!("`--max-lag` ({})", size(DEFAULT_BYTES)),
            format!("{} s, while a replica", DELAY_LIMIT.as_secs()),
            format!("less than {SAFE_PERCENT} % of `max_slot_wal_keep_size`"),
            format!(
                "less than {FREE_PERCENT} % is free; on a disk that is larger than its claim: less than {FREE_PERCENT} % of the claim and less than {}",
                size(FREE_OF_A_DISK)
            ),
            format!("more than {} million", IDS_LIMIT / 1_000_000),
            format!("transaction is older than {} h", OLD_TRANSACTION.as_secs() / 3600),
        ] {
            assert!(page.contains(&limit), "{limit}");
        }
    }

    #[test]
    fn a_checksum_failure_is_always_a_problem() {
        let failures = |role, failures| {
            let last = Some("2026-11-24 13:00:00+00".into());
            let found = ChecksumFailures { failures, last, databases: "userdb".into() };
            judged(role, |m| m.checksum_failures = Some(found))
        };
        assert_eq!(failures(Role::Master, 0), Vec::<String>::new());
        let words =
            "Pod pgset-1: 1 checksum failure (userdb, the last at 2026-11-24 13:00:00+00): ";
        assert!(failures(Role::Replica, 1)[0].starts_with(words));
        assert!(failures(Role::Replica, 1)[0].contains("clone the replica again"));
        assert!(failures(Role::Master, 2)[0].contains("2 checksum failures"));
        assert!(failures(Role::Master, 2)[0].contains("pg_dump"));
    }

    #[test]
    fn another_version_of_a_collation_is_told_with_its_repair() {
        let collations = |role, number| {
            let (recorded, actual) = ("2.31".to_owned(), "2.36".to_owned());
            let one = Collation { database: "a\"b".into(), recorded, actual };
            judged(role, |m| m.collations = vec![one; number])
        };
        assert_eq!(collations(Role::Master, 0), Vec::<String>::new());
        let found = collations(Role::Master, 3);
        let words = "Pod pgset-0: database a\"b (and 2 more) was created with version 2.31 of its collation and runs with version 2.36: ";
        assert!(found[0].starts_with(words), "{found:?}");
        assert!(found[0].contains("-c 'reindex database \"a\"\"b\"' "), "{found:?}");
        assert!(collations(Role::Replica, 1)[0].ends_with("all pods must run the same image"));
        // All pods have the same image: it is told once.
        let (recorded, actual) = ("1".to_owned(), "2".to_owned());
        let collations = vec![Collation { database: "a".into(), recorded, actual }];
        let mut pods = [pod(0, Role::Master), pod(1, Role::Replica)];
        for pod in &mut pods {
            let collations = collations.clone();
            pod.measurements = Some(Measurements { collations, ..Measurements::default() });
        }
        assert_eq!(problems(&pods).len(), 1);
    }

    #[test]
    fn transactions_are_a_problem_after_an_hour() {
        let open = |role, seconds, old| {
            let oldest = OpenTransaction {
                pid: 77,
                user: Some("app".into()),
                database: Some("userdb".into()),
                application: Some(String::new()),
                state: Some("idle in transaction".into()),
                seconds,
                old,
            };
            judged(role, |m| m.oldest_transaction = Some(oldest))
        };
        assert_eq!(open(Role::Master, 3600.0, 0), Vec::<String>::new());
        assert_eq!(
            open(Role::Replica, 12_600.0, 2),
            [
                "Pod pgset-1: 2 transactions are older than 1 h, the oldest is 3.5 h old (pid 77, role app, database userdb, idle in transaction): `pgset psql --replica 1 -- -c 'select pg_terminate_backend(77)'` ends it"
            ]
        );
        let (user, database) = (None, "userdb".to_owned());
        let oldest =
            PreparedTransaction { gid: "it's".into(), database, user, seconds: 3700.0, old: 1 };
        let found = judged(Role::Master, |m| m.oldest_prepared = Some(oldest));
        let words = "Pod pgset-0: 1 prepared transaction is older than 1 h, the oldest is 1.0 h old (it's): commit it, or `pgset psql -d userdb -- -c ";
        assert!(found[0].starts_with(words), "{found:?}");
        assert!(found[0].contains("it''s"), "{found:?}");
    }

    #[test]
    fn a_volume_needs_a_tenth_of_free_space_and_is_told_once() {
        const GIB: u64 = 1 << 30;
        let free = |capacity: &str, all: u64, free_bytes: u64| {
            let mut pods = [pod(0, Role::Master), pod(1, Role::Replica)];
            let space = Some(Space { used_bytes: all - free_bytes, free_bytes });
            for pod in &mut pods {
                pod.measurements = Some(Measurements { space, ..Measurements::default() });
            }
            let mut volume = crate::postgres::status::tests::volume();
            volume.capacity = capacity.to_owned();
            volume.space = super::space(&volume, &pods);
            space_problems(&[volume])
        };
        let found = free("1000", 1000, 99);
        assert_eq!(found.len(), 1);
        let words = "claim pgset-pvc has 99 B of 1000 B free, less than 100 B: ";
        assert!(found[0].starts_with(words), "{found:?}");
        for (capacity, all, free_bytes, problems) in [
            ("1000", 1000, 100, 0),
            ("2Ti", 2048 * GIB, 200 * GIB, 1),
            ("2Ti", 2048 * GIB, 210 * GIB, 0),
            // The disk of a node, with a claim of the default size.
            ("1Gi", 500 * GIB, 11 * GIB, 0),
            ("1Gi", 500 * GIB, 9 * GIB, 1),
        ] {
            assert_eq!(free(capacity, all, free_bytes).len(), problems, "{capacity} {free_bytes}");
        }
    }
}
