//! The checks of `pgset test`: what to run where, in which order, and what the answer means.
//!
//! A [`Plan`] is made of what is known about the pods and Services. The caller runs every script of
//! [`Stage::First`] at once, then those of [`Stage::Second`], then, whatever happened and also when
//! interrupted, those of [`Stage::Last`]; [`Plan::blocked`] says which need not run.
//!
//! The marker is a table of the superuser's in the database `postgres`: since PostgreSQL 15 others
//! may not create tables in `public`, and the application's own database is not touched.

pub mod report;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::psql::{Connection, ExecOutput, Script, ScriptError};
use super::replication::{self, ByPod, Observation};
use super::status::{self, PodFacts, ServiceFacts};
use crate::settings::{Secret, SetIdentity};

/// The database that checks of the server itself use.
const DATABASE: &str = "postgres";
/// The superuser of every image.
const SUPERUSER: &str = "postgres";
/// Names of marker tables begin with it; the time and a random part follow.
const MARKER_PREFIX: &str = "pgset_test_";
/// Between two looks for the marker, at most.
const LONGEST_NAP: Duration = Duration::from_millis(250);

/// When a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// At once, concurrently.
    First,
    /// When all of the first are done, concurrently.
    Second,
    /// At the very end, always: it tidies up.
    Last,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// Stable and unique: `master-service`, `marker-read/pgset-1`.
    pub id: String,
    /// In words, as a statement that holds or not.
    pub title: String,
    /// When it runs.
    pub stage: Stage,
    /// What to run; none for a check that is decided already.
    pub script: Option<Script>,
    probe: Probe,
    needs: Option<&'static str>,
}

/// How the answer is judged.
#[derive(Clone, Debug)]
enum Probe {
    MasterService,
    Replication { pods: Vec<(String, String)> },
    ReadOnly,
    MarkerWrite,
    MarkerRead { value: String, limit: Duration },
    MarkerClean { table: String },
    Login { user: String },
    Decided(Verdict),
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Passed {
        /// What was seen.
        detail: String,
    },
    /// It does not.
    Failed {
        /// What was seen instead.
        reason: String,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    fn passed(detail: impl Into<String>) -> Self {
        Self::Passed { detail: detail.into() }
    }
    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into(), hint: None }
    }
    fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped { reason: reason.into() }
    }
    fn hint(self, hint: Option<String>) -> Self {
        match self {
            Self::Failed { reason, .. } => Self::Failed { reason, hint },
            other => other,
        }
    }
}

/// What became of a check's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// psql ran and ended.
    Ended(ExecOutput),
    /// psql did not start, or was given up: why.
    NotRun(String),
}

/// A check, its verdict and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckResult {
    /// [`Check::id`].
    pub id: String,
    /// [`Check::title`].
    pub title: String,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
    pub elapsed: Duration,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// What is tested.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The set.
    pub set: &'a SetIdentity,
    /// The application's role.
    pub user: &'a str,
    /// The application's database.
    pub database: &'a str,
    /// The superuser's password, from the Secret.
    pub superuser_password: &'a Secret,
    /// The application's password, from the Secret.
    pub user_password: &'a Secret,
    /// Every pod of the set, with what its server said about recovery.
    pub pods: &'a [PodFacts],
    /// The Services of the set.
    pub services: &'a [ServiceFacts],
    /// How long a marker may take to a replica.
    pub lag_limit: Duration,
}

/// The marker of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    table: String,
    value: String,
}

impl Marker {
    /// A marker written at `now` (seconds since 1970). `random` are letters and digits of the
    /// caller's; anything else in it is dropped.
    #[must_use]
    pub fn new(now: u64, random: &str) -> Self {
        let random: String = random
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(24)
            .collect();
        Self { table: format!("{MARKER_PREFIX}{now}_{random}"), value: format!("{now}-{random}") }
    }

    fn write(&self) -> String {
        format!(
            "create table public.{} as select '{}'::text as marker;\n\
             select row_to_json(r) from (select 'written' as kind, host(inet_server_addr()) as address) r;\n",
            self.table, self.value
        )
    }

