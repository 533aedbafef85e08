//! The status for people: problems first, then tables that fit the terminal.

use std::fmt::Write as _;
use std::time::Duration;

use console::style;

use super::{Health, PodFacts, ReplicaStatus, ServiceFacts, Status};
use crate::postgres::measurements::Measurements;
use crate::text::table::{Column, Table, clean, wrap};
use crate::text::{self, wrap_hanging};

/// How the status is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// The width of the terminal; `None` if the output is not a terminal: no line is wrapped, no column is
    /// dropped.
    pub width: Option<usize>,
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Whether to show every column, even if the rows become blocks of lines.
    pub wide: bool,
}

/// The rank of a column that is shown only in the wide view.
const WIDE: u8 = u8::MAX;

/// Headings and ranks: see [`Column`].
const PODS: [(&str, u8); 9] = [
    ("NAME", 0),
    ("LABEL", 2),
    ("POSTGRESQL", 0),
    ("READY", 1),
    ("STATE", 0),
    ("RESTARTS", 3),
    ("AGE", 4),
    ("NODE", WIDE),
    ("IMAGE", WIDE),
];
const REPLICATION: [(&str, u8); 6] =
    [("REPLICA", 0), ("STATE", 0), ("SYNC", 2), ("BEHIND", 1), ("DELAY", 3), ("REPLAYED", 4)];
const SLOTS: [(&str, u8); 6] =
    [("NAME", 0), ("KIND", 2), ("USED", 1), ("KEEPS", 0), ("WAL", WIDE), ("LOST AFTER", WIDE)];
const TABLESPACES: [(&str, u8); 3] = [("NAME", 0), ("LOCATION", 0), ("SIZE", 1)];
const SERVICES: [(&str, u8); 4] = [("NAME", 0), ("ADDRESS", 1), ("PORT", 2), ("ENDPOINTS", 0)];
const VOLUMES: [(&str, u8); 8] = [
    ("CLAIM", 0),
    ("PHASE", 0),
    ("CAPACITY", 2),
    ("USED", WIDE),
    ("FREE", 1),
    ("CLASS", 4),
    ("VOLUME", WIDE),
    ("PODS", 3),
];
/// What was measured in each server, in the wide view only.
const SERVERS: [(&str, u8); 9] = [
    ("POD", WIDE),
    ("PG_WAL", WIDE),
    ("KEPT BY", WIDE),
    ("TRANSACTION IDS", WIDE),
    ("MULTIXACT IDS", WIDE),
    ("OLDEST TRANSACTION", WIDE),
    ("OLDEST PREPARED", WIDE),
    ("CHECKSUM FAILURES", WIDE),
    ("OLD COLLATIONS", WIDE),
];

/// Formats the status.
#[must_use]
pub fn human(status: &Status, view: View) -> String {
    let width = view.width.unwrap_or(usize::MAX);
    let mut text = wrap_hanging(&head(status, view.color), 2, width);
    text.push('\n');
    let images = images(status);
    if images.len() > 1 {
        let of = |(image, pods): &(&str, Vec<&str>)| format!("{image} ({})", pods.join(", "));
        let images = images.iter().map(of).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  {}", wrap(&clean(&format!("images: {images}")), 4, width));
    }
    if let Some(line) = status.master.as_ref().and_then(super::MasterStatus::line) {
        let _ = writeln!(text, "  {}", wrap(&clean(&line), 4, width));
    }
    if let Some(tls) = &status.tls {
        let _ = writeln!(text, "  {}", wrap(&clean(&tls.line()), 4, width));
    }
    for problem in &status.problems {
        let mark = style("✗").red().force_styling(view.color);
        let _ = writeln!(text, "  {mark} {}", wrap(&clean(problem), 4, width));
    }
    // What starts a set without pods is in the first line.
    if let Some(hint) = status.hint.as_ref().filter(|_| status.state.next().is_none()) {
        let label = style("hint:").cyan().bold().force_styling(view.color);
        let _ = writeln!(text, "  {label} {}", wrap(&clean(hint), 8, width));
    }
    for warning in &status.warnings {
        let label = style("warning:").yellow().bold().force_styling(view.color);
        let _ = writeln!(text, "  {label} {}", wrap(&clean(warning), 4, width));
    }
    if let Some(message) = super::previous_template(&status.previous_template) {
        let _ = writeln!(text, "  {}", wrap(&clean(&message), 4, width));
    }
    section(&mut text, "pods", view, &PODS, &pods(status));
    section(&mut text, "replication", view, &REPLICATION, &replication(status));
    section(&mut text, "slots", view, &SLOTS, &slots(status));
    section(&mut text, "tablespaces", view, &TABLESPACES, &tablespaces(status));
    section(&mut text, "services", view, &SERVICES, &services(status));
    let mut columns = VOLUMES;
    if status.volumes.iter().all(|volume| volume.space.is_none()) {
        columns.iter_mut().filter(|(name, _)| *name == "FREE").for_each(|(_, rank)| *rank = WIDE);
    }
    section(&mut text, "volumes", view, &columns, &volumes(status));
    if view.wide {
        section(&mut text, "servers", view, &SERVERS, &servers(status));
    }
    text
}

