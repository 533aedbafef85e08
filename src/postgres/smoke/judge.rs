//! Judges the answers of psql to the checks.

use serde_json::Value;

use super::{Check, CheckOutcome, DATABASE, Probe, Ran};
use crate::postgres::connections;
use crate::postgres::psql::ExecOutput;
use crate::postgres::replication::{ByPod, Observation};
use crate::set::SetIdentity;

/// Judges the result of a check. It ignores `ran` if the check has no script. `max_connections` is the master's value,
/// if known.
#[must_use]
pub fn evaluate(
    check: &Check,
    set: &SetIdentity,
    max_connections: Option<u32>,
    ran: &Ran,
) -> CheckOutcome {
    if let Probe::Decided(outcome) = &check.probe {
        return outcome.clone();
    }
    let output = match ran {
        Ran::Ended(output) => output,
        Ran::NotRun(reason) => {
            return CheckOutcome::failed(format!("psql could not be run: {reason}"));
        }
    };
    let row = |kind: &str| {
        output.rows().find(|row| row.get("kind").and_then(Value::as_str) == Some(kind))
    };
    if let Probe::ReadOnly = check.probe {
        return read_only(output, row("server").as_ref(), &set.replica(), max_connections);
    }
    if let Probe::Tls { service } = &check.probe {
        let (encrypted, plain) = (row("tls"), row("plain").is_some());
        return tls(output, encrypted.as_ref(), plain, service, max_connections);
    }
    if let Some(trouble) = output.trouble() {
        let missing = trouble.sqlstate.as_deref() == Some("42P01");
        return match &check.probe {
            Probe::MarkerRead { limit, .. } if missing => {
                CheckOutcome::failed(format!("it did not arrive within {} s", limit.as_secs_f64()))
                    .hint(Some("pgset status shows how far each replica is behind".to_owned()))
            }
            Probe::MarkerClean { table } => {
                let drop =
                    format!("drop table if exists public.{table}; in the database {DATABASE}");
                let full = connections::hint(&trouble.message, max_connections);
                CheckOutcome::failed(trouble.to_string()).hint(Some(match full {
                    Some(full) => format!("{drop}; {full}"),
                    None => drop,
                }))
            }
            Probe::MarkerRead { .. } => CheckOutcome::failed(trouble.to_string())
                .hint(trouble.hint(set.name.as_str(), max_connections)),
            _ => CheckOutcome::failed(trouble.to_string())
                .hint(trouble.hint(&set.master(), max_connections)),
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
                Err(error) => CheckOutcome::failed(error.to_string()),
            };
        }
        Probe::ReadOnly | Probe::Tls { .. } | Probe::Decided(_) => "",
    };
    match row(wanted) {
        Some(row) => answered(&check.probe, &row),
        None => CheckOutcome::failed("psql did not print the expected output"),
    }
}

type Row = serde_json::Map<String, Value>;

fn field<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn answered(probe: &Probe, row: &Row) -> CheckOutcome {
    match probe {
        Probe::MasterService => {
            let address = field(row, "address");
            if row.get("in_recovery").and_then(Value::as_bool) == Some(false) {
                // Packages append a remark: `15.18 (Debian 15.18-0+deb12u1)`.
                let version = field(row, "version").split(' ').next().unwrap_or_default();
                CheckOutcome::passed(format!("PostgreSQL {version} at {address}"))
            } else {
                CheckOutcome::failed(format!("the server at {address} is a replica (in recovery)"))
                    .hint(Some("pgset status  # check which pod has the label master".to_owned()))
            }
        }
        Probe::MarkerWrite => CheckOutcome::passed(format!("at {}", field(row, "address"))),
        Probe::MarkerRead { value, limit } => {
            let waited = row.get("waited").and_then(Value::as_f64).unwrap_or_default();
            if field(row, "marker") != value {
                CheckOutcome::failed("the value read differs from the value written")
            } else if row.get("in_recovery").and_then(Value::as_bool) != Some(true) {
                CheckOutcome::failed("the server is not a replica: it is not in recovery")
            } else {
                CheckOutcome::passed(format!(
                    "after {:.0} ms, limit {} s",
                    waited.max(0.0) * 1000.0,
                    limit.as_secs_f64()
                ))
            }
        }
        Probe::MarkerClean { table } => match row.get("tables").and_then(Value::as_u64) {
            Some(0) => CheckOutcome::passed("its table is dropped"),
            _ => CheckOutcome::failed(format!("the table {table} still exists")),
        },
        Probe::Login { user } if field(row, "user") == user => {
            CheckOutcome::passed(format!("database {}", field(row, "database")))
        }
        Probe::Login { .. } => CheckOutcome::failed(format!("logged in as {}", field(row, "user"))),
        Probe::Replication { .. } | Probe::ReadOnly | Probe::Tls { .. } | Probe::Decided(_) => {
            CheckOutcome::failed("not decided by one row")
        }
    }
}

