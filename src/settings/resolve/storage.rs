//! Storage, size, access mode and the prefix of volume names.

use std::net::IpAddr;

use super::{DEFAULT_NFS_PATH, DEFAULT_SIZE, DEFAULT_VOLUME_PREFIX, Host};
use crate::cli::SettingsArgs;
use crate::environment as variables;
use crate::image::Profile;
use crate::settings::sources::{Sources, parse};
use crate::settings::storage::{absolute_path, nfs_server};
use crate::settings::{AccessMode, SettingsError, Source, Sourced, Storage};
use crate::values::Invalid;
use crate::values::Quantity;
use crate::values::names::VolumePrefix;

pub(super) fn storage(
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
                "must not be set together with {}: they select different kinds of storage",
                nfs.source
            ))
            .hint(format!("unset one of them, or use --storage class:{}", class.value));
            return Err(SettingsError::of("storage class", class.value, class.source, invalid));
        }
        (None, Some(class), None) => {
            let value = format!("class:{}", class.value).parse().map_err(|invalid| {
                SettingsError::of("storage class", class.value, class.source.clone(), invalid)
            })?;
            Sourced { value, source: class.source }
        }
        (None, None, Some(_)) => nfs_storage(sources, host)?,
        (None, None, None) => match sources.recorded(&variables::PGSET_STORAGE) {
            Some(recorded) => parse("storage", &recorded)?,
            None if profile.capabilities().defaults_to_nfs => nfs_storage(sources, host)?,
            None => Sourced { value: Storage::Class { name: None }, source: Source::Default },
        },
    };
    if let Storage::Nfs { server, .. } = &storage.value
        && is_loopback(server)
    {
        let warning =
            format!("the NFS server {server} is a loopback address: each node would use itself");
        warnings.push(warning);
    }
    sources.settle(&variables::PGSET_STORAGE, &storage.value, &storage.source);
    Ok(storage.value)
}

/// Builds `nfs://SERVER/PATH` from the article's variables.
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
    let name = nfs_server(&server.value).map_err(refused)?;
    let explicit = server.source == Source::Variable(variables::CCP_NFS_IP.name);
    if !explicit && is_loopback(&name) {
        let reason = "must be an address that the cluster's nodes can reach, not loopback";
        return Err(refused(Invalid::new(reason).hint(nfs_hint())));
    }
    let path = sources
        .variable(&[&variables::CCP_STORAGE_PATH])?
        .unwrap_or(Sourced { value: DEFAULT_NFS_PATH, source: Source::Default });
    let checked = absolute_path(path.value).map_err(|invalid| {
        SettingsError::of("NFS path", path.value, path.source.clone(), invalid)
    })?;
    sources.settle(&variables::CCP_NFS_IP, &name, &server.source);
    sources.settle(&variables::CCP_STORAGE_PATH, &checked, &path.source);
    let value = Storage::Nfs { server: name, path: checked };
    Ok(Sourced { value, source: server.source })
}

fn nfs_hint() -> String {
    "set LOCAL_IP or CCP_NFS_IP to the NFS server's address, or use another storage: \
     --storage class"
        .to_owned()
}

fn is_loopback(server: &str) -> bool {
    server == "localhost"
        || server
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

pub(super) fn size(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    storage: &Storage,
    warnings: &mut Vec<String>,
) -> Result<Quantity, SettingsError> {
    let given = sources
        .given_or_recorded(
            "--size",
            args.size.as_deref(),
            &[&variables::PGSET_SIZE, &variables::CCP_STORAGE_CAPACITY],
        )?
        .unwrap_or(Sourced { value: DEFAULT_SIZE, source: Source::Default });
    let size: Sourced<Quantity> = parse("size", &given)?;
    if let (Storage::Claim { name }, Source::Flag(flag)) = (storage, &size.source) {
        warnings.push(format!("{flag} has no effect: the claim {name} already has a size"));
    }
    sources.settle(&variables::PGSET_SIZE, &size.value, &size.source);
    Ok(size.value)
}

pub(super) fn access_mode(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    storage: &Storage,
) -> Result<AccessMode, SettingsError> {
    let given = sources.given_or_recorded(
        "--access-mode",
        args.access_mode.as_deref(),
        &[&variables::PGSET_ACCESS_MODE, &variables::CCP_STORAGE_MODE],
    )?;
    let per_pod = matches!(storage, Storage::Class { .. });
    let mode = match given {
        Some(given) => parse("access mode", &given)?,
        // A claim that all pods share must be mountable on several nodes.
        None if per_pod => Sourced { value: AccessMode::ReadWriteOnce, source: Source::Default },
        None => Sourced { value: AccessMode::ReadWriteMany, source: Source::Default },
    };
    if mode.value == AccessMode::ReadWriteOncePod && !per_pod {
        let invalid = Invalid::new(format!(
            "must allow more than one pod: with {storage} all pods share one claim"
        ))
        .hint("--access-mode ReadWriteMany, or a claim per pod: --storage class");
        return Err(SettingsError::of("access mode", mode.value.name(), mode.source, invalid));
    }
    sources.settle(&variables::PGSET_ACCESS_MODE, mode.value, &mode.source);
    Ok(mode.value)
}

pub(super) fn volume_prefix(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
) -> Result<String, SettingsError> {
    let given = sources
        .given_or_recorded(
            "--volume-prefix",
            args.volume_prefix.as_deref(),
            &[&variables::PGSET_VOLUME_PREFIX],
        )?
        .unwrap_or(Sourced { value: DEFAULT_VOLUME_PREFIX, source: Source::Default });
    let prefix: Sourced<VolumePrefix> = parse("volume prefix", &given)?;
    sources.settle(&variables::PGSET_VOLUME_PREFIX, &prefix.value, &prefix.source);
    Ok(prefix.value.as_str().to_owned())
}
