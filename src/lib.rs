//! pgset: run a PostgreSQL replica set on Kubernetes.
//!
//! Data flows one way:
//! `cli + environment -> settings -> render -> manifest -> plan -> cluster -> event -> report`.

pub mod cli;
pub mod environment;
pub mod error;
pub mod event;
pub mod image;
pub mod manifest;
pub mod plan;
pub mod render;
pub mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with the arguments that it was called with, its own name first.
pub fn main(_args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::SUCCESS
}
