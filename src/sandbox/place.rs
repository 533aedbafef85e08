//! The directory of a sandbox, with its kubeconfig, objects, volumes and log.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddrV4;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::node::MissingTool;
use crate::error::{Diagnose, Exit};

/// A sandbox's directory. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
    /// The number of nodes; none if no sandbox has run here and none was asked for.
    nodes: Option<u8>,
    /// The lock file, open while the sandbox runs.
    lock: Arc<Mutex<Option<File>>>,
}

/// Why a sandbox can't start.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The directory can't be used.
    #[error("the sandbox's directory {directory} can't be used: {reason}")]
    Directory {
        /// The directory.
        directory: String,
        /// The reason.
        reason: String,
    },
    /// A sandbox already runs there.
    #[error("a sandbox is already running in {directory}, as process {pid}")]
    Running {
        /// The directory.
        directory: String,
        /// Its process id.
        pid: u32,
    },
    /// It has another number of nodes.
    #[error("the sandbox in {directory} has {}, not {asked}", counted(*nodes))]
    Nodes {
        /// The directory.
        directory: String,
        /// The number of its nodes.
        nodes: u8,
        /// The number that was asked for.
        asked: u8,
        /// The flag for the directory.
        flag: String,
    },
    /// No address is free.
    #[error("no address of 127.0.0.0/8 is free for the sandbox: {0}")]
    Address(String),
    /// The certificate can't be created.
    #[error("the sandbox's certificate can't be generated: {0}")]
    Tls(String),
    /// A tool is missing.
    #[error(transparent)]
    Missing(#[from] MissingTool),
}

/// `1 node`, `3 nodes`.
fn counted(nodes: u8) -> String {
    format!("{nodes} node{}", if nodes == 1 { "" } else { "s" })
}

impl Diagnose for PlaceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Running { .. } | Self::Nodes { .. } => Exit::Refused,
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Directory { .. } => vec!["to use another directory: --directory DIR".to_owned()],
            Self::Running { directory, .. } => vec![
                format!("export KUBECONFIG={directory}/kubeconfig"),
                format!("pgset sandbox stop --directory {directory}"),
            ],
            Self::Nodes { flag, asked, .. } => vec![
                format!("to keep its content: pgset sandbox start{flag}"),
                format!(
                    "to delete it: pgset sandbox stop --delete{flag} && pgset sandbox start --nodes {asked}{flag}"
                ),
            ],
            Self::Missing(missing) => missing.hints(),
            Self::Address(_) | Self::Tls(_) => Vec::new(),
        }
    }
}

impl Place {
    /// The default directory, one for each user.
    #[must_use]
    pub fn usual() -> PathBuf {
        format!("/tmp/pgset-sandbox-{}", rustix::process::getuid().as_raw()).into()
    }

    /// The directory of a sandbox that ends with this process. The process id makes the name
    /// unique.
    #[must_use]
    pub fn passing() -> PathBuf {
        format!("{}-{}", Self::usual().display(), std::process::id()).into()
    }

