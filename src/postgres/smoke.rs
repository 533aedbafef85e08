//! The checks of `pgset test`: what to run in which pod, in which order, and how to judge the answers.
//!
//! A [`CheckList`] is built from facts about the pods and Services. The caller runs all scripts of
//! [`Stage::First`] concurrently, then those of [`Stage::Second`]. At the end it always runs those of
//! [`Stage::Last`], also after failures and interrupts. [`CheckList::blocked`] tells which checks to skip.
//!
//! The marker is a table of the superuser in the database `postgres`. Since PostgreSQL 15 other roles may not
//! create tables in `public`, and the test does not touch the application's database.

mod judge;
mod marker;
pub mod report;

use std::time::Duration;

use serde::Serialize;

use super::connections;
use super::psql::{Connection, ExecOutput, Script, ScriptError};
use super::replication::{self, Observation};
use super::status::{self, PodFacts, ReplicaLag, ServiceFacts};
use crate::set::{Role, SetIdentity, Topology};
use crate::text;
use crate::values::Secret;

pub use judge::evaluate;
pub use marker::Marker;

/// The database for checks of the server itself.
const DATABASE: &str = "postgres";
/// The superuser of every image.
const SUPERUSER: &str = "postgres";

/// When a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// First, concurrently.
    First,
    /// After all checks of the first stage, concurrently.
    Second,
    /// At the end, always: it removes what the test created.
    Last,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// Stable and unique: `master-service`, `marker-read/pgset-1`.
    pub id: String,
    /// A statement that is true if the check passes.
    pub title: String,
    /// When it runs.
    pub stage: Stage,
    /// What to run; `None` if the result is already known.
    pub script: Option<Script>,
    probe: Probe,
    needs: Option<&'static str>,
}

/// How to judge the answer.
#[derive(Clone, Debug)]
enum Probe {
    MasterService,
    Replication { pods: Vec<(String, String)> },
    ReadOnly,
    MarkerWrite,
    MarkerRead { value: String, limit: Duration },
    MarkerClean { table: String },
    Login { user: String },
    Tls { service: String },
    Decided(CheckOutcome),
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// It holds.
    Passed {
        /// What was seen.
        detail: String,
    },
    /// The statement is false.
    Failed {
        /// What was seen instead.
        reason: String,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The check did not run.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl CheckOutcome {
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

/// The result of a check's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// psql ran and ended.
    Ended(ExecOutput),
    /// psql did not start or was stopped, with the reason.
    NotRun(String),
}

/// A check, its outcome and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckResult {
    /// [`Check::id`].
    pub id: String,
    /// [`Check::title`].
    pub title: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: CheckOutcome,
    /// How long it took.
    #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
    pub elapsed: Duration,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// The set under test, and the facts about it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The set.
    pub set: &'a SetIdentity,
    /// Who is to be the master.
    pub topology: &'a Topology,
    /// The superuser's password, from the Secret.
    pub superuser_password: &'a Secret,
    /// The application's role.
    pub user: &'a str,
    /// The application's database.
    pub database: &'a str,
    /// The application's password, from the Secret.
    pub user_password: &'a Secret,
    /// Every pod of the set, with its recovery state.
    pub pods: &'a [PodFacts],
    /// The Services of the set.
    pub services: &'a [ServiceFacts],
    /// What the master reports; `None` if it did not answer.
    pub observation: Option<&'a Observation>,
    /// The time limit for a marker to reach a replica.
    pub lag_limit: Duration,
    /// Whether every connection must use TLS and verify the server.
    pub verified: bool,
}

/// All checks of a run.
#[derive(Clone, Debug)]
pub struct CheckList {
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

impl CheckList {
    /// Decides what is tested and from where. The master is queried from a replica's pod and the
    /// replicas from the master's, so that the connections use the network.
    pub fn new(subject: &Subject<'_>, marker: &Marker) -> Result<Self, ScriptError> {
        CheckListBuilder { subject, marker, checks: Vec::new() }.build()
    }

    /// The checks of a stage.
    pub fn stage(&self, stage: Stage) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.stage == stage)
    }

