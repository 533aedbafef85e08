//! `pgset render`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::SettingsArgs;

const AFTER_HELP: &str = "\
Examples:
  pgset render | kubectl apply --dry-run=server -f -
  pgset render --output-dir manifests
  pgset render --list

Connects to no cluster. For options with \"default: current\", it uses the
default of a new set. Secrets are printed only with --show-secrets.";

/// `--kube-version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// 37 of 1.37.
    pub minor: u32,
}

impl KubeVersion {
    /// Reads `1.20`, `v1.20.2` and what providers add to it: `v1.33.5-eks-1`.
    fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.");
        let minor = rest.and_then(|rest| {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse().ok()
        });
        match minor {
            Some(minor) if minor >= OLDEST => Ok(Self { minor }),
            _ => Err(format!("must be 1.{OLDEST} or later, such as 1.33")),
        }
    }
}

/// The oldest minor version of Kubernetes that pgset supports.
const OLDEST: u32 = 20;

/// Arguments of `pgset render`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct RenderArgs {
    /// Settings of the set.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// List the templates and render nothing
    ///
    /// Prints the path of each template and where it comes from: pgset or your directory.
    #[arg(long, conflicts_with_all = ["output_dir", "show_secrets"])]
    pub list: bool,
    /// Write a file per object to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output_dir: Option<PathBuf>,
    /// Version of Kubernetes [default: a current one]
    ///
    /// The objects are for this version, such as 1.20 or v1.33.2; 1.20 is the oldest.
    #[arg(long, value_name = "VERSION", value_parser = KubeVersion::parse)]
    pub kube_version: Option<KubeVersion>,
    /// Print the Secrets, too: they contain passwords
    #[arg(long)]
    pub show_secrets: bool,
}
