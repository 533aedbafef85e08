//! Images: a table of what each image starts. Nothing is pulled: containers run the programs of
//! this machine.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::super::place::Place;

/// The known images, for the error message about an unknown one.
pub(super) const KNOWN: &str = "crunchydata/crunchy-postgres:* and postgres:13 to postgres:18";

/// The files of the images, and their modes.
const FILES: [(&str, &str); 4] = [
    ("crunchy/opt/cpm/bin/start.sh", include_str!("../images/crunchy-start.sh")),
    ("crunchy/opt/cpm/bin/readiness.sh", include_str!("../images/crunchy-readiness.sh")),
    ("crunchy/opt/cpm/bin/liveness.sh", include_str!("../images/crunchy-liveness.sh")),
    ("postgres/usr/local/bin/postgres", include_str!("../images/postgres.sh")),
];

/// Variables of the official image: where libpq looks for the server's socket, and where pgset's
/// bootstrap script finds its mounts. The script is not changed, so it contains container paths.
/// For a mounted path the variable holds the volume's own directory, which is the same in every
/// container of the pod.
const OFFICIAL: [(&str, &str); 10] = [
    ("PGHOST", "/var/run/postgresql"),
    ("PGSET_ETC", "/etc/pgset"),
    ("PGSET_SCRIPTS", "/etc/pgset-scripts"),
    ("PGSET_RUN", "/run/pgset"),
    ("PGSET_AUTH", "/etc/pgset-auth"),
    ("PGSET_TLS", "/etc/pgset-tls"),
    ("PGSET_TOPOLOGY", "/etc/pgset-topology"),
    ("PGSET_TOKEN", "/var/run/secrets/kubernetes.io/serviceaccount"),
    ("PGSET_SOCKETS", "/var/run/postgresql"),
    ("PGSET_TMP", "/tmp"),
];

/// What an image provides.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Its directories by container path.
    pub(super) directories: Vec<(&'static str, PathBuf)>,
    /// Directories that are empty at the start.
    pub(super) empty: &'static [&'static str],
    /// Its environment variables.
    pub(super) variables: &'static [(&'static str, &'static str)],
    /// The command if the pod has none.
    pub(super) entry: Option<&'static str>,
    /// A directory that comes first in `PATH`.
    pub(super) path: Option<PathBuf>,
    /// The signal that ends the container.
    pub(super) stop: Signal,
}

/// All images.
pub(super) struct Images {
    directory: PathBuf,
}

impl Images {
    /// Writes the files of the images.
    pub(super) fn unpack(place: &Place) -> io::Result<Self> {
        let directory = place.directory().join("images");
        for (name, text) in FILES {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        Ok(Self { directory })
    }

    /// The image with this name; none if it does not exist.
    pub(super) fn find(&self, reference: &str) -> Option<Image> {
        let name = reference.split('@').next()?;
        // Names in `.invalid` are reserved for hosts that do not exist, so such a registry has no
        // images.
        if name.split('/').next()?.ends_with(".invalid") {
            return None;
        }
        let last = name.rsplit('/').next()?;
        let (name, tag) = last.split_once(':').unwrap_or((last, "latest"));
        let known = |image: &str| self.directory.join(image);
        match name {
            "crunchy-postgres" => Some(Image {
                directories: vec![("/opt/cpm", known("crunchy/opt/cpm"))],
                empty: &["/tmp"],
                variables: &[("PGHOST", "/tmp")],
                entry: Some("/opt/cpm/bin/start.sh"),
                path: Some(known("crunchy/opt/cpm/bin")),
                stop: Signal::INT,
            }),
            "postgres" if is_official(tag) => Some(Image {
                directories: Vec::new(),
                empty: &["/tmp", "/var/run/postgresql"],
                variables: &OFFICIAL,
                entry: None,
                path: Some(known("postgres/usr/local/bin")),
                stop: Signal::INT,
            }),
            _ => None,
        }
    }
}

/// `17`, `17.4`, `17-bookworm`, `latest`.
fn is_official(tag: &str) -> bool {
    let digits: String = tag.chars().take_while(char::is_ascii_digit).collect();
    tag == "latest" || digits.parse().is_ok_and(|major: u32| (13..=18).contains(&major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let images = Images { directory: "/images".into() };
        for (reference, known) in [
            ("postgres:17", true),
            ("docker.io/library/postgres:16.4-bookworm", true),
            ("postgres:9.6", false),
            ("crunchydata/crunchy-postgres:centos7-9.5-1.2.6", true),
            ("registry.example:5000/mine/crunchy-postgres:centos7-11-2.4.2@sha256:0", true),
            ("registry.invalid/crunchydata/crunchy-postgres:centos7-9.5-1.2.6", false),
            ("nginx", false),
        ] {
            assert_eq!(images.find(reference).is_some(), known, "{reference}");
        }
    }
}
