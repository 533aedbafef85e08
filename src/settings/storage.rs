//! The kinds of storage, and access modes.

use std::str::FromStr;

use crate::values::Invalid;
use crate::values::names::is_dns_name;

/// `--storage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `nfs://SERVER/PATH`: static volumes, one shared claim.
    Nfs {
        /// Host name or address; an IPv6 address without brackets.
        server: String,
        /// Absolute path of the export.
        path: String,
    },
    /// `hostpath:/PATH`: static volumes on the node, one shared claim.
    HostPath {
        /// Absolute path on the node.
        path: String,
    },
    /// `class[:NAME]`: a claim per pod, from the named class or the cluster's default.
    Class {
        /// The StorageClass. `None` is the cluster's default.
        name: Option<String>,
    },
    /// `claim:NAME`: an existing claim that pgset did not create, shared by all pods. pgset never deletes
    /// it.
    Claim {
        /// The claim's name.
        name: String,
    },
}

impl Storage {
    /// Whether pgset creates PersistentVolumes for this storage. This needs rights on a cluster-scoped
    /// kind.
    #[must_use]
    pub fn is_static(&self) -> bool {
        matches!(self, Self::Nfs { .. } | Self::HostPath { .. })
    }
}

impl FromStr for Storage {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).map_err(|refused| match refused.mended {
            Some(mended) if parse(&mended).is_ok() => {
                refused.invalid.hint(format!("did you mean {mended}?"))
            }
            _ => refused.invalid,
        })
    }
}

/// Why a storage was refused, and what the user may have meant. The suggestion is shown only if it is
/// valid.
struct Refused {
    invalid: Invalid,
    mended: Option<String>,
}

impl Refused {
    fn new(reason: impl Into<String>, mended: impl Into<Option<String>>) -> Self {
        Self { invalid: Invalid::new(reason), mended: mended.into() }
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self { invalid, mended: None }
    }
}

fn parse(text: &str) -> Result<Storage, Refused> {
    let (kind, rest) = match text.split_once(':') {
        Some((kind, rest)) => (kind, Some(rest)),
        None => (text, None),
    };
    match (kind, rest) {
        ("nfs", Some(rest)) => nfs(rest),
        ("hostpath", Some(path)) => Ok(Storage::HostPath { path: host_path(path)? }),
        ("class", None) => Ok(Storage::Class { name: None }),
        ("class", Some(name)) => Ok(Storage::Class { name: Some(object_name("class", name)?) }),
        ("claim", Some(name)) => Ok(Storage::Claim { name: object_name("claim", name)? }),
        _ => Err(unknown(kind, rest)),
    }
}

/// Parses the text after `nfs:`.
fn nfs(rest: &str) -> Result<Storage, Refused> {
    let form = |mended| Refused::new("must be nfs://SERVER/PATH", Some(mended));
    let Some(location) = rest.strip_prefix("//") else {
        // `nfs:server:/path` and `nfs:server/path`.
        let location = rest.trim_start_matches('/').replacen(":/", "/", 1);
        return Err(form(format!("nfs://{location}")));
    };
    let Some(slash) = location.find('/') else {
        return Err(form(format!("nfs://{location}/nfsfileshare")));
    };
    let (server, path) = location.split_at(slash);
    let server = nfs_server(server).map_err(|invalid| {
        let first = server.split_whitespace().next().filter(|first| *first != server);
        let mended = first.map(|first| format!("nfs://{first}{path}"));
        Refused { invalid: Invalid { hint: None, ..invalid }, mended }
    })?;
    Ok(Storage::Nfs { server, path: absolute_path(path)? })
}

/// Checks an NFS server: a host name, or an address. An IPv6 address may have brackets or not.
pub fn nfs_server(server: &str) -> Result<String, Invalid> {
    let bare = server.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(server);
    let address = bare.parse::<std::net::IpAddr>().is_ok();
    // An invalid IPv4 address must not be accepted as a host name.
    let numeric = server.chars().all(|c| c.is_ascii_digit() || c == '.');
    if address || (!numeric && is_dns_name(&server.to_ascii_lowercase())) {
        return Ok(bare.to_owned());
    }
    let error =
        Invalid::new("must name the NFS server by one host name or address, without port or path");
    Err(match server.split_once('/') {
        // This value is from a variable, which contains only the server. `--storage` is split at its first
        // slash before, so there is no slash left.
        Some((host, path)) => error
            .hint(format!("set CCP_NFS_IP or LOCAL_IP to {host}, and CCP_STORAGE_PATH to /{path}")),
        None => match server.split_whitespace().next() {
            Some(first) if first != server => error.suggest_server(first),
            _ => error,
        },
    })
}

impl Invalid {
    fn suggest_server(self, first: &str) -> Self {
        if nfs_server(first).is_ok() { self.hint(format!("did you mean {first}?")) } else { self }
    }
}

