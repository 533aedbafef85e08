//! The context that all commands share.

pub(crate) mod command_line;
pub(crate) mod files;
pub(crate) mod lease;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use crate::cli::{GlobalArgs, SettingsArgs};
use crate::cluster::connect::Sources;
use crate::cluster::{Cluster, ClusterError, Deadline, Target};
use crate::environment;
use crate::environment::Environment;
use crate::event::Event;
use crate::image::{ImageReference, Profile};
use crate::interrupt::Interrupt;
use crate::postgres::address::Connection;
use crate::prompt::Prompt;
use crate::render::TemplateSet;
use crate::report::Reporter;
use crate::set::SetIdentity;
use crate::settings::general::General;
use crate::settings::resolve::{self, Host, Resolved};
use crate::settings::{Recipe, Settings, Source, Sourced};

/// The flags, the environment, and access to the user and to the cluster.
pub struct Context {
    /// The global flags.
    pub global: GlobalArgs,
    /// The settings of flags and environment that are not about the set.
    pub general: General,
    /// The environment, read once.
    pub environment: Environment,
    /// Where events go.
    pub reporter: Reporter,
    /// Asks the user questions.
    pub prompt: Arc<dyn Prompt>,
    /// Whether a signal has requested the end of the command.
    pub interrupt: Interrupt,
    /// The command line as the user would type it again, to resume after an interruption.
    pub again: String,
    /// The Lease of the set, while the command writes.
    pub lease: lease::LeaseSlot,
}

impl Context {
    /// The cluster that the flags and the environment select. Sends no request.
    pub async fn target(&self) -> Result<Target, ClusterError> {
        Target::load(&sources(&self.general, &self.environment)).await
    }

    /// Creates a client for the cluster. Its deadline is `--timeout` from now.
    ///
    /// A credential plugin runs on its own thread, so that pgset still handles signals while the plugin waits
    /// for a login or hangs.
    pub async fn cluster(&self, target: &Target) -> anyhow::Result<Cluster> {
        let timeout = self.general.timeout;
        if target.config.auth_info.exec.is_none() {
            return Ok(Cluster::new(target.clone(), Deadline::after(timeout))?);
        }
        let target = target.clone();
        let connecting =
            tokio::task::spawn_blocking(move || Cluster::new(target, Deadline::after(timeout)));
        tokio::select! {
            cluster = connecting => Ok(cluster.context("connecting")??),
            exit = self.interrupt.wait() => {
                Err(crate::interrupt::interrupted(exit, "nothing was changed", &self.again).into())
            }
            () = tokio::time::sleep(timeout) => {
                let reason = format!("it did not end within {} s", timeout.as_secs());
                Err(ClusterError::CredentialPlugin { reason }.into())
            }
        }
    }

    /// The set that the flags and the environment select.
    pub fn set(&self, target: Option<&Target>) -> anyhow::Result<SetIdentity> {
        let namespace = target.map(Target::namespace);
        Ok(resolve::identity(&self.global, &self.environment, namespace)?)
    }

    /// Resolves and validates all settings. Prints their warnings.
    pub fn settings(
        &self,
        args: &SettingsArgs,
        target: Option<&Target>,
    ) -> anyhow::Result<Settings> {
        let resolved = self.resolve(args, target, &Recipe::default())?;
        for warning in resolved.warnings {
            self.warn(warning);
        }
        Ok(resolved.settings)
    }

    /// Resolves and validates all settings, with the source of each value. `recipe` is that of the existing set.
    pub fn resolve(
        &self,
        args: &SettingsArgs,
        target: Option<&Target>,
        recipe: &Recipe,
    ) -> anyhow::Result<Resolved> {
        let host = Host {
            context_namespace: target.map(Target::namespace),
            local_address: &local_address,
            is_directory: &|path| path.is_dir(),
            read_file: &|path| std::fs::read_to_string(path).map_err(|e| e.to_string()),
        };
        Ok(resolve::resolve(args, &self.global, &self.environment, recipe, &host)?)
    }

    /// Resolves only the image and how it is run. `recipe` is that of the existing set.
    pub fn image(
        &self,
        args: &SettingsArgs,
        recipe: &Recipe,
    ) -> anyhow::Result<(Sourced<ImageReference>, Profile)> {
        Ok(resolve::image(args, &self.environment, recipe)?)
    }

    /// The built-in templates, or the user's own where `--templates` names them.
    pub fn templates(&self, settings: &Settings) -> anyhow::Result<TemplateSet> {
        let builtin = TemplateSet::builtin(&settings.profile);
        Ok(match &settings.templates {
            Some(directory) => builtin
                .with_overrides(&directory.value)
                .with_context(|| format!("the templates can't be used ({})", directory.source))?,
            None => builtin,
        })
    }

    /// The command line of another command for the same set, for use in a hint: `status`.
    #[must_use]
    pub fn sibling(&self, command: &str) -> String {
        crate::context::command_line::sibling(command, &self.global)
    }

