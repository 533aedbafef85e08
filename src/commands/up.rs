//! `pgset up`.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;

use super::apply::{self, How};
use super::wait::{self, Wait};
use super::{Context, configure, desired, given, grow, live, rights, scale, slots, tls, topology};
use crate::cli::UpArgs;
use crate::cluster::Cluster;
use crate::cluster::objects::{Freshness, ServerVersion};
use crate::cluster::observe::Scope;
use crate::error::Exit;
use crate::image::Profile;
use crate::manifest::object::MANAGER;
use crate::manifest::{Kind, Object, ObjectId};
use crate::plan::{self, Action, Options, Plan};
use crate::postgres::address::Addresses;
use crate::readiness::Expectation;
use crate::render::{Inputs, NEWEST_SERVER};
use crate::settings::{Parameters, Replicas, SetIdentity, Settings, synchronous};

/// Makes the set, or makes it what the settings say, and waits until every replica streams.
///
/// Everything is rendered, parsed and checked before the cluster is asked anything, and everything
/// is read and planned before anything is written.
pub async fn run(args: &UpArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let mut settings = context.settings(&args.settings, Some(&target))?;
    if let Some(file) = &args.password_file {
        let crunchy = settings.profile.name() == Profile::CRUNCHY;
        settings.credentials.password = Some(given::password(file, crunchy, context).await?);
    }
    let templates = context.templates(&settings)?;
    // With passwords made up and the default number of pods: which objects there will be.
    let draft = desired::draft(&settings, &templates, NEWEST_SERVER)?;
    let wait = !args.no_wait && args.dry_run.is_none();

    let cluster = context.cluster(&target).await?;
    context.begin("up", &settings.set, &target);
    let stages = args.dry_run.is_none();
    let look = Look { settings: &settings, templates: &templates, draft: &draft, wait, stages };
    let planned = Box::pin(look.plan(&cluster, args.force_conflicts)).await?;
    let Planned { live, plan, replicas, tls, last_config } = planned;
    if let Some(warning) = &tls.warning {
        context.warn(warning.clone());
    }

    let next = context.again.as_str();
    context.interrupt.check(|| "nothing was touched".to_owned(), next)?;
    let set = &settings.set;
    let agreed = configure::check(context, &cluster, set, &plan, &live, wait).await?;
    let configures = configure::changes(&plan, &live, set);
    let how = How {
        set: &settings.set,
        made: &desired::made(&settings),
        force: args.force_conflicts,
        dry_run: args.dry_run,
    };
    let plan = if args.dry_run.is_some() {
        plan.without_growth(&live.objects)
    } else {
        grow::carry_out(context, &cluster, &settings.set, &plan, &live, args.force_conflicts)
            .await?;
        plan
    };
    let unchanged = plan.is_unchanged();
    let applied = apply::carry_out(context, &cluster, plan, how, next).await?;
    if args.dry_run.is_some() {
        context.finish("nothing was written: this was a dry run".to_owned(), started);
        return Ok(Exit::Done);
    }
    let id = scale::statefulset_id(&settings.set);
    let statefulset = match applied {
        Some(applied) => applied,
        None => live.objects.get(&id).cloned().unwrap_or_default(),
    };
    if args.no_wait {
        let state = if unchanged { "is as it should be" } else { "is applied" };
        if configures || tls.is_new() {
            context.warn("the servers do not read their new settings now, as nobody waits for it: the next `pgset up` has them do it");
        }
        context.finish(
            format!("{} {state}; `{}` looks at it", settings.set.name, context.sibling("status")),
            started,
        );
        return Ok(Exit::Done);
    }
    let scope = scope(&settings.set, &statefulset, live.version.clone());
    let expectation = expectation(&settings.set, &statefulset, replicas, &live.version);
    let wait = Wait { scope, expectation, done: "everything is applied", next };
    let snapshot = wait::until_ready(context, &cluster, wait.clone()).await?;
    let topology = topology::id(&settings);
    let recorded = topology.as_ref().and_then(|id| live.objects.get(id));
    topology::record(context, &cluster, &settings, recorded, &snapshot).await?;
    // The pods of a set that was just made began with what they should have.
    let began = !live.objects.contains_key(&id) && live.orphans == 0;
    if topology.is_some() {
        if !began {
            configure::settle(context, &cluster, set, &wait, agreed).await?;
            tls::settle(context, &cluster, set, &wait, &tls, last_config.as_ref()).await?;
        }
        tls::remember(&cluster, set, recorded, tls.last.as_ref()).await?;
    }
    let verified = tls::is_required(tls.last.as_ref());
    super::sql::verify_login(context, &cluster, &settings.set, &snapshot, verified).await?;
    let before = live.objects.get(&id).map_or(0, scale::replicas_of);
    if matches!(settings.profile, Profile::Postgres(_)) && before > replicas {
        slots::drop_beyond(context, &cluster, &settings.set, replicas).await?;
    }
    left_policy(context, &cluster, &settings).await;
    connection(context, &settings, replicas, verified);
    context.finish(format!("{} is up: {}", settings.set.name, pods(replicas)), started);
    Ok(Exit::Done)
}

