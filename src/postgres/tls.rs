//! Certificates of running servers: brought to them, and asked for.

use std::time::Duration;

use serde_json::Value;

use super::psql::{ExecOutput, Script};
use crate::certificate::{self, Dates};
use crate::settings::Tls;

/// Where each pod has the CA's certificate that it verifies others by, as a shell's word.
pub const CA_FILE: &str = "${PGSET_RUN:-/run/pgset}/tls/ca.crt";

/// The script's exit code for certificates that can't be used (`E_TLS`).
pub const UNUSABLE: i32 = 25;

/// How long a server may take to read its certificates.
pub const BRING_WITHIN: Duration = Duration::from_secs(30);

/// The command that brings a server what is mounted, and prints what it has then.
#[must_use]
pub fn bring() -> Vec<String> {
    // The script is where its configuration is, and in a sandbox that is elsewhere.
    let script = "exec bash \"${PGSET_ETC:-/etc/pgset}/bootstrap.sh\" tls";
    ["bash", "-c", script].map(str::to_owned).to_vec()
}

/// The last word of the script about what went wrong.
#[must_use]
pub fn trouble(stderr: &str) -> String {
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    last.trim().trim_start_matches("bootstrap: error: ").to_owned()
}

/// What a server runs with: whether it speaks TLS, by which certificate, whether a rule lets somebody in
/// without, and what the set's configuration says to it.
const ASK: &str = "\
select row_to_json(r) from (select 'tls' as kind, current_setting('ssl') = 'on' as ssl, case when current_setting('ssl') = 'on' then pg_read_file(current_setting('ssl_cert_file'), 0, 1000000, true) end as certificate, exists (select 1 from pg_hba_file_rules where type in ('host', 'hostnossl') and auth_method <> 'reject') as plain, pg_read_file(regexp_replace(current_setting('config_file'), '[^/]*$', 'tls'), 0, 1000, true) as line) r;
";

/// Asks the server of a pod.
#[must_use]
pub fn ask(pod: &str) -> Script {
    Script::new(pod, ASK)
}

/// What one server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// Whether it speaks TLS.
    pub encrypts: bool,
    /// Whether it lets somebody in without.
    pub plain: bool,
    /// Its certificate, in PEM.
    pub certificate: Option<String>,
    /// What the set's configuration says.
    pub line: Option<Tls>,
}

impl ServerTls {
    /// Reads what [`ask`] printed; none when the server did not answer.
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

    /// From when to when its certificate is good.
    #[must_use]
    pub fn dates(&self) -> Option<Dates> {
        certificate::dates(self.certificate.as_deref()?)
    }
}
