//! The image: given by name, by PostgreSQL version, or by the article's variables.

use super::DEFAULT_IMAGE;
use crate::cli::SettingsArgs;
use crate::environment as variables;
use crate::image::MajorVersion;
use crate::image::{ImageReference, reference};
use crate::settings::sources::{Sources, parse};
use crate::settings::{SettingsError, Source, Sourced};
use crate::values::Invalid;

pub(super) fn image(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    warnings: &mut Vec<String>,
) -> Result<Sourced<ImageReference>, SettingsError> {
    let given = given(sources, args)?;
    let prefix = sources.variable(&[&variables::CCP_IMAGE_PREFIX])?;
    let tag = sources.variable(&[&variables::CCP_IMAGE_TAG])?;
    let recorded = sources.recorded(&variables::PGSET_IMAGE);
    let image = match (given, tag, recorded) {
        (Some(given), _, _) => given,
        (None, Some(tag), _) => articles_image(prefix, &tag)?,
        (None, None, Some(recorded)) => parse("image", &recorded)?,
        (None, None, None) => {
            if prefix.is_some() {
                warnings.push(format!(
                    "CCP_IMAGE_PREFIX has no effect without CCP_IMAGE_TAG: the image is {DEFAULT_IMAGE}"
                ));
            }
            parse("image", &Sourced { value: DEFAULT_IMAGE, source: Source::Default })?
        }
    };
    sources.settle(&variables::PGSET_IMAGE, &image.value, &image.source);
    Ok(image)
}

/// Reads `--image`, `--postgres-version` or their variables. Both set the image, so giving both is refused,
/// unless one is a flag and the other a variable.
fn given(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
) -> Result<Option<Sourced<ImageReference>>, SettingsError> {
    let image = sources.given("--image", args.image.as_deref(), &[&variables::PGSET_IMAGE])?;
    let version = sources.given(
        "--postgres-version",
        args.postgres_version.as_deref(),
        &[&variables::PGSET_POSTGRES_VERSION],
    )?;
    let is_flag = |given: &Sourced<&str>| matches!(given.source, Source::Flag(_));
    let version = match (image, version) {
        (None, None) => return Ok(None),
        (Some(image), None) => return Ok(Some(parse("image", &image)?)),
        (None, Some(version)) => version,
        // A flag takes precedence over the variable of the other setting.
        (Some(image), Some(version)) => match (is_flag(&image), is_flag(&version)) {
            (true, false) => return Ok(Some(parse("image", &image)?)),
            (false, true) => version,
            _ => return Err(both(&image, version)),
        },
    };
    let major: Sourced<MajorVersion> = parse("PostgreSQL version", &version)?;
    sources.settle(&variables::PGSET_POSTGRES_VERSION, major.value, &major.source);
    let image = format!("postgres:{}", major.value);
    let value = image.parse().map_err(|error: crate::image::ImageError| {
        SettingsError::of("image", image.as_str(), major.source.clone(), error.into())
    })?;
    Ok(Some(Sourced { value, source: major.source }))
}

fn both(image: &Sourced<&str>, version: Sourced<&str>) -> SettingsError {
    let invalid = Invalid::new(format!(
        "must not be given together with {} ({:?}): both set the image",
        image.source, image.value
    ));
    let invalid = invalid.hint("leave one of them out");
    SettingsError::of("PostgreSQL version", version.value, version.source, invalid)
}

/// Builds `$CCP_IMAGE_PREFIX/crunchy-postgres:$CCP_IMAGE_TAG`. Each part is checked separately, so that the
/// error names the right variable.
fn articles_image(
    prefix: Option<Sourced<&str>>,
    tag: &Sourced<&str>,
) -> Result<Sourced<ImageReference>, SettingsError> {
    let prefix =
        prefix.unwrap_or(Sourced { value: crate::image::ARTICLE_PREFIX, source: Source::Default });
    let repository = crate::image::article_repository(prefix.value);
    let image: ImageReference = repository.parse().map_err(|error: crate::image::ImageError| {
        SettingsError::of("image prefix", prefix.value, prefix.source.clone(), error.into())
    })?;
    reference::check_tag(tag.value).map_err(|error| {
        SettingsError::of("image tag", tag.value, tag.source.clone(), error.into())
    })?;
    let value = ImageReference { tag: Some(tag.value.to_owned()), ..image };
    Ok(Sourced { value, source: tag.source.clone() })
}
