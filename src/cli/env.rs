//! `pgset env`.

use clap::Args;

use super::SettingsArgs;

const AFTER_HELP: &str = "\
Examples:
  pgset env
  CCP_IMAGE_TAG=centos7-9.5-1.2.6 pgset env --replicas 3
  pgset env -o json | jq -r '.[] | select(.value) | .name'

Passwords are masked.";

/// Arguments of `pgset env`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct EnvArgs {
    /// Settings of the set.
    #[command(flatten)]
    pub settings: SettingsArgs,
}
