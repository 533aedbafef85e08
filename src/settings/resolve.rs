//! Flag > `PGSET_*` variable > the article's variables > default.
//!
//! The article's variables and their successors' map so: `CCP_IMAGE_PREFIX` and `CCP_IMAGE_TAG` make
//! `PREFIX/crunchy-postgres:TAG`; `CCP_NFS_IP` (else `LOCAL_IP`, else this host's address) and
//! `CCP_STORAGE_PATH` make `nfs://SERVER/PATH`; `CCP_STORAGE_CLASS` makes `class:NAME`;
//! `CCP_STORAGE_CAPACITY` is the size and `CCP_STORAGE_MODE` the access mode. `CCP_NFS_IP` or
//! `CCP_STORAGE_PATH` together with `CCP_STORAGE_CLASS` say two kinds of storage, which is refused;
//! `LOCAL_IP` alone chooses none, as the article's own script always sets it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::general::one_of;
use super::sources::{Sources, parse};
use super::table::InForce;
use super::values::{Invalid, VolumePrefix};
use super::{
    AccessMode, Namespace, Quantity, Replicas, SetIdentity, SetName, Settings, SettingsError,
    Source, Sourced, Storage, credentials,
};
use crate::cli::{GlobalArgs, ProfileName, SettingsArgs};
use crate::environment::{self as variables, Environment};
use crate::image::{ImageReference, Profile, reference};

/// The image when nobody said one.
pub const DEFAULT_IMAGE: &str = "postgres:17";
/// What each claim asks for when nobody said it, whatever the storage: the article's 100M is less
/// than the WAL of a small load.
pub const DEFAULT_SIZE: &str = "1Gi";
/// The article's NFS export.
pub const DEFAULT_NFS_PATH: &str = "/nfsfileshare";
const DEFAULT_NAME: &str = "pgset";
const DEFAULT_NAMESPACE: &str = "default";
const DEFAULT_IMAGE_PREFIX: &str = "crunchydata";
const DEFAULT_VOLUME_PREFIX: &str = "pv";

/// What the settings need to know of the world, brought from outside.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The namespace of the kubeconfig's context, or of the pod that pgset runs in.
    pub context_namespace: Option<&'a str>,
    /// What this host's own name resolves to, as `hostname --ip-address`; asked only when the NFS
    /// server is not given. The error is a fragment: `gaia does not resolve`.
    pub local_address: &'a dyn Fn() -> Result<IpAddr, String>,
    /// Whether a path is a directory.
    pub is_directory: &'a dyn Fn(&Path) -> bool,
}

impl std::fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("context_namespace", &self.context_namespace).finish()
    }
}

/// The settings, and what to tell about them.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// Sentences for the person who runs the command.
    pub warnings: Vec<String>,
    /// What was settled and from where, for `pgset env`.
    pub in_force: Vec<InForce>,
}

/// Settles everything that decides what `up` makes.
pub fn resolve(
    args: &SettingsArgs,
    global: &GlobalArgs,
    environment: &Environment,
    host: &Host<'_>,
) -> Result<Resolved, SettingsError> {
    let mut sources = Sources::new(environment);
    let mut warnings = Vec::new();
    let (name, namespace) = names(&mut sources, global, host.context_namespace)?;
    let image = image(&mut sources, args, &mut warnings)?;
    let profile = profile(&mut sources, args, &image)?;
    check_name_fits(&name, &profile, &image.value)?;
    let replicas = sources
        .given("--replicas", args.replicas.as_deref(), &[&variables::PGSET_REPLICAS])?
        .map(|given| replicas(given.value, given.source, profile.replicas_limit()))
        .transpose()?;
    if let Some(replicas) = &replicas {
        sources.settle(&variables::PGSET_REPLICAS, replicas.value, &replicas.source);
    }
    let storage = storage(&mut sources, args, &profile, host, &mut warnings)?;
    let size = size(&mut sources, args, &storage, &mut warnings)?;
    let access_mode = access_mode(&mut sources, args, &storage)?;
    let volume_prefix = volume_prefix(&mut sources, args)?;
    let templates = templates(&mut sources, args, host)?;
    let credentials = credentials::credentials(&mut sources, &profile, &mut warnings)?;
    let settings = Settings {
        set: SetIdentity { name: name.value, namespace: namespace.value },
        image: image.value,
        profile,
        replicas,
        storage,
        size,
        access_mode,
        volume_prefix,
        credentials,
        templates,
    };
    Ok(Resolved { settings, warnings, in_force: sources.in_force })
}

