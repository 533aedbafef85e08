//! Processes: starts them in their own groups, ends them, and finds those of a sandbox that no
//! longer runs by a mark in their environment.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

use super::super::place::Place;

/// The variable that marks a sandbox's process. It contains the sandbox's directory and the pod.
pub const MARK: &str = "PGSET_SANDBOX";

/// How often the node checks whether processes have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Sends a signal to a process.
pub(super) fn ask(pid: Pid, signal: Signal) {
    // The process may already have ended.
    let _ = kill_process(pid, signal);
}

/// Kills a process group.
pub fn kill_group(pid: Pid) {
    let _ = kill_process_group(pid, Signal::KILL);
}

/// Kills every process of a sandbox that no longer runs.
pub fn kill_all(place: &Place) {
    kill_below(&[place.directory().to_owned()]);
}

/// Kills every process of pods at once, including those that left their group.
pub(super) fn kill_pods(roots: &[PathBuf]) {
    kill_below(roots);
}

fn kill_below(directories: &[PathBuf]) {
    // Repeat it for processes that were just being started.
    for _ in 0..50 {
        let found = below(directories);
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

/// The processes of a sandbox or of pods, by their directories: those with the mark, their
/// descendants, and servers with data there. PostgreSQL's child processes overwrite the mark with their titles,
/// and may outlive a killed server for a moment.
pub(super) fn below(directories: &[PathBuf]) -> Vec<Pid> {
    let mark = |directory: &PathBuf| format!("{MARK}={}/", directory.display());
    let marks: Vec<String> = directories.iter().map(mark).collect();
    let own = rustix::process::getpid();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<(Pid, i32)> = pids
        .filter_map(Pid::from_raw)
        .filter_map(|pid| Some((pid, parent_of_the_living(pid)?)))
        .collect();
    let is_own = |pid: Pid| is_marked(pid, &marks) || is_server_in(pid, directories);
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

/// Processes of other users can't be read. They are not the sandbox's.
fn is_marked(pid: Pid, marks: &[String]) -> bool {
    let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    environment.is_ok_and(|text| {
        let mut entries = text.split(|byte| *byte == 0);
        entries.any(|entry| marks.iter().any(|mark| entry.starts_with(mark.as_bytes())))
    })
}

/// A server's working directory is its data directory.
fn is_server_in(pid: Pid, directories: &[PathBuf]) -> bool {
    let link = |name: &str| std::fs::read_link(format!("/proc/{}/{name}", pid.as_raw_nonzero()));
    link("exe").is_ok_and(|program| program.file_name() == Some("postgres".as_ref()))
        && link("cwd").is_ok_and(|cwd| directories.iter().any(|there| cwd.starts_with(there)))
}

/// The parent of a process; 0 if the parent is not visible here. None if the process is gone or a
/// zombie.
fn parent_of_the_living(pid: Pid) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The process name, in parentheses, may contain any character.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}

fn is_zombie(pid: Pid) -> bool {
    parent_of_the_living(pid).is_none()
}
