//! `pgset env`.

use super::Context;
use crate::cli::{EnvArgs, Output};
use crate::error::Exit;
use crate::settings::table;

/// Prints every variable: its meaning, its default, the value in force and where that came from.
pub async fn run(args: &EnvArgs, context: &Context) -> anyhow::Result<Exit> {
    // Without a kubeconfig the namespace is the default one; nothing else depends on it.
    let target = context.target().await.ok();
    let resolved = context.resolve(&args.settings, target.as_ref())?;
    for warning in resolved.warnings {
        context.warn(warning);
    }
    let mut in_force = resolved.in_force;
    in_force.extend(context.general.in_force.iter().cloned());
    let rows = table::table(&context.environment, &in_force);
    let text = match context.general.output {
        Output::Json => table::json(&rows),
        _ => table::human(&rows, context.reporter.display().stdout_width.unwrap_or(usize::MAX)),
    };
    context.reporter.print(&text)?;
    Ok(Exit::Done)
}
