use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::recorded::{KEY, is_required};
use super::transition::*;
use crate::certificate::{self, Certificates, Renewal, names};
use crate::cli::{GlobalArgs, SettingsArgs};
use crate::environment::Environment;
use crate::error::{Exit, Failure, Report, diagnosed};
use crate::manifest::Object;
use crate::manifest::ObjectId;
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
use crate::plan::{Action, Plan};
use crate::plan::{Difference, Step};
use crate::procedure::live::Live;
use crate::set::objects;
use crate::settings::resolve::{Host, resolve};
use crate::settings::{Recipe, Settings};

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn settings(tls: Option<&str>, secret: Option<&str>) -> Settings {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let args = SettingsArgs { tls: text(tls), tls_secret: text(secret), ..SettingsArgs::default() };
    resolve(&args, &GlobalArgs::default(), &Environment::default(), &Recipe::default(), &Host::BARE)
        .unwrap()
        .settings
}

fn secret(name: &str, made: &Certificates, ours: bool) -> (ObjectId, Value) {
    let set = settings(None, None).set;
    let encoded = |text: &str| BASE64.encode(text);
    let labels = if ours {
        json!({ LABEL_MANAGED_BY: MANAGER, LABEL_INSTANCE: "pgset" })
    } else {
        json!({})
    };
    let value = json!({
        "kind": "Secret",
        "metadata": { "name": name, "namespace": "pg", "labels": labels, "resourceVersion": "7" },
        "data": {
            "ca.crt": encoded(&made.authorities),
            "ca.key": encoded(made.authority_keys.expose()),
            "tls.crt": encoded(&made.certificate),
            "tls.key": encoded(made.key.expose()),
        },
    });
    (objects::secret(&set, name), value)
}

fn config(line: &str) -> (ObjectId, Value) {
    let set = settings(None, None).set;
    (objects::config(&set), json!({"data": { KEY: format!("{line}\n") }}))
}

fn live(objects: impl IntoIterator<Item = (ObjectId, Value)>) -> Live {
    Live { objects: objects.into_iter().collect::<BTreeMap<_, _>>(), ..Live::default() }
}

fn new() -> Certificates {
    let names = names::all(&settings(None, None).set);
    match certificate::renew(None, &names, now()).unwrap() {
        Renewal::Renewed { certificates, .. } => certificates,
        Renewal::Keep => panic!("kept"),
    }
}

fn after(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

#[test]
fn nothing_is_made_where_nobody_asks() {
    let found = transition(&settings(None, None), &live([]), true, now()).unwrap();
    assert!(found.first.is_none() && found.certificates.is_none() && !found.is_new());
}

#[test]
fn a_set_that_is_new_begins_where_one_that_runs_ends() {
    let on = settings(Some("true"), None);
    let begins = transition(&on, &live([]), false, now()).unwrap();
    assert_eq!(begins.first.as_ref().unwrap().to_string(), "required made pgset-tls");
    assert!(begins.certificates.is_some() && !begins.goes_on());
    let runs = transition(&on, &live([]), true, now()).unwrap();
    assert_eq!(runs.first.as_ref().unwrap().to_string(), "offered made pgset-tls");
    assert_eq!(runs.last, begins.last);
}

/// The set's ConfigMap is deleted with the set. The topology's ConfigMap is kept with the data and records
/// the TLS.
#[test]
fn a_set_that_was_down_comes_up_as_it_was() {
    let set = settings(None, None);
    let topology = objects::topology(&set.set);
    let kept = json!({"data": { KEY: "required made pgset-tls", "system-identifier": "1" }});
    let objects = [(topology, kept), secret("pgset-tls", &new(), true)];
    let found = transition(&set, &live(objects), false, now()).unwrap();
    assert!(is_required(found.last.as_ref()) && !found.goes_on());
}

#[test]
fn any_run_renews_what_pgset_made_and_says_why() {
    let there = new();
    let objects = [config("required made pgset-tls"), secret("pgset-tls", &there, true)];
    let live = live(objects);
    let settings = settings(None, None);
    let early = transition(&settings, &live, true, after(200)).unwrap();
    assert_eq!(early.certificates.as_ref(), Some(&there));
    assert!(!early.is_new());
    let late = transition(&settings, &live, true, after(300)).unwrap();
    let renewed = late.certificates.clone().unwrap();
    assert_eq!(renewed.authorities, there.authorities);
    assert_ne!(renewed.certificate, there.certificate);
    assert!(late.is_new() && !late.goes_on());

    // The write requires the version that was read. An unchanged Secret is not written.
    let steps = |made: &Certificates| {
        let (id, mut value) = secret("pgset-tls", made, true);
        value["metadata"]["resourceVersion"].take();
        let object = Object { id, value, template: String::new() };
        let action = Action::Update(Difference::default());
        Plan {
            steps: vec![Step { object, action, detail: None, left_out: Vec::new() }],
            growth: None,
            kept: Vec::new(),
            starts: false,
        }
    };
    let mut plan = steps(&renewed);
    late.describe(&mut plan, &live, &settings.set);
    let step = &plan.steps[0];
    assert_eq!(step.object.value["metadata"]["resourceVersion"], "7");
    let detail = step.detail.as_deref();
    assert_eq!(detail, Some("renewed: less than a third of its time was left"));
    let mut plan = steps(&there);
    early.describe(&mut plan, &live, &settings.set);
    assert_eq!(plan.steps[0].action, Action::Unchanged);
}

#[test]
fn somebody_elses_secret_of_the_name_is_not_written() {
    let live = live([secret("pgset-tls", &new(), false)]);
    let refused = transition(&settings(Some("true"), None), &live, true, now()).unwrap_err();
    let report = Report::of(&refused, diagnosed::<Failure>);
    assert_eq!(report.exit, Exit::Refused);
    assert_eq!(report.hints, ["to use the certificate in it: --tls-secret pgset-tls"]);
    // The certificate in it can still be used, without writing the Secret.
    let found = transition(&settings(None, Some("pgset-tls")), &live, true, now()).unwrap();
    assert_eq!(found.last.unwrap().to_string(), "required given pgset-tls");
    assert!(found.certificates.is_none(), "there is nothing to write");
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_used_and_warned_of_while_it_is() {
    let there = new();
    let own = settings(None, Some("mine"));
    let missing = transition(&own, &live([]), true, now()).unwrap_err();
    assert!(missing.to_string().contains("Secret mine can't be used for TLS: it does not exist"));
    let live = live([config("required given mine"), secret("mine", &there, false)]);
    for settings in [&own, &settings(None, None)] {
        let good = transition(settings, &live, true, after(364)).unwrap();
        assert_eq!((good.warning.as_ref(), good.is_new()), (None, false));
        let over = transition(settings, &live, true, after(366)).unwrap();
        assert!(over.warning.unwrap().contains("expired"));
    }
    let other = settings_for_another_use(&there);
    assert!(other.contains("expired"), "{other}");
}

/// The error for the same certificate when it is not in use yet.
fn settings_for_another_use(there: &Certificates) -> String {
    let live = live([config("required made pgset-tls"), secret("mine", there, false)]);
    let refused = transition(&settings(None, Some("mine")), &live, true, after(366)).unwrap_err();
    assert_eq!(Report::of(&refused, diagnosed::<Failure>).exit, Exit::Refused);
    refused.to_string()
}

#[test]
fn no_key_shows_in_debug() {
    let there = new();
    let objects = [config("required made pgset-tls"), secret("pgset-tls", &there, true)];
    let found = transition(&settings(None, None), &live(objects), true, now()).unwrap();
    assert!(!format!("{found:?}").contains("PRIVATE"));
}