    /// Looks again and again in statements of their own: a loop inside one would hold a snapshot,
    /// which can hold up the very replay that it waits for.
    fn read(&self, limit: Duration) -> String {
        use std::fmt::Write as _;
        let mut sql = "select extract(epoch from clock_timestamp()) as started \\gset\n".to_owned();
        let mut waited = Duration::ZERO;
        let mut nap = Duration::from_millis(10);
        while waited < limit {
            let now = nap.min(limit.saturating_sub(waited));
            let _ = writeln!(
                sql,
                "select pg_sleep(case when exists (select 1 from pg_catalog.pg_class where relname = '{}') then 0 else {} end);",
                self.table,
                now.as_secs_f64()
            );
            waited += now;
            nap = (nap * 2).min(LONGEST_NAP);
        }
        let _ = writeln!(
            sql,
            "select row_to_json(r) from (select 'marker' as kind, m.marker, pg_is_in_recovery() as in_recovery, extract(epoch from clock_timestamp()) - :started as waited from public.{} m) r;",
            self.table
        );
        sql
    }

    /// Also drops what runs that were killed an hour ago or earlier left behind.
    fn clean(&self) -> String {
        format!(
            "set client_min_messages to warning;\n\
             drop table if exists public.{table};\n\
             do $$ declare t record; begin for t in select relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = 'public' and c.relkind = 'r' and c.relname ~ '^{MARKER_PREFIX}[0-9]{{9,12}}_[a-z0-9]*$' \
             and split_part(c.relname::text, '_', 3)::bigint < extract(epoch from clock_timestamp()) - 3600 \
             loop execute format('drop table if exists public.%I', t.relname); end loop; end $$;\n\
             select row_to_json(r) from (select 'left' as kind, count(*) as tables from pg_catalog.pg_class where relname = '{table}') r;\n",
            table = self.table
        )
    }
}

/// All checks of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

impl Plan {
    /// Decides what is tested and from where. The master is asked from a replica's pod and the
    /// replicas from the master's, so that answers come over the network.
    pub fn new(subject: &Subject<'_>, marker: &Marker) -> Result<Self, ScriptError> {
        Planner { subject, marker, checks: Vec::new() }.plan()
    }

    /// The checks of a stage.
    pub fn stage(&self, stage: Stage) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.stage == stage)
    }

    /// The verdict of a check that needs another, which did not pass. Ask before running it.
    #[must_use]
    pub fn blocked(&self, check: &Check, results: &[CheckResult]) -> Option<Verdict> {
        let needed = check.needs?;
        let passed = results
            .iter()
            .any(|result| result.id == needed && matches!(result.verdict, Verdict::Passed { .. }));
        let title = self.checks.iter().find(|c| c.id == needed).map_or(needed, |c| &c.title);
        (!passed).then(|| Verdict::skipped(format!("needs that {title}")))
    }
}

struct Planner<'a> {
    subject: &'a Subject<'a>,
    marker: &'a Marker,
    checks: Vec<Check>,
}