    /// A text with commands that work on the same set when they are copied.
    #[must_use]
    pub fn for_set<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        crate::text::for_set(text, &crate::context::command_line::flags(&self.global))
    }

    /// Reports which set the command works on. `details` says with what: `postgres:17`, `2 pods`. Once: a command
    /// that makes its plan again is still the same command.
    pub fn begin(
        &self,
        command: &'static str,
        set: &SetIdentity,
        target: &Target,
        details: Vec<String>,
    ) {
        if !self.lease.name(command, user(&self.environment)) {
            return;
        }
        self.reporter.emit(Event::Started {
            command,
            set: set.name.to_string(),
            namespace: set.namespace.to_string(),
            context: target.context.clone(),
            details,
        });
    }

    /// Reports a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.reporter.emit(Event::warning(message));
    }

    /// Reports a note: where to connect, what to type next, where the data is.
    pub fn note(&self, message: impl Into<String>) {
        self.reporter.emit(Event::note(message));
    }

    /// Reports a note that is shown with `-v` only.
    pub fn detail(&self, message: impl Into<String>) {
        self.reporter.emit(Event::detail(message));
    }

    /// Reports that the command succeeded.
    pub fn finish(&self, message: impl Into<String>, started: Instant) {
        self.finish_with(message, started, None, Vec::new());
    }

    /// The same, with how clients connect and what to use next.
    pub fn finish_with(
        &self,
        message: impl Into<String>,
        started: Instant,
        connection: Option<Connection>,
        next: Vec<(&'static str, String)>,
    ) {
        let (message, elapsed) = (message.into(), started.elapsed());
        self.reporter.emit(Event::Finished { message, elapsed, connection, next });
    }

    /// Asks a yes/no question.
    pub async fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        let question = question.to_owned();
        self.ask(move |prompt| prompt.confirm(&question)).await
    }

    /// Asks the user to type the set's name.
    pub async fn type_name(&self, question: &str, expected: &str) -> anyhow::Result<bool> {
        let (question, expected) = (question.to_owned(), expected.to_owned());
        self.ask(move |prompt| prompt.type_name(&question, &expected)).await
    }

    /// Asks on a separate thread, so that pgset still handles signals while it waits for the answer.
    async fn ask<F>(&self, question: F) -> anyhow::Result<bool>
    where
        F: FnOnce(&dyn Prompt) -> Result<bool, crate::prompt::PromptError> + Send + 'static,
    {
        // Restores the terminal when dropped: after the answer, or when the question is abandoned.
        let _kept = crate::terminal::Kept::now();
        let (prompt, reporter) = (Arc::clone(&self.prompt), self.reporter.clone());
        let answer =
            tokio::task::spawn_blocking(move || reporter.suspend(|| question(prompt.as_ref())));
        tokio::select! {
            answer = answer => Ok(answer.context("asking")??),
            exit = self.interrupt.wait() => {
                let done = "nothing was done after the question";
                Err(crate::interrupt::interrupted(exit, done, &self.again).into())
            }
        }
    }
}

/// Where to look for a kubeconfig, according to flags and environment.
pub(crate) fn sources(general: &General, environment: &Environment) -> Sources {
    let (mut file, mut variable) = (None, None);
    if let Some(given) = &general.kubeconfig {
        match given.source {
            Source::Flag(_) => file = Some(given.value.clone().into()),
            _ => variable = Some(given.value.clone()),
        }
    }
    Sources {
        file,
        context: general.context.as_ref().map(|context| context.value.clone()),
        variable,
        home: environment.raw(&environment::HOME).map(Into::into),
        in_cluster: environment.is_set(&environment::KUBERNETES_SERVICE_HOST),
    }
}

/// The user and the host, for other users: `ann@laptop`.
fn user(environment: &Environment) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let user =
        environment.raw(&environment::USER).and_then(|user| user.to_str()).map(str::to_owned);
    let number = || std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
    let user = user.unwrap_or_else(|| format!("uid {}", number()));
    match host() {
        Ok(host) => format!("{user}@{host}"),
        Err(_) => user,
    }
}

/// The host's name.
fn host() -> Result<String, String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_err(|e| format!("the host's name can't be read: {e}"))?;
    Ok(name.trim().to_owned())
}

/// The address that the host's name resolves to, as `hostname --ip-address` prints it.
fn local_address() -> Result<std::net::IpAddr, String> {
    use std::net::ToSocketAddrs as _;
    let name = host()?;
    let addresses = (name.as_str(), 0)
        .to_socket_addrs()
        .map_err(|e| format!("{name} does not resolve: {e}"))?;
    let mut addresses: Vec<_> = addresses.map(|a| a.ip()).collect();
    // Prefer an address that other hosts can reach to a loopback address.
    addresses.sort_by_key(std::net::IpAddr::is_loopback);
    addresses.into_iter().next().ok_or_else(|| format!("{name} has no address"))
}
