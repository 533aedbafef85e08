//! pgset: run a PostgreSQL replica set on Kubernetes.
//!
//! Data flows one way:
//! `cli + environment -> settings -> set -> render -> manifest -> plan -> procedure -> cluster -> event -> report`.
//!
//! This is the map of the house. A module imports only those that its line names, and there is no cycle; the test
//! `architecture` reads the table and compares it with the source.
//!
//! | module | what it is | imports |
//! | --- | --- | --- |
//! | [`error`] | the trait of all errors, the exit codes, cause chains and hints | |
//! | [`environment`] | the only reader of environment variables | |
//! | [`terminal`] | the terminal: its size, its modes | |
//! | [`text`] | word wrap, shell quoting | |
//! | [`values`] | newtypes of single values: names, quantities, durations, secrets | |
//! | [`interrupt`] | Ctrl-C and SIGTERM | error |
//! | [`prompt`] | questions to a person; refused without a terminal | error |
//! | [`image`] | image references; what an image can do, by its profile | error, values |
//! | [`manifest`] | text to objects; kinds, their order, ownership labels | error |
//! | [`set`] | the replica set as a value: identity, names, objects, topology, rights | error, image, manifest, values |
//! | [`certificate`] | certificates: issued, renewed, inspected | set, values |
//! | [`cli`] | the command line, and nothing else | image, values |
//! | [`settings`] | flags, environment and defaults, validated once | cli, environment, error, image, set, text, values |
//! | [`render`] | templates to text | certificate, error, image, manifest, set, settings, values |
//! | [`plan`] | what is wanted and what is live, to steps and refusals | error, manifest, set, values |
//! | [`postgres`] | SQL, psql, the checks of `test` and `status` | certificate, error, set, settings, text, values |
//! | [`readiness`] | what is ready, what failed and why | manifest, set, text, values |
//! | [`event`] | what happened, as data | error, manifest, readiness |
//! | [`report`] | events to text, for a person or a script | error, event, manifest, readiness, terminal, text |
//! | [`cluster`] | everything that talks to Kubernetes | error, manifest, readiness, set, text |
//! | [`context`] | what every command works with: flags, cluster, person | cli, cluster, environment, event, interrupt, prompt, render, report, set, settings, terminal, text |
//! | `procedure` | what takes several steps and can be resumed | certificate, cli, cluster, context, error, event, image, interrupt, manifest, plan, postgres, readiness, render, report, set, settings, terminal, text, values |
//! | `sandbox` | a small Kubernetes to try pgset on, imported by its command alone | error, values |
//! | [`commands`] | a file per subcommand: arguments to procedures to an outcome | cli, cluster, context, error, event, image, interrupt, manifest, plan, postgres, procedure, render, sandbox, set, settings, terminal, text, values |
//! | `run` | the composition root: from the command line to an exit code | cli, cluster, commands, context, environment, error, event, image, interrupt, manifest, plan, postgres, prompt, render, report, sandbox, settings |
//!
//! `values`, `image`, `manifest`, `set`, `certificate`, `settings`, `render`, `plan`, `postgres` and `readiness` are
//! pure: values in, values out.

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