impl Planner<'_> {
    fn plan(mut self) -> Result<Plan, ScriptError> {
        let master =
            self.subject.pods.iter().find(|pod| pod.is_writable()).or(self.subject.pods.first());
        let Some(master) = master else {
            let verdict = Verdict::failed("the set has no pods");
            self.decided("pods", "the set runs", verdict);
            return Ok(Plan { checks: self.checks });
        };
        let replicas: Vec<&PodFacts> =
            self.subject.pods.iter().filter(|pod| pod.name != master.name).collect();
        let client = replicas.iter().find(|pod| pod.ready).map_or(master, |pod| *pod);
        self.services(&master.name, &client.name, &replicas)?;
        self.marker(&master.name, &client.name, &replicas)?;
        self.roles();
        self.login(&client.name)?;
        Ok(Plan { checks: self.checks })
    }

    fn services(
        &mut self,
        master: &str,
        client: &str,
        replicas: &[&PodFacts],
    ) -> Result<(), ScriptError> {
        let set = self.subject.set;
        let ask = self.superuser(&set.master())?;
        let server = "select row_to_json(r) from (select 'server' as kind, pg_is_in_recovery() as in_recovery, host(inet_server_addr()) as address, current_setting('server_version') as version) r;\n";
        self.script(
            "master-service",
            format!("the Service {} answers and is not in recovery", set.master()),
            client,
            &(ask.clone() + server),
            Probe::MasterService,
        );

        let replication = "every replica streams from the master";
        let read_only = format!("the Service {} refuses writes", set.replica());
        if replicas.is_empty() {
            let alone = || Verdict::skipped("the set has one pod: there is no replica");
            self.decided("replication", replication, alone());
            self.decided("replica-service", &read_only, alone());
            return Ok(());
        }
        let pods = replicas.iter().map(|pod| (pod.name.clone(), pod.ip.clone())).collect();
        self.script(
            "replication",
            replication.to_owned(),
            client,
            &(ask + replication::statements()),
            Probe::Replication { pods },
        );
        // A transaction that is rolled back: on a writable server nothing stays.
        let write =
            format!("begin;\ncreate table public.{}_write ();\nrollback;\n", self.marker.table);
        let sql = self.superuser(&set.replica())? + server + &write;
        self.script("replica-service", read_only, master, &sql, Probe::ReadOnly);
        Ok(())
    }

    fn marker(
        &mut self,
        master: &str,
        client: &str,
        replicas: &[&PodFacts],
    ) -> Result<(), ScriptError> {
        if replicas.is_empty() {
            let alone = Verdict::skipped("the set has one pod: there is no replica");
            self.decided("marker", "what is written on the master is read on every replica", alone);
            return Ok(());
        }
        let set = self.subject.set;
        let service = self.superuser(&set.master())?;
        let (write, clean) =
            (service.clone() + &self.marker.write(), service + &self.marker.clean());
        self.script(
            "marker-write",
            format!("a marker is written through {}", set.master()),
            client,
            &write,
            Probe::MarkerWrite,
        );
        let limit = self.subject.lag_limit;
        for pod in replicas {
            let host = format!("{}.{}", pod.name, set.name);
            let sql = self.superuser(&host)? + &self.marker.read(limit);
            let probe = Probe::MarkerRead { value: self.marker.value.clone(), limit };
            self.script(
                &format!("marker-read/{}", pod.name),
                format!("the marker is read on {}", pod.name),
                master,
                &sql,
                probe,
            );
            if let Some(check) = self.checks.last_mut() {
                check.stage = Stage::Second;
                check.needs = Some("marker-write");
                if let Some(script) = &mut check.script {
                    script.deadline += limit;
                }
            }
        }
        let table = self.marker.table.clone();
        self.script(
            "marker-clean",
            "the marker leaves nothing behind".to_owned(),
            client,
            &clean,
            Probe::MarkerClean { table },
        );
        if let Some(check) = self.checks.last_mut() {
            check.stage = Stage::Last;
        }
        Ok(())
    }

    fn roles(&mut self) {
        let disagreements = status::disagreements(self.subject.pods, self.subject.services);
        let verdict = if disagreements.is_empty() {
            Verdict::passed(format!(
                "{} pods, {} Services",
                self.subject.pods.len(),
                self.subject.services.len()
            ))
        } else {
            Verdict::failed(disagreements.join("; ")).hint(Some("pgset status".to_owned()))
        };
        self.decided("roles", "roles, labels and endpoints agree", verdict);
    }

    fn login(&mut self, client: &str) -> Result<(), ScriptError> {
        let (user, database) = (self.subject.user, self.subject.database);
        let connect = Connection {
            host: &self.subject.set.master(),
            user,
            password: self.subject.user_password,
            database,
        }
        .connect()?;
        let sql = connect
            + "select row_to_json(r) from (select 'login' as kind, current_user::text as \"user\", current_database()::text as database) r;\n";
        let title = format!("{user} can log in to {database}");
        self.script("login", title, client, &sql, Probe::Login { user: user.to_owned() });
        Ok(())
    }

    fn superuser(&self, host: &str) -> Result<String, ScriptError> {
        let password = self.subject.superuser_password;
        Connection { host, user: SUPERUSER, password, database: DATABASE }.connect()
    }

    fn script(&mut self, id: &str, title: String, pod: &str, sql: &str, probe: Probe) {
        let script = Some(Script::new(pod, sql));
        self.checks.push(Check {
            id: id.to_owned(),
            title,
            stage: Stage::First,
            script,
            probe,
            needs: None,
        });
    }

    fn decided(&mut self, id: &str, title: &str, verdict: Verdict) {
        self.checks.push(Check {
            id: id.to_owned(),
            title: title.to_owned(),
            stage: Stage::First,
            script: None,
            probe: Probe::Decided(verdict),
            needs: None,
        });
    }
}

