use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::names::{all, needed};
use super::*;
use crate::set::SetIdentity;

const DAY: i64 = 24 * 3600;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn after(days: i64) -> Timestamp {
    now() + SignedDuration::from_secs(days * DAY)
}

fn set(name: &str, namespace: &str) -> SetIdentity {
    SetIdentity { name: name.parse().unwrap(), namespace: namespace.parse().unwrap() }
}

fn names() -> Vec<String> {
    all(&set("pgset", "demo"))
}

fn made(there: Option<&Certificates>, at: Timestamp) -> (Certificates, String) {
    match renew(there, &names(), at).unwrap() {
        Renewal::Renewed { certificates, why } => (certificates, why),
        Renewal::Keep => panic!("kept"),
    }
}

fn fits(certificates: &Certificates, names: &[&str], at: Timestamp) -> Result<Dates, Unfit> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let Certificates { authorities, certificate, key, .. } = certificates;
    check(authorities, certificate, key.expose(), &names, at)
}

fn authorities_in(certificates: &Certificates) -> usize {
    certificates.authorities.matches("BEGIN CERTIFICATE").count()
}

#[test]
fn what_is_made_is_good_for_every_way_to_the_set() {
    let (certificates, why) = made(None, now());
    assert_eq!(why, "generated");
    let dates = fits(
        &certificates,
        &[
            "pgset-master",
            "pgset-master.demo",
            "pgset-master.demo.svc",
            "pgset-master.demo.svc.cluster.local",
            "pgset-replica.demo.svc",
            "pgset.demo.svc",
            "pgset-0.pgset.demo.svc",
            "pgset-12.pgset.demo.svc.cluster.local",
            "localhost",
        ],
        now(),
    )
    .unwrap();
    assert_eq!(dates.until, after(365));
    let needed = needed(&set("pgset", "demo"));
    assert!(needed.iter().all(|name| fits(&certificates, &[name], now()).is_ok()), "{needed:?}");
    for other in ["pgset-master.other.svc", "demo.svc", "other", "a.b.pgset.demo.svc"] {
        let refused = fits(&certificates, &[other], now()).unwrap_err();
        assert_eq!(refused, Unfit::Names(vec![other.to_owned()]));
    }
    // The clock of the client is a little slow.
    assert!(fits(&certificates, &["pgset-master"], now() - SignedDuration::from_mins(59)).is_ok());
    let early = fits(&certificates, &["pgset-master"], after(-1)).unwrap_err();
    assert!(matches!(early, Unfit::TooEarly(_)), "{early}");
    let late = fits(&certificates, &["pgset-master"], after(366)).unwrap_err();
    assert_eq!(
        late.to_string(),
        "tls.crt or its issuer expired: it was valid until 2027-11-24T12:00:00Z"
    );
}

#[test]
fn no_key_shows_in_debug() {
    let (certificates, _) = made(None, now());
    let shown = format!("{certificates:?}");
    assert!(!shown.contains("PRIVATE KEY") && shown.contains("BEGIN CERTIFICATE"), "{shown}");
}

#[test]
fn what_is_good_for_a_while_is_kept() {
    let (certificates, _) = made(None, now());
    for day in [0, 1, 100, 243] {
        assert_eq!(renew(Some(&certificates), &names(), after(day)), Ok(Renewal::Keep), "{day}");
    }
    let (renewed, why) = made(Some(&certificates), after(244));
    assert_eq!(why, "less than a third of its time was left");
    assert_eq!(renewed.authorities, certificates.authorities, "clients keep their ca.crt");
    assert_eq!(renewed.authority_keys, certificates.authority_keys);
    assert_ne!(renewed.key, certificates.key);
}

/// Simulates forty years in which `up` runs from time to time. At every moment, a client accepts the
/// certificate if its `ca.crt` is at most one year old.
#[test]
fn the_ca_is_replaced_without_a_client_noticing() {
    let mut there = made(None, now()).0;
    let mut history = vec![(0, there.clone())];
    let (mut day, mut most, mut steps) = (0, 0, [37, 90, 3, 111].iter().cycle());
    while day < 40 * 365 {
        day += steps.next().unwrap();
        if let Renewal::Renewed { certificates, .. } =
            renew(Some(&there), &names(), after(day)).unwrap()
        {
            there = certificates;
            history.push((day, there.clone()));
        }
        most = most.max(authorities_in(&there));
        let known = history.iter().rev().find(|(since, _)| *since <= day - 365);
        let known = known.map_or(&history[0].1, |(_, then)| then);
        let client = Certificates { authorities: known.authorities.clone(), ..there.clone() };
        fits(&client, &["pgset-master"], after(day)).unwrap_or_else(|e| panic!("day {day}: {e}"));
    }
    assert_eq!(most, 2, "at most two at once");
    let last: Vec<_> = history.iter().rev().take(1).map(|(_, c)| c.authorities.clone()).collect();
    assert_ne!(last[0], history[0].1.authorities, "no CA lives for ever");
}

