//! pgset: run a PostgreSQL replica set on Kubernetes.
//!
//! Data flows one way, and no module reaches back up:
//! `cli + environment -> settings -> render -> manifest -> plan -> cluster -> event -> report`.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`cli`] | the command line, and nothing else |
//! | [`environment`] | the only reader of environment variables |
//! | [`certificate`] | certificates, made, renewed and looked at |
//! | [`settings`], [`image`] | flags, environment and defaults, validated once |
//! | [`render`], [`manifest`] | templates to text, text to objects |
//! | [`plan`] | what is wanted and what is there, to what is to be done |
//! | [`readiness`], [`postgres`] | what is ready, what failed and why; what PostgreSQL says |
//! | [`cluster`] | everything that talks to Kubernetes |
//! | [`commands`] | one file per subcommand: orchestration |
//! | `sandbox` | a small Kubernetes to try pgset on, imported by its command alone |
//! | [`event`], [`report`], [`prompt`], [`terminal`], `text`, [`error`] | what a person or a script gets to see |
//!
//! `settings`, `image`, `certificate`, `render`, `manifest`, `plan`, `readiness` and `postgres` are pure: values in,
//! values out.

pub mod certificate;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod context;
pub mod environment;
pub mod error;
pub mod event;
pub mod image;
pub mod interrupt;
pub mod manifest;
pub mod plan;
pub mod postgres;
pub(crate) mod procedure;
pub mod prompt;
pub mod readiness;
pub mod render;
pub mod report;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod set;
pub mod settings;
pub mod terminal;
mod text;
pub mod values;

mod run;

pub use run::main;
