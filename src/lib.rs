//! pgset: run a PostgreSQL replica set on Kubernetes.
//!
//! Data flows one way:
//! `cli + environment -> settings -> set -> render -> manifest -> plan -> procedure -> cluster -> event -> report`.
//!
//! Each module imports exactly the modules that its row lists, and there is no import cycle.
//! `tests/architecture.rs` compares this table with the source.
//!
//! | module | purpose | imports |
//! | --- | --- | --- |
//! | [`error`] | the `Diagnose` trait, exit codes, cause chains and hints | |
//! | [`environment`] | the only reader of environment variables | |
//! | [`terminal`] | the terminal's size and modes | |
//! | `text` | word wrap, shell quoting, percent-encoding, the program's name, the words of a damaged server | |
//! | [`values`] | newtypes of single values: names, quantities, durations, secrets | |
//! | [`interrupt`] | Ctrl-C and SIGTERM | error |
//! | [`prompt`] | questions to the user; refused without a terminal | error |
//! | [`image`] | image references, and the capabilities of images by profile | error, values |
//! | [`manifest`] | parses text into objects; kinds, their order, ownership labels | error |
//! | [`set`] | the replica set as a value: identity, names, objects, topology, rights | error, image, manifest, text, values |
//! | [`certificate`] | issues, renews and checks certificates | set, values |
//! | [`cli`] | the command line, and nothing else | environment, image, text, values |
//! | [`settings`] | validates flags, environment and defaults once | cli, environment, error, image, set, text, values |
//! | [`render`] | renders templates to text | certificate, error, image, manifest, set, settings, text, values |
//! | [`plan`] | compares desired and live objects; plans steps and refusals | error, manifest, set, values |
//! | [`postgres`] | SQL, psql, the checks of `test` and `status` | certificate, error, set, settings, text, values |
//! | [`readiness`] | decides what is ready, what failed and why | manifest, set, text, values |
//! | [`event`] | what happened, as data | error, manifest, postgres, readiness |
//! | [`report`] | formats events as text, for users and scripts | error, event, manifest, readiness, terminal, text |
//! | [`cluster`] | all communication with Kubernetes | error, manifest, readiness, set, text |
//! | [`context`] | what all commands share: flags, cluster, prompts, reporter | cli, cluster, environment, error, event, image, interrupt, postgres, prompt, render, report, set, settings, terminal, text, values |
//! | [`complete`] | completion of values while the user types | cli, cluster, context, environment, image, manifest, set, settings, text |
//! | `procedure` | operations with several steps that can be resumed | certificate, cli, cluster, context, error, event, image, interrupt, manifest, plan, postgres, readiness, render, report, set, settings, terminal, text, values |
//! | `sandbox` | a small Kubernetes to try pgset on, imported only by its command | error, values |
//! | [`commands`] | one file per subcommand | cli, cluster, context, error, event, image, interrupt, manifest, plan, postgres, procedure, readiness, render, sandbox, set, settings, terminal, text, values |
//! | `run` | the composition root: from the command line to an exit code | cli, cluster, commands, complete, context, environment, error, event, image, interrupt, manifest, plan, postgres, prompt, render, report, sandbox, settings, text |
//!
//! `values`, `image`, `manifest`, `set`, `certificate`, `settings`, `render`, `plan`, `postgres` and
//! `readiness` are pure: they take values and return values, without I/O.

pub mod certificate;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod complete;
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