#[test]
fn another_ca_stands_beside_the_first_long_before_it_signs() {
    let first = made(None, now()).0;
    let (both, why) = made(Some(&first), after(3650 * 2 / 3 + 2));
    // The certificate had expired long before. The new one is signed by the CA that all clients already
    // have.
    assert!(why.contains("expired"), "{why}");
    assert_eq!(authorities_in(&both), 2);
    assert!(both.authorities.starts_with(&first.authorities));
    let old = Certificates { authorities: first.authorities, ..both };
    assert!(fits(&old, &["pgset-master"], after(3650 * 2 / 3 + 2)).is_ok());
}

#[test]
fn a_ca_whose_key_was_taken_away_is_still_trusted() {
    let first = made(None, now()).0;
    let without = Certificates { authority_keys: Secret::new(String::new()), ..first.clone() };
    let (second, why) = made(Some(&without), after(1));
    assert_eq!(why, "a second CA was added, which will replace the first");
    assert_eq!(second.certificate, first.certificate);
    assert!(second.authorities.starts_with(&first.authorities));
    let (third, _) = made(Some(&second), after(300));
    assert!(fits(&third, &["pgset-master"], after(300)).is_ok());
    assert_eq!(authorities_in(&third), 2);
}

#[test]
fn names_are_added_and_those_of_somebody_else_stay() {
    let mut wanted = names();
    wanted.push("db.example.com".to_owned());
    let Renewal::Renewed { certificates, .. } = renew(None, &wanted, now()).unwrap() else {
        panic!("kept")
    };
    // The added name is kept, although this run did not ask for it.
    let (renewed, _) = made(Some(&certificates), after(300));
    assert!(fits(&renewed, &["db.example.com", "pgset-master"], after(300)).is_ok());
    let other = all(&set("other", "demo"));
    let Renewal::Renewed { why, .. } = renew(Some(&renewed), &other, after(301)).unwrap() else {
        panic!("kept")
    };
    assert!(why.starts_with("it did not name other, "), "{why}");
}

#[test]
fn what_somebody_broke_is_made_anew() {
    let good = made(None, now()).0;
    let other = made(None, now()).0;
    let broken = [
        (Certificates { key: other.key.clone(), ..good.clone() }, "not the key of tls.crt"),
        (
            Certificates { certificate: "x".into(), ..good.clone() },
            "tls.crt contains no certificate",
        ),
        (Certificates { key: Secret::new("x".into()), ..good.clone() }, "no private key"),
        (Certificates { authorities: other.authorities, ..good.clone() }, "not signed by a CA"),
    ];
    for (there, words) in broken {
        let (again, why) = made(Some(&there), after(1));
        assert!(why.contains(words), "{why}");
        assert!(fits(&again, &["pgset-master"], after(1)).is_ok());
    }
}

#[test]
fn time_is_told_by_parts() {
    let dates = Dates { from: now(), until: after(90) };
    assert!(!dates.is_due(after(60)) && dates.is_due(after(61)));
    assert!(!dates.is_overdue(after(81)) && dates.is_overdue(after(82)));
    assert!(!dates.is_over(after(89)) && dates.is_over(after(90)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Tests random names of sets and namespaces.
    #[test]
    fn every_set_gets_a_certificate_for_its_own_names_only(
        name in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?", namespace in "[a-z]([a-z0-9-]{0,40}[a-z0-9])?",
    ) {
        let Ok(name) = name.parse() else { return Ok(()) };
        let set = SetIdentity { name, namespace: namespace.parse().unwrap() };
        let Renewal::Renewed { certificates, .. } = renew(None, &all(&set), now()).unwrap() else {
            panic!("kept")
        };
        for name in all(&set) {
            let name = name.replace('*', &set.pod(3));
            prop_assert!(fits(&certificates, &[&name], now()).is_ok(), "{}", name);
        }
        let elsewhere = format!("{}.{}x.svc", set.master(), set.namespace);
        prop_assert!(fits(&certificates, &[&elsewhere], now()).is_err());
    }
}
