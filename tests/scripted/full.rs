//! Standard output that can't be written: a full disk is an error, a closed pipe is not.

use crate::support::pgset::Pgset;
use crate::support::server::Server;

/// Runs a call in a shell with this text after it. Returns the exit code of the call and its standard error.
async fn shell(call: &Pgset, after: &str) -> (Option<i32>, String) {
    // The shell is bash for the exit code of a call before a pipe.
    let line = format!("{} {after}; exit ${{PIPESTATUS[0]}}", call.shell_line());
    let output = tokio::process::Command::new("bash").args(["-c", &line]).output().await;
    let output = output.expect("bash runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Commands whose product is standard output, and those that write events there.
const LINES: [&str; 12] = [
    "render",
    "env",
    "env -o json",
    "completions bash",
    "man",
    "--help",
    "up --help",
    "--version",
    "status -o json",
    "up --no-wait -o json",
    "up --no-wait --dry-run=client -o json",
    "down --yes -o json",
];

#[tokio::test]
async fn a_full_disk_is_an_error_of_every_command() {
    for line in LINES {
        let server = Server::start().await;
        let call = super::pgset(&server, line).env("PGSET_STORAGE", "class");
        let (code, stderr) = shell(&call, ">/dev/full").await;
        assert_eq!(code, Some(1), "{line}: {stderr}");
        assert!(stderr.contains("No space left on device"), "{line}: {stderr}");
        assert!(stderr.contains("standard output"), "{line}: {stderr}");
    }
}

#[tokio::test]
async fn a_reader_that_has_read_enough_is_no_error() {
    for line in LINES {
        let server = Server::start().await;
        let call = super::pgset(&server, line).env("PGSET_STORAGE", "class");
        let (code, stderr) = shell(&call, "| true").await;
        assert!(!stderr.to_lowercase().contains("broken pipe"), "{line}: {stderr}");
        assert!(!stderr.contains("standard output"), "{line}: {stderr}");
        // There is no set.
        let expected = i32::from(line.starts_with("status"));
        assert_eq!(code, Some(expected), "{line}: {stderr}");
    }
}

/// clap writes the script itself.
#[tokio::test]
async fn the_script_of_completions_is_no_exception() {
    let call = Pgset::new("").env("COMPLETE", "bash");
    let (code, stderr) = shell(&call, ">/dev/full").await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("standard output could not be written: No space"), "{stderr}");
    let (code, stderr) = shell(&call, "| true").await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

/// The event with the reason is lost, too.
#[tokio::test]
async fn the_reason_of_a_failure_is_shown_although_its_event_is_lost() {
    let server = Server::start().await;
    let call = super::pgset(&server, "scale --replicas 3 -o json");
    let (code, stderr) = shell(&call, ">/dev/full").await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("there is no set pgset"), "{stderr}");
    assert!(stderr.contains("the command failed, and some of its events"), "{stderr}");
}