/// What a look at the cluster starts from.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// The templates in force.
    pub(crate) templates: &'a crate::render::TemplateSet,
    /// The objects that there will be.
    pub(crate) draft: &'a [Object],
    /// Whether the command will wait for the set, which takes more rights.
    pub(crate) wait: bool,
    /// Whether what takes several writes begins with the first of them, and is not shown as it ends.
    pub(crate) stages: bool,
}

/// What was seen, and what follows.
pub(crate) struct Planned {
    /// What is there.
    pub(crate) live: live::Live,
    /// What is to be done.
    pub(crate) plan: Plan,
    /// How many pods there are to be.
    pub(crate) replicas: u32,
    /// How TLS comes or goes.
    pub(crate) tls: tls::Transition,
    /// The ConfigMap that is written once every pod has followed the plan, where one is.
    pub(crate) last_config: Option<Object>,
}

impl Look<'_> {
    /// Reads what is there, and plans.
    ///
    /// Objects are read by name, from etcd; lists come from the server's cache, which saves half of
    /// the time. What is refused, though, is never refused for what a cache said: then the lists are
    /// read once more.
    pub(crate) async fn plan(self, cluster: &Cluster, force: bool) -> anyhow::Result<Planned> {
        let live = Box::pin(self.read(cluster, Freshness::Cached)).await?;
        if let Ok(planned) = self.plan_of(live, force) {
            return Ok(planned);
        }
        let live = Box::pin(self.read(cluster, Freshness::Latest)).await?;
        self.plan_of(live, force)
    }

    async fn read(self, cluster: &Cluster, freshness: Freshness) -> anyhow::Result<live::Live> {
        let set = &self.settings.set;
        let mut ids: Vec<ObjectId> = self.draft.iter().map(|object| object.id.clone()).collect();
        if let Some(topology) = topology::id(self.settings) {
            ids.extend([topology, desired::tls_id(set)]);
            ids.sort();
            ids.dedup();
        }
        let rights = |version: &ServerVersion| rights::up(set, self.draft, self.wait, version);
        let mut live = live::read(cluster, self.settings, ids, freshness, rights).await?;
        if topology::id(self.settings).is_some() {
            tls::read_given(cluster, self.settings, &mut live).await?;
        }
        Ok(live)
    }

    /// What is to be done, from what is wanted and what is there.
    fn plan_of(self, live: live::Live, force: bool) -> anyhow::Result<Planned> {
        let (settings, templates) = (self.settings, self.templates);
        let set = &settings.set;
        let statefulset = live.objects.get(&scale::statefulset_id(set));
        if statefulset.is_none()
            && let Some(failure) = &live.storage
        {
            return Err(anyhow::Error::from(failure.clone()));
        }
        let asked = settings.replicas.as_ref().map(|r| r.value);
        // Pods that run without a StatefulSet are adopted by the one that is made, none of them goes.
        let running = Replicas::new(live.orphans).filter(|_| statefulset.is_none());
        let decision = plan::replicas(asked.or(running), statefulset, force)?;
        let passwords = desired::passwords(settings, &live)?;
        let config = live.objects.get(&configure::config_id(set));
        let settings = &Parameters::in_force(settings, config.and_then(configure::postgresql_conf));
        fits(settings, decision.count())?;
        let runs = statefulset.is_some() || live.orphans > 0;
        let tls = match settings.profile {
            Profile::Postgres(_) => {
                tls::transition(settings, &live, self.stages && runs, Timestamp::now())?
            }
            Profile::Crunchy(_) => tls::Transition::default(),
        };
        let inputs = Inputs {
            settings,
            replicas: decision.rendered(),
            pods: decision.count(),
            server_minor: live.version.minor,
            passwords: &passwords,
            tls: tls.first.as_ref(),
            certificates: tls.certificates.as_ref(),
        };
        let mut objects = desired::objects(templates, &inputs)?;
        let last_config = if tls.goes_on() {
            let last = Inputs { tls: tls.last.as_ref(), ..inputs };
            let id = configure::config_id(set);
            desired::objects(templates, &last)?.into_iter().find(|object| object.id == id)
        } else {
            None
        };
        desired::keep_pending(&mut objects, &live, set);
        let options = Options {
            set,
            replicas: Some(&decision),
            passwords_given: settings.credentials.all_passwords_given(),
        };
        let mut plan = plan::plan(objects, &live.objects, &options)?;
        // The Secret is made once, and kept as it was made as long as it says the same.
        let secret = desired::secret_id(set);
        if let Some(there) = live.objects.get(&secret) {
            for step in plan.steps.iter_mut().filter(|step| step.object.id == secret) {
                if step.object.value["data"] == there["data"] {
                    step.action = Action::Unchanged;
                }
            }
        }
        configure::describe(&mut plan, &live.objects, set);
        tls.describe(&mut plan, &live, set);
        Ok(Planned { plan, replicas: decision.count(), tls, last_config, live })
    }
}

