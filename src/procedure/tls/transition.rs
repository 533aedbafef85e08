//! Decides how a set changes from its current TLS to the desired TLS.

use jiff::Timestamp;

use super::recorded::{certificates_of, recorded};
use crate::certificate::{self, Certificates, Renewal, names};
use crate::error::{Exit, Failure};
use crate::plan::{Action, Plan};
use crate::procedure::live::{self, Live};
use crate::set::{SetIdentity, objects};
use crate::settings::tls::{CertificateSource, Stage};
use crate::settings::{Settings, Tls};

/// The change from a set's current TLS to its desired TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transition {
    /// The current TLS.
    pub(crate) live: Option<Tls>,
    /// The stage that is written together with the other objects.
    pub(crate) first: Option<Tls>,
    /// The stage that is written after every pod has reached the first one. The same as `first` if there is
    /// no further stage.
    pub(crate) last: Option<Tls>,
    /// The certificates that pgset issues.
    pub(crate) certificates: Option<Certificates>,
    /// Why the certificates were renewed.
    pub(super) why: Option<String>,
    /// What is wrong with the user's own certificate, if it is already in use.
    pub(crate) warning: Option<String>,
}

/// Decides the stages and certificates. `stages` is true if pods are running and must go through the stages.
///
/// # Errors
/// When the user's own certificate can't be used, or the Secret for pgset's certificates does not belong to
/// the set.
pub(crate) fn transition(
    settings: &Settings,
    live: &Live,
    stages: bool,
    now: Timestamp,
) -> anyhow::Result<Transition> {
    let set = &settings.set;
    let had = recorded(live, set);
    let setting = settings.tls.as_ref().map(|given| &given.value);
    let last = Tls::wanted(setting, had.as_ref(), set);
    let first = if stages { Tls::first(had.as_ref(), last.as_ref()) } else { last.clone() };
    let mut transition = Transition { live: had, first, last, ..Transition::default() };
    match &transition.last {
        Some(tls) if tls.origin == CertificateSource::Pgset => {
            let id = objects::certificates(set);
            let there = live.objects.get(&id);
            if let Some(secret) = there
                && let Err(foreign) = live::check_ours(secret, &id, set)
            {
                let mut failure = Failure::new(Exit::Refused, foreign.message);
                failure =
                    failure.hint(format!("to use the certificate in it: --tls-secret {}", id.name));
                return Err(failure.into());
            }
            let there = there.map(certificates_of);
            match certificate::renew(there.as_ref(), &names::all(set), now)? {
                Renewal::Keep => transition.certificates = there,
                Renewal::Renewed { certificates, why } => {
                    transition.certificates = Some(certificates);
                    transition.why = there.is_some().then_some(why);
                }
            }
        }
        Some(tls) => {
            if let Err(failure) = check_given(set, live, tls, now) {
                // The set already uses this certificate: it keeps running, and other settings must stay
                // changeable.
                if transition.live != transition.last {
                    return Err(failure.into());
                }
                transition.warning = Some(failure.message);
            }
        }
        None => {}
    }
    Ok(transition)
}

/// Checks the user's own certificate before any server gets it.
fn check_given(set: &SetIdentity, live: &Live, tls: &Tls, now: Timestamp) -> Result<(), Failure> {
    let id = objects::secret(set, &tls.secret);
    let refused = |why: String| {
        Failure::new(Exit::Refused, format!("{id} can't be used for TLS: {why}"))
            .hint(format!(
                "kubectl -n {} get secret {} -o yaml  # ca.crt, tls.crt, tls.key",
                set.namespace, tls.secret
            ))
            .hint("or let pgset generate the certificate: --tls")
    };
    let Some(secret) = live.objects.get(&id) else {
        return Err(refused("it does not exist".to_owned()));
    };
    let there = certificates_of(secret);
    let Certificates { authorities, certificate, key, .. } = &there;
    match certificate::check(authorities, certificate, key.expose(), &names::needed(set), now) {
        Ok(_) => Ok(()),
        Err(unfit) => {
            let failure = refused(unfit.to_string());
            Err(match unfit {
                certificate::Unfit::Names(_) => failure
                    .hint(format!("tls.crt must name at least {}", names::needed(set).join(", "))),
                _ => failure,
            })
        }
    }
}

impl Transition {
    /// Whether a second stage follows the first.
    pub(crate) fn goes_on(&self) -> bool {
        self.first != self.last
    }

    /// Whether the servers have to change anything.
    pub(crate) fn is_new(&self) -> bool {
        self.goes_on() || self.live != self.last || self.why.is_some()
    }

    /// Completes a plan: writes the Secret only if its data changes, and only over the version that was read.
    /// Describes the changes in the steps.
    pub(crate) fn describe(&self, plan: &mut Plan, live: &Live, set: &SetIdentity) {
        let (secret, config) = (objects::certificates(set), objects::config(set));
        for step in &mut plan.steps {
            if step.object.id == secret
                && let Some(there) = live.objects.get(&secret)
            {
                if there["data"] == step.object.value["data"] {
                    step.action = Action::Unchanged;
                } else {
                    step.object.value["metadata"]["resourceVersion"] =
                        there["metadata"]["resourceVersion"].clone();
                    step.detail = self.why.as_ref().map(|why| format!("renewed: {why}"));
                }
            }
            if step.object.id == config
                && self.live != self.first
                && live.objects.contains_key(&config)
            {
                let words = change(self.live.as_ref(), self.first.as_ref());
                step.detail = Some(match step.detail.take() {
                    Some(others) => format!("{others}; {words}"),
                    None => words,
                });
            }
        }
    }
}

/// The change as text: `TLS off -> offered`.
pub(crate) fn change(from: Option<&Tls>, to: Option<&Tls>) -> String {
    let word = |tls: Option<&Tls>| match tls.map(|tls| tls.stage) {
        None => "off",
        // For a client the two are the same.
        Some(Stage::Offered | Stage::Leaving) => "offered",
        Some(Stage::Required) => "required",
    };
    let other = match (from, to) {
        (Some(from), Some(to)) if from.secret != to.secret => {
            format!(", certificate from Secret {}", to.secret)
        }
        (None, Some(to)) if to.origin == CertificateSource::User => {
            format!(", certificate from Secret {}", to.secret)
        }
        _ => String::new(),
    };
    let (from, to) = (word(from), word(to));
    if from == to { format!("TLS {to}{other}") } else { format!("TLS {from} -> {to}{other}") }
}