    /// Returns a verdict if the check depends on another one that did not pass. Call it before running the
    /// check.
    #[must_use]
    pub fn blocked(&self, check: &Check, results: &[CheckResult]) -> Option<CheckOutcome> {
        let needed = check.needs?;
        let passed = results.iter().any(|result| {
            result.id == needed && matches!(result.outcome, CheckOutcome::Passed { .. })
        });
        let title = self.checks.iter().find(|c| c.id == needed).map_or(needed, |c| &c.title);
        (!passed).then(|| CheckOutcome::skipped(format!("requires: {title}")))
    }
}

/// Why the set has no master that can be tested now, in one sentence: no pod accepts writes, and the pod that is to be
/// the master did not answer. It may be restarting.
#[must_use]
pub fn away(set: &SetIdentity, topology: &Topology, pods: &[PodFacts]) -> Option<String> {
    if pods.iter().any(PodFacts::is_writable) {
        return None;
    }
    let name = topology.master_pod(set)?;
    let Some(pod) = pods.iter().find(|pod| pod.name == name) else {
        return Some(format!("the master's pod {name} does not exist"));
    };
    match (&pod.no_answer, pod.in_recovery) {
        (_, Some(_)) => None,
        (Some(why), None) => Some(format!("the master {name} does not answer: {why}")),
        (None, None) => Some(format!("the master {name} is not running: {}", pod.state)),
    }
}

struct CheckListBuilder<'a> {
    subject: &'a Subject<'a>,
    marker: &'a Marker,
    checks: Vec<Check>,
}

