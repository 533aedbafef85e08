//! Configuration of a running server: whether a new file is valid, which values are active, which settings
//! need a restart, and in which order the servers must restart.

pub use crate::set::topology::Order;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::altered;
use super::psql::{ExecOutput, Script};
use crate::set::Knowledge;

/// Settings that must be at least as high on a replica as on the master; otherwise the replica stops
/// replaying (PostgreSQL manual, "Hot Standby", "Administrator's Overview").
pub const FOLLOWED: [&str; 5] = [
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// Checks the file on standard input (`$1` bytes) with `postgres -C`. It parses the file as at a server
/// start, reports every invalid line and starts no server. Then the script prints the value that each
/// further argument would have. The file includes the bootstrap's file by a relative path, so the copy
/// lies in a directory tree where that path leads to the same file.
const CHECK: &str = "\
run=${PGSET_RUN:-/run/pgset}
dir=$(mktemp -d \"$run/check.XXXXXX\") || exit 90
trap 'rm -rf \"$dir\"' EXIT
mkdir -p \"$dir/etc/pgset\" \"$dir/run\" && ln -s \"$run\" \"$dir/run/pgset\" || exit 90
file=$dir/etc/pgset/postgresql.conf
head -c \"$1\" >\"$file\" || exit 90
shift
ask() { postgres -D \"$PGDATA\" -c config_file=\"$file\" -C \"$1\"; }
ask data_directory >/dev/null || exit 1
for name; do
  value=$(ask \"$name\" 2>/dev/null) && printf '%s=%s\\n' \"$name\" \"$value\"
done
exit 0
";

/// The time limit of the check.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// The command that checks a `postgresql.conf` of `bytes` bytes, which it reads from standard input.
#[must_use]
pub fn check_argv(bytes: usize) -> Vec<String> {
    let mut argv: Vec<String> = ["bash", "-c", CHECK, "bash"].map(str::to_owned).to_vec();
    argv.push(bytes.to_string());
    argv.extend(FOLLOWED.map(str::to_owned));
    argv
}

/// Parses the output of [`check_argv`]: the values of [`FOLLOWED`], or the errors in the file.
///
/// # Errors
/// The server's messages, one for each error.
pub fn checked(output: &ExecOutput) -> Result<BTreeMap<String, i64>, Vec<String>> {
    if output.succeeded() {
        let values = output.stdout.lines().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        });
        return Ok(values.collect());
    }
    let mut words: Vec<String> = output.stderr.lines().filter_map(complaint).collect();
    // The last line only says that there are errors.
    if words.len() > 1 {
        words.retain(|line| !line.contains("contains errors"));
    }
    if words.is_empty() {
        let code = output.exit_code.map_or_else(|| "?".to_owned(), |code| code.to_string());
        words.push(format!("postgres -C ended with exit code {code}: {}", output.stderr.trim()));
    }
    Err(words)
}

/// The message of a log line: without the prefix before the severity, and without the path of the checked
/// copy.
fn complaint(line: &str) -> Option<String> {
    let severities = ["LOG:  ", "FATAL:  ", "ERROR:  ", "HINT:  ", "DETAIL:  "];
    let found = severities.iter().find_map(|s| Some((*s, line.split_once(s)?.1)));
    let text = match found {
        Some(("LOG:  " | "FATAL:  " | "ERROR:  ", text)) => text.to_owned(),
        Some((severity, text)) => {
            format!("{}: {text}", severity.trim_end_matches(":  ").to_lowercase())
        }
        None => return None,
    };
    let Some((start, end)) = copied(&text) else { return Some(text) };
    let name = text[start..end].rsplit('/').next().unwrap_or_default();
    Some(format!("{}{name}{}", &text[..start], &text[end..]))
}

/// The byte range of the copy's path in a text: everything between the quotes around it.
fn copied(text: &str) -> Option<(usize, usize)> {
    let at = text.find("/check.")?;
    let start = text[..at].rfind('"')? + 1;
    let end = at + text[at..].find('"')?;
    Some((start, end))
}

/// The libraries that these settings load into the server or into each session, if they are given by name and
/// not by path. `postgres -C` does not check that they exist.
#[must_use]
pub fn libraries(settings: &BTreeMap<String, String>) -> Vec<String> {
    const LISTS: [&str; 3] =
        ["shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"];
    let lists = LISTS.iter().filter_map(|name| settings.get(*name));
    let names = lists.flat_map(|list| list.split(',')).map(|name| {
        let name = name.trim().trim_matches('"');
        name.strip_prefix("$libdir/").unwrap_or(name)
    });
    let plain = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    names.filter(plain).map(str::to_owned).collect()
}

/// Queries which of these settings are read only at server start, and their current values; and which of
/// these libraries are missing in the image.
#[must_use]
pub fn settings(pod: &str, names: &[&str], libraries: &[String]) -> Script {
    // The names are identifiers, so they need no quoting.
    let known = names.iter().chain(&FOLLOWED).copied().collect::<Vec<_>>().join(",");
    let libraries = libraries.join(",");
    let statements = format!(
        "select row_to_json(r) from (select lower(name) as name, context, setting, source, current_setting(name) as shown from pg_settings where lower(name) = any('{{{known}}}'::text[])) r;
select row_to_json(r) from (select l as missing_library from unnest('{{{libraries}}}'::text[]) l where (pg_stat_file((select setting from pg_config where name = 'PKGLIBDIR') || '/' || l || '.so', true)).size is null) r;
"
    );
    Script::new(pod, &statements)
}

/// The first library that [`settings`] did not find.
#[must_use]
pub fn missing_library(output: &ExecOutput) -> Option<String> {
    output.rows().find_map(|row| text(&row, "missing_library"))
}

/// A setting of a running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, in lower case.
    pub name: String,
    /// Whether the server reads it only at its start.
    pub at_start: bool,
    /// Its value, in the unit of `pg_settings`.
    pub value: String,
    /// Its value with a unit, as PostgreSQL shows it.
    pub shown: String,
    /// Whether the value comes from a configuration file.
    pub from_file: bool,
}

impl Setting {
    /// Whether the server must start again to use the value in a new file; `None` if the file has none.
    #[must_use]
    pub fn needs_restart(&self, wanted: Option<&str>) -> bool {
        let is_same = |wanted| wanted == self.value || wanted == self.shown;
        self.at_start && wanted.map_or(self.from_file, |wanted| !is_same(wanted))
    }

    /// Reads what [`settings`] printed.
    #[must_use]
    pub fn parse(output: &ExecOutput) -> Vec<Self> {
        let setting = |row: Map<String, Value>| {
            let value = text(&row, "setting").unwrap_or_default();
            Some(Self {
                name: text(&row, "name")?,
                at_start: text(&row, "context")? == "postmaster",
                shown: text(&row, "shown").unwrap_or_else(|| value.clone()),
                value,
                from_file: text(&row, "source").as_deref() == Some("configuration file"),
            })
        };
        output.rows().filter_map(setting).collect()
    }
}

/// Some of [`FOLLOWED`] would grow and others shrink: no order is right for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// Those that grow.
    pub grow: Vec<String>,
    /// Those that shrink.
    pub shrink: Vec<String>,
}

