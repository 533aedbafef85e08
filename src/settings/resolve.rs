//! Resolves each setting. The order of precedence is: flag > `PGSET_*` variable > the article's variables >
//! default.
//!
//! The variables of the article, and of later versions of its example, map to the settings as follows:
//!
//! - `CCP_IMAGE_PREFIX` and `CCP_IMAGE_TAG` give the image `PREFIX/crunchy-postgres:TAG`.
//! - `CCP_NFS_IP` (or else `LOCAL_IP`, or else this host's address) and `CCP_STORAGE_PATH` give the storage
//!   `nfs://SERVER/PATH`.
//! - `CCP_STORAGE_CLASS` gives the storage `class:NAME`.
//! - `CCP_STORAGE_CAPACITY` is the size, and `CCP_STORAGE_MODE` is the access mode.
//!
//! `CCP_STORAGE_CLASS` together with `CCP_NFS_IP` or `CCP_STORAGE_PATH` selects two kinds of storage, so it
//! is refused. `LOCAL_IP` alone selects no storage, because the article's own script always sets it.

mod image;
mod storage;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::general::one_of;
use super::sources::{Sources, parse};
use super::table::InForce;
use super::{
    Recipe, Settings, SettingsError, Source, Sourced, computed, credentials, max_lag, parameters,
    pods, service_account, synchronous, tls, user_id,
};
use crate::cli::{GlobalArgs, SettingsArgs};
use crate::environment::{self as variables, Environment};
use crate::image::{ImageReference, Limit, Profile, ProfileName};
use crate::set::SetIdentity;
use crate::values::Invalid;
use crate::values::{Namespace, Replicas, SetName};

/// The image, if none is set.
pub const DEFAULT_IMAGE: &str = "postgres:17";
/// The size that each claim requests, if none is set, with any kind of storage. The article's 100M is less
/// than the WAL of a small load.
pub const DEFAULT_SIZE: &str = "1Gi";
/// The article's NFS export.
pub const DEFAULT_NFS_PATH: &str = "/nfsfileshare";
const DEFAULT_NAME: &str = "pgset";
const DEFAULT_NAMESPACE: &str = "default";
const DEFAULT_VOLUME_PREFIX: &str = "pv";

/// What the settings need to know about this host. The caller passes it in, so that this module does no I/O
/// itself.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The namespace of the kubeconfig's context, or of the pod that pgset runs in.
    pub context_namespace: Option<&'a str>,
    /// Resolves this host's own name, like `hostname --ip-address`. Called only when no NFS server is
    /// given. The error is a fragment: `gaia does not resolve`.
    pub local_address: &'a dyn Fn() -> Result<IpAddr, String>,
    /// Whether a path is a directory.
    pub is_directory: &'a dyn Fn(&Path) -> bool,
    /// Reads the text of a file. The error is the message of the operating system.
    pub read_file: &'a dyn Fn(&Path) -> Result<String, String>,
}

#[cfg(test)]
impl Host<'_> {
    /// A host without files and without an address, in the namespace `pg`.
    pub(crate) const BARE: Host<'static> = Host {
        context_namespace: Some("pg"),
        local_address: &|| Err(String::new()),
        is_directory: &|_| false,
        read_file: &|_| Err(String::new()),
    };
}

impl std::fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("context_namespace", &self.context_namespace).finish()
    }
}

/// The settings, with warnings and sources.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// Warnings for the person who runs the command.
    pub warnings: Vec<String>,
    /// The value and the source of each setting, for `pgset env`.
    pub in_force: Vec<InForce>,
}

