//! Command lines for hints. They include the flags that select the set, because without them the command
//! would act on a different set.

use std::ffi::OsString;

use crate::cli::GlobalArgs;
use crate::text::shell_word;

/// The command line of this process. It contains no password, because pgset accepts none on the command line.
pub(crate) fn command_line(arguments: &[OsString]) -> String {
    let words =
        arguments.iter().skip(1).map(|word| shell_word(&word.to_string_lossy()).into_owned());
    std::iter::once("pgset".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Another command for the same set. Only flags are repeated: the environment selects the same values again.
pub(crate) fn sibling(command: &str, global: &GlobalArgs) -> String {
    let flags = flags(global).into_iter();
    flags.fold(format!("pgset {command}"), |line, (flag, value)| format!("{line} {flag} {value}"))
}

/// The flags of the command line that select the set, with their values quoted for a shell.
pub(crate) fn flags(global: &GlobalArgs) -> Vec<(&'static str, String)> {
    let kubeconfig = global.kubeconfig.as_ref().map(|file| file.to_string_lossy().into_owned());
    let flags = [
        ("--kubeconfig", kubeconfig.as_ref()),
        ("--context", global.context.as_ref()),
        ("-n", global.namespace.as_ref()),
        ("--name", global.name.as_ref()),
    ];
    let given = flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
    given.map(|(flag, value)| (flag, shell_word(value).into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_be_pasted() {
        let line = ["/usr/bin/pgset", "up", "-n", "shop", "--templates", "my dir", "--size", ""];
        let line: Vec<OsString> = line.iter().map(Into::into).collect();
        assert_eq!(command_line(&line), "pgset up -n shop --templates 'my dir' --size ''");
    }

    #[test]
    fn another_command_is_about_the_same_set() {
        let global = GlobalArgs {
            namespace: Some("shop".to_owned()),
            name: Some("orders".to_owned()),
            ..GlobalArgs::default()
        };
        assert_eq!(sibling("status", &global), "pgset status -n shop --name orders");
        assert_eq!(sibling("status", &GlobalArgs::default()), "pgset status");
    }
}