/// The restart order for a change from the master's current values to the new ones.
///
/// # Errors
/// When neither order is safe.
pub fn order(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
) -> Result<Order, Mixed> {
    let (mut grow, mut shrink) = (Vec::new(), Vec::new());
    for name in FOLLOWED {
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) if after > before => grow.push(name.to_owned()),
            (Some(before), Some(after)) if after < before => shrink.push(name.to_owned()),
            _ => {}
        }
    }
    match (grow.is_empty(), shrink.is_empty()) {
        (_, true) => Ok(Order::ReplicasFirst),
        (true, false) => Ok(Order::MasterFirst),
        (false, false) => Err(Mixed { grow, shrink }),
    }
}

/// Queries the server's configuration files and how much of them is active. An error without a source file
/// is not reported: it means that a setting was removed from the file and needs a restart. Errors of
/// settings that are read only at server start are not reported either, for the same reason. PostgreSQL does not
/// reset `pending_restart` of a setting that was added to the file and removed again: it is not pending if neither
/// the file nor the running server has a value from the file.
const STATE: &str = "\
\\set knows `cat \"${PGDATA:-/pgdata}.role\" 2>/dev/null || true`
select row_to_json(r) from (select 'files' as kind, :'knows' as knows, ALTERED as altered, pg_read_file(current_setting('config_file')) as config, pg_read_file(current_setting('hba_file')) as hba, greatest((pg_stat_file(current_setting('config_file'))).modification, (pg_stat_file(current_setting('hba_file'))).modification) + interval '1 second' > pg_conf_load_time() as stale, extract(epoch from pg_conf_load_time())::text as loaded) r;
select row_to_json(r) from (select 'pending' as kind, lower(s.name) as name, current_setting(s.name) as running, f.setting as wanted from pg_settings s left join (select distinct on (lower(name)) lower(name) as name, setting from pg_file_settings order by lower(name), seqno desc) f on f.name = lower(s.name) where s.pending_restart and (f.name is not null or s.source = 'configuration file') order by s.name) r;
select row_to_json(r) from (select 'error' as kind, f.sourceline as line, f.name as subject, f.error from pg_file_settings f where f.error is not null and f.sourcefile is not null and not exists (select 1 from pg_settings s where lower(s.name) = lower(f.name) and s.context = 'postmaster') order by f.seqno) r;
select row_to_json(r) from (select 'error' as kind, h.line_number as line, 'pg_hba.conf' as subject, h.error from pg_hba_file_rules h where h.error is not null order by h.line_number) r;
";

