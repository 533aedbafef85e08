//! `pgset env`.

use std::time::Duration;

use crate::cli::{EnvArgs, Output};
use crate::cluster::Target;
use crate::context::Context;
use crate::error::Exit;
use crate::procedure::recipe;
use crate::settings::{Recipe, table};

/// How long the cluster may take to tell the recipe of the set.
const RECIPE_WITHIN: Duration = Duration::from_secs(2);

/// Prints every variable: its meaning, its default, the value in force and the source of that value.
pub async fn run(args: &EnvArgs, context: &Context) -> anyhow::Result<Exit> {
    // Without a kubeconfig the namespace falls back to its default. Nothing else here depends on it.
    let target = context.target().await.ok();
    let mut in_force = context.general.in_force.clone();
    // Print the table even if the settings are invalid: users need it to find the mistake.
    let recipe = recorded(context, target.as_ref()).await;
    let wrong = match context.resolve(&args.settings, target.as_ref(), &recipe) {
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

/// The recipe of the set. Empty if there is no set, or no cluster that answers: the table is useful without it.
async fn recorded(context: &Context, target: Option<&Target>) -> Recipe {
    let read = async {
        let target = target?;
        let set = context.set(Some(target)).ok()?;
        let cluster = context.cluster(target).await.ok()?;
        Some(recipe::read(&cluster, &set).await.ok()?.recipe)
    };
    tokio::time::timeout(RECIPE_WITHIN, read).await.ok().flatten().unwrap_or_default()
}
