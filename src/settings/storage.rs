//! Where the data lies.

/// `--storage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `nfs://SERVER/PATH`: static volumes, one shared claim.
    Nfs {
        /// Host name or address.
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
        /// The StorageClass; none for the default one.
        name: Option<String>,
    },
    /// `claim:NAME`: a claim that somebody else made, shared by all pods; never deleted by pgset.
    Claim {
        /// The claim's name.
        name: String,
    },
}

impl Storage {
    /// Whether pgset makes PersistentVolumes for it (needs rights on a cluster-scoped kind).
    #[must_use]
    pub fn is_static(&self) -> bool {
        matches!(self, Self::Nfs { .. } | Self::HostPath { .. })
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
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
    /// One node.
    ReadWriteOnce,
    /// Many nodes.
    ReadWriteMany,
    /// One pod.
    ReadWriteOncePod,
}

impl AccessMode {
    /// Kubernetes' own name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteMany => "ReadWriteMany",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}
