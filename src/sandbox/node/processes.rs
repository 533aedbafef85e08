//! Processes: started in groups of their own, asked to end, and found again by a mark in their
//! environment when the sandbox that started them is gone.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

use super::super::place::Place;

/// The variable that marks a process as one of a sandbox's, with its directory and the pod.
pub const MARK: &str = "PGSET_SANDBOX";

/// How often it is looked whether processes have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks a process to end.
pub(super) fn ask(pid: Pid, signal: Signal) {
    // It may have ended just now.
    let _ = kill_process(pid, signal);
}

/// Ends a group of processes at once.
pub fn kill_group(pid: Pid) {
    let _ = kill_process_group(pid, Signal::KILL);
}

/// Ends at once every process of a sandbox that is gone.
pub fn kill_all(place: &Place) {
    kill_below(place.directory());
}

/// Ends at once every process of a pod: those that left its groups, too.
pub(super) fn kill_pod(root: &Path) {
    kill_below(root);
}

fn kill_below(directory: &Path) {
    // Once more for those that were being started meanwhile.
    for _ in 0..50 {
        let found = below(directory);
        if found.is_empty() {
            return;
        }
        for pid in &found {
            let _ = kill_process(*pid, Signal::KILL);
        }
        while found.iter().any(|pid| test_kill_process(*pid).is_ok() && !is_zombie(*pid)) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// The processes of a sandbox, or of a pod, by its directory: those with its mark, all that these have
/// started, and servers whose data is there. PostgreSQL's children write their titles over the mark, and
/// outlive for a moment a server that was killed.
fn below(directory: &Path) -> Vec<Pid> {
    let mark = format!("{MARK}={}/", directory.display());
    let own = rustix::process::getpid();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<(Pid, i32)> = pids
        .filter_map(Pid::from_raw)
        .filter_map(|pid| Some((pid, parent_of_the_living(pid)?)))
        .collect();
    let is_own = |pid: Pid| is_marked(pid, &mark) || is_server_in(pid, directory);
    let mut found: BTreeSet<i32> = BTreeSet::new();
    found.extend(
        all.iter().filter(|(pid, _)| is_own(*pid)).map(|(pid, _)| pid.as_raw_nonzero().get()),
    );
    loop {
        let before = found.len();
        let started = all.iter().filter(|(_, parent)| found.contains(parent));
        let started: Vec<i32> = started.map(|(pid, _)| pid.as_raw_nonzero().get()).collect();
        found.extend(started);
        if found.len() == before {
            break;
        }
    }
    found.remove(&own.as_raw_nonzero().get());
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// Other users' processes can't be read, and are not ours.
fn is_marked(pid: Pid, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    environment.is_ok_and(|text| {
        text.split(|byte| *byte == 0).any(|entry| entry.starts_with(mark.as_bytes()))
    })
}

/// A server works in its data directory.
fn is_server_in(pid: Pid, directory: &Path) -> bool {
    let link = |name: &str| std::fs::read_link(format!("/proc/{}/{name}", pid.as_raw_nonzero()));
    link("exe").is_ok_and(|program| program.file_name() == Some("postgres".as_ref()))
        && link("cwd").is_ok_and(|cwd| cwd.starts_with(directory))
}

/// The number of a process's parent, 0 if it has none here; nothing when the process is gone, or ended and
/// not yet waited for.
fn parent_of_the_living(pid: Pid) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}

fn is_zombie(pid: Pid) -> bool {
    parent_of_the_living(pid).is_none()
}
