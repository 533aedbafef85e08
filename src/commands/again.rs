//! The literal commands that hints name: with the flags that chose the set, or they would act on another.

use crate::cli::GlobalArgs;
use crate::shell::quoted;

/// Another command about the same set. What the environment chose, it chooses again.
pub(crate) fn sibling(command: &str, global: &GlobalArgs) -> String {
    let kubeconfig = global.kubeconfig.as_ref().map(|file| file.to_string_lossy().into_owned());
    let flags = [
        ("--kubeconfig", kubeconfig.as_ref()),
        ("--context", global.context.as_ref()),
        ("-n", global.namespace.as_ref()),
        ("--name", global.name.as_ref()),
    ];
    let flags = flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
    flags.fold(format!("pgset {command}"), |line, (flag, value)| {
        format!("{line} {flag} {}", quoted(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
