//! Processes: started in groups of their own, asked to end, and found again by a mark in their
//! environment when the sandbox that started them is gone.

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
    kill_marked(&format!("{MARK}={}/", place.directory().display()));
}

/// Ends at once every process of a pod: those that left its groups, too.
pub(super) fn kill_pod(root: &Path) {
    kill_marked(&format!("{MARK}={}/", root.display()));
}

fn kill_marked(mark: &str) {
    // Once more for those that were being started meanwhile.
    for _ in 0..50 {
        let found = marked(mark);
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

fn marked(mark: &str) -> Vec<Pid> {
    let own = rustix::process::getpid();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw)
        .filter(|pid| *pid != own)
        .filter(|pid| {
            // Other users' can't be read, and are not ours.
            let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
            environment.is_ok_and(|text| {
                text.split(|byte| *byte == 0).any(|entry| entry.starts_with(mark.as_bytes()))
            }) && !is_zombie(*pid)
        })
        .collect()
}

fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // The name, in parentheses, may hold anything.
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}
