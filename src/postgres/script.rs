//! The script that the pods of the official image run: how to call it in a running pod.

use std::time::Duration;

use super::psql::ExecOutput;
use super::replication::Lsn;
use crate::set::transition::End;

/// The time limit for the shutdown of the master. The script kills a server that gives no answer.
pub const STOP_WITHIN: Duration = Duration::from_secs(300);
/// The time limit for a promotion, which waits for 60 s itself.
pub const PROMOTE_WITHIN: Duration = Duration::from_secs(90);
/// The time limit of what only writes files.
pub const FILES_WITHIN: Duration = Duration::from_secs(60);

/// The subcommand that fences a pod. Without the id of a transition it does nothing but say so.
pub const FENCE: &str = "fence";

/// Whether the output of `call(FENCE)` is that of a script which knows the subcommand.
#[must_use]
pub fn knows_fences(output: &ExecOutput) -> bool {
    trouble(&output.stderr).starts_with("fence: ")
}

/// The command that calls the script with a subcommand and its arguments. No argument contains a space or a quote.
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

/// How the server of a fenced pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a shutdown: its last record is the shutdown checkpoint.
    Cleanly,
    /// It ran as a standby, because its pod was created again meanwhile.
    AsStandby,
    /// It was killed.
    Killed,
    /// Its files can't be read any more: where its WAL ends is not known.
    Lost,
}

/// The proof that a fenced server writes no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Where its WAL ends.
    pub end: End,
    /// How it ended.
    pub ended: Ended,
    /// PostgreSQL's system identifier.
    pub system_identifier: String,
    /// The UID of the pod.
    pub uid: String,
}

impl Proof {
    /// Reads the output of `call("fence ID")`. The error is a message for the user.
    pub fn parse(output: &ExecOutput) -> Result<Self, String> {
        let parsed = || {
            let mut words = output.stdout.lines().last()?.split(' ');
            let position = Lsn::parse(words.next()?)?;
            let timeline = words.next()?.parse().ok()?;
            let ended = match words.next()? {
                "clean" => Ended::Cleanly,
                "standby" => Ended::AsStandby,
                "crashed" => Ended::Killed,
                "lost" => Ended::Lost,
                _ => return None,
            };
            let system_identifier = words.next()?.to_owned();
            let uid = words.next()?.to_owned();
            Some(Self { end: End { position, timeline }, ended, system_identifier, uid })
        };
        match output.exit_code {
            Some(0) => parsed().ok_or_else(|| "it did not print the expected output".to_owned()),
            _ => Err(trouble(&output.stderr)),
        }
    }
}

/// Reads the output of `call("promote EPOCH")`: the new timeline. The error is a message for the user.
pub fn promoted(output: &ExecOutput) -> Result<u32, String> {
    match (output.exit_code, output.stdout.lines().last().and_then(|line| line.parse().ok())) {
        (Some(0), Some(timeline)) => Ok(timeline),
        _ => Err(trouble(&output.stderr)),
    }
}

/// What a replica has, once it receives no more WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detached {
    /// Its last record. `None` if it has no data.
    pub end: Option<End>,
    /// When it last heard from the master: seconds since 1970.
    pub contact: Option<i64>,
}

impl Detached {
    /// Reads the output of `call("detach ID EPOCH")`. The error is a message for the user.
    pub fn parse(output: &ExecOutput) -> Result<Self, String> {
        let parsed = || {
            let mut words = output.stdout.lines().last()?.split(' ');
            let position = Lsn::parse(words.next()?)?;
            let timeline = words.next()?.parse().ok()?;
            let contact = words.next()?.parse().ok()?;
            let end = (timeline > 0).then_some(End { position, timeline });
            Some(Self { end, contact: (contact > 0).then_some(contact) })
        };
        match output.exit_code {
            Some(0) => parsed().ok_or_else(|| "it did not print the expected output".to_owned()),
            _ => Err(trouble(&output.stderr)),
        }
    }
}

/// Reads the output of a call that prints nothing. The error is a message for the user.
pub fn done(output: &ExecOutput) -> Result<(), String> {
    if output.exit_code == Some(0) { Ok(()) } else { Err(trouble(&output.stderr)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_says_where_the_wal_ends_and_how() {
        let said = |code, stdout: &str, stderr: &str| ExecOutput {
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            exit_code: Some(code),
        };
        for (word, ended) in [
            ("clean", Ended::Cleanly),
            ("standby", Ended::AsStandby),
            ("crashed", Ended::Killed),
            ("lost", Ended::Lost),
        ] {
            let proof = Proof::parse(&said(0, &format!("0/3000028 2 {word} 77 uid-1\n"), ""));
            let proof = proof.unwrap();
            assert_eq!(proof.end, End { position: Lsn(0x300_0028), timeline: 2 });
            assert_eq!((proof.ended, proof.uid.as_str()), (ended, "uid-1"));
            assert_eq!(proof.system_identifier, "77");
        }
        for stdout in ["", "0/3000028 2 clean 77", "0/3000028 2 other 77 uid-1", "2 clean 77 uid"] {
            assert!(Proof::parse(&said(0, stdout, "")).is_err(), "{stdout:?}");
        }
        let refused = said(29, "", "x\nbootstrap: error: it is fenced by the transition t2\n");
        let why = Proof::parse(&refused).unwrap_err();
        assert_eq!(why, "it is fenced by the transition t2");
        assert!(knows_fences(&said(2, "", "bootstrap: error: fence: the id of it is missing\n")));
        let old =
            said(2, "", "bootstrap: error: no such subcommand: fence (serve, ready, alive)\n");
        assert!(!knows_fences(&old));
        assert_eq!(promoted(&said(0, "3\n", "")), Ok(3));
        assert_eq!(promoted(&refused).unwrap_err(), why);
        assert_eq!((done(&said(0, "", "")), done(&refused)), (Ok(()), Err(why)));
    }

    #[test]
    fn a_detached_replica_says_what_it_has() {
        let said = |stdout: &str| {
            let stdout = stdout.to_owned();
            Detached::parse(&ExecOutput { stdout, exit_code: Some(0), ..ExecOutput::default() })
        };
        let end = Some(End { position: Lsn(0x300_0060), timeline: 2 });
        assert_eq!(
            said("0/3000060 2 1764500000\n"),
            Ok(Detached { end, contact: Some(1_764_500_000) })
        );
        assert_eq!(said("x\n0/0 0 0\n"), Ok(Detached { end: None, contact: None }));
        assert!(said("0/3000060 2\n").is_err() && said("").is_err());
    }

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
