//! Templates and settings to text.
//!
//! Every `{{ value }}` comes out as a whole JSON scalar, so that any string survives rendering and
//! parsing as itself; an undefined variable is an error. Templates are the built-in ones of the
//! image's profile, or files of the user's own, all or some.

mod context;
mod engine;
mod error;
mod files;
mod set;

pub use engine::render;
pub use error::RenderError;
pub use set::{Origin, TemplateFile, TemplateSet, export};

use crate::certificate::Certificates;
use crate::set::Topology;
use crate::settings::{Settings, Tls};
use crate::values::{Replicas, Secret};

/// What a rendering depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The number of pods; none leaves `spec.replicas` out, for whoever owns it.
    pub replicas: Option<Replicas>,
    /// Who is the master.
    pub topology: &'a Topology,
    /// The number of pods that there are or will be, whoever decides it.
    pub pods: u32,
    /// The minor version of the Kubernetes that the objects are for: 37 for 1.37.
    pub server_minor: u32,
    /// The passwords in force.
    pub passwords: &'a Passwords,
    /// How far TLS is; none where there is none.
    pub tls: Option<&'a Tls>,
    /// The certificates that pgset made; none where there are none, or they are somebody else's.
    pub certificates: Option<&'a Certificates>,
}

/// The minor version of Kubernetes that is assumed where no server was asked, or says none.
pub const NEWEST_SERVER: u32 = 37;

/// The passwords in force: given, read from the live Secret, or made.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Of the superuser `postgres`.
    pub superuser: Secret,
    /// Of the replication role.
    pub primary: Secret,
    /// Of the application's role.
    pub user: Secret,
}