/// Queries the [`State`] of a server.
#[must_use]
pub fn state(pod: &str) -> Script {
    Script::new(pod, &STATE.replace("ALTERED", altered::NAMES))
}

/// Makes a server reload its files. The reload happens a moment later: see [`State::loaded`].
#[must_use]
pub fn reload(pod: &str) -> Script {
    Script::new(pod, "select pg_reload_conf();\n")
}

/// A setting that needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its name.
    pub name: String,
    /// Its current value.
    pub running: String,
    /// Its value in the file; `None` if it was removed from the file.
    pub wanted: Option<String>,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = self.wanted.as_deref().unwrap_or("its default");
        write!(f, "{} {} -> {wanted}", self.name, self.running)
    }
}

/// The configuration files of a server, and how much of them is active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `postgresql.conf` as the server sees it.
    pub config: String,
    /// `pg_hba.conf`, likewise.
    pub hba: String,
    /// Whether the files may be newer than the last reload. File times have no fractions of a second.
    pub stale: bool,
    /// The time of the last reload, by the server's clock, in seconds.
    pub loaded: String,
    /// What the pod knows about the topology: it costs no question of its own.
    pub knows: Option<Knowledge>,
    /// The settings that need a restart.
    pub pending: Vec<Pending>,
    /// The settings that ALTER SYSTEM has left: see [`altered`].
    pub altered: Vec<String>,
    /// The errors in its files.
    pub errors: Vec<String>,
}

impl State {
    /// Parses the output of [`state`].
    ///
    /// # Errors
    /// psql's message, when the server did not answer.
    pub fn parse(output: &ExecOutput) -> Result<Self, String> {
        if let Some(trouble) = output.trouble() {
            return Err(trouble.to_string());
        }
        let mut state = None;
        let (mut pending, mut errors) = (Vec::new(), Vec::new());
        for row in output.rows() {
            match text(&row, "kind").as_deref() {
                Some("files") => {
                    state = Some(Self {
                        config: text(&row, "config").unwrap_or_default(),
                        hba: text(&row, "hba").unwrap_or_default(),
                        stale: row.get("stale").and_then(Value::as_bool).unwrap_or(true),
                        loaded: text(&row, "loaded").unwrap_or_default(),
                        knows: text(&row, "knows").and_then(|text| Knowledge::parse(&text)),
                        altered: list(&row, "altered"),
                        ..Self::default()
                    });
                }
                Some("pending") => pending.push(Pending {
                    name: text(&row, "name").unwrap_or_default(),
                    running: text(&row, "running").unwrap_or_default(),
                    wanted: text(&row, "wanted"),
                }),
                Some("error") => errors.push(error(&row)),
                _ => {}
            }
        }
        let state = state.ok_or_else(|| "psql did not print the expected output".to_owned())?;
        Ok(Self { pending, errors, ..state })
    }
}

/// `line 7, work_mem: setting could not be applied`.
fn error(row: &Map<String, Value>) -> String {
    let subject = text(row, "subject").unwrap_or_default();
    let error = text(row, "error").unwrap_or_default();
    match row.get("line").and_then(Value::as_u64) {
        Some(line) => format!("line {line}, {subject}: {error}"),
        None => format!("{subject}: {error}"),
    }
}