/// `demo/pgset is healthy, PostgreSQL 17.12 (postgres:17), commits wait for 1 replica`.
fn head(status: &Status, color: bool) -> String {
    let health = match status.health {
        Health::Healthy => style("healthy").green(),
        Health::Degraded => style("degraded").yellow(),
        Health::Down => style("down").red(),
        Health::Stopped => style("stopped").yellow(),
    };
    let mut text =
        format!("{}/{} is {}", status.namespace, status.set, health.force_styling(color));
    if let Some((command, what)) = status.state.next() {
        let state = clean(&status.state.to_string());
        // What the first word has not told.
        let rest = match state.strip_prefix(status.health.name()) {
            Some(rest) => rest.to_owned(),
            None => format!("; {state}"),
        };
        let _ = write!(text, "{rest}; `{command}` {what}");
        return text;
    }
    if let Some(version) = &status.postgres_version {
        let _ = write!(text, ", PostgreSQL {version}");
    }
    if let [(image, _)] = images(status).as_slice() {
        let _ = write!(text, " ({})", clean(image));
    }
    if let Some(number @ 1..) = status.synchronous {
        let replicas = if number == 1 { "replica" } else { "replicas" };
        let _ = write!(text, ", {number} {replicas} must confirm each commit");
    }
    text
}

/// The images, each with its pods.
fn images(status: &Status) -> Vec<(&str, Vec<&str>)> {
    let mut images: Vec<(&str, Vec<&str>)> = Vec::new();
    for pod in status.pods.iter().filter(|pod| !pod.image.is_empty()) {
        match images.iter_mut().find(|(image, _)| *image == pod.image) {
            Some((_, pods)) => pods.push(&pod.name),
            None => images.push((&pod.image, vec![&pod.name])),
        }
    }
    images
}

fn section(
    text: &mut String,
    title: &str,
    view: View,
    columns: &[(&'static str, u8)],
    rows: &[Vec<String>],
) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", style(title).bold().force_styling(view.color));
    let shown = |rank: u8| view.wide || rank != WIDE;
    let cells = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).filter(|(_, (_, rank))| shown(*rank));
        cells.map(|(cell, _)| clean(cell)).collect()
    };
    let column = |(heading, rank): (&'static str, u8)| {
        // In the wide view every column was asked for.
        let rank = if view.wide { 0 } else { rank };
        Column { heading, rank }
    };
    let table = Table {
        columns: columns.iter().copied().filter(|(_, rank)| shown(*rank)).map(column).collect(),
        rows: rows.iter().map(cells).collect(),
        indent: 2,
    };
    text.push_str(&table.render(view.width));
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

fn pods(status: &Status) -> Vec<Vec<String>> {
    let row = |pod: &PodFacts| {
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
        let lag = replica.lag.as_ref();
        let paused = if lag.is_some_and(|lag| lag.paused) { ", paused" } else { "" };
        let behind = lag.and_then(|lag| lag.bytes).or(row.and_then(|row| row.lag_bytes));
        vec![
            replica.pod.clone().unwrap_or_else(outside),
            format!("{state}{paused}"),
            or_dash(row.map(|row| row.sync_state.as_str())),
            behind.map_or("-".to_owned(), text::size),
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
            or_dash(slot.wal_status.as_deref()),
            slot.safe_wal_bytes.map_or("-".to_owned(), text::size),
        ]
    };
    status.slots.iter().map(row).collect()
}

fn tablespaces(status: &Status) -> Vec<Vec<String>> {
    let row = |tablespace: &super::Tablespace| {
        let bytes = tablespace.bytes.map_or("-".to_owned(), text::size);
        vec![tablespace.name.clone(), tablespace.location.clone(), bytes]
    };
    status.tablespaces.iter().map(row).collect()
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
            volume.space.map_or("-".to_owned(), |space| text::size(space.used_bytes)),
            volume.space.map_or("-".to_owned(), |space| {
                format!("{} ({} %)", text::size(space.free_bytes), space.free_percent())
            }),
            or_dash(volume.class.as_deref()),
            or_dash(volume.volume.as_deref()),
            or_dash(Some(&volume.pods.join(", "))),
        ]
    };
    status.volumes.iter().map(row).collect()
}

fn servers(status: &Status) -> Vec<Vec<String>> {
    let measured =
        |pod: &PodFacts| Some((pod.name.clone(), pod.is_writable(), pod.measurements.clone()?));
    let seconds = |seconds: f64| age(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let row = |(pod, is_master, m): (String, bool, Measurements)| {
        let dash = || "-".to_owned();
        vec![
            pod,
            m.wal_bytes.map_or_else(dash, text::size),
            if is_master { kept_by(status, m.wal_keep_bytes.min(m.wal_bytes)) } else { dash() },
            m.transaction_ids.map_or_else(dash, |oldest| oldest.age.to_string()),
            m.multixact_ids.map_or_else(dash, |oldest| oldest.age.to_string()),
            m.oldest_transaction.map_or_else(dash, |oldest| seconds(oldest.seconds)),
            m.oldest_prepared.map_or_else(dash, |oldest| seconds(oldest.seconds)),
            m.checksum_failures.map_or(0, |found| found.failures).to_string(),
            m.collations.len().to_string(),
        ]
    };
    status.pods.iter().filter_map(measured).map(row).collect()
}

/// What keeps most of the master's WAL: `slot pgset_1 (3 GiB)`. Less than this is there until the next checkpoints.
fn kept_by(status: &Status, wal_keep: Option<u64>) -> String {
    let slots =
        status.slots.iter().map(|slot| (slot.retained_bytes, format!("slot {}", slot.name)));
    let all = slots.chain([(wal_keep, "wal_keep_size".to_owned())]);
    let most = all.filter_map(|(bytes, what)| Some((bytes.filter(|bytes| *bytes > 0)?, what)));
    let most = most.max_by_key(|(bytes, _)| *bytes);
    most.map_or("-".to_owned(), |(bytes, what)| format!("{what} ({})", text::size(bytes)))
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

#[cfg(test)]
mod tests;
