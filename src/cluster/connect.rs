//! Creates a client from a kubeconfig or a pod's service account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_rustls::FixedServerNameResolver;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use super::ClusterError;
use super::error::MISSING_FILE;

/// The time limit to open a connection. A cluster that does not answer in time is reported as unreachable.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval of keep-alive probes on idle connections, of HTTP/2 and of TCP, and the timeout of the former.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Where to look for a kubeconfig, according to environment and flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--kubeconfig`.
    pub file: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `KUBECONFIG`: one or more files, separated as in `PATH`.
    pub variable: Option<std::ffi::OsString>,
    /// The home directory, which may contain `.kube/config`.
    pub home: Option<PathBuf>,
    /// Whether the environment of a pod is present (`KUBERNETES_SERVICE_HOST`).
    pub in_cluster: bool,
}

/// The configuration to connect to a cluster. Nothing has been sent yet.
#[derive(Clone)]
pub struct Target {
    /// The client's configuration.
    pub config: Config,
    /// The kubeconfig's context; empty inside a cluster.
    pub context: String,
}

impl Target {
    /// Loads the configuration from `--kubeconfig`, otherwise `KUBECONFIG`, otherwise `~/.kube/config`,
    /// otherwise the service account of the current pod.
    pub async fn load(sources: &Sources) -> Result<Self, ClusterError> {
        let Some(kubeconfig) = read(sources)? else {
            if !sources.in_cluster {
                return Err(ClusterError::NoKubeconfig);
            }
            let config = Config::incluster()
                .map_err(|e| ClusterError::Kubeconfig { reason: e.to_string() })?;
            return Ok(Self { config: tuned(config), context: String::new() });
        };
        let context = sources
            .context
            .clone()
            .or_else(|| kubeconfig.current_context.clone())
            .unwrap_or_default();
        let known: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
        let options =
            KubeConfigOptions { context: sources.context.clone(), cluster: None, user: None };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|e| ClusterError::Kubeconfig { reason: reason(&e, &known) })?;
        Ok(Self { config: tuned(config), context })
    }

    /// The namespace of the context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// Creates a client. It runs the kubeconfig's credential plugin, if there is one.
    pub fn client(&self) -> Result<Client, ClusterError> {
        build(&self.config, Versions::All).map_err(|e| unusable(&e))
    }

    /// Creates a client for exec, which needs HTTP/1.1 for its WebSocket.
    pub fn upgrading_client(&self) -> Result<Client, ClusterError> {
        build(&self.config, Versions::OnlyHttp1).map_err(|e| unusable(&e))
    }
}

/// The versions of HTTP that a client offers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Versions {
    All,
    OnlyHttp1,
}

/// Builds the library's client stack over one HTTP/2 connection, like kubectl: concurrent requests share the
/// connection and its TLS handshake. A server without HTTP/2 gets one connection for each concurrent request.
///
/// Nagle's algorithm is disabled: otherwise a request directly after the handshake, or a short message of
/// exec, would wait 40 ms for the server's delayed acknowledgement.
fn build(config: &Config, versions: Versions) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        return Client::try_from(config.clone());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    // The kernel detects the death of a peer whose program does not read: a slow load is not a dead one.
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE));
    let mut builder = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name.clone().try_into().map_err(|e| kube::Error::Service(Box::new(e)))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let connector = match versions {
        Versions::All => builder.enable_all_versions().wrap_connector(tcp),
        Versions::OnlyHttp1 => builder.enable_http1().wrap_connector(tcp),
    };
    let client = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        // The keep-alive detects dead connections, so that their requests fail instead of waiting.
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

fn tuned(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Every call has pgset's own deadline and retry policy (call.rs).
    config.read_timeout = None;
    config.default_retry = false;
    config
}

