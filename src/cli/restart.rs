//! `pgset restart`.

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset restart                 the pods that need it
  pgset restart pgset-1         one pod
  pgset restart --all           every pod
  pgset restart --switchover    the master moves before its pod restarts
  pgset restart orders -n shop --all

A pod needs a restart if it runs a previous template, or if PostgreSQL reads a
changed setting only at its start. Replicas restart first, each when the one
before it streams again, and the master last.";

/// Arguments of `pgset restart`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct RestartArgs {
    /// Pod, or name of the set [default: the pods that need it]
    ///
    /// The name of a pod, NAME-0 or NAME-1, also names its set.
    #[arg(value_name = "POD|NAME", help_heading = None::<&'static str>)]
    pub target: Option<String>,
    /// Restart every pod
    #[arg(long)]
    pub all: bool,
    /// Move the master to a replica before its pod restarts
    ///
    /// The replicas restart first, then the master moves as with `pgset switchover`, and the old master restarts as a
    /// replica. Nothing can be written for a moment only, and not for as long as a pod needs to restart.
    #[arg(long)]
    pub switchover: bool,
}

impl RestartArgs {
    /// The set and the pod that the argument names: `orders-1` is a pod of the set `orders`.
    #[must_use]
    pub fn named(&self) -> (Option<&str>, Option<&str>) {
        let Some(target) = self.target.as_deref() else { return (None, None) };
        match target.rsplit_once('-') {
            Some((set, ordinal)) if is_ordinal(ordinal) && !set.is_empty() => {
                (Some(set), Some(target))
            }
            _ => (Some(target), None),
        }
    }
}

/// Whether a text is the end of a pod's name.
fn is_ordinal(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|ordinal| ordinal.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_names_its_set() {
        for (target, set, pod) in [
            ("pgset-1", "pgset", Some("pgset-1")),
            ("my-set-10", "my-set", Some("my-set-10")),
            ("orders", "orders", None),
            ("my-set", "my-set", None),
            ("set-01", "set-01", None),
        ] {
            let args = RestartArgs { target: Some(target.to_owned()), ..RestartArgs::default() };
            assert_eq!(args.named(), (Some(set), pod), "{target}");
        }
        assert_eq!(RestartArgs::default().named(), (None, None));
    }
}
