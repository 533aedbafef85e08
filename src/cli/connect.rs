//! `pgset connect`.

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset connect
  pgset connect -o json | jq -r .master.uri
  pgset connect -o env --replica
  pgset connect --ca-certificate > pgset-ca.crt
  env $(pgset connect -o env) psql

The names are those of the cluster's DNS: they work in its pods.";

/// Arguments of `pgset connect`.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct ConnectArgs {
    /// With -o env: the variables for the replicas
    #[arg(long)]
    pub replica: bool,
    /// Print the password, too
    #[arg(long)]
    pub show_password: bool,
    /// Print the CA's certificate, alone: what sslrootcert names
    #[arg(long, conflicts_with_all = ["replica", "show_password"])]
    pub ca_certificate: bool,
}
