//! `pgset env`.

use crate::cli::{EnvArgs, Output};
use crate::context::Context;
use crate::error::Exit;
use crate::settings::table;

/// Prints every variable: its meaning, its default, the value in force and the source of that value.
pub async fn run(args: &EnvArgs, context: &Context) -> anyhow::Result<Exit> {
    // Without a kubeconfig the namespace falls back to its default. Nothing else here depends on it.
    let target = context.target().await.ok();
    let mut in_force = context.general.in_force.clone();
    // Print the table even if the settings are invalid: users need it to find the mistake.
    let wrong = match context.resolve(&args.settings, target.as_ref()) {
        Ok(resolved) => {
            for warning in resolved.warnings {
                context.warn(warning);
            }
            in_force.extend(resolved.in_force);
            None
        }
        Err(error) => Some(error),
    };
    let rows = table::table(&context.environment, &in_force);
    let text = match context.general.output {
        Output::Json => table::json(&rows),
        _ => table::human(&rows, context.reporter.display().stdout_width),
    };
    context.reporter.print(&text)?;
    match wrong {
        None => Ok(Exit::Done),
        Some(error) => Err(error),
    }
}
