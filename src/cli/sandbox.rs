//! `pgset sandbox`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

const AFTER_HELP: &str = "\
Examples:
  pgset sandbox start
  export KUBECONFIG=/tmp/pgset-sandbox-1000/kubeconfig  # as start prints it
  pgset up && pgset test && pgset scale --replicas 3 && pgset down
  pgset sandbox stop --delete

Its pods are processes of this machine, with this machine's PostgreSQL
(13 to 18) and libnss-wrapper. It is for trying and testing: to run
something, take a real cluster. Linux only.";

const START_AFTER_HELP: &str = "\
Standard output is one line for a shell:
  eval \"$(pgset sandbox start)\"";

const RUN_AFTER_HELP: &str = "\
Without --directory it is a sandbox of its own, of which nothing is left.

Examples:
  pgset sandbox run -- sh -c 'pgset up && pgset test && pgset down -y'
  pgset sandbox run -- bash   # to look around; exit ends it";

/// Arguments of `pgset sandbox`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct SandboxArgs {
    /// Where it lives [default: /tmp/pgset-sandbox-UID]
    #[arg(long, global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: SandboxCommand,
}

/// What to do with a sandbox.
#[derive(Clone, Debug, Subcommand)]
pub enum SandboxCommand {
    /// Start it in the background; what was in it when it was stopped comes back
    #[command(after_help = START_AFTER_HELP)]
    Start,
    /// Say whether it runs, and where; exit code 1 when it does not
    Status,
    /// Print what it said since it was first started
    Logs,
    /// Stop it and all that runs in it; what is in it stays
    Stop {
        /// Delete what is in it, the data of its volumes included
        #[arg(long)]
        delete: bool,
    },
    /// Start one, run a command with KUBECONFIG set, stop it, and end as the command did
    #[command(after_help = RUN_AFTER_HELP)]
    Run {
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Be the process in the background
    #[command(hide = true)]
    Serve {
        /// Delete the directory at the end
        #[arg(long)]
        passing: bool,
    },
}
