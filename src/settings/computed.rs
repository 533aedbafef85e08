//! PostgreSQL's settings that pgset computes for a set, from the memory limit of its containers and from the size
//! of its volumes.
//!
//! Only new sets have them: `shared_buffers` needs a restart, and no set restarts because pgset is newer. Settings of
//! the user's own come later in `postgresql.conf`, so they always win.

use super::sources::Sources;
use super::{Settings, SettingsError, Source, Storage};
use crate::image::Profile;
use crate::values::{Invalid, Quantity};

/// The line before the computed settings in the set's `postgresql.conf`. A set without a recipe has computed
/// settings if its file has this line.
pub const MARKER: &str = "# Computed from the memory limit and the size of the volumes (rule 1). The user's settings take precedence.";

/// The name of the setting in the recipe.
pub const NAME: &str = "computed";

/// The rule that computes the values, as it is recorded. If the rule ever changes, the new one gets another number
/// and sets that have this one keep it: their values must not change because pgset is newer.
pub const RULE: &str = "1";

/// The names of the computed settings.
pub(crate) const NAMES: [&str; 4] =
    ["shared_buffers", "effective_cache_size", "temp_file_limit", "huge_pages"];

/// The recorded value of a set without computed settings.
const NONE: &str = "none";

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// With less than this, ordinary queries wait for buffers. It is also what the bootstrap uses for a new data
/// directory, so every server that comes this far can start with it.
const FEWEST_BUFFERS: u64 = 16 * MIB;
/// PostgreSQL accepts less than 8 TiB of buffers. No machine has so much memory.
const MOST_BUFFERS: u64 = 4096 * GIB;
/// The size of a claim may be much smaller than the disk behind it, such as a directory on a node. A limit below
/// this would then stop ordinary work that has enough space.
const LEAST_TEMPORARY: u64 = GIB;
/// PostgreSQL accepts less than 2 TiB.
const MOST_TEMPORARY: u64 = 2047 * GIB;

/// Whether a set has computed settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// It has. They change with what they are computed from.
    Yes,
    /// It has not: it was created without them.
    No,
    /// It has not, and its recipe does not record this yet: the user does not know that there are computed settings.
    Unrecorded,
}

impl Computed {
    /// The value in the recipe.
    #[must_use]
    pub fn recorded(self) -> &'static str {
        match self {
            Self::Yes => RULE,
            Self::No | Self::Unrecorded => NONE,
        }
    }

    /// The recorded value that a `postgresql.conf` tells, if the file has computed settings.
    #[must_use]
    pub fn of_set(postgresql_conf: &str) -> Option<&'static str> {
        postgresql_conf.lines().any(|line| line == MARKER).then_some(RULE)
    }
}

/// Whether the set has computed settings, by its recipe. A set without any recipe is new.
pub(super) fn computed(
    sources: &Sources<'_>,
    profile: &Profile,
) -> Result<Computed, SettingsError> {
    if !profile.capabilities().configuration.is_there() {
        return Ok(Computed::No);
    }
    match sources.recipe.value(NAME) {
        None if sources.recipe.is_empty() => Ok(Computed::Yes),
        None => Ok(Computed::Unrecorded),
        Some(RULE) => Ok(Computed::Yes),
        Some(NONE) => Ok(Computed::No),
        Some(other) => {
            let invalid = Invalid::new("is not known to this version of pgset")
                .hint(format!("use a newer version of pgset, or --reset {NAME}"));
            Err(SettingsError::of("rule of computed settings", other, Source::Recorded, invalid))
        }
    }
}

/// The computed settings of a set, by name. None for a set without them.
#[must_use]
pub fn values(settings: &Settings) -> Vec<(&'static str, String)> {
    match settings.computed {
        Computed::Yes => rule(settings),
        Computed::No | Computed::Unrecorded => Vec::new(),
    }
}

/// The computed settings as lines of `postgresql.conf`. Empty if there are none.
#[must_use]
pub(crate) fn text(settings: &Settings) -> String {
    let lines = values(settings).into_iter().map(|(name, value)| format!("{name} = {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What a set without computed settings could have, without what its user has set: a sentence with the command.
/// `None` if there is nothing to suggest, or the recipe records that it was suggested.
#[must_use]
pub fn suggestion(settings: &Settings) -> Option<String> {
    if settings.computed != Computed::Unrecorded {
        return None;
    }
    let given = |name: &str| settings.parameters.as_ref().is_some_and(|it| it.get(name).is_some());
    let flags = rule(settings).into_iter().filter(|(name, _)| !given(name));
    let flags: Vec<String> = flags.map(|(name, value)| format!("--set {name}={value}")).collect();
    (!flags.is_empty()).then(|| {
        format!(
            "a new set would have other settings of PostgreSQL, for its memory limit and its volumes: `pgset up {}` sets them, and asks before it restarts the pods",
            flags.join(" ")
        )
    })
}

/// Rule 1.
fn rule(settings: &Settings) -> Vec<(&'static str, String)> {
    // As PostgreSQL itself shows the value.
    let shown = |bytes: u64| match bytes / MIB {
        megabytes if megabytes.is_multiple_of(1024) => format!("{}GB", megabytes / 1024),
        megabytes => format!("{megabytes}MB"),
    };
    let mut values = Vec::new();
    // Without a limit, the memory that the server may use is not known.
    if let Some(limit) = settings.pods.limits.memory.as_ref().map(Quantity::bytes) {
        let part = |bytes: u64| shown(bytes.clamp(FEWEST_BUFFERS, MOST_BUFFERS));
        values.push(("shared_buffers", part(limit / 4)));
        // The rest is the cache of the kernel and the memory of the sessions. The planner only estimates with this
        // number, it is not allocated.
        values.push(("effective_cache_size", part(limit / 4 * 3)));
    }
    // The size of an existing claim is not pgset's, so it is not known here.
    if !matches!(settings.storage, Storage::Claim { .. }) {
        // One session must not fill the volume, because a master with a full volume stops. Half of the volume
        // refuses no index that the volume has space for: the sort needs as much as the index that it creates.
        let half = settings.size.bytes() / 2;
        let limit = half.clamp(LEAST_TEMPORARY, MOST_TEMPORARY);
        values.push(("temp_file_limit", shown(limit)));
    }
    // The containers request no huge pages. On a node that has some, PostgreSQL could map them, but the kernel would
    // kill it when it uses them (SIGBUS).
    values.push(("huge_pages", "off".to_owned()));
    values
}

#[cfg(test)]
mod tests;