/// Resolves all settings that decide which objects `up` generates. `recipe` is that of the existing set; empty
/// if there is none.
pub fn resolve(
    args: &SettingsArgs,
    global: &GlobalArgs,
    environment: &Environment,
    recipe: &Recipe,
    host: &Host<'_>,
) -> Result<Resolved, SettingsError> {
    let mut sources = Sources::new(environment, recipe);
    let mut warnings = Vec::new();
    let (name, namespace) = names(&mut sources, global, host.context_namespace)?;
    let image = image::image(&mut sources, args, &mut warnings)?;
    let profile = profile(&mut sources, args, &image)?;
    if image.source != Source::Recorded {
        warnings.extend(user_id::unknown(&image.value, &profile));
    }
    check_name_fits(&name, &profile, &image.value)?;
    let replicas = sources
        .given_or_recorded("--replicas", args.replicas.as_deref(), &[&variables::PGSET_REPLICAS])?
        .map(|given| replicas(given.value, given.source, Some(profile.limit())))
        .transpose()?;
    if let Some(replicas) = &replicas {
        sources.settle(&variables::PGSET_REPLICAS, replicas.value, &replicas.source);
    }
    let storage = storage::storage(&mut sources, args, &profile, host, &mut warnings)?;
    let size = storage::size(&mut sources, args, &storage, &mut warnings)?;
    let access_mode = storage::access_mode(&mut sources, args, &storage)?;
    let volume_prefix = storage::volume_prefix(&mut sources, args)?;
    let templates = templates(&mut sources, args, host)?;
    let parameters = parameters::parameters(
        &mut sources,
        &args.set,
        args.config.as_deref(),
        host.read_file,
        &mut warnings,
    )?;
    let computed = computed::computed(&sources, &profile)?;
    let synchronous = synchronous::synchronous(&mut sources, args, replicas.as_ref())?;
    let refusal = profile.capabilities().configuration.refusal();
    let max_lag = max_lag::max_lag(&mut sources, args, refusal)?;
    let tls = tls::tls(&mut sources, args)?;
    if let Some(reason) = profile.capabilities().tls.refusal() {
        tls::refuse(tls.as_ref(), reason)?;
    }
    if let Some(reason) = refusal {
        parameters::refuse(parameters.as_ref(), synchronous.as_ref(), reason)?;
    }
    let credentials = credentials::credentials(&mut sources, &profile, &mut warnings)?;
    let pods = pods::pods(&mut sources, args, &profile)?;
    let service_account = service_account::service_account(&mut sources, args)?;
    let settings = Settings {
        set: SetIdentity { name: name.value, namespace: namespace.value },
        image: image.value,
        profile,
        replicas,
        storage,
        size,
        access_mode,
        volume_prefix,
        parameters,
        computed,
        synchronous,
        max_lag,
        tls,
        credentials,
        pods,
        service_account,
        templates,
        asked: sources.asked(),
    };
    Ok(Resolved { settings, warnings, in_force: sources.in_force })
}

/// Resolves only the image and how it is run.
///
/// # Errors
/// When one of them is invalid.
pub fn image(
    args: &SettingsArgs,
    environment: &Environment,
    recipe: &Recipe,
) -> Result<(Sourced<ImageReference>, Profile), SettingsError> {
    let mut sources = Sources::new(environment, recipe);
    let image = image::image(&mut sources, args, &mut Vec::new())?;
    let profile = profile(&mut sources, args, &image)?;
    Ok((image, profile))
}

/// Resolves only the name and the namespace of the set, for commands that work on a running set and do not
/// need the other settings.
pub fn identity(
    global: &GlobalArgs,
    environment: &Environment,
    context_namespace: Option<&str>,
) -> Result<SetIdentity, SettingsError> {
    let recipe = Recipe::default();
    let mut sources = Sources::new(environment, &recipe);
    let (name, namespace) = names(&mut sources, global, context_namespace)?;
    Ok(SetIdentity { name: name.value, namespace: namespace.value })
}

/// Parses a number of pods. `limit` is the limit of the image ([`Profile::limit`]).
pub fn replicas(
    text: &str,
    source: Source,
    limit: Option<Limit>,
) -> Result<Sourced<Replicas>, SettingsError> {
    let given = Sourced { value: text, source };
    let replicas: Sourced<Replicas> = parse("number of pods", &given)?;
    match limit {
        Some(Limit { pods, max_wal_senders, cloned }) if replicas.value.get() > pods => {
            let invalid = Invalid::new(format!(
                "must be at most {pods}: max_wal_senders = {max_wal_senders} allows {} \
                 replicas, because {cloned}",
                pods - 1
            ));
            Err(SettingsError::of("number of pods", text, replicas.source, invalid))
        }
        _ => Ok(replicas),
    }
}