fn read(sources: &Sources) -> Result<Option<Kubeconfig>, ClusterError> {
    if let Some(file) = &sources.file {
        return from_file(file).map(Some);
    }
    if let Some(list) = &sources.variable {
        let mut merged: Option<Kubeconfig> = None;
        // Skip missing files in the list, as kubectl does.
        for file in std::env::split_paths(list).filter(|f| f.exists()) {
            let next = from_file(&file)?;
            merged = Some(match merged {
                None => next,
                Some(first) => first
                    .merge(next)
                    .map_err(|e| ClusterError::Kubeconfig { reason: e.to_string() })?,
            });
        }
        return match merged {
            Some(kubeconfig) => Ok(Some(kubeconfig)),
            None => Err(ClusterError::Kubeconfig {
                reason: format!("KUBECONFIG names {}, {MISSING_FILE}", list.display()),
            }),
        };
    }
    match sources.home.as_ref().map(|home| home.join(".kube").join("config")) {
        Some(file) if file.exists() => from_file(&file).map(Some),
        _ => Ok(None),
    }
}

/// The names of all contexts. Empty if there is no kubeconfig, or if it is invalid.
#[must_use]
pub fn contexts(sources: &Sources) -> Vec<String> {
    let kubeconfig = read(sources).ok().flatten().unwrap_or_default();
    kubeconfig.contexts.into_iter().map(|context| context.name).collect()
}

fn from_file(file: &Path) -> Result<Kubeconfig, ClusterError> {
    Kubeconfig::read_from(file).map_err(|e| ClusterError::Kubeconfig {
        reason: match &e {
            KubeconfigError::ReadConfig(io, _) => format!("{}: {io}", file.display()),
            other => format!("{}: {other}", file.display()),
        },
    })
}

fn reason(error: &KubeconfigError, known: &[String]) -> String {
    match error {
        KubeconfigError::LoadContext(name) => {
            format!("it has no context {name:?} (it has: {})", known.join(", "))
        }
        KubeconfigError::CurrentContextNotSet => match known {
            [] => "it contains no context".to_owned(),
            known => {
                format!(
                    "it has no current context: choose one with --context (it has: {})",
                    known.join(", ")
                )
            }
        },
        other => other.to_string(),
    }
}

fn unusable(error: &kube::Error) -> ClusterError {
    match error {
        kube::Error::Auth(auth) => ClusterError::CredentialPlugin { reason: plugin(auth) },
        other => ClusterError::Kubeconfig { reason: other.to_string() },
    }
}

/// The program in a command as the library formats it: first the environment variables, then the words,
/// each in quotes.
fn program(command: &str) -> &str {
    let mut rest = command.trim_start();
    while let Some((name, value)) = rest.split_once('=')
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        rest = after_word(value).trim_start();
    }
    rest[..rest.len() - after_word(rest).len()].trim_matches('"')
}

/// The text after the first word, which may be quoted.
fn after_word(text: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.find(|c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => return c.is_whitespace() && !quoted,
        }
        false
    });
    &text[end.unwrap_or(text.len())..]
}

/// Describes an error of the credential plugin. The library's message contains the plugin's output, which
/// may be a token.
pub(super) fn plugin(error: &kube::client::AuthError) -> String {
    use kube::client::AuthError;
    match error {
        AuthError::AuthExecRun { cmd, out, .. } => {
            format!("{} ended with {}", program(cmd), out.status)
        }
        AuthError::AuthExecParse(_) => "its answer is not an ExecCredential".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_plugin_is_named_by_its_program() {
        for (command, expected) in [
            (r#""aws" "eks" "get-token""#, "aws"),
            ("gke-gcloud-auth-plugin", "gke-gcloud-auth-plugin"),
            (r#"KUBERNETES_EXEC_INFO="{\"kind\":\"Exec Credential\"}" "aws" "eks""#, "aws"),
            (r#"A="1" B=2 "/opt/my tools/login" "x""#, "/opt/my tools/login"),
            ("", ""),
        ] {
            assert_eq!(program(command), expected, "{command}");
        }
    }

    #[test]
    fn a_kubeconfig_without_a_current_context_says_what_there_is() {
        let error = KubeconfigError::CurrentContextNotSet;
        assert_eq!(reason(&error, &[]), "it contains no context");
        assert_eq!(
            reason(&error, &["one".to_owned(), "two".to_owned()]),
            "it has no current context: choose one with --context (it has: one, two)"
        );
    }
}