/// Judges what became of a check. `ran` is not looked at when the check has no script.
#[must_use]
pub fn evaluate(check: &Check, set: &SetIdentity, ran: &Ran) -> Verdict {
    if let Probe::Decided(verdict) = &check.probe {
        return verdict.clone();
    }
    let output = match ran {
        Ran::Ended(output) => output,
        Ran::NotRun(reason) => {
            return Verdict::failed(format!("psql could not be run: {reason}"));
        }
    };
    let row = |kind: &str| {
        output.rows().find(|row| row.get("kind").and_then(Value::as_str) == Some(kind))
    };
    if let Probe::ReadOnly = check.probe {
        return read_only(output, row("server").as_ref(), &set.replica());
    }
    if let Some(trouble) = output.trouble() {
        let missing = trouble.sqlstate.as_deref() == Some("42P01");
        return match &check.probe {
            Probe::MarkerRead { limit, .. } if missing => {
                Verdict::failed(format!("it did not arrive within {} s", limit.as_secs_f64()))
                    .hint(Some("pgset status shows how far each replica is behind".to_owned()))
            }
            Probe::MarkerClean { table } => Verdict::failed(trouble.to_string()).hint(Some(
                format!("drop table if exists public.{table}; in the database {DATABASE}"),
            )),
            Probe::MarkerRead { .. } => {
                Verdict::failed(trouble.to_string()).hint(trouble.hint(set.name.as_str()))
            }
            _ => Verdict::failed(trouble.to_string()).hint(trouble.hint(&set.master())),
        };
    }
    let wanted = match &check.probe {
        Probe::MasterService => "server",
        Probe::MarkerWrite => "written",
        Probe::MarkerRead { .. } => "marker",
        Probe::MarkerClean { .. } => "left",
        Probe::Login { .. } => "login",
        Probe::Replication { pods } => {
            return match Observation::parse(output) {
                Ok(observation) => streaming(&observation, pods),
                Err(error) => Verdict::failed(error.to_string()),
            };
        }
        Probe::ReadOnly | Probe::Decided(_) => "",
    };
    match row(wanted) {
        Some(row) => answered(&check.probe, &row),
        None => Verdict::failed("psql did not print what was asked for"),
    }
}

type Row = serde_json::Map<String, Value>;