/// Checks a path: it must be absolute, without `..` and control characters. Removes slashes at the end.
pub fn absolute_path(path: &str) -> Result<String, Invalid> {
    if !path.starts_with('/') {
        let error = Invalid::new("must have an absolute path: one that begins with a slash");
        let safe = !path.is_empty() && absolute_path(&format!("/{path}")).is_ok();
        return Err(if safe { error.hint(format!("did you mean /{path}?")) } else { error });
    }
    if path.split('/').any(|component| component == "..") {
        return Err(Invalid::new("must have a path without .. in it"));
    }
    if path.chars().any(char::is_control) {
        return Err(Invalid::new("must have a path without control characters"));
    }
    let trimmed = path.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
}

fn host_path(path: &str) -> Result<String, Refused> {
    if !path.starts_with('/') || path.starts_with("//") {
        let mended = format!("hostpath:/{}", path.trim_start_matches('/'));
        return Err(Refused::new("must be hostpath:/PATH, an absolute path on the node", mended));
    }
    let path = absolute_path(path)?;
    let is_root = path.split('/').all(|component| component.is_empty() || component == ".");
    if is_root {
        return Err(Refused::new("must be a directory below the node's root directory", None));
    }
    Ok(path)
}

fn object_name(kind: &str, name: &str) -> Result<String, Refused> {
    if is_dns_name(name) {
        return Ok(name.to_owned());
    }
    let reason =
        format!("must be {kind}:NAME, a name of lower-case letters, digits, dashes and dots");
    Err(Refused::new(reason, format!("{kind}:{}", name.trim().to_ascii_lowercase())))
}

/// Other words that people use for the kinds of storage, for suggestions.
const OTHER_WORDS: [(&str, &str); 9] = [
    ("nfs", "nfs"),
    ("nfs4", "nfs"),
    ("host-path", "hostpath"),
    ("hostpath", "hostpath"),
    ("host", "hostpath"),
    ("class", "class"),
    ("storageclass", "class"),
    ("claim", "claim"),
    ("pvc", "claim"),
];

fn unknown(kind: &str, rest: Option<&str>) -> Refused {
    let lower = kind.trim().to_ascii_lowercase();
    let known = OTHER_WORDS.iter().find(|(word, _)| *word == lower).map(|(_, known)| *known);
    let mended = match (known, rest) {
        (Some(known), Some(rest)) => Some(format!("{known}:{rest}")),
        (None, None) if kind.starts_with('/') => Some(format!("hostpath:{kind}")),
        // Most people who give a single word mean a StorageClass.
        (None, None) => Some(format!("class:{lower}")),
        _ => None,
    };
    Refused::new("must be nfs://SERVER/PATH, hostpath:/PATH, class[:NAME] or claim:NAME", mended)
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nfs { server, path } if server.contains(':') => {
                write!(f, "nfs://[{server}]{path}")
            }
            Self::Nfs { server, path } => write!(f, "nfs://{server}{path}"),
            Self::HostPath { path } => write!(f, "hostpath:{path}"),
            Self::Class { name: None } => f.write_str("class"),
            Self::Class { name: Some(name) } => write!(f, "class:{name}"),
            Self::Claim { name } => write!(f, "claim:{name}"),
        }
    }
}

/// `--access-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Pods of one node can mount the volume.
    ReadWriteOnce,
    /// Pods of many nodes can mount the volume.
    ReadWriteMany,
    /// One pod can mount the volume.
    ReadWriteOncePod,
}

impl AccessMode {
    /// The name that Kubernetes uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteMany => "ReadWriteMany",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

impl FromStr for AccessMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.to_ascii_lowercase().as_str() {
            "readwriteonce" | "rwo" => Ok(Self::ReadWriteOnce),
            "readwritemany" | "rwx" => Ok(Self::ReadWriteMany),
            "readwriteoncepod" | "rwop" => Ok(Self::ReadWriteOncePod),
            "readonlymany" | "rox" => {
                Err(Invalid::new("must let PostgreSQL write: ReadOnlyMany does not"))
            }
            _ => Err(Invalid::new("must be ReadWriteOnce, ReadWriteMany or ReadWriteOncePod")),
        }
    }
}

