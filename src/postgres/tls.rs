//! Certificates of running servers: how to install and query them.

use std::time::Duration;

use serde_json::Value;

use super::psql::{ExecOutput, Script};
use crate::certificate::{self, Dates};
use crate::settings::Tls;

/// Where each pod has the CA certificate that it verifies other pods with, as a shell word.
pub const CA_FILE: &str = "${PGSET_RUN:-/run/pgset}/tls/ca.crt";

/// The exit code of bootstrap.sh for unusable certificates (`E_TLS`).
pub const UNUSABLE: i32 = 25;

/// The time limit for a server to load its certificates.
pub const BRING_WITHIN: Duration = Duration::from_secs(30);

/// Queries a server's TLS state: whether TLS is on, the certificate, whether a `pg_hba.conf` rule admits
/// connections without TLS, and the content of the set's `tls` configuration file.
const ASK: &str = "\
select row_to_json(r) from (select 'tls' as kind, current_setting('ssl') = 'on' as ssl, case when current_setting('ssl') = 'on' then pg_read_file(current_setting('ssl_cert_file'), 0, 1000000, true) end as certificate, exists (select 1 from pg_hba_file_rules where type in ('host', 'hostnossl') and auth_method <> 'reject') as plain, pg_read_file(regexp_replace(current_setting('config_file'), '[^/]*$', 'tls'), 0, 1000, true) as line) r;
";

/// Queries the TLS state of a pod's server.
#[must_use]
pub fn ask(pod: &str) -> Script {
    Script::new(pod, ASK)
}

/// The TLS state of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// Whether it accepts TLS connections.
    pub encrypts: bool,
    /// Whether it accepts connections without TLS.
    pub plain: bool,
    /// Its certificate, in PEM.
    pub certificate: Option<String>,
    /// The content of the set's `tls` configuration file.
    pub line: Option<Tls>,
}

impl ServerTls {
    /// Parses the output of [`ask`]; `None` if the server did not answer.
    #[must_use]
    pub fn parse(output: &ExecOutput) -> Option<Self> {
        if output.trouble().is_some() {
            return None;
        }
        let row = output.rows().find(|row| row.get("kind").is_some_and(|kind| kind == "tls"))?;
        let yes = |key: &str| row.get(key).and_then(Value::as_bool) == Some(true);
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        Some(Self {
            encrypts: yes("ssl"),
            plain: yes("plain"),
            certificate: text("certificate").map(str::to_owned),
            line: text("line").and_then(Tls::parse),
        })
    }

    /// The validity period of its certificate.
    #[must_use]
    pub fn dates(&self) -> Option<Dates> {
        certificate::dates(self.certificate.as_deref()?)
    }
}
