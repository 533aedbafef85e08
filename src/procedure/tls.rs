//! TLS of a set: which certificates there are to be, stage by stage to every pod.

mod follow;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use follow::follow;

use crate::certificate::{self, Certificates, Renewal, names};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::manifest::Object;
use crate::plan::{Action, Plan};
use crate::procedure::configure;
use crate::procedure::live;
use crate::procedure::live::Live;
use crate::procedure::wait::Wait;
use crate::set::SetIdentity;
use crate::set::objects;
use crate::set::passwords;
use crate::settings::tls::{Origin, Stage};
use crate::settings::{Settings, Tls};
use crate::values::Secret;

/// The key of the set's ConfigMap, and of the one that is kept with the data.
pub(crate) const KEY: &str = "tls";

/// How a set comes from the TLS that it has to the TLS that it is to have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transition {
    /// What it has.
    pub(crate) live: Option<Tls>,
    /// What is written with everything else.
    pub(crate) first: Option<Tls>,
    /// What is written once every pod is there; the same where nothing more is to be done.
    pub(crate) last: Option<Tls>,
    /// The certificates that pgset makes, as they are to be.
    pub(crate) certificates: Option<Certificates>,
    /// Why they are not what is there.
    why: Option<String>,
    /// What is wrong with somebody else's certificate that is in use.
    pub(crate) warning: Option<String>,
}

/// The certificates of a set that has none yet.
///
/// # Errors
/// When they can't be made.
pub(crate) fn made_new(set: &SetIdentity) -> anyhow::Result<Option<Certificates>> {
    Ok(match certificate::renew(None, &names::all(set), Timestamp::now())? {
        Renewal::Renewed { certificates, .. } => Some(certificates),
        Renewal::Keep => None,
    })
}

/// The line of a ConfigMap.
fn line_of(config: &Value) -> Option<Tls> {
    Tls::parse(config["data"][KEY].as_str()?)
}

/// What a live set has. Once it is down, what it had is kept with its data.
fn recorded(live: &Live, set: &SetIdentity) -> Option<Tls> {
    match live.objects.get(&objects::config(set)) {
        Some(config) => line_of(config),
        None => line_of(live.objects.get(&objects::topology(set))?),
    }
}