fn names(
    sources: &mut Sources<'_>,
    global: &GlobalArgs,
    context_namespace: Option<&str>,
) -> Result<(Sourced<SetName>, Sourced<Namespace>), SettingsError> {
    let environment = sources.environment;
    let lookup = Sources::new(environment, sources.recipe);
    let name = lookup
        .given("--name", global.name.as_deref(), &[&variables::PGSET_NAME])?
        .unwrap_or(Sourced { value: DEFAULT_NAME, source: Source::Default });
    let name: Sourced<SetName> = parse("set name", &name)?;
    let namespace = lookup.given(
        "--namespace",
        global.namespace.as_deref(),
        &[&variables::PGSET_NAMESPACE, &variables::CCP_NAMESPACE],
    )?;
    let namespace = match (namespace, context_namespace) {
        (Some(given), _) => given,
        (None, Some(context)) => Sourced { value: context, source: Source::Context },
        (None, None) => Sourced { value: DEFAULT_NAMESPACE, source: Source::Default },
    };
    let namespace: Sourced<Namespace> = parse("namespace", &namespace)?;
    let text = namespace.value.as_str();
    if text.starts_with("kube-") && !matches!(namespace.source, Source::Flag(_)) {
        let invalid =
            Invalid::new("must be given by flag: kube-* namespaces are reserved for Kubernetes")
                .hint(format!("to use it anyway: --namespace {text}"));
        return Err(SettingsError::of("namespace", text, namespace.source, invalid));
    }
    sources.settle(&variables::PGSET_NAME, &name.value, &name.source);
    sources.settle(&variables::PGSET_NAMESPACE, &namespace.value, &namespace.source);
    Ok((name, namespace))
}

fn profile(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    image: &Sourced<ImageReference>,
) -> Result<Profile, SettingsError> {
    let given = match args.profile {
        Some(value) => Some(Sourced { value, source: Source::Flag("--profile") }),
        None => one_of::<ProfileName>("profile", sources, &variables::PGSET_PROFILE)?,
    };
    // The recorded profile belongs to the recorded image.
    let recorded = sources.recorded(&variables::PGSET_PROFILE);
    let recorded = recorded.filter(|_| image.source == Source::Recorded);
    let given = match (given, recorded) {
        (Some(given), _) => given,
        (None, Some(recorded)) => {
            Sourced { value: named_profile(&recorded)?, source: recorded.source }
        }
        (None, None) => Sourced {
            value: Profile::name_for(&image.value),
            source: Source::Derived("the image's name"),
        },
    };
    let profile = Profile::of(&image.value, given.value).map_err(|error| {
        SettingsError::of("image", image.value.to_string(), image.source.clone(), error.into())
    })?;
    sources.settle(&variables::PGSET_PROFILE, profile.name(), &given.source);
    user_id::apply(sources, args, profile)
}

fn named_profile(recorded: &Sourced<&str>) -> Result<ProfileName, SettingsError> {
    let found = ProfileName::ALL.into_iter().find(|name| name.as_str() == recorded.value);
    found.ok_or_else(|| {
        let invalid = Invalid::new("is not known to this version of pgset")
            .hint("use a newer version of pgset, or --profile");
        SettingsError::of("profile", recorded.value, recorded.source.clone(), invalid)
    })
}

fn check_name_fits(
    name: &Sourced<SetName>,
    profile: &Profile,
    image: &ImageReference,
) -> Result<(), SettingsError> {
    let text = name.value.as_str();
    if profile.name_may_have_dash() || !text.contains('-') {
        return Ok(());
    }
    let invalid = Invalid::new(format!(
        "must not have a dash with {image}: up to 1.4.1 the container reads its \
         ordinal after the first dash, so every pod would wait for a master"
    ));
    let mended = text.replace('-', "");
    let invalid = invalid.suggest::<SetName>(text, &mended);
    Err(SettingsError::of("set name", text, name.source.clone(), invalid))
}

fn templates(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    host: &Host<'_>,
) -> Result<Option<Sourced<PathBuf>>, SettingsError> {
    let given = match &args.templates {
        Some(path) => Some(Sourced { value: path.clone(), source: Source::Flag("--templates") }),
        None => sources
            .variable(&[&variables::PGSET_TEMPLATES])?
            .map(|given| Sourced { value: PathBuf::from(given.value), source: given.source }),
    };
    let found = match given {
        Some(given) if !(host.is_directory)(&given.value) => {
            let value = given.value.to_string_lossy().into_owned();
            let invalid = Invalid::new("must be a directory").hint(format!(
                "to start from the built-in templates: pgset templates export {value}"
            ));
            return Err(SettingsError::of("templates", value, given.source, invalid));
        }
        Some(given) => Some(given),
        None => sources
            .variable(&[&variables::BUILDBASE])?
            .map(|base| Sourced {
                value: Path::new(base.value).join("templates"),
                source: base.source,
            })
            .filter(|found| (host.is_directory)(&found.value)),
    };
    if let Some(found) = &found {
        sources.settle(&variables::PGSET_TEMPLATES, found.value.display(), &found.source);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
