//! Applies a plan.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::Value;

use super::planning::Conflicts;
use super::{Ending, Work, lease, live};
use crate::cli::DryRun;
use crate::cluster::ClusterError;
use crate::cluster::objects::Apply;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::Kind;
use crate::plan::{self, Action, Plan, Progress, Step};
use crate::set::objects;

/// How many writes run at the same time.
const WRITES: usize = 16;

/// The options of an apply.
#[derive(Clone, Copy)]
pub(crate) struct Options<'a> {
    /// The keys of the Secret whose passwords this run generated. If another run created the Secret first,
    /// its passwords may replace them.
    pub(crate) generated: &'a [&'a str],
    /// What to do about fields that another field manager owns.
    pub(crate) conflicts: Conflicts,
    /// What the command does in the end.
    pub(crate) ending: Ending,
    /// The StatefulSet that the plan is based on.
    pub(crate) planned: Option<&'a Value>,
}

/// Applies the plan. An object is written as soon as the objects that it needs are written. The events are
/// reported in the plan's order, so that two runs print the same.
///
/// # Errors
/// The first write that fails, or an interrupt with what was done so far. Writes that are already running end
/// first.
pub(crate) async fn apply(
    work: Work<'_>,
    plan: Plan,
    options: Options<'_>,
) -> anyhow::Result<Option<Value>> {
    let context = work.context;
    let hold = async {
        let writes = !plan.is_unchanged() && !matches!(options.ending, Ending::DryRun(_));
        if writes { lease::hold_as_planned(work, options.planned).await } else { Ok(()) }
    };
    // Both end: a Lease whose request is cut off would keep others waiting.
    let (lease, rehearsal) = futures::join!(hold, rehearse(work, &plan, options));
    lease.and(rehearsal)?;
    let (total, starts) = (plan.steps.len(), plan.starts);
    let mut progress = Progress::new(plan.steps.iter().map(|step| step.object.id.kind));
    let mut steps: Vec<_> = plan.steps.into_iter().map(Some).collect();
    let mut said = InOrder::new(context, total);
    let (mut statefulset, mut error) = (None, None);
    let mut under_way = FuturesUnordered::new();
    loop {
        while error.is_none()
            && context.interrupt.requested().is_none()
            && under_way.len() < WRITES
            && let Some(index) = progress.begin()
            && let Some(step) = steps[index].take()
        {
            under_way.push(async move { (index, write(work, step, options, starts).await) });
        }
        // Also after a failure: the writes that are already running must end and be reported.
        let Some((index, written)) = under_way.next().await else { break };
        match written {
            Ok((step, outcome, live)) => {
                progress.done(index);
                if step.object.id.kind == Kind::StatefulSet {
                    statefulset = live;
                }
                let (object, detail) = (step.object.id, step.detail);
                said.say(index, Event::object(object, outcome, detail));
            }
            Err(e) => {
                error.get_or_insert(e);
            }
        }
    }
    said.finish();
    if let Some(error) = error {
        return Err(error);
    }
    let done = progress.finished();
    if done < total {
        let done = || format!("{done} of {total} objects are applied, nothing is lost");
        context.interrupt.check(done, &context.again)?;
    }
    Ok(statefulset)
}

/// Reports events in a fixed order, although they arrive in any order.
struct InOrder<'a> {
    context: &'a Context,
    events: Vec<Option<Event>>,
    next: usize,
}

impl<'a> InOrder<'a> {
    fn new(context: &'a Context, count: usize) -> Self {
        Self { context, events: (0..count).map(|_| None).collect(), next: 0 }
    }

    fn say(&mut self, index: usize, event: Event) {
        self.events[index] = Some(event);
        while let Some(event) = self.events.get_mut(self.next).and_then(Option::take) {
            self.context.reporter.emit(event);
            self.next += 1;
        }
    }

    /// Reports the remaining events, although earlier ones are missing.
    fn finish(&mut self) {
        for event in self.events.iter_mut().filter_map(Option::take) {
            self.context.reporter.emit(event);
        }
    }
}