fn list(row: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = row.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn text(row: &Map<String, Value>, key: &str) -> Option<String> {
    row.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str, stderr: &str, code: i32) -> ExecOutput {
        ExecOutput { stdout: stdout.to_owned(), stderr: stderr.to_owned(), exit_code: Some(code) }
    }

    fn values(of: &[(&str, i64)]) -> BTreeMap<String, i64> {
        of.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn the_servers_own_words_say_what_is_wrong() {
        let stderr = "\
2026-11-24 13:00:00.000 UTC [77] LOG:  unrecognized configuration parameter \"wrok_mem\" in file \"/run/pgset/check.aB3/etc/pgset/postgresql.conf\" line 31
2026-11-24 13:00:00.000 UTC [77] LOG:  invalid value for parameter \"jit\": \"maybe\"
2026-11-24 13:00:00.000 UTC [77] HINT:  Available values: a, b.
2026-11-24 13:00:00.000 UTC [77] FATAL:  configuration file \"/run/pgset/check.aB3/etc/pgset/postgresql.conf\" contains errors
";
        assert_eq!(
            checked(&output("", stderr, 1)).unwrap_err(),
            [
                "unrecognized configuration parameter \"wrok_mem\" in file \"postgresql.conf\" line 31",
                "invalid value for parameter \"jit\": \"maybe\"",
                "hint: Available values: a, b.",
            ]
        );
        let unknown = checked(&output("", "bash: postgres: not found\n", 127)).unwrap_err();
        assert_eq!(unknown, ["postgres -C ended with exit code 127: bash: postgres: not found"]);
        let stdout = "max_connections=200\nmax_wal_senders=10\n";
        let expected = values(&[("max_connections", 200), ("max_wal_senders", 10)]);
        assert_eq!(checked(&output(stdout, "", 0)), Ok(expected));
    }

    #[test]
    fn no_replica_ever_has_less_than_its_master() {
        let before = values(&[("max_connections", 100), ("max_worker_processes", 8)]);
        let order = |connections, workers| {
            order(
                &before,
                &values(&[("max_connections", connections), ("max_worker_processes", workers)]),
            )
        };
        assert_eq!(order(100, 8), Ok(Order::ReplicasFirst));
        assert_eq!(order(200, 8), Ok(Order::ReplicasFirst));
        assert_eq!(order(50, 8), Ok(Order::MasterFirst));
        assert_eq!(order(50, 4), Ok(Order::MasterFirst));
        let mixed = order(200, 4).unwrap_err();
        assert_eq!((mixed.grow.len(), mixed.shrink.len()), (1, 1));
        assert_eq!(mixed.shrink, ["max_worker_processes"]);
    }

    #[test]
    fn libraries_are_found_by_name() {
        let lists = [
            ("shared_preload_libraries", "pg_stat_statements, \"auto_explain\""),
            ("local_preload_libraries", "$libdir/a, /elsewhere/b, c'd"),
            ("work_mem", "x"),
        ];
        let settings = lists.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(libraries(&settings), ["pg_stat_statements", "auto_explain", "a"]);
        let missing = output("{\"missing_library\":\"nope\"}\n", "", 0);
        assert_eq!(missing_library(&missing).as_deref(), Some("nope"));
        assert_eq!(missing_library(&output("", "", 0)), None);
    }

    #[test]
    fn a_server_says_how_far_it_is() {
        let stdout = r#"{"kind":"files","altered":["jit","work_mem"],"config":"a = 1\n","hba":"local","stale":false}
{"kind":"pending","name":"max_connections","running":"100","wanted":"200"}
{"kind":"pending","name":"max_worker_processes","running":"16","wanted":null}
{"kind":"error","line":7,"subject":"work_mem","error":"setting could not be applied"}
"#;
        let state = State::parse(&output(stdout, "", 0)).unwrap();
        assert_eq!((state.config.as_str(), state.hba.as_str()), ("a = 1\n", "local"));
        assert_eq!(state.altered, ["jit", "work_mem"]);
        let pending: Vec<String> = state.pending.iter().map(ToString::to_string).collect();
        assert_eq!(
            pending,
            ["max_connections 100 -> 200", "max_worker_processes 16 -> its default"]
        );
        assert_eq!(state.errors, ["line 7, work_mem: setting could not be applied"]);
        assert!(State::parse(&output("", "", 0)).is_err());
        assert!(State::parse(&output("", "psql: error: refused", 2)).is_err());
    }

    #[test]
    fn settings_know_whether_they_are_read_at_the_start_only() {
        let stdout = r#"{"name":"max_connections","context":"postmaster","setting":"100","source":"configuration file"}
{"name":"huge_pages","context":"postmaster","setting":"try","source":"default"}
{"name":"work_mem","context":"user","setting":"4096","source":"default"}
{"name":"shared_buffers","context":"postmaster","setting":"16384","shown":"128MB","source":"default"}"#;
        let settings = Setting::parse(&output(stdout, "", 0));
        assert_eq!(
            settings.iter().map(|s| s.at_start).collect::<Vec<_>>(),
            [true, true, false, true]
        );
        assert_eq!(settings[0].value, "100");
        let [connections, pages, memory, buffers] = [0, 1, 2, 3].map(|at| &settings[at]);
        assert!(connections.needs_restart(Some("200")) && connections.needs_restart(None));
        assert!(!connections.needs_restart(Some("100")));
        assert!(pages.needs_restart(Some("on")) && !pages.needs_restart(None));
        assert!(!memory.needs_restart(Some("64MB")));
        assert!(buffers.needs_restart(Some("64MB")) && !buffers.needs_restart(Some("128MB")));
    }
}
