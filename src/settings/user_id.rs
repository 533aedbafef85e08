//! The user ID that PostgreSQL runs as (`--user-id`), for an image that does not tell it by its tag.

use super::sources::Sources;
use super::{SettingsError, Source};
use crate::cli::SettingsArgs;
use crate::environment as variables;
use crate::image::{ImageReference, Profile, official};
use crate::values::Invalid;

const FIELD: &str = "user ID";
/// The largest user ID that Kubernetes accepts.
const MAX: u32 = i32::MAX.cast_unsigned();

/// The profile with the user ID that was set.
///
/// # Errors
/// When no container could run as this user, or the image has its own.
pub(super) fn apply(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    profile: Profile,
) -> Result<Profile, SettingsError> {
    let variable = &variables::PGSET_USER_ID;
    let given = sources.given_or_recorded("--user-id", args.user_id.as_deref(), &[variable])?;
    let Some(given) = given else { return Ok(profile) };
    let refused = |invalid| SettingsError::of(FIELD, given.value, given.source.clone(), invalid);
    if let Some(reason) = profile.capabilities().user_id.refusal() {
        return match given.source {
            // It was recorded with another image.
            Source::Recorded => Ok(profile),
            _ => Err(refused(Invalid::new(reason))),
        };
    }
    let digits = given.value.bytes().all(|b| b.is_ascii_digit());
    let number = given.value.parse::<u32>().ok().filter(|number| digits && *number <= MAX);
    match number {
        Some(0) => Err(refused(Invalid::new(
            "must not be 0: PostgreSQL refuses to run as root, and so do the pods (runAsNonRoot)",
        ))),
        Some(number) => {
            sources.settle(variable, number, &given.source);
            Ok(profile.with_user_id(number))
        }
        None => Err(refused(Invalid::new(format!("must be a whole number from 1 to {MAX}")))),
    }
}

/// What to know about an image that is named by its digest alone: whether it is based on Alpine is not visible.
/// `None` if the user ID is known.
pub(super) fn unknown(image: &ImageReference, profile: &Profile) -> Option<String> {
    let hidden = image.tag.is_none()
        && image.digest.is_some()
        && profile.capabilities().user_id.is_there()
        && profile.given_user_id().is_none();
    hidden.then(|| {
        format!(
            "the image has a digest and no tag, so that its variant is not known: PostgreSQL runs as user ID {}, that of the images based on Debian; an image based on Alpine needs --user-id {}",
            official::DEBIAN_USER,
            official::ALPINE_USER
        )
    })
}
