//! The first part of `up` and `diff`: reads the cluster and makes the plan.

use jiff::Timestamp;

use crate::cli::UpArgs;
use crate::cluster::Cluster;
use crate::cluster::objects::Freshness;
use crate::context::Context;
use crate::manifest::{Object, ObjectId};
use crate::plan::{self, Action, Foreign, Options, Plan, ReplicasDecision};
use crate::procedure::early::Early;
use crate::procedure::namespace::{self, Namespace};
use crate::procedure::permission::Needs;
use crate::procedure::pod_numbers::{self, Record};
use crate::procedure::{
    Ending, Work, account, configure, desired, live, recipe, run_state, scale, scripts, size, tls,
    topology,
};
use crate::render::{Inputs, Scripts, TemplateSet};
use crate::set::{RunState, Topology, objects, rights};
use crate::settings::{Parameters, Recipe, Settings, computed, synchronous};
use crate::values::Replicas;

/// What the plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To apply it.
    Up(Ending, Conflicts),
    /// To show the changes.
    Diff,
}

/// What to do about fields that another field manager owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflicts {
    /// Refuse.
    Refuse,
    /// Take the fields over (`--force-conflicts`).
    Force,
}

impl Conflicts {
    /// What `up` was told to do.
    pub(crate) fn of(args: &UpArgs) -> Self {
        if args.force_conflicts { Self::Force } else { Self::Refuse }
    }

    /// Whether an apply takes the fields over.
    pub(crate) fn force(self) -> bool {
        self == Self::Force
    }
}

impl Purpose {
    /// Whether the command waits for the set, which requires more rights.
    fn waits(self) -> bool {
        matches!(self, Self::Up(Ending::Wait, _))
    }

    /// Whether a change in several stages starts with its first stage. A dry run and a diff show its last
    /// stage.
    fn writes(self) -> bool {
        matches!(self, Self::Up(Ending::Wait | Ending::NoWait, _))
    }

    /// What happens to fields that another field manager owns.
    fn foreign<'a>(self, asked: &'a [&'static str]) -> Foreign<'a> {
        match self {
            Self::Up(_, Conflicts::Force) => Foreign::Take,
            Self::Up(_, Conflicts::Refuse) => Foreign::Keep { asked },
            Self::Diff => Foreign::Show { asked },
        }
    }

    fn forces(self) -> bool {
        matches!(self, Self::Up(_, Conflicts::Force) | Self::Diff)
    }
}

/// The input of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Planning<'a> {
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// The templates to render.
    pub(crate) templates: &'a TemplateSet,
    /// The draft of the objects, which says which objects to read.
    pub(crate) draft: &'a [Object],
    /// What the plan is for.
    pub(crate) purpose: Purpose,
    /// What was read before.
    pub(crate) known: &'a recipe::Known,
    /// Whether the namespace is created if it does not exist.
    pub(crate) create_namespace: bool,
    /// Whether the master may move before its pod is deleted.
    pub(crate) switchover: bool,
}

/// The plan, and what it is based on.
pub(crate) struct Planned {
    /// The state of the cluster.
    pub(crate) live: live::Live,
    /// Which pod is the master.
    pub(crate) topology: Topology,
    /// The steps to perform.
    pub(crate) plan: Plan,
    /// Whether the set has pods now, and if not, why.
    pub(crate) state: RunState,
    /// The desired number of pods.
    pub(crate) replicas: u32,
    /// The numbers of pods for the topology.
    pub(crate) record: Record,
    /// How TLS changes.
    pub(crate) tls: tls::Transition,
    /// The ConfigMap that is written after all pods have followed the plan, if there is one.
    pub(crate) last_config: Option<Object>,
    /// Notes for the user.
    notes: Vec<String>,
}

impl Planned {
    /// Reports what the user has to know before anything is changed.
    pub(crate) fn announce(&self, context: &Context) {
        self.tls.warning.iter().for_each(|warning| context.warn(warning.clone()));
        self.plan.kept.iter().for_each(|kept| context.note(kept.to_string()));
        self.notes.iter().for_each(|note| context.note(context.for_set(note)));
    }

