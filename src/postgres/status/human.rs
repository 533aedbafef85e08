//! The status for people: problems first, then tables that fit the terminal.

use std::fmt::Write as _;
use std::time::Duration;

use console::style;

use super::{Health, ReplicaStatus, ServiceFacts, Status};
use crate::postgres::table::{clean, render, wrap};
use crate::text;

/// Formats the status. `width` is in columns; `color` enables ANSI colours.
#[must_use]
pub fn human(status: &Status, width: usize, color: bool) -> String {
    let health = match status.health {
        Health::Healthy => style("healthy").green(),
        Health::Degraded => style("degraded").yellow(),
        Health::Down => style("down").red(),
    };
    let mut text =
        format!("{}/{} is {}", status.namespace, status.set, health.force_styling(color));
    if let Some(version) = &status.postgres_version {
        let _ = write!(text, ", PostgreSQL {version}");
    }
    if let Some(number @ 1..) = status.synchronous {
        let replicas = if number == 1 { "replica" } else { "replicas" };
        let _ = write!(text, ", {number} {replicas} must confirm each commit");
    }
    text.push('\n');
    if let Some(tls) = &status.tls {
        let _ = writeln!(text, "  {}", wrap(&clean(&tls.line()), 2, width));
    }
    for problem in &status.problems {
        let mark = style("✗").red().force_styling(color);
        let _ = writeln!(text, "  {mark} {}", wrap(&clean(problem), 4, width));
    }
    section(
        &mut text,
        "pods",
        color,
        &["NAME", "LABEL", "POSTGRESQL", "READY", "STATE", "RESTARTS", "AGE", "NODE", "IMAGE"],
        &pods(status),
        width,
    );
    section(
        &mut text,
        "replication",
        color,
        &["REPLICA", "STATE", "SYNC", "BEHIND", "DELAY", "REPLAYED"],
        &replication(status),
        width,
    );
    section(&mut text, "slots", color, &["NAME", "KIND", "USED", "KEEPS"], &slots(status), width);
    section(
        &mut text,
        "services",
        color,
        &["NAME", "ADDRESS", "PORT", "ENDPOINTS"],
        &services(status),
        width,
    );
    section(
        &mut text,
        "volumes",
        color,
        &["CLAIM", "PHASE", "CAPACITY", "CLASS", "VOLUME", "PODS"],
        &volumes(status),
        width,
    );
    text
}

fn section(
    text: &mut String,
    title: &str,
    color: bool,
    headings: &[&str],
    rows: &[Vec<String>],
    width: usize,
) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", style(title).bold().force_styling(color));
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    text.push_str(&render(headings, &rows, width));
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

fn pods(status: &Status) -> Vec<Vec<String>> {
    let row = |pod: &super::PodFacts| {
        let role = match pod.in_recovery {
            Some(true) => "replica",
            Some(false) => "master",
            None => "-",
        };
        vec![
            pod.name.clone(),
            or_dash(pod.role_label.map(super::Role::name)),
            role.to_owned(),
            if pod.ready { "yes" } else { "no" }.to_owned(),
            pod.state.clone(),
            pod.restarts.to_string(),
            age(pod.age),
            or_dash(pod.node.as_deref()),
            pod.image.clone(),
        ]
    };
    status.pods.iter().map(row).collect()
}

fn replication(status: &Status) -> Vec<Vec<String>> {
    let row = |replica: &ReplicaStatus| {
        let row = replica.row.as_ref();
        let outside = || row.map_or("-".to_owned(), |row| format!("({})", row.application_name));
        let state = match (replica.clone_percent, row) {
            (Some(percent), None) => format!("cloning {percent:.0} %"),
            (_, Some(row)) => row.state.clone(),
            (None, None) => "not connected".to_owned(),
        };
        vec![
            replica.pod.clone().unwrap_or_else(outside),
            state,
            or_dash(row.map(|row| row.sync_state.as_str())),
            row.and_then(|row| row.lag_bytes).map_or("-".to_owned(), text::size),
            row.and_then(|row| row.replay_lag).map_or("-".to_owned(), delay),
            row.and_then(|row| row.replay_lsn).map_or("-".to_owned(), |lsn| lsn.to_string()),
        ]
    };
    status.replication.iter().map(row).collect()
}

fn slots(status: &Status) -> Vec<Vec<String>> {
    let row = |slot: &crate::postgres::replication::SlotRow| {
        vec![
            slot.name.clone(),
            slot.kind.clone(),
            if slot.active { "yes" } else { "no" }.to_owned(),
            slot.retained_bytes.map_or("-".to_owned(), text::size),
        ]
    };
    status.slots.iter().map(row).collect()
}

fn services(status: &Status) -> Vec<Vec<String>> {
    let row = |service: &ServiceFacts| {
        let names = service.endpoints.iter().map(|e| e.pod.as_deref().unwrap_or(&e.address));
        let endpoints = names.collect::<Vec<_>>().join(", ");
        vec![
            service.name.clone(),
            service.cluster_ip.clone(),
            service.port.to_string(),
            if endpoints.is_empty() { "none".to_owned() } else { endpoints },
        ]
    };
    status.services.iter().map(row).collect()
}

fn volumes(status: &Status) -> Vec<Vec<String>> {
    let row = |volume: &super::VolumeFacts| {
        vec![
            volume.claim.clone(),
            volume.phase.clone(),
            volume.capacity.clone(),
            or_dash(volume.class.as_deref()),
            or_dash(volume.volume.as_deref()),
            or_dash(Some(&volume.pods.join(", "))),
        ]
    };
    status.volumes.iter().map(row).collect()
}

/// `5s`, `3m`, `2h`, `4d`, as in kubectl.
fn age(age: Duration) -> String {
    match age.as_secs() {
        s @ 0..120 => format!("{s}s"),
        s @ 120..7200 => format!("{}m", s / 60),
        s @ 7200..172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86400),
    }
}

fn delay(delay: Duration) -> String {
    match delay.as_millis() {
        0 => "< 1 ms".to_owned(),
        ms @ 1..10_000 => format!("{ms} ms"),
        _ => format!("{:.0} s", delay.as_secs_f64()),
    }
}
