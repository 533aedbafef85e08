//! `pgset completions`.

use clap::{Args, ValueEnum};

use super::command;

const AFTER_HELP: &str = "\
Examples:
  pgset completions bash > /etc/bash_completion.d/pgset
  pgset completions zsh > \"${fpath[1]}/_pgset\"
  pgset completions fish > ~/.config/fish/completions/pgset.fish

These scripts complete commands, options and fixed values. To complete names
from the cluster, too (sets, namespaces, contexts, storage classes), load the
completion from the program when the shell starts, for example in ~/.bashrc:
  source <(COMPLETE=bash pgset)
  source <(COMPLETE=zsh pgset)
  COMPLETE=fish pgset | source

For `kubectl pgset`, kubectl needs an executable in a directory of PATH:
  COMPLETE=kubectl pgset > kubectl_complete-pgset
  chmod +x kubectl_complete-pgset";

/// Arguments of `pgset completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// The shells that have a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// The completion script of a shell.
#[must_use]
pub fn completions(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut command(), "pgset", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