/// Settles only which set is meant: for commands that work on what runs, whatever the other
/// settings say.
pub fn identity(
    global: &GlobalArgs,
    environment: &Environment,
    context_namespace: Option<&str>,
) -> Result<SetIdentity, SettingsError> {
    let (name, namespace) = names(&mut Sources::new(environment), global, context_namespace)?;
    Ok(SetIdentity { name: name.value, namespace: namespace.value })
}

/// Reads a number of pods; `limit` is the image's ([`Profile::replicas_limit`]).
pub fn replicas(
    text: &str,
    source: Source,
    limit: Option<u32>,
) -> Result<Sourced<Replicas>, SettingsError> {
    let given = Sourced { value: text, source };
    let replicas: Sourced<Replicas> = parse("number of pods", &given)?;
    match limit {
        Some(limit) if replicas.value.get() > limit => {
            let invalid = Invalid::new(format!(
                "must be at most {limit}: the image's max_wal_senders of {limit} carries {} \
                 replicas, as one that is being cloned needs two",
                limit - 1
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
    let lookup = Sources::new(environment);
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
        let invalid = Invalid::new("must be given by flag: kube-* namespaces are Kubernetes' own")
            .hint(format!("if you mean it: --namespace {text}"));
        return Err(SettingsError::of("namespace", text, namespace.source, invalid));
    }
    sources.settle(&variables::PGSET_NAME, &name.value, &name.source);
    sources.settle(&variables::PGSET_NAMESPACE, &namespace.value, &namespace.source);
    Ok((name, namespace))
}

fn image(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    warnings: &mut Vec<String>,
) -> Result<Sourced<ImageReference>, SettingsError> {
    let given = sources.given("--image", args.image.as_deref(), &[&variables::PGSET_IMAGE])?;
    let prefix = sources.variable(&[&variables::CCP_IMAGE_PREFIX])?;
    let tag = sources.variable(&[&variables::CCP_IMAGE_TAG])?;
    let image = match (given, tag) {
        (Some(given), _) => parse("image", &given)?,
        (None, Some(tag)) => articles_image(prefix, &tag)?,
        (None, None) => {
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

/// `$CCP_IMAGE_PREFIX/crunchy-postgres:$CCP_IMAGE_TAG`; each part is checked by itself, so that the
/// error names the right variable.
fn articles_image(
    prefix: Option<Sourced<&str>>,
    tag: &Sourced<&str>,
) -> Result<Sourced<ImageReference>, SettingsError> {
    let prefix = prefix.unwrap_or(Sourced { value: DEFAULT_IMAGE_PREFIX, source: Source::Default });
    let repository = format!("{}/crunchy-postgres", prefix.value);
    let image: ImageReference = repository.parse().map_err(|error: crate::image::ImageError| {
        SettingsError::of("image prefix", prefix.value, prefix.source.clone(), error.into())
    })?;
    reference::check_tag(tag.value).map_err(|error| {
        SettingsError::of("image tag", tag.value, tag.source.clone(), error.into())
    })?;
    let value = ImageReference { tag: Some(tag.value.to_owned()), ..image };
    Ok(Sourced { value, source: tag.source.clone() })
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
    let (crunchy, source) = match given {
        Some(given) => (given.value == ProfileName::Crunchy, given.source),
        None => (
            Profile::name_for(&image.value) == Profile::CRUNCHY,
            Source::Derived("the image's name"),
        ),
    };
    let profile = Profile::of(&image.value, crunchy).map_err(|error| {
        SettingsError::of("image", image.value.to_string(), image.source.clone(), error.into())
    })?;
    sources.settle(&variables::PGSET_PROFILE, profile.name(), &source);
    Ok(profile)
}

fn check_name_fits(
    name: &Sourced<SetName>,
    profile: &Profile,
    image: &ImageReference,
) -> Result<(), SettingsError> {
    let text = name.value.as_str();
    match profile {
        Profile::Crunchy(crunchy) if !crunchy.name_may_have_dash() && text.contains('-') => {
            let invalid = Invalid::new(format!(
                "must not have a dash with {image}: up to 1.4.1 the container looks for its \
                 ordinal behind the first dash, and every pod would wait for a master"
            ));
            let mended = text.replace('-', "");
            let invalid = invalid.suggest::<SetName>(text, &mended);
            Err(SettingsError::of("set name", text, name.source.clone(), invalid))
        }
        _ => Ok(()),
    }
}

fn storage(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    profile: &Profile,
    host: &Host<'_>,
    warnings: &mut Vec<String>,
) -> Result<Storage, SettingsError> {
    let given =
        sources.given("--storage", args.storage.as_deref(), &[&variables::PGSET_STORAGE])?;
    let class = sources.variable(&[&variables::CCP_STORAGE_CLASS])?;
    let nfs = sources.variable(&[&variables::CCP_NFS_IP, &variables::CCP_STORAGE_PATH])?;
    let storage: Sourced<Storage> = match (given, class, nfs) {
        (Some(given), _, _) => parse("storage", &given)?,
        (None, Some(class), Some(nfs)) => {
            let invalid = Invalid::new(format!(
                "must not be set together with {}: they say two kinds of storage",
                nfs.source
            ))
            .hint(format!("unset one of them, or say --storage class:{}", class.value));
            return Err(SettingsError::of("storage class", class.value, class.source, invalid));
        }
        (None, Some(class), None) => {
            let value = format!("class:{}", class.value).parse().map_err(|invalid| {
                SettingsError::of("storage class", class.value, class.source.clone(), invalid)
            })?;
            Sourced { value, source: class.source }
        }
        (None, None, Some(_)) => nfs_storage(sources, host)?,
        (None, None, None) if matches!(profile, Profile::Crunchy(_)) => nfs_storage(sources, host)?,
        (None, None, None) => {
            Sourced { value: Storage::Class { name: None }, source: Source::Default }
        }
    };
    if let Storage::Nfs { server, .. } = &storage.value
        && is_loopback(server)
    {
        warnings.push(format!("the NFS server {server} is to each node the node itself"));
    }
    sources.settle(&variables::PGSET_STORAGE, &storage.value, &storage.source);
    Ok(storage.value)
}

/// `nfs://SERVER/PATH` from the article's variables.
fn nfs_storage(
    sources: &mut Sources<'_>,
    host: &Host<'_>,
) -> Result<Sourced<Storage>, SettingsError> {
    const FIELD: &str = "NFS server";
    let given = sources.variable(&[&variables::CCP_NFS_IP, &variables::LOCAL_IP])?;
    let server = if let Some(given) = given {
        Sourced { value: given.value.to_owned(), source: given.source }
    } else {
        let source = Source::Derived("this host's name");
        let address = (host.local_address)().map_err(|reason| {
            let invalid = Invalid::new(format!("must be given: {reason}")).hint(nfs_hint());
            SettingsError::hidden(FIELD, source.clone(), invalid)
        })?;
        Sourced { value: address.to_string(), source }
    };
    let refused =
        |invalid| SettingsError::of(FIELD, server.value.as_str(), server.source.clone(), invalid);
    let name = super::storage::nfs_server(&server.value).map_err(refused)?;
    let explicit = server.source == Source::Variable(variables::CCP_NFS_IP.name);
    if !explicit && is_loopback(&name) {
        let reason = "must be an address that the cluster's nodes reach, not loopback";
        return Err(refused(Invalid::new(reason).hint(nfs_hint())));
    }
    let path = sources
        .variable(&[&variables::CCP_STORAGE_PATH])?
        .unwrap_or(Sourced { value: DEFAULT_NFS_PATH, source: Source::Default });
    let checked = super::storage::absolute_path(path.value).map_err(|invalid| {
        SettingsError::of("NFS path", path.value, path.source.clone(), invalid)
    })?;
    sources.settle(&variables::CCP_NFS_IP, &name, &server.source);
    sources.settle(&variables::CCP_STORAGE_PATH, &checked, &path.source);
    let value = Storage::Nfs { server: name, path: checked };
    Ok(Sourced { value, source: server.source })
}

fn nfs_hint() -> String {
    "set LOCAL_IP or CCP_NFS_IP to the NFS server's address, or say --storage, such as \
     --storage class"
        .to_owned()
}

fn is_loopback(server: &str) -> bool {
    server == "localhost"
        || server
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

fn size(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    storage: &Storage,
    warnings: &mut Vec<String>,
) -> Result<Quantity, SettingsError> {
    let given = sources
        .given(
            "--size",
            args.size.as_deref(),
            &[&variables::PGSET_SIZE, &variables::CCP_STORAGE_CAPACITY],
        )?
        .unwrap_or(Sourced { value: DEFAULT_SIZE, source: Source::Default });
    let size: Sourced<Quantity> = parse("size", &given)?;
    if let (Storage::Claim { name }, Source::Flag(flag)) = (storage, &size.source) {
        warnings.push(format!("{flag} has no effect: the claim {name} has its size already"));
    }
    sources.settle(&variables::PGSET_SIZE, &size.value, &size.source);
    Ok(size.value)
}

fn access_mode(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    storage: &Storage,
) -> Result<AccessMode, SettingsError> {
    let given = sources.given(
        "--access-mode",
        args.access_mode.as_deref(),
        &[&variables::PGSET_ACCESS_MODE, &variables::CCP_STORAGE_MODE],
    )?;
    let per_pod = matches!(storage, Storage::Class { .. });
    let mode = match given {
        Some(given) => parse("access mode", &given)?,
        // A claim that all pods share must let several nodes in.
        None if per_pod => Sourced { value: AccessMode::ReadWriteOnce, source: Source::Default },
        None => Sourced { value: AccessMode::ReadWriteMany, source: Source::Default },
    };
    if mode.value == AccessMode::ReadWriteOncePod && !per_pod {
        let invalid = Invalid::new(format!(
            "must let more than one pod in: with {storage} all pods share one claim"
        ))
        .hint("--access-mode ReadWriteMany, or a claim per pod: --storage class");
        return Err(SettingsError::of("access mode", mode.value.name(), mode.source, invalid));
    }
    sources.settle(&variables::PGSET_ACCESS_MODE, mode.value, &mode.source);
    Ok(mode.value)
}

fn volume_prefix(sources: &mut Sources<'_>, args: &SettingsArgs) -> Result<String, SettingsError> {
    let given = sources
        .given(
            "--volume-prefix",
            args.volume_prefix.as_deref(),
            &[&variables::PGSET_VOLUME_PREFIX],
        )?
        .unwrap_or(Sourced { value: DEFAULT_VOLUME_PREFIX, source: Source::Default });
    let prefix: Sourced<VolumePrefix> = parse("volume prefix", &given)?;
    sources.settle(&variables::PGSET_VOLUME_PREFIX, &prefix.value, &prefix.source);
    Ok(prefix.value.as_str().to_owned())
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
            let invalid = Invalid::new("must be a directory")
                .hint(format!("to start from the built-in ones: pgset templates export {value}"));
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
