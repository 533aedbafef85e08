//! `pgset test`.

use crate::procedure::credentials;
use crate::procedure::live;
use std::time::{Duration, Instant, SystemTime};

use futures::future::join_all;

use crate::cli::{Output, TestArgs};
use crate::context::Context;
use crate::error::Exit;
use crate::postgres::smoke::report::SmokeReport;
use crate::postgres::smoke::{self, Check, CheckList, CheckResult, Marker, Ran, Stage, evaluate};
use crate::postgres::status::TlsStatus;
use crate::procedure::inspect::Subject;
use crate::procedure::{run_state, sql};
use crate::values::Secret;

/// How long to retry a connection that does not reach a server.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);

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
    let (snapshot, credentials) =
        futures::join!(subject.snapshot(), credentials::credentials(&subject.cluster, &set));
    let (facts, credentials) = (subject.facts(&snapshot?).await?, credentials?);
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
    let mut interrupted = None;
    for stage in [Stage::First, Stage::Second, Stage::Last] {
        // After an interrupt, the last stage still runs, because it cleans up.
        if interrupted.is_some() && stage != Stage::Last {
            continue;
        }
        let checks = list.stage(stage).map(|check| one(&subject, &list, check, &results));
        let found = join_all(checks).await;
        results.extend(found);
        interrupted = context.interrupt.requested();
    }
    if let Some(exit) = interrupted {
        return Err(crate::interrupt::interrupted(
            exit,
            "the test left nothing behind",
            &context.again,
        )
        .into());
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

async fn one(
    subject: &Subject,
    list: &CheckList,
    check: &Check,
    results: &[CheckResult],
) -> CheckResult {
    let started = Instant::now();
    let outcome = match list.blocked(check, results) {
        Some(outcome) => outcome,
        None => evaluate(check, &subject.set, &ran(subject, check).await),
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
