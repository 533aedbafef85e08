//! Where a sandbox lives: one directory, with its kubeconfig, its objects, its volumes and its log.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddrV4;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::node::MissingTool;
use crate::error::{Diagnose, Exit};

/// A sandbox's directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
    /// Held as long as the sandbox runs.
    lock: Arc<Mutex<Option<File>>>,
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Its directory can't be used.
    #[error("the sandbox's directory {directory} can't be used: {reason}")]
    Directory {
        /// Which.
        directory: String,
        /// Why.
        reason: String,
    },
    /// There is one already.
    #[error("a sandbox runs already in {directory}, as process {pid}")]
    Running {
        /// Where.
        directory: String,
        /// Its process.
        pid: u32,
    },
    /// No address was free.
    #[error("no address of 127.0.0.0/8 is free for the sandbox: {0}")]
    Address(String),
    /// No certificate could be made.
    #[error("the sandbox's certificate can't be made: {0}")]
    Tls(String),
    /// Something that has to be installed.
    #[error(transparent)]
    Missing(#[from] MissingTool),
}

impl Diagnose for PlaceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Running { .. } => Exit::Refused,
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Directory { .. } => vec!["--directory DIR takes another one".to_owned()],
            Self::Running { directory, .. } => vec![
                format!("export KUBECONFIG={directory}/kubeconfig"),
                format!("pgset sandbox stop --directory {directory}"),
            ],
            Self::Missing(missing) => missing.hints(),
            Self::Address(_) | Self::Tls(_) => Vec::new(),
        }
    }
}

impl Place {
    /// The directory that is taken when none is named: this user's alone.
    #[must_use]
    pub fn usual() -> PathBuf {
        format!("/tmp/pgset-sandbox-{}", rustix::process::getuid().as_raw()).into()
    }

    /// The directory of a sandbox that ends with this process: its number makes it one of its own.
    #[must_use]
    pub fn passing() -> PathBuf {
        format!("{}-{}", Self::usual().display(), std::process::id()).into()
    }

    /// The directories of such sandboxes, of this user, whose processes are gone: they were killed.
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

    /// A directory, made if it is not there. One that another user could have prepared is refused.
    ///
    /// # Errors
    /// When it can't be made, or belongs to somebody else.
    pub fn open(directory: &Path) -> Result<Self, PlaceError> {
        let error = |reason: String| PlaceError::Directory {
            directory: directory.display().to_string(),
            reason,
        };
        // Root's containers run as another user, who has to get through.
        let mode = if rustix::process::getuid().is_root() { 0o711 } else { 0o700 };
        match DirBuilder::new().mode(mode).create(directory) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(error(e.to_string())),
            _ => {}
        }
        let metadata = directory.symlink_metadata().map_err(|e| error(e.to_string()))?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::getuid().as_raw() {
            return Err(error("it is no directory of this user's".to_owned()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(error("others may write to it".to_owned()));
        }
        // Nothing else is ever started in, or deleted.
        let own = ["lock", "log", "objects"].iter().any(|name| directory.join(name).exists());
        let empty = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
        if !own && !empty {
            return Err(error("it holds files that are no sandbox's".to_owned()));
        }
        let directory = directory.canonicalize().map_err(|e| error(e.to_string()))?;
        // The longest: .../pods/123456/c/postgres/var/run/postgresql/.s.PGSQL.5432
        if directory.as_os_str().len() > 44 {
            return Err(error(
                "its name is too long for PostgreSQL's sockets below it, which may have 107 characters"
                    .to_owned(),
            ));
        }
        Ok(Self { directory, lock: Arc::default() })
    }

    /// Takes it: until the process ends, nobody else can.
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

    /// The process of the sandbox that runs here; none when none does.
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

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kubeconfig that leads to it.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// What it says while it runs.
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

    /// The address that it had the last time.
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

    /// Replaces a file that only its owner may read; nobody ever sees half of it.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let (path, anew) = (self.directory.join(name), self.directory.join(format!("{name}.new")));
        write_private(&anew, text.as_bytes())?;
        std::fs::rename(anew, path)
    }
}

/// Writes a file that is readable by its owner alone from the start.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