fn field<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn answered(probe: &Probe, row: &Row) -> Verdict {
    match probe {
        Probe::MasterService => match row.get("in_recovery").and_then(Value::as_bool) {
            Some(false) => Verdict::passed(format!(
                "PostgreSQL {} at {}",
                field(row, "version"),
                field(row, "address")
            )),
            _ => Verdict::failed(format!("{} is in recovery: a replica", field(row, "address")))
                .hint(Some("pgset status: is the master's label on the right pod?".to_owned())),
        },
        Probe::MarkerWrite => Verdict::passed(format!("at {}", field(row, "address"))),
        Probe::MarkerRead { value, limit } => {
            let waited = row.get("waited").and_then(Value::as_f64).unwrap_or_default();
            if field(row, "marker") != value {
                Verdict::failed("another value was read than was written")
            } else if row.get("in_recovery").and_then(Value::as_bool) != Some(true) {
                Verdict::failed("the server is not a replica: it is not in recovery")
            } else {
                Verdict::passed(format!(
                    "after {:.0} ms, limit {} s",
                    waited.max(0.0) * 1000.0,
                    limit.as_secs_f64()
                ))
            }
        }
        Probe::MarkerClean { table } => match row.get("tables").and_then(Value::as_u64) {
            Some(0) => Verdict::passed("its table is dropped"),
            _ => Verdict::failed(format!("the table {table} is still there")),
        },
        Probe::Login { user } if field(row, "user") == user => {
            Verdict::passed(format!("database {}", field(row, "database")))
        }
        Probe::Login { .. } => Verdict::failed(format!("logged in as {}", field(row, "user"))),
        Probe::Replication { .. } | Probe::ReadOnly | Probe::Decided(_) => {
            Verdict::failed("not decided by one row")
        }
    }
}

/// SQLSTATE 25006 is right only from a server in recovery: `default_transaction_read_only` makes a
/// master answer the same.
fn read_only(output: &ExecOutput, server: Option<&Row>, service: &str) -> Verdict {
    let in_recovery = server.and_then(|row| row.get("in_recovery")?.as_bool());
    let address = server.map_or("a server", |row| field(row, "address"));
    let status = || Some("pgset status: does the Service reach the master?".to_owned());
    match output.trouble() {
        Some(trouble)
            if trouble.sqlstate.as_deref() == Some("25006") && in_recovery == Some(true) =>
        {
            Verdict::passed(format!("create table at {address} failed with SQLSTATE 25006"))
        }
        Some(_) | None if in_recovery == Some(false) => Verdict::failed(format!(
            "{service} reached {address}, which is not in recovery: the master"
        ))
        .hint(status()),
        Some(trouble) => Verdict::failed(trouble.to_string()).hint(trouble.hint(service)),
        None => {
            Verdict::failed(format!("create table at {address} succeeded (it was rolled back)"))
                .hint(status())
        }
    }
}

/// Exactly one streaming row per replica.
fn streaming(observation: &Observation, pods: &[(String, String)]) -> Verdict {
    if observation.in_recovery {
        return Verdict::failed("the server that was asked is itself in recovery");
    }
    let ByPod { rows, strangers } = observation.by_pod(pods);
    let mut wrong = Vec::new();
    for (pod, rows) in &rows {
        match rows.as_slice() {
            [row] if row.streams() => {}
            [row] => wrong.push(format!("{pod} is in state {}", row.state)),
            [] => wrong.push(
                match observation.clone_of(pod, address_of(pods, pod)).and_then(|c| c.percent) {
                    Some(percent) => format!("{pod} is cloning, {percent:.0} %"),
                    None => format!("{pod} does not stream"),
                },
            ),
            many => wrong.push(format!("{pod} has {} rows in pg_stat_replication", many.len())),
        }
    }
    let strangers = match strangers.len() {
        0 => String::new(),
        n => {
            let mut names: Vec<&str> =
                strangers.iter().map(|row| row.application_name.as_str()).collect();
            names.dedup();
            format!("; {n} more from outside the set ({})", names.join(", "))
        }
    };
    if wrong.is_empty() {
        let most = rows.iter().flat_map(|(_, rows)| rows).filter_map(|row| row.lag_bytes).max();
        let lag = most.map_or(String::new(), |bytes| format!(", at most {bytes} bytes behind"));
        Verdict::passed(format!("{} streaming{lag}{strangers}", rows.len()))
    } else {
        Verdict::failed(format!("{}{strangers}", wrong.join("; ")))
            .hint(Some("kubectl logs of the pod says why it does not stream".to_owned()))
    }
}

fn address_of<'a>(pods: &'a [(String, String)], pod: &str) -> &'a str {
    pods.iter().find(|(name, _)| name == pod).map_or("", |(_, address)| address)
}

#[cfg(test)]
mod tests;