/// SQLSTATE 25006 is right only from a server in recovery: `default_transaction_read_only` makes a
/// master answer the same.
fn read_only(
    output: &ExecOutput,
    server: Option<&Row>,
    service: &str,
    max_connections: Option<u32>,
) -> CheckOutcome {
    let in_recovery = server.and_then(|row| row.get("in_recovery")?.as_bool());
    let address = server.map_or("a server", |row| field(row, "address"));
    let status = || Some("pgset status: does the Service reach the master?".to_owned());
    match output.trouble() {
        Some(trouble)
            if trouble.sqlstate.as_deref() == Some("25006") && in_recovery == Some(true) =>
        {
            CheckOutcome::passed(format!("create table at {address} failed with SQLSTATE 25006"))
        }
        Some(_) | None if in_recovery == Some(false) => CheckOutcome::failed(format!(
            "{service} reached {address}, which is not in recovery: the master"
        ))
        .hint(status()),
        Some(trouble) => {
            CheckOutcome::failed(trouble.to_string()).hint(trouble.hint(service, max_connections))
        }
        None => CheckOutcome::failed(format!(
            "create table at {address} succeeded (it was rolled back)"
        ))
        .hint(status()),
    }
}

/// First a connection that is verified, then a plain one, which the server must refuse by its rules: any
/// other way to fail proves nothing.
fn tls(
    output: &ExecOutput,
    encrypted: Option<&Row>,
    plain: bool,
    service: &str,
    max_connections: Option<u32>,
) -> CheckOutcome {
    let up = || Some("pgset up: updates certificate and pg_hba.conf of every server".to_owned());
    let Some(encrypted) = encrypted else {
        let trouble = output.trouble().map_or("psql printed nothing".to_owned(), |t| t.to_string());
        let full = connections::hint(&trouble, max_connections);
        return CheckOutcome::failed(trouble).hint(full.or_else(up));
    };
    if encrypted.get("ssl").and_then(Value::as_bool) != Some(true) {
        return CheckOutcome::failed("the connection was not encrypted").hint(up());
    }
    match output.trouble() {
        _ if plain => {
            CheckOutcome::failed(format!("{service} accepts connections without TLS")).hint(up())
        }
        Some(trouble) if trouble.message.contains("pg_hba.conf") => {
            let version = field(encrypted, "version");
            CheckOutcome::passed(format!(
                "{version}, verified (verify-full); without TLS: no entry in pg_hba.conf"
            ))
        }
        Some(trouble) => {
            let reason = format!("the connection without TLS failed for another reason: {trouble}");
            CheckOutcome::failed(reason)
        }
        None => CheckOutcome::failed("psql did not try a connection without TLS"),
    }
}

/// Exactly one streaming row per replica.
fn streaming(observation: &Observation, pods: &[(String, String)]) -> CheckOutcome {
    if observation.in_recovery {
        return CheckOutcome::failed("the queried server is in recovery");
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
    if let Some(confirm) = observation.too_few_confirm() {
        let number = observation.synchronous;
        wrong.push(format!("{number} must confirm each commit, but only {confirm} can"));
    }
    if wrong.is_empty() {
        let waits = match observation.synchronous {
            0 => String::new(),
            number => format!(", {number} must confirm each commit"),
        };
        let most = rows.iter().flat_map(|(_, rows)| rows).filter_map(|row| row.lag_bytes).max();
        let lag = most.map_or(String::new(), |bytes| format!(", at most {bytes} bytes behind"));
        CheckOutcome::passed(format!("{} streaming{lag}{waits}{strangers}", rows.len()))
    } else {
        CheckOutcome::failed(format!("{}{strangers}", wrong.join("; ")))
            .hint(Some("kubectl logs POD shows why it does not stream".to_owned()))
    }
}

fn address_of<'a>(pods: &'a [(String, String)], pod: &str) -> &'a str {
    pods.iter().find(|(name, _)| name == pod).map_or("", |(_, address)| address)
}
