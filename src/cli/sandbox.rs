//! `pgset sandbox`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

const AFTER_HELP: &str = "\
Examples:
  pgset sandbox start
  export KUBECONFIG=/tmp/pgset-sandbox-1000/kubeconfig  # as start prints it
  pgset up && pgset test && pgset scale --replicas 3 && pgset down
  pgset sandbox stop --delete

The pods run as processes of this machine. PostgreSQL (13 to 18) and
libnss-wrapper must be installed. The sandbox is for trials and tests, not for
production. Linux only.";

const START_AFTER_HELP: &str = "\
Examples:
  pgset sandbox start
  eval \"$(pgset sandbox start)\"   # sets KUBECONFIG in this shell";

const RUN_AFTER_HELP: &str = "\
Examples:
  pgset sandbox run -- sh -c 'pgset up && pgset test && pgset down -y'
  pgset sandbox run -- bash   # an interactive shell; exit ends the sandbox

Without --directory the sandbox is a new one, which is deleted at the end.";

const STATUS_AFTER_HELP: &str = "\
Examples:
  pgset sandbox status";

const LOGS_AFTER_HELP: &str = "\
Examples:
  pgset sandbox logs | less";

const STOP_AFTER_HELP: &str = "\
Examples:
  pgset sandbox stop
  pgset sandbox stop --delete";

/// Arguments of `pgset sandbox`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct SandboxArgs {
    /// Directory of the sandbox
    ///
    /// The default is /tmp/pgset-sandbox-UID.
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: SandboxCommand,
}

/// What to do with a sandbox.
#[derive(Clone, Debug, Subcommand)]
pub enum SandboxCommand {
    /// Start the sandbox in the background
    ///
    /// Its objects and data are those of the last time, unless they were deleted.
    #[command(after_help = START_AFTER_HELP)]
    Start,
    /// Show whether the sandbox is running, and where
    ///
    /// Exit code 1 if it is not running.
    #[command(after_help = STATUS_AFTER_HELP)]
    Status,
    /// Print the log of the sandbox since its first start
    #[command(after_help = LOGS_AFTER_HELP)]
    Logs,
    /// Stop the sandbox and its pods; keep its objects and data
    #[command(after_help = STOP_AFTER_HELP)]
    Stop {
        /// Delete its objects and data, too
        #[arg(long, help_heading = "Options")]
        delete: bool,
    },
    /// Start a sandbox, run a command with KUBECONFIG set, stop the sandbox
    ///
    /// The exit code is that of the command.
    #[command(after_help = RUN_AFTER_HELP)]
    Run {
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Run as the background process
    #[command(hide = true)]
    Serve {
        /// Delete the directory at the end
        #[arg(long, help_heading = "Options")]
        passing: bool,
    },
}
