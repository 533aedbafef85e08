//! `pgset connect`.

use clap::Args;

use super::NameArg;

const AFTER_HELP: &str = "\
Examples:
  pgset connect
  pgset connect orders -n shop
  pgset connect -o json | jq -r .master.uri
  pgset connect -o env --replica
  pgset connect --ca-certificate > pgset-ca.crt
  env $(pgset connect -o env) psql

The host names are those of the cluster's DNS: they work inside its pods.";

/// Arguments of `pgset connect`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct ConnectArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// With -o env: the variables for the replicas
    #[arg(long)]
    pub replica: bool,
    /// Print the password, too
    ///
    /// Without it the URIs have no password.
    #[arg(long)]
    pub show_password: bool,
    /// Print only the CA certificate, in PEM
    ///
    /// Clients verify the servers with it: save it to the file that sslrootcert names. Needs a set with TLS.
    #[arg(long, conflicts_with_all = ["replica", "show_password"])]
    pub ca_certificate: bool,
}
