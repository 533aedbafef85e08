//! What a command wants: the settings, the templates, and a draft of the objects.

use super::early::Early;
use super::kept::{self, Probe};
use super::{desired, recipe, refuse};
use crate::cli::SettingsArgs;
use crate::cluster::{Cluster, Target};
use crate::context::Context;
use crate::manifest::Object;
use crate::render::{self, NEWEST_SERVER, Scripts, TemplateSet};
use crate::settings::{Recipe, Settings, SettingsError, Source};

/// What a command wants.
pub(crate) struct Wanted {
    /// The settings.
    pub(crate) settings: Settings,
    /// The templates to render.
    pub(crate) templates: TemplateSet,
    /// The draft of the objects, which says which objects to read.
    pub(crate) draft: Vec<Object>,
    warnings: Vec<String>,
}

impl Wanted {
    /// Refuses bad input before the first request. Returns the settings of the command line and the environment;
    /// none if the recipe has to be known first.
    ///
    /// Templates of the user's are rendered and checked here, too. The built-in ones render with any valid
    /// settings, so they are rendered once, when the recipe is known.
    ///
    /// # Errors
    /// When a setting or a template is refused.
    pub(crate) fn before_requests(
        context: &Context,
        args: &SettingsArgs,
        reset: &[String],
        target: &Target,
    ) -> anyhow::Result<Option<Settings>> {
        Recipe::default().reset(reset).map_err(|invalid| reset_refused(reset, invalid))?;
        match context.resolve(args, Some(target), &Recipe::default()) {
            Ok(resolved) if resolved.settings.templates.is_some() => {
                Ok(Some(Self::of(context, args, target, &Recipe::default())?.settings))
            }
            Ok(resolved) => Ok(Some(resolved.settings)),
            // The recipe may have another value instead of this default.
            Err(error) if is_about_default(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the command wants, together with the recipe of the set, which is read from the cluster. Prints the
    /// warnings. `probable` are the settings without the recipe: they tell which objects are worth reading now.
    ///
    /// # Errors
    /// When the cluster can't be reached, or a setting is refused.
    pub(crate) async fn with_recipe(
        context: &Context,
        args: &SettingsArgs,
        reset: &[String],
        target: &Target,
        cluster: &Cluster,
        probe: Probe,
        probable: Option<&Settings>,
    ) -> anyhow::Result<(Self, recipe::Known, Early)> {
        let set = context.set(Some(target))?;
        let capabilities = probable.map(|settings| settings.profile.capabilities());
        let scripts = probable.and_then(|settings| render::scripts(&set, &settings.profile));
        let (mut known, early) =
            recipe::read_and_more(cluster, &set, capabilities, scripts).await?;
        let image = |recipe: &Recipe| context.image(args, recipe);
        if let Some(kept) = kept::recipe(context, cluster, &set, &known, image, probe).await? {
            known.recipe = kept;
        }
        let recorded = known.recipe.clone();
        known.recipe.reset(reset).map_err(|invalid| reset_refused(reset, invalid))?;
        // Before the other settings, which may not fit the image.
        let image = image(&known.recipe)?;
        refuse::release(context, cluster, &set, &known, &recorded, &image).await?;
        refuse::owner(cluster, &set, &known, &image).await?;
        let mut wanted = Self::of(context, args, target, &known.recipe)?;
        wanted.settings.asked.extend(Recipe::variables_of(reset));
        wanted.warnings.iter().for_each(|warning| context.warn(warning.clone()));
        Ok((wanted, known, early))
    }

    fn of(
        context: &Context,
        args: &SettingsArgs,
        target: &Target,
        recipe: &Recipe,
    ) -> anyhow::Result<Self> {
        let resolved = context.resolve(args, Some(target), recipe)?;
        let (settings, warnings) = (resolved.settings, resolved.warnings);
        let templates = context.templates(&settings)?;
        let draft = desired::draft(&settings, &templates, NEWEST_SERVER, Scripts::Empty)?;
        Ok(Self { settings, templates, draft, warnings })
    }
}

/// Whether the refused value is not the user's.
fn is_about_default(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<SettingsError>();
    refused.is_some_and(|refused| matches!(refused.source, Source::Default | Source::Derived(_)))
}

/// Refuses a bad `--reset`, which is checked before any request, too.
fn reset_refused(reset: &[String], invalid: crate::values::Invalid) -> SettingsError {
    SettingsError::of("reset", reset.join(", "), Source::Flag("--reset"), invalid)
}