    /// The directories of this user's temporary sandboxes that were killed: their processes no
    /// longer exist.
    #[must_use]
    pub fn left_behind() -> Vec<Self> {
        let usual = Self::usual();
        let (Some(parent), Some(name)) = (usual.parent(), usual.file_name()) else {
            return Vec::new();
        };
        let prefix = format!("{}-", name.to_string_lossy());
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let gone = entries.filter(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            let number: Option<u32> = number.and_then(|number| number.parse().ok());
            number.is_some_and(|number| !Path::new(&format!("/proc/{number}")).exists())
        });
        let places = gone.filter_map(|entry| Self::open(&entry.path()).ok());
        places.filter(|place| place.running().is_none()).collect()
    }

    /// Opens a directory, and creates it if it is missing. A directory that another user could have
    /// prepared is refused.
    ///
    /// # Errors
    /// If it can't be created, or if it belongs to another user.
    pub fn open(directory: &Path) -> Result<Self, PlaceError> {
        let error = |reason: String| PlaceError::Directory {
            directory: directory.display().to_string(),
            reason,
        };
        // Root's containers run as another user, who has to traverse the directory.
        let mode = if rustix::process::getuid().is_root() { 0o711 } else { 0o700 };
        match DirBuilder::new().mode(mode).create(directory) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(error(e.to_string())),
            _ => {}
        }
        let metadata = directory.symlink_metadata().map_err(|e| error(e.to_string()))?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::getuid().as_raw() {
            return Err(error("it is not a directory, or another user owns it".to_owned()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(error("other users can write to it".to_owned()));
        }
        // The sandbox starts in no other directory, and deletes no other one.
        let own = ["lock", "log", "objects"].iter().any(|name| directory.join(name).exists());
        let empty = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
        if !own && !empty {
            return Err(error("it contains files that a sandbox did not create".to_owned()));
        }
        let directory = directory.canonicalize().map_err(|e| error(e.to_string()))?;
        // PostgreSQL limits the length of a socket's path. The longest:
        // .../pods/123456/c/postgres/var/run/postgresql/.s.PGSQL.5432
        if directory.as_os_str().len() > 44 {
            return Err(error(
                "its path is too long: the path of a PostgreSQL socket has at most 107 characters"
                    .to_owned(),
            ));
        }
        let recorded = std::fs::read_to_string(directory.join("nodes")).ok();
        let recorded = recorded.and_then(|text| text.trim().parse().ok());
        // A directory without this file is that of an older version, which had one node.
        let nodes = recorded.or_else(|| directory.join("objects").exists().then_some(1));
        Ok(Self { directory, nodes, lock: Arc::default() })
    }

    /// The same place with this number of nodes, if one is given. The nodes of a sandbox that exists do not change,
    /// because its pods are on them.
    ///
    /// # Errors
    /// If it exists with another number of nodes.
    pub fn with_nodes(mut self, asked: Option<u8>) -> Result<Self, PlaceError> {
        if let (Some(nodes), Some(asked)) = (self.nodes, asked)
            && nodes != asked
        {
            let directory = self.directory.display().to_string();
            return Err(PlaceError::Nodes { directory, nodes, asked, flag: self.flag() });
        }
        self.nodes = self.nodes.or(asked);
        Ok(self)
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> u8 {
        self.nodes.unwrap_or(1)
    }

    /// Locks the directory until the process ends.
    pub(super) fn lock(&self) -> Result<(), PlaceError> {
        use rustix::fs::{FlockOperation, flock};
        let path = self.directory.join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut file = options.open(&path).map_err(|e| self.unwritable(&e))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let directory = self.directory.display().to_string();
            return Err(PlaceError::Running { directory, pid: self.running().unwrap_or(0) });
        }
        let pid = std::process::id().to_string();
        let written = file.set_len(0).and_then(|()| file.write_all(pid.as_bytes()));
        written.map_err(|e| self.unwritable(&e))?;
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    /// ` --directory DIR`, if it is not the usual directory.
    #[must_use]
    pub fn flag(&self) -> String {
        Self::flag_of(self.directory())
    }

    /// The same for a directory that may not exist.
    #[must_use]
    pub fn flag_of(directory: &Path) -> String {
        if directory == Self::usual() {
            return String::new();
        }
        format!(" --directory {}", directory.display())
    }

    /// The process id of the sandbox that runs here; none if none does.
    #[must_use]
    pub fn running(&self) -> Option<u32> {
        use rustix::fs::{FlockOperation, flock};
        let mut file = File::open(self.directory.join("lock")).ok()?;
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return None;
        }
        let mut pid = String::new();
        file.read_to_string(&mut pid).ok()?;
        pid.trim().parse().ok()
    }

    pub(super) fn unwritable(&self, error: &io::Error) -> PlaceError {
        let directory = self.directory.display().to_string();
        PlaceError::Directory { directory, reason: error.to_string() }
    }

    /// The path of the directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kubeconfig for this sandbox.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// The log of the sandbox in the background.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.directory.join("objects")
    }

    pub(super) fn volumes(&self) -> PathBuf {
        self.directory.join("volumes")
    }

    pub(super) fn pods(&self) -> PathBuf {
        self.directory.join("pods")
    }

    /// The address that the last sandbox here used.
    pub(super) fn last_address(&self) -> Option<SocketAddrV4> {
        std::fs::read_to_string(self.directory.join("address")).ok()?.trim().parse().ok()
    }

    pub(super) fn write_kubeconfig(
        &self,
        address: SocketAddrV4,
        authority: &str,
        token: &str,
    ) -> Result<(), PlaceError> {
        use base64::Engine as _;
        let authority = base64::engine::general_purpose::STANDARD.encode(authority);
        let name = "pgset-sandbox";
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": {
                "server": format!("https://{address}"), "certificate-authority-data": authority}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name,
                "context": {"cluster": name, "user": name, "namespace": "default"}}],
        });
        self.write("kubeconfig", &format!("{config:#}\n"))
            .and_then(|()| self.write("address", &address.to_string()))
            .map_err(|e| self.unwritable(&e))
    }

    pub(super) fn write_nodes(&self) -> Result<(), PlaceError> {
        self.write("nodes", &self.nodes().to_string()).map_err(|e| self.unwritable(&e))
    }

    /// Replaces a private file atomically.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let (path, anew) = (self.directory.join(name), self.directory.join(format!("{name}.new")));
        write_private(&anew, text.as_bytes())?;
        std::fs::rename(anew, path)
    }
}

/// Writes a file that only its owner can read from the beginning.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
