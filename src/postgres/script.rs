//! The script that the pods of the official image run: how to call it in a running pod.

use std::time::Duration;

use super::psql::ExecOutput;
use super::replication::Lsn;

/// The time limit for the shutdown of the master. The script kills a server that gives no answer.
pub const STOP_WITHIN: Duration = Duration::from_secs(300);

/// The command that calls the script with a subcommand.
#[must_use]
pub fn call(subcommand: &str) -> Vec<String> {
    // In pods that an older pgset started, the script lies beside the configuration; in the sandbox, that is
    // another directory.
    let script = format!(
        "script=${{PGSET_SCRIPTS:-/etc/pgset-scripts}}/bootstrap.sh; [ -e \"$script\" ] || \
         script=${{PGSET_ETC:-/etc/pgset}}/bootstrap.sh; exec bash \"$script\" {subcommand}"
    );
    ["bash", "-c", &script].map(str::to_owned).to_vec()
}

/// The last line of the script's error output.
#[must_use]
pub fn trouble(stderr: &str) -> String {
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    last.trim().trim_start_matches("bootstrap: error: ").to_owned()
}

/// What the script said when it was told to stop the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The server has stopped cleanly. Its last record, the shutdown checkpoint, is at this position.
    At(Lsn),
    /// The script of an older pgset, or another image, can't stop its server first.
    NotKnown,
    /// The reason why it has not.
    No(String),
}

impl Stopped {
    /// Reads the output of `call("stop")`.
    #[must_use]
    pub fn parse(output: &ExecOutput) -> Self {
        let unknown = ["no such subcommand", "No such file", "not found"];
        match (output.exit_code, Lsn::parse(output.stdout.lines().last().unwrap_or_default())) {
            (Some(0), Some(position)) => Self::At(position),
            _ if unknown.iter().any(|words| output.stderr.contains(words)) => Self::NotKnown,
            _ => Self::No(trouble(&output.stderr)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_a_position_or_a_reason() {
        let said = |code, stdout: &str, stderr: &str| {
            let output = ExecOutput {
                stdout: stdout.to_owned(),
                stderr: stderr.to_owned(),
                exit_code: Some(code),
            };
            Stopped::parse(&output)
        };
        assert_eq!(said(0, "16/B374D848\n", ""), Stopped::At(Lsn(0x16_B374_D848)));
        let old = "bootstrap: error: no such subcommand: stop (serve, ready, alive)\n";
        assert_eq!(said(2, "", old), Stopped::NotKnown);
        let none = "bash: /etc/pgset/bootstrap.sh: No such file or directory\n";
        assert_eq!(said(127, "", none), Stopped::NotKnown);
        let reason = "bootstrap: error: the server has not stopped cleanly: in production\n";
        let why = "the server has not stopped cleanly: in production".to_owned();
        assert_eq!(said(1, "", reason), Stopped::No(why));
        assert_eq!(said(0, "", ""), Stopped::No("no message".to_owned()));
    }
}