/// Refuses settings of PostgreSQL's that do not fit the number of pods, which may be what runs.
fn fits(settings: &Settings, pods: u32) -> anyhow::Result<()> {
    let number = settings.synchronous.as_ref().map_or(0, |given| given.value);
    if let Err(invalid) = synchronous::check(number, pods) {
        return Err(scale::too_few(number, pods, invalid.hint).into());
    }
    if let Some(parameters) = &settings.parameters {
        parameters.check_for(pods, number)?;
    }
    Ok(())
}

/// What to watch of a set.
pub(crate) fn scope(set: &SetIdentity, statefulset: &Value, version: ServerVersion) -> Scope {
    let volumes = &statefulset["spec"]["template"]["spec"]["volumes"];
    let shared = volumes.as_array().is_some_and(|v| {
        v.iter().any(|v| v["persistentVolumeClaim"]["claimName"] == set.claim().as_str())
    });
    Scope { set: set.clone(), volumes: shared, version }
}

/// When a set is ready: this StatefulSet, with so many pods, each replica streaming.
pub(crate) fn expectation(
    set: &SetIdentity,
    statefulset: &Value,
    replicas: u32,
    version: &ServerVersion,
) -> Expectation {
    let uid = live::uid_of(statefulset);
    Expectation {
        set: set.clone(),
        replicas,
        statefulset_uid: (!uid.is_empty()).then(|| uid.to_owned()),
        statefulset_generation: statefulset["metadata"]["generation"].as_i64(),
        not_before: applied_at(statefulset),
        want_streaming: replicas > 1,
        server_minor: version.minor,
    }
}

/// When pgset last applied an object, by the server's clock: events older than that are not about
/// what it is now. Our own clock may be wrong.
fn applied_at(live: &Value) -> Option<jiff::Timestamp> {
    let managers = live["metadata"]["managedFields"].as_array()?;
    managers
        .iter()
        .filter(|entry| entry["manager"] == MANAGER)
        .filter_map(|entry| entry["time"].as_str()?.parse().ok())
        .max()
}

/// `2 pods ready, 1 replica streaming`.
pub(crate) fn pods(replicas: u32) -> String {
    match replicas {
        0 => "no pods".to_owned(),
        1 => "1 pod ready, no replica".to_owned(),
        2 => "2 pods ready, 1 replica streaming".to_owned(),
        n => format!("{n} pods ready, {} replicas streaming", n - 1),
    }
}

/// `up` deletes nothing: a NetworkPolicy that is no longer asked for still keeps clients out.
async fn left_policy(context: &Context, cluster: &Cluster, settings: &Settings) {
    let (set, namespace) = (&settings.set, settings.set.namespace.as_str());
    if settings.pods.network_policy || matches!(settings.profile, Profile::Crunchy(_)) {
        return;
    }
    let id = ObjectId::new(Kind::NetworkPolicy, namespace, set.name.as_str());
    // Whoever may not look did not make one.
    if let Ok(Some(policy)) = cluster.get(&id).await
        && live::check_ours(&policy, &id, set).is_ok()
    {
        context.warn(format!(
            "{id} is left from before and still in force; kubectl -n {namespace} delete networkpolicy {}",
            id.name
        ));
    }
}

fn connection(context: &Context, settings: &Settings, replicas: u32, verified: bool) {
    let addresses = Addresses {
        set: &settings.set,
        user: settings.credentials.user.as_str(),
        database: settings.credentials.database.as_str(),
        has_replica: replicas > 1,
        password: None,
        verified,
    };
    context.note(super::connect::human(context, &addresses));
}
