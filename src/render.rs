//! Renders templates and settings to text.
//!
//! Every `{{ value }}` is rendered as a whole JSON scalar, so that any string is the same after rendering
//! and parsing. An undefined variable is an error. The templates are the built-in ones of the image's
//! profile; files of the user's own may replace all or some of them.

mod context;
mod engine;
mod error;
mod files;
mod set;

pub use engine::{render, scripts};
pub use error::RenderError;
pub use set::{TemplateFile, TemplateOrigin, TemplateSet, export};

use crate::certificate::Certificates;
use crate::set::{Origin, Topology};
use crate::settings::{Settings, Tls};
use crate::values::{Replicas, Secret};

/// The inputs of a rendering.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The number of pods. `None` leaves `spec.replicas` out, because another field manager owns it.
    pub replicas: Option<Replicas>,
    /// Who is the master.
    pub topology: &'a Topology,
    /// Where the first data comes from.
    pub origin: Origin,
    /// The number of pods that there are or will be, whoever decides it.
    pub pods: u32,
    /// The minor version of the Kubernetes server that the objects are for: 37 for 1.37.
    pub server_minor: u32,
    /// The passwords in force.
    pub passwords: &'a Passwords,
    /// The stage of TLS. `None` if TLS is off.
    pub tls: Option<&'a Tls>,
    /// The certificates that pgset issued. `None` if there are none, or if the user manages them.
    pub certificates: Option<&'a Certificates>,
    /// The Secret that the pods of the set mount for TLS. While TLS is off they keep it, since another one would
    /// restart them. `None` for a new set.
    pub mounted_certificates: Option<&'a str>,
    /// The scripts in the objects.
    pub scripts: Scripts,
}

/// Which scripts the objects contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// Empty ones: only the names of the objects and the rights of the pods are of interest.
    Empty,
    /// Those of this pgset.
    Current,
    /// Also that of an older pgset: the objects may be applied to a set whose pods it started. Those pods run the
    /// script in the ConfigMap `NAME-config`, which must stay as it is.
    WithPrevious,
}

/// The minor version of Kubernetes that is assumed if no server was asked, or if the server does not report
/// its version.
pub const NEWEST_SERVER: u32 = 37;

/// The passwords in force: set by the user, read from the live Secret, or generated.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// The password of the superuser `postgres`.
    pub superuser: Secret,
    /// The password of the replication role.
    pub primary: Secret,
    /// The password of the application's role.
    pub user: Secret,
}