/// Lets the server validate a changed StatefulSet with a dry run before anything is written. The StatefulSet
/// is written last. Without this check, a conflict or an immutable field would be found only after the other
/// objects have changed.
async fn rehearse(work: Work<'_>, plan: &Plan, options: Options<'_>) -> anyhow::Result<()> {
    let changes = |step: &&Step| {
        step.object.id.kind == Kind::StatefulSet && matches!(step.action, Action::Update(_))
    };
    for step in plan.steps.iter().filter(changes) {
        let dry = Apply { dry_run: true, force: options.conflicts.force() };
        let object = plan.rehearsed(&step.sent());
        work.cluster.apply(&object, dry).await.map_err(|error| refused(work, error, step))?;
    }
    Ok(())
}

async fn write(
    work: Work<'_>,
    step: Step,
    options: Options<'_>,
    starts: bool,
) -> anyhow::Result<(Step, Outcome, Option<Value>)> {
    let (cluster, set) = (work.cluster, work.set);
    let dry = matches!(options.ending, Ending::DryRun(_));
    let outcome = match (&step.action, dry) {
        (Action::Unchanged, _) => return Ok((step, Outcome::Unchanged, None)),
        (Action::Create, true) => Outcome::WouldCreate,
        (Action::Create, false) => Outcome::Created,
        (Action::Update(_), true) => Outcome::WouldConfigure,
        (Action::Update(_), false) => Outcome::Configured,
    };
    if options.ending == Ending::DryRun(DryRun::Client) {
        return Ok((step, outcome, None));
    }
    let object = &step.object;
    let certificates = object.id == objects::certificates(set);
    let once = certificates || object.id == objects::passwords(set);
    let result = if once && matches!(step.action, Action::Create) {
        match cluster.create(object, dry).await {
            Err(e) if e.is_conflict() => return adopt(work, step, options).await,
            other => other,
        }
    } else {
        // pgset owns a created object by an Update operation. Its own Apply conflicts with that, so force it.
        // The rehearsal has shown that a StatefulSet conflicts in no other field than the number of pods.
        let starts = starts && object.id.kind == Kind::StatefulSet;
        let force = options.conflicts.force() || once || starts;
        match cluster.apply(&step.sent(), Apply { dry_run: dry, force }).await {
            // The Secret has changed since it was read.
            Err(e) if certificates && e.is_conflict() => return adopt(work, step, options).await,
            other => other,
        }
    };
    match result {
        Ok(live) => Ok((step, outcome, Some(live))),
        Err(e) => Err(refused(work, e, &step)),
    }
}

/// Uses the Secret that exists, because it was created after pgset had read it: either by this run's own
/// request whose response was lost, or by another run, whose passwords are as good as the generated ones.
async fn adopt(
    work: Work<'_>,
    mut step: Step,
    options: Options<'_>,
) -> anyhow::Result<(Step, Outcome, Option<Value>)> {
    let id = &step.object.id;
    let live = work.cluster.get(id).await?.ok_or_else(|| {
        Failure::new(Exit::Refused, format!("{id} was created and deleted by another client"))
            .hint("run the same command again")
    })?;
    live::check_ours(&live, id, work.set)?;
    if live["data"] == step.object.value["data"] {
        return Ok((step, Outcome::Created, Some(live)));
    }
    if *id == objects::certificates(work.set) {
        step.detail = Some("another run wrote it first; its certificate is used".to_owned());
        return Ok((step, Outcome::Unchanged, Some(live)));
    }
    plan::adopt_secret(&step.object, &live, options.generated)?;
    step.detail = Some("another run created it first; its passwords are used".to_owned());
    Ok((step, Outcome::Unchanged, Some(live)))
}

fn refused(work: Work<'_>, error: ClusterError, step: &Step) -> anyhow::Error {
    let says = |words: &str| error.status().is_some_and(|s| s.message.contains(words));
    // The second sentence is that of Kubernetes 1.37, which refuses field by field.
    let immutable = says("updates to statefulset spec for fields other than")
        || (step.object.id.kind == Kind::StatefulSet && says("field is immutable"));
    if immutable {
        return Failure::new(
            Exit::Refused,
            format!("{} has fields that can't be changed: {error}", step.object.id),
        )
        .hint("pgset down keeps the data; pgset up then creates the set with the new settings")
        .into();
    }
    if !error.is_conflict() {
        return error.into();
    }
    // The server's message names the field manager and each field.
    let words = error.status().map(|s| s.message.clone()).unwrap_or_default();
    Failure::new(
        Exit::Refused,
        format!("{} has fields that another field manager owns: {words}", step.object.id),
    )
    .hint(format!("{} --force-conflicts  # takes these fields over", work.context.again))
    .into()
}
