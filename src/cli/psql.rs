//! `pgset psql`.

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset psql
  pgset psql --replica
  pgset psql -U testuser -d userdb
  echo 'select 1' | pgset psql -- -At
  pgset psql -- -c '\\l+'

psql runs in the pod, as postgres, over the pod's own socket: neither kubectl,
nor psql here, nor a password is needed. Files that it names (\\i, -f) are the
pod's; a script from here comes in by stdin. It ends with psql's exit code.";

/// Arguments of `pgset psql`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct PsqlArgs {
    /// On a replica, which only reads: any that is ready, or the pod of this number
    #[arg(long, value_name = "N", num_args = 0..=1)]
    pub replica: Option<Option<u32>>,
    /// Act as this role (SET ROLE) [default: the superuser postgres]
    #[arg(short = 'U', long, value_name = "ROLE")]
    pub user: Option<String>,
    /// Database [default: the application's]
    #[arg(short, long, value_name = "DATABASE")]
    pub database: Option<String>,
    /// Arguments of psql itself
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}