impl std::fmt::Display for AccessMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_every_kind() {
        for text in [
            "nfs://10.0.0.5/nfsfileshare",
            "nfs://files.example.com/export/pg data",
            "nfs://[fd00::5]/x",
            "nfs://files/",
            "hostpath:/var/lib/pgset",
            "class",
            "class:fast.ssd",
            "claim:pgset-pvc",
        ] {
            assert_eq!(text.parse::<Storage>().unwrap().to_string(), text);
        }
        let storage: Storage = "nfs://[fd00::5]/x/".parse().unwrap();
        assert_eq!(storage, Storage::Nfs { server: "fd00::5".into(), path: "/x".into() });
    }

    #[test]
    fn refuses_what_is_none() {
        for (text, reason, hint) in [
            ("", "must be nfs://SERVER/PATH, hostpath:/PATH", None),
            ("nfs", "must be nfs://SERVER/PATH, hostpath:/PATH", None),
            (
                "nfs:10.0.0.5:/x",
                "must be nfs://SERVER/PATH",
                Some("did you mean nfs://10.0.0.5/x?"),
            ),
            ("nfs:10.0.0.5/x", "must be nfs://SERVER/PATH", Some("did you mean nfs://10.0.0.5/x?")),
            ("NFS://a/x", "must be nfs://SERVER/PATH", Some("did you mean nfs://a/x?")),
            (
                "nfs://10.0.0.5",
                "must be nfs://SERVER/PATH",
                Some("did you mean nfs://10.0.0.5/nfsfileshare?"),
            ),
            ("nfs:///x", "must name the NFS server", None),
            ("nfs://10.0.0.5:2049/x", "must name the NFS server", None),
            ("nfs://10.0.0.256/x", "must name the NFS server", None),
            ("nfs://a b/x", "must name the NFS server", Some("did you mean nfs://a/x?")),
            ("nfs://a/x/../y", "must have a path without ..", None),
            ("nfs://a/x\n---\nkind: Role", "must have a path without control characters", None),
            ("hostpath:var/lib", "must be hostpath:/PATH", Some("did you mean hostpath:/var/lib?")),
            (
                "hostpath:///var/lib",
                "must be hostpath:/PATH",
                Some("did you mean hostpath:/var/lib?"),
            ),
            (
                "hostPath:/x",
                "must be nfs://SERVER/PATH, hostpath:/PATH",
                Some("did you mean hostpath:/x?"),
            ),
            ("hostpath:/", "must be a directory below", None),
            ("hostpath:/./", "must be a directory below", None),
            ("hostpath://", "must be hostpath:/PATH", None),
            ("hostpath:/x/..", "must have a path without ..", None),
            ("class:", "must be class:NAME", None),
            ("class:Fast", "must be class:NAME", Some("did you mean class:fast?")),
            ("class:a/b", "must be class:NAME", None),
            ("claim", "must be nfs://SERVER/PATH, hostpath:/PATH", None),
            ("claim:", "must be claim:NAME", None),
            ("pvc:x", "must be nfs://SERVER/PATH, hostpath:/PATH", Some("did you mean claim:x?")),
            (
                "standard",
                "must be nfs://SERVER/PATH, hostpath:/PATH",
                Some("did you mean class:standard?"),
            ),
            (
                "/var/lib/x",
                "must be nfs://SERVER/PATH, hostpath:/PATH",
                Some("did you mean hostpath:/var/lib/x?"),
            ),
            ("s3://bucket", "must be nfs://SERVER/PATH, hostpath:/PATH", None),
        ] {
            let error = text.parse::<Storage>().expect_err(text);
            assert!(error.reason.starts_with(reason), "{text}: {}", error.reason);
            assert_eq!(error.hint.as_deref(), hint, "{text:?}");
        }
    }

    #[test]
    fn servers_and_paths_alone() {
        for (server, hint) in [
            ("", None),
            (
                "10.0.0.5/nfsfileshare",
                Some(
                    "set CCP_NFS_IP or LOCAL_IP to 10.0.0.5, and CCP_STORAGE_PATH to /nfsfileshare",
                ),
            ),
            ("10.0.0.5 fe80::1", Some("did you mean 10.0.0.5?")),
        ] {
            assert_eq!(nfs_server(server).unwrap_err().hint.as_deref(), hint);
        }
        assert_eq!(
            absolute_path("nfs/x").unwrap_err().hint.as_deref(),
            Some("did you mean /nfs/x?")
        );
        assert_eq!(absolute_path("../x").unwrap_err().hint, None);
        assert_eq!(absolute_path("/").as_deref(), Ok("/"));
    }

    #[test]
    fn access_modes() {
        for (text, mode) in [
            ("ReadWriteMany", AccessMode::ReadWriteMany),
            ("readwriteonce", AccessMode::ReadWriteOnce),
            ("RWX", AccessMode::ReadWriteMany),
            ("rwo", AccessMode::ReadWriteOnce),
            ("RWOP", AccessMode::ReadWriteOncePod),
        ] {
            assert_eq!(text.parse::<AccessMode>(), Ok(mode));
        }
        for text in ["", "ReadOnlyMany", "ReadWrite", "ReadWriteMany "] {
            text.parse::<AccessMode>().unwrap_err();
        }
    }
}