    /// The message when the command does not wait for the pods.
    pub(crate) fn not_waited_for(&self, work: Work<'_>) -> String {
        if configure::changes(&self.plan, &self.live.objects, work.set) || self.tls.is_new() {
            work.context.warn(format!(
                "the servers have not loaded the new settings (--no-wait); `{}` loads them",
                work.context.sibling("up")
            ));
        }
        let state = if self.plan.is_unchanged() { "is up to date" } else { "is applied" };
        format!(
            "{} {state} (--no-wait): `{}` shows its state",
            work.set.name,
            work.context.sibling("status")
        )
    }
}

impl Planning<'_> {
    /// Reads the cluster and makes the plan.
    ///
    /// Objects are read by name, from etcd. Lists come from the server's cache, which halves the time. A
    /// cache may be stale: if planning fails, the lists are read again from etcd before pgset refuses
    /// anything.
    pub(crate) async fn plan(self, cluster: &Cluster, early: Early) -> anyhow::Result<Planned> {
        let live = Box::pin(self.read(cluster, Freshness::Cached, Some(early))).await?;
        let mut planned = match self.plan_of(live) {
            Ok(planned) => planned,
            Err(_) => self.plan_of(Box::pin(self.read(cluster, Freshness::Latest, None)).await?)?,
        };
        self.check_rights(cluster, &mut planned).await?;
        Ok(planned)
    }

    /// Refuses a plan for which the user or the pods lack a right.
    async fn check_rights(self, cluster: &Cluster, planned: &mut Planned) -> anyhow::Result<()> {
        let Planned { live, plan, topology, replicas, record, .. } = planned;
        let raises = record.is_condition();
        self.needs().check_plan(&live.version, &live.missing, plan, topology, raises)?;
        if self.purpose != Purpose::Diff {
            let statefulset = live.objects.get(&objects::statefulset(&self.settings.set));
            let check = account::check(cluster, self.settings, statefulset, topology, *replicas);
            planned.notes.extend(check.await?);
        }
        Ok(())
    }

    fn needs(&self) -> Needs<'_> {
        let Self { settings, draft, known, purpose, .. } = *self;
        let (waits, writes) = (purpose.waits(), purpose.writes());
        Needs { settings, draft, known: &known.objects, waits, writes }
    }

    async fn read(
        self,
        cluster: &Cluster,
        freshness: Freshness,
        early: Option<Early>,
    ) -> anyhow::Result<live::Live> {
        let set = &self.settings.set;
        let mut ids: Vec<ObjectId> = self.draft.iter().map(|object| object.id.clone()).collect();
        let capabilities = self.settings.profile.capabilities();
        if capabilities.has_topology {
            ids.push(objects::topology(set));
        }
        if capabilities.tls.is_there() {
            ids.push(objects::certificates(set));
        }
        ids.push(objects::settings(set));
        ids.sort();
        ids.dedup();
        // A plan that failed is made again from what the server says now.
        let known = (freshness == Freshness::Cached).then_some(self.known);
        let (known, ids): (Vec<ObjectId>, Vec<ObjectId>) = ids
            .into_iter()
            .partition(|id| known.is_some_and(|known| known.objects.contains_key(id)));
        let read = live::read(cluster, self.settings, ids, freshness, self.needs(), early);
        let mut live = Box::pin(read).await?;
        let known = known.into_iter().filter_map(|id| Some((self.known.object(&id)?.clone(), id)));
        live.objects.extend(known.map(|(value, id)| (id, value)));
        if live.namespace == Namespace::Missing {
            if !self.create_namespace {
                return Err(namespace::missing(set).into());
            }
            live::check_rights(cluster, rights::creating_namespace(set)).await?;
        }
        if capabilities.tls.is_there() {
            tls::read_given(cluster, self.settings, &mut live).await?;
        }
        Ok(live)
    }

    /// Makes the plan from the settings and the live objects.
    fn plan_of(self, live: live::Live) -> anyhow::Result<Planned> {
        let (settings, templates) = (self.settings, self.templates);
        let set = &settings.set;
        let statefulset = live.objects.get(&objects::statefulset(set));
        if statefulset.is_none()
            && let Some(failure) = &live.storage
        {
            return Err(anyhow::Error::from(failure.clone()));
        }
        let asked = settings.replicas.as_ref().map(|r| r.value);
        // A new StatefulSet must adopt all pods that run without one, and must not delete any of them.
        let running = Replicas::new(live.orphans).filter(|_| statefulset.is_none());
        let recorded = live.objects.get(&objects::settings(set));
        let state =
            statefulset.map_or(RunState::Absent, |it| run_state::of(it, recorded, &live.version));
        // Whoever has set the number to 0 is overruled, once the user has agreed.
        let force = self.purpose.forces() || state.is_at_rest();
        let decision = plan::replicas(asked.or(running), statefulset, force)?;
        let topology = Topology::recorded(set, live.objects.get(&objects::topology(set)))?;
        if !self.switchover {
            topology.check_replicas(set, decision.count())?;
        }
        let passwords = desired::passwords(settings, &live)?;
        let config = live.objects.get(&objects::config(set));
        let settings = &size::in_force(settings, &live.objects)?;
        let settings = &Parameters::in_force(settings, config.and_then(configure::postgresql_conf));
        fits(settings, decision.count())?;
        let runs = statefulset.is_some() || live.orphans > 0;
        let tls = if settings.profile.capabilities().tls.is_there() {
            let stages = self.purpose.writes() && runs;
            tls::transition(settings, &live, stages, Timestamp::now())?
        } else {
            tls::Transition::default()
        };
        let inputs = Inputs {
            settings,
            replicas: decision.rendered(),
            topology: &topology,
            origin: crate::set::Origin::Initdb,
            pods: decision.count(),
            server_minor: live.version.minor,
            passwords: &passwords,
            tls: tls.first.as_ref(),
            certificates: tls.certificates.as_ref(),
            mounted_certificates: statefulset.and_then(objects::mounted_certificates),
            scripts: Scripts::Current,
        };
        let mut objects = desired::objects(templates, &inputs)?;
        let last_config = if tls.goes_on() {
            let last = Inputs { tls: tls.last.as_ref(), ..inputs };
            let id = objects::config(set);
            desired::objects(templates, &last)?.into_iter().find(|object| object.id == id)
        } else {
            None
        };
        account::check_role(&objects, settings, &topology, decision.count())?;
        desired::keep_pending(&mut objects, &live, set);
        scripts::keep_previous(&mut objects, &live, set);
        let recipe = Recipe::of(settings, decision.count(), &recipe::tls(tls.last.as_ref()));
        let recipe = recipe::to_record(recipe, recorded, settings.replicas.is_some());
        objects.push(recipe::object(set, &recipe));
        let before = statefulset.map_or(live.orphans, objects::replicas);
        let seen = pod_numbers::seen(set, &live);
        let record = Record::new(&topology, seen, before, decision.count());
        let first = topology::first(settings, &live, record.numbers);
        let is_new = first.is_some();
        objects.extend(first);
        let options = Options {
            set,
            replicas: Some(&decision),
            passwords_given: settings.credentials.all_passwords_given(),
            foreign: self.purpose.foreign(&settings.asked),
        };
        let mut plan = plan::plan(objects, &live.objects, &options)?;
        plan.starts = state.is_at_rest();
        // Do not write the Secret if its data is unchanged.
        let secret = objects::passwords(set);
        if let Some(there) = live.objects.get(&secret) {
            for step in plan.steps.iter_mut().filter(|step| step.object.id == secret) {
                if step.object.value["data"] == there["data"] {
                    step.action = Action::Unchanged;
                }
            }
        }
        configure::describe(&mut plan, &live.objects, set);
        tls.describe(&mut plan, &live, set);
        let replicas = decision.count();
        // A number that another client has set is recorded with the next change.
        let waits = matches!(decision, ReplicasDecision::LeaveOut { .. })
            && topology.most_pods.is_some()
            && plan.is_unchanged();
        let has_topology = settings.profile.capabilities().has_topology;
        let unneeded = is_new || waits || replicas < 1 || !has_topology;
        let record = if unneeded { record.unneeded() } else { record };
        let notes = computed::suggestion(settings).into_iter().collect();
        Ok(Planned { live, topology, plan, state, replicas, record, tls, last_config, notes })
    }
}

/// Refuses PostgreSQL settings that do not fit the number of pods. That number may come from the live set.
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
