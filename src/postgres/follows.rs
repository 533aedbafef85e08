//! What a pod knows about the topology, and what its server follows now: two files, read by exec.

use super::psql::ExecOutput;
use crate::set::Knowledge;

/// The command that prints both files, and whether the server is one in recovery. None needs a server that answers.
const PRINT: &str = r#"printf 'knows %s\n' "$(cat "${PGDATA:-/pgdata}.role" 2>/dev/null)"
printf 'follows %s\n' "$(cat "${PGSET_RUN:-/run/pgset}/topology" 2>/dev/null)"
[ ! -e "${PGDATA:-/pgdata}/standby.signal" ] || echo standby"#;

/// The command to run in a pod.
#[must_use]
pub fn argv() -> Vec<String> {
    ["bash", "-c", PRINT].map(str::to_owned).to_vec()
}

/// What a pod tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Follows {
    /// What it knows. `None` if it has not been a master, nor been compared with one.
    pub knows: Option<Knowledge>,
    /// The master that it follows, or itself: a name, `none`, or `unknown` if it does not follow the topology.
    pub master: Option<String>,
    /// The epoch of that master.
    pub epoch: Option<u64>,
    /// Whether its directory is that of a standby: only a promotion makes it writable.
    pub is_standby: bool,
}

impl Follows {
    /// Reads the output of [`argv`]. The error is a message for the user.
    pub fn parse(output: &ExecOutput) -> Result<Self, String> {
        let line = |word: &str| {
            let mut lines = output.stdout.lines();
            lines.find_map(|line| line.strip_prefix(word).map(str::trim))
        };
        let (Some(knows), Some(follows)) = (line("knows"), line("follows")) else {
            let trouble = output.trouble().map(|trouble| trouble.to_string());
            return Err(trouble.unwrap_or_else(|| "it printed nothing".to_owned()));
        };
        let mut words = follows.split_ascii_whitespace();
        let master = words.next().map(str::to_owned);
        let epoch = words.next().and_then(|word| word.parse().ok());
        let is_standby = line("standby").is_some();
        Ok(Self { knows: Knowledge::parse(knows), master, epoch, is_standby })
    }

    /// Whether it follows no master, because it knows a later epoch than the topology had when it started.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.master.as_deref() == Some("unknown")
    }

    /// Whether it follows this master, or is it.
    #[must_use]
    pub fn is_with(&self, known: &Knowledge) -> bool {
        self.master.as_ref() == Some(&known.master) && self.epoch == Some(known.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(stdout: &str) -> Result<Follows, String> {
        let stdout = stdout.to_owned();
        Follows::parse(&ExecOutput { stdout, exit_code: Some(0), ..ExecOutput::default() })
    }

    #[test]
    fn what_a_pod_knows_and_what_it_follows_are_read() {
        let it = parsed("knows 7 2 pgset-1\nfollows pgset-1 2 3 7\n").unwrap();
        let known = it.knows.clone().unwrap();
        assert!(it.is_with(&known));
        assert!(!it.is_standby && !it.is_lost());
        let it = parsed("knows 7 2 pgset-1\nfollows unknown 2 0 \nstandby\n").unwrap();
        assert!(!it.is_with(&known) && it.is_lost() && it.is_standby);
        // A pod of an older pgset, or without data.
        assert_eq!(parsed("knows \nfollows \n").unwrap(), Follows::default());
        assert!(parsed("").is_err());
    }
}