/// What a set has, read now.
///
/// # Errors
/// When its ConfigMap can't be read.
pub(crate) async fn of_set(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Option<Tls>> {
    let config = cluster.get(&objects::config(set)).await?;
    Ok(config.as_ref().and_then(line_of))
}

/// Whether clients have to verify, and can.
pub(crate) fn is_required(tls: Option<&Tls>) -> bool {
    tls.is_some_and(|tls| tls.stage == Stage::Required)
}

/// Reads the Secret of somebody else's certificate, which is known only now where nobody named it.
///
/// # Errors
/// When it can't be read.
pub(crate) async fn read_given(
    cluster: &Cluster,
    settings: &Settings,
    live: &mut Live,
) -> anyhow::Result<()> {
    let setting = settings.tls.as_ref().map(|given| &given.value);
    let wanted = Tls::wanted(setting, recorded(live, &settings.set).as_ref(), &settings.set);
    let Some(wanted) = wanted.filter(|tls| tls.origin == Origin::Given) else { return Ok(()) };
    let id = objects::secret(&settings.set, &wanted.secret);
    if let Some(secret) = cluster.get(&id).await? {
        live.objects.insert(id, secret);
    }
    Ok(())
}

/// Decides what there is to be. `stages`: pods run, and are brought along.
///
/// # Errors
/// When somebody else's certificate can't be used, or the Secret for pgset's own is somebody else's.
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
        Some(tls) if tls.origin == Origin::Made => {
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
                // What runs with it already goes on, and other settings can still be changed.
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

/// Looks at somebody else's certificate before any server gets it.
fn check_given(set: &SetIdentity, live: &Live, tls: &Tls, now: Timestamp) -> Result<(), Failure> {
    let id = objects::secret(set, &tls.secret);
    let refused = |why: String| {
        Failure::new(Exit::Refused, format!("{id} can't be used for TLS: {why}"))
            .hint(format!(
                "kubectl -n {} get secret {} -o yaml  # ca.crt, tls.crt, tls.key",
                set.namespace, tls.secret
            ))
            .hint("or leave the certificate to pgset: --tls")
    };
    let Some(secret) = live.objects.get(&id) else {
        return Err(refused("it is not there".to_owned()));
    };
    let there = certificates_of(secret);
    let Certificates { authorities, certificate, key, .. } = &there;
    match certificate::check(authorities, certificate, key.expose(), &names::needed(set), now) {
        Ok(_) => Ok(()),
        Err(unfit) => {
            let failure = refused(unfit.to_string());
            Err(match unfit {
                certificate::Unfit::Names(_) => failure
                    .hint(format!("it has to name at least {}", names::needed(set).join(", "))),
                _ => failure,
            })
        }
    }
}

/// What a Secret holds; empty where it lacks a key.
pub(crate) fn certificates_of(secret: &Value) -> Certificates {
    let text = |key| passwords::text(secret, key).unwrap_or_default();
    Certificates {
        authorities: text(certificate::CA_CERTIFICATE),
        authority_keys: Secret::new(text(certificate::CA_KEY)),
        certificate: text(certificate::CERTIFICATE),
        key: Secret::new(text(certificate::KEY)),
    }
}

impl Transition {
    /// Whether a second write follows the first.
    pub(crate) fn goes_on(&self) -> bool {
        self.first != self.last
    }

    /// Whether servers have to do something about it.
    pub(crate) fn is_new(&self) -> bool {
        self.goes_on() || self.live != self.last || self.why.is_some()
    }

    /// Completes a plan: the Secret is written only where it says something else, over the version that
    /// was looked at; and what happens is said.
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

/// `TLS off -> offered`.
pub(crate) fn change(from: Option<&Tls>, to: Option<&Tls>) -> String {
    let word = |tls: Option<&Tls>| tls.map_or("off", |tls| tls.stage.name());
    let other = match (from, to) {
        (Some(from), Some(to)) if from.secret != to.secret => format!(", by Secret {}", to.secret),
        (None, Some(to)) if to.origin == Origin::Given => format!(", by Secret {}", to.secret),
        _ => String::new(),
    };
    format!("TLS {} -> {}{other}", word(from), word(to))
}

/// Keeps with the data what TLS the set has: a set that is taken down and brought up again does not fall
/// back to plain connections. `recorded`: that ConfigMap as it was read, unless it is new.
///
/// # Errors
/// When the ConfigMap can't be changed.
pub(crate) async fn remember(
    cluster: &Cluster,
    set: &SetIdentity,
    recorded: Option<&Value>,
    tls: Option<&Tls>,
) -> anyhow::Result<()> {
    let id = objects::topology(set);
    let there = match recorded {
        Some(recorded) => Some(recorded.clone()),
        None => cluster.get(&id).await?,
    };
    let Some(there) = there else { return Ok(()) };
    if there["data"][KEY].as_str().map(str::to_owned) == tls.map(ToString::to_string) {
        return Ok(());
    }
    let patch = json!({
        "metadata": { "uid": there["metadata"]["uid"] },
        "data": { KEY: tls.map(ToString::to_string) },
    });
    cluster.merge(&id, &patch, false).await?;
    Ok(())
}

/// Brings every server of a set that is up to its last stage.
///
/// # Errors
/// When a server does not follow; the next run goes on.
pub(crate) async fn settle(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    wait: &Wait<'_>,
    transition: &Transition,
    last_config: Option<&Object>,
) -> anyhow::Result<()> {
    if transition.first.is_some() {
        follow(cluster, set, wait).await?;
    }
    let Some(config) = last_config else { return Ok(()) };
    write_last(context, cluster, transition, config).await?;
    // What has to be restarted for was, a moment ago.
    configure::settle(context, cluster, set, wait, false).await?;
    follow(cluster, set, wait).await
}

/// Writes the last stage, once every pod is in the one before.
///
/// # Errors
/// When the ConfigMap can't be written, or somebody wants the command to end.
async fn write_last(
    context: &Context,
    cluster: &Cluster,
    transition: &Transition,
    config: &Object,
) -> anyhow::Result<()> {
    use crate::cluster::objects::Apply;
    use crate::event::{Event, Outcome};
    let stage = transition.first.as_ref().map_or("off", |tls| tls.stage.name());
    let done = || format!("TLS is {stage} on every pod, and replicas stream");
    context.interrupt.check(done, &context.again)?;
    // What is ours already, with what it was rendered with a moment ago.
    cluster.apply(config, Apply { dry_run: false, force: true }).await?;
    let detail = Some(change(transition.first.as_ref(), transition.last.as_ref()));
    let (object, outcome) = (config.id.clone(), Outcome::Configured);
    context.reporter.emit(Event::Object { object, outcome, detail });
    Ok(())
}

#[cfg(test)]
mod tests;
