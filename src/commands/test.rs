//! `pgset test`.

use crate::procedure::credentials;
use crate::procedure::live;
use std::time::{Duration, Instant, SystemTime};

use futures::future::join_all;

use crate::cli::{Output, TestArgs};
use crate::context::Context;
use crate::error::Exit;
use crate::interrupt::interrupted;
use crate::postgres::smoke::report::SmokeReport;
use crate::postgres::smoke::{self, Check, CheckList, CheckResult, Marker, Ran, Stage, evaluate};
use crate::postgres::status::{Facts, TlsStatus};
use crate::procedure::inspect::Subject;
use crate::procedure::{run_state, sql};
use crate::values::Secret;

/// How long to retry a connection that does not reach a server.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);
/// When a master that does not answer is asked again. A server that restarts needs a few seconds.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// What was done, for the message at an interrupt.
const NOTHING_LEFT: &str = "the test left nothing behind";

/// Verifies by SQL that the set replicates. Exits with 5 if a check fails.
pub async fn run(args: &TestArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    let Some(subject) = Subject::find(cluster.clone(), set.clone()).await? else {
        return Err(live::no_set(&cluster, &set, context).await.into());
    };
    run_state::check(&cluster, &set, &subject.statefulset).await?;
    let (facts, credentials) = futures::join!(
        settled(&subject, context),
        credentials::credentials(&subject.cluster, &set)
    );
    let (facts, credentials) = (facts?, credentials?);
    let max_connections = facts.observation.as_ref().and_then(|seen| seen.max_connections);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let marker = Marker::new(now.as_secs(), Secret::random().expose());
    let list = CheckList::new(
        &smoke::Subject {
            set: &set,
            topology: &subject.topology,
            user: &credentials.user,
            database: &credentials.database,
            superuser_password: &credentials.superuser_password,
            user_password: &credentials.user_password,
            pods: &facts.pods,
            services: &facts.services,
            observation: facts.observation.as_ref(),
            lag_limit: args.lag_limit,
            verified: facts.tls.as_ref().is_some_and(TlsStatus::is_required),
        },
        &marker,
    )?;
    let mut results: Vec<CheckResult> = Vec::new();
    let mut signal = None;
    for stage in [Stage::First, Stage::Second, Stage::Last] {
        // After an interrupt, the last stage still runs, because it cleans up.
        if signal.is_some() && stage != Stage::Last {
            continue;
        }
        let checks =
            list.stage(stage).map(|check| one(&subject, &list, check, max_connections, &results));
        let found = join_all(checks).await;
        results.extend(found);
        signal = context.interrupt.requested();
    }
    if let Some(exit) = signal {
        return Err(interrupted(exit, NOTHING_LEFT, &context.again).into());
    }
    let order = |result: &CheckResult| list.checks.iter().position(|c| c.id == result.id);
    results.sort_by_key(order);
    let report =
        SmokeReport::new(set.name.as_str(), set.namespace.as_str(), started.elapsed(), results);
    let display = context.reporter.display();
    let text = match context.general.output {
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
        Output::Junit => report.junit()?,
        Output::Human | Output::Wide | Output::Yaml | Output::Env => {
            let width = display.stdout_width.unwrap_or(usize::MAX);
            let text = report.human(width, display.color_stdout, display.tells_everything());
            context.for_set(&text).into_owned()
        }
    };
    context.reporter.say(&text)?;
    Ok(if report.passed { Exit::Done } else { Exit::SmokeTest })
}

/// The facts about the set. If its master does not answer, they are collected again: it may be restarting.
async fn settled(subject: &Subject, context: &Context) -> anyhow::Result<Facts> {
    let facts = subject.facts(&subject.snapshot().await?).await?;
    let Some(why) = smoke::away(&subject.set, &subject.topology, &facts.pods) else {
        return Ok(facts);
    };
    context.detail(format!("{why}; trying again in {} s", AGAIN_AFTER.as_secs()));
    tokio::select! {
        () = tokio::time::sleep(AGAIN_AFTER) => {}
        // Nothing has been written yet, so there is nothing to remove.
        exit = context.interrupt.wait() => {
            return Err(interrupted(exit, NOTHING_LEFT, &context.again).into());
        }
    }
    subject.facts(&subject.snapshot().await?).await
}

async fn one(
    subject: &Subject,
    list: &CheckList,
    check: &Check,
    max_connections: Option<u32>,
    results: &[CheckResult],
) -> CheckResult {
    let started = Instant::now();
    let outcome = match list.blocked(check, results) {
        Some(outcome) => outcome,
        None => evaluate(check, &subject.set, max_connections, &ran(subject, check).await),
    };
    let elapsed: Duration = started.elapsed();
    CheckResult { id: check.id.clone(), title: check.title.clone(), outcome, elapsed }
}

async fn ran(subject: &Subject, check: &Check) -> Ran {
    let Some(script) = &check.script else { return Ran::NotRun(String::new()) };
    let namespace = subject.set.namespace.as_str();
    // Right after `up`, a Service may need a moment until it routes to a server.
    match sql::run_once_reachable(&subject.cluster, namespace, script, SETTLED_WITHIN).await {
        Ok(output) => Ran::Ended(output),
        Err(error) => Ran::NotRun(error.to_string()),
    }
}