impl CheckListBuilder<'_> {
    fn build(mut self) -> Result<CheckList, ScriptError> {
        let pods = self.subject.pods;
        let expected = |pod: &&PodFacts| self.subject.topology.role(pod.ordinal) == Role::Master;
        let master = pods
            .iter()
            .find(|pod| pod.is_writable())
            .or(pods.iter().find(expected))
            .or(pods.first());
        let Some(master) = master else {
            let outcome = CheckOutcome::failed("the set has no pods");
            self.decided("pods", "the set runs", outcome);
            return Ok(CheckList { checks: self.checks });
        };
        if let Some(reason) = away(self.subject.set, self.subject.topology, pods) {
            // Every check depends on the master, and would only repeat this.
            let full = connections::hint(&reason, None);
            let hint = full.unwrap_or_else(|| "pgset status".to_owned());
            let outcome = CheckOutcome::failed(reason).hint(Some(hint));
            self.decided("master", "the master answers", outcome);
            return Ok(CheckList { checks: self.checks });
        }
        let replicas: Vec<&PodFacts> =
            self.subject.pods.iter().filter(|pod| pod.name != master.name).collect();
        let client = replicas.iter().find(|pod| pod.ready).map_or(master, |pod| *pod);
        self.services(&master.name, &client.name, &replicas)?;
        self.marker(&master.name, &client.name, &replicas)?;
        self.roles();
        self.replay(replicas.is_empty());
        self.slots();
        self.login(&client.name)?;
        if self.subject.verified {
            self.tls(&self.subject.set.master(), &client.name)?;
            if !replicas.is_empty() {
                self.tls(&self.subject.set.replica(), &master.name)?;
            }
        }
        Ok(CheckList { checks: self.checks })
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
            let alone = || CheckOutcome::skipped("the set has one pod: there is no replica");
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
        // The transaction is rolled back, so nothing remains if the server is writable.
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
            let alone = CheckOutcome::skipped("the set has one pod: there is no replica");
            self.decided("marker", "data written on the master is read on every replica", alone);
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
            let sql = self.pod(pod)? + &self.marker.read(limit);
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
            "the marker is removed".to_owned(),
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
        let outcome = if disagreements.is_empty() {
            CheckOutcome::passed(format!(
                "{}, {} Services",
                match self.subject.pods.len() {
                    1 => "1 pod".to_owned(),
                    n => format!("{n} pods"),
                },
                self.subject.services.len()
            ))
        } else {
            CheckOutcome::failed(disagreements.join("; ")).hint(Some("pgset status".to_owned()))
        };
        self.decided("roles", "roles, labels and endpoints agree", outcome);
    }

    /// Like `status`: a marker that arrives in time says nothing about a replica that is paused or far behind for
    /// other reasons.
    fn replay(&mut self, alone: bool) {
        let title = "no replica is paused or too far behind";
        if alone {
            let outcome = CheckOutcome::skipped("the set has one pod: there is no replica");
            return self.decided("replay", title, outcome);
        }
        let lags = status::lags(self.subject.observation, self.subject.pods);
        let problems: Vec<String> = lags.iter().filter_map(ReplicaLag::problem).collect();
        let limit = lags.iter().map(|lag| lag.max_bytes).min().unwrap_or_default();
        let outcome = if !problems.is_empty() {
            CheckOutcome::failed(problems.join("; "))
        } else if lags.iter().any(|lag| lag.bytes.is_none()) {
            CheckOutcome::skipped("not every server says how far it has replayed")
        } else {
            let (bytes, seconds) = (text::size(limit), status::lag::DELAY_LIMIT.as_secs());
            CheckOutcome::passed(format!("limits {bytes} and {seconds} s"))
        };
        self.decided("replay", title, outcome);
    }

    fn slots(&mut self) {
        let title = "no replication slot is lost";
        let Some(observation) = self.subject.observation else {
            let outcome = CheckOutcome::skipped("the master did not answer");
            return self.decided("slots", title, outcome);
        };
        let lost = |slot| status::slots::lost(slot, self.subject.pods);
        let lost: Vec<String> = observation.slots.iter().filter_map(lost).collect();
        let outcome = if lost.is_empty() {
            CheckOutcome::passed(text::counted(observation.slots.len(), "slot"))
        } else {
            CheckOutcome::failed(lost.join("; "))
        };
        self.decided("slots", title, outcome);
    }

    fn login(&mut self, client: &str) -> Result<(), ScriptError> {
        let (user, database) = (self.subject.user, self.subject.database);
        let connect = Connection {
            host: &self.subject.set.master(),
            user,
            password: self.subject.user_password,
            database,
            verified: self.subject.verified,
            address: None,
        }
        .connect()?;
        let sql = connect
            + "select row_to_json(r) from (select 'login' as kind, current_user::text as \"user\", current_database()::text as database) r;\n";
        let title = format!("{user} can log in to {database}");
        self.script("login", title, client, &sql, Probe::Login { user: user.to_owned() });
        Ok(())
    }

    fn superuser(&self, host: &str) -> Result<String, ScriptError> {
        self.connection(host, None).connect()
    }

    /// The `\connect` line for one pod, by the pod's DNS name. With TLS it uses the name of the replica
    /// Service and the pod's address, because every certificate contains that name.
    fn pod(&self, pod: &PodFacts) -> Result<String, ScriptError> {
        if self.subject.verified {
            return self.connection(&self.subject.set.replica(), Some(&pod.ip)).connect();
        }
        self.superuser(&format!("{}.{}", pod.name, self.subject.set.name))
    }

    fn connection<'b>(&'b self, host: &'b str, address: Option<&'b str>) -> Connection<'b> {
        Connection {
            host,
            user: SUPERUSER,
            password: self.subject.superuser_password,
            database: DATABASE,
            verified: self.subject.verified,
            address,
        }
    }

    /// Checks that a Service presents a valid certificate and refuses connections without TLS.
    fn tls(&mut self, service: &str, client: &str) -> Result<(), ScriptError> {
        let verified = self.superuser(service)?;
        let plain = self.connection(service, None).plain()?;
        let sql = format!(
            "{verified}select row_to_json(r) from (select 'tls' as kind, ssl, version from pg_stat_ssl where pid = pg_backend_pid()) r;\n{plain}select row_to_json(r) from (select 'plain' as kind) r;\n"
        );
        let title =
            format!("{service} has a valid certificate and refuses connections without TLS");
        let probe = Probe::Tls { service: service.to_owned() };
        self.script(&format!("tls/{service}"), title, client, &sql, probe);
        Ok(())
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

    fn decided(&mut self, id: &str, title: &str, outcome: CheckOutcome) {
        self.checks.push(Check {
            id: id.to_owned(),
            title: title.to_owned(),
            stage: Stage::First,
            script: None,
            probe: Probe::Decided(outcome),
            needs: None,
        });
    }
}

#[cfg(test)]
mod tests;
