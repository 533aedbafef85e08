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
  eval \"$(pgset sandbox start)\"   # sets KUBECONFIG in this shell
  pgset sandbox start --nodes 3     # sandbox-1, sandbox-2, sandbox-3";

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

const NODE_AFTER_HELP: &str = "\
Examples:
  pgset sandbox node stop sandbox-2     # power cut
  pgset sandbox node start sandbox-2
  pgset sandbox node freeze sandbox-2   # its processes continue, cut off
  pgset sandbox node thaw sandbox-2

A node that is stopped or frozen becomes NotReady after 3 s. A pod that is
deleted meanwhile stays Terminating until its node is back.
Names: pgset sandbox status, or kubectl get nodes.";

const NODE_STOP_AFTER_HELP: &str = "\
Examples:
  pgset sandbox node stop sandbox-2";

const NODE_START_AFTER_HELP: &str = "\
Examples:
  pgset sandbox node start sandbox-2";

const NODE_FREEZE_AFTER_HELP: &str = "\
Examples:
  pgset sandbox node freeze sandbox-2";

const NODE_THAW_AFTER_HELP: &str = "\
Examples:
  pgset sandbox node thaw sandbox-2";

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
    Start {
        /// How many nodes it has.
        #[command(flatten)]
        nodes: SandboxNodes,
    },
    /// Show whether the sandbox is running, and where
    ///
    /// Exit code 1 if it is not running.
    #[command(after_help = STATUS_AFTER_HELP)]
    Status,
    /// Print the log of the sandbox since its first start
    #[command(after_help = LOGS_AFTER_HELP)]
    Logs,
    /// Stop, start, freeze or thaw a node
    ///
    /// To try and to test what happens when a machine or its network fails.
    #[command(after_help = NODE_AFTER_HELP)]
    Node {
        /// What to do with the node.
        #[command(subcommand)]
        command: NodeCommand,
    },
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
        /// How many nodes it has.
        #[command(flatten)]
        nodes: SandboxNodes,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Run as the background process
    #[command(hide = true)]
    Serve {
        /// How many nodes it has.
        #[command(flatten)]
        nodes: SandboxNodes,
        /// Delete the directory at the end
        #[arg(long, help_heading = "Options")]
        passing: bool,
    },
}

/// The nodes of a sandbox.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Options")]
pub struct SandboxNodes {
    /// Number of nodes, 1 to 9; pods spread over them
    ///
    /// One node is called sandbox; several ones are called sandbox-1, sandbox-2, and so on. The default is 1, or the
    /// nodes of the sandbox that exists in the directory.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: Option<u8>,
}

/// What to do with a node.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Cut the power of a node: all its processes are killed at once
    ///
    /// Its pods stay as objects. Volumes are kept.
    #[command(after_help = NODE_STOP_AFTER_HELP)]
    Stop(NodeName),
    /// Boot a stopped node: start its containers again
    ///
    /// Init containers run again, and volumes in memory are empty. Pods that were deleted meanwhile are removed.
    #[command(after_help = NODE_START_AFTER_HELP)]
    Start(NodeName),
    /// Cut a node off from the API server and from Services
    ///
    /// Its processes continue. The address of each of its pods stays reachable.
    #[command(after_help = NODE_FREEZE_AFTER_HELP)]
    Freeze(NodeName),
    /// Restore the connection of a frozen node
    ///
    /// Pods that were deleted meanwhile are ended and removed.
    #[command(after_help = NODE_THAW_AFTER_HELP)]
    Thaw(NodeName),
}

/// A node.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options")]
pub struct NodeName {
    /// Name of the node, as in `pgset sandbox status`
    pub name: String,
}
