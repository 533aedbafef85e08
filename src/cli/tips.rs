//! Tips for words that other programs have and pgset does not: `pgset delete`, `pgset scale 3`.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Command;
use crate::text::{SUBCOMMANDS, shell_word};

/// Words in place of a command, and what to type instead.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (
        &["delete", "uninstall", "destroy", "rm", "remove", "teardown"],
        &[
            "pgset down  # deletes the set's objects, keeps its data",
            "pgset down --delete-data  # deletes the data, too",
        ],
    ),
    (
        &["install", "create", "apply", "deploy", "init"],
        &["pgset up  # creates or updates the set"],
    ),
    (
        &["upgrade", "update"],
        &[
            "pgset up --image postgres:17.6  # another minor version",
            "the major version of an existing set cannot be changed",
        ],
    ),
    (
        &["logs", "log"],
        &[
            "kubectl logs pgset-0 -c postgres  # the log of PostgreSQL",
            "kubectl logs pgset-0 -c bootstrap  # the init container of the official image",
        ],
    ),
    (
        &["backup", "dump", "pg_dump"],
        &[
            "pgset has no backups yet; pg_dump runs in the pod of the master:",
            "kubectl exec pgset-0 -c postgres -- pg_dump -U postgres -Fc userdb > userdb.dump",
        ],
    ),
    (
        &["restore", "pg_restore"],
        &[
            "pgset cannot restore backups yet; pg_restore runs in the pod of the master:",
            "kubectl exec -i pgset-0 -c postgres -- pg_restore -U postgres -d userdb < userdb.dump",
            "pgset psql -d userdb < userdb.sql  # a dump in the form of SQL",
        ],
    ),
    (&["version"], &["pgset --version"]),
    (&["help"], &["pgset --help"]),
    (
        &["list", "ls"],
        &[
            "pgset status  # one set",
            "kubectl get statefulsets -A -l app.kubernetes.io/managed-by=pgset  # all sets",
        ],
    ),
    (
        &["get", "describe", "show", "info", "ps", "health"],
        &["pgset status  # pods, replication, services, volumes and problems"],
    ),
    (
        &["pause", "suspend", "halt", "shutdown"],
        &["pgset stop  # stops the pods, keeps the set's objects and its data"],
    ),
    (&["resume", "unpause"], &["pgset start  # starts a stopped set"]),
    (&["watch"], &["pgset status --watch"]),
    (
        &["exec", "shell", "sh", "bash", "ssh", "attach"],
        &["pgset psql  # psql on the master", "kubectl exec -it pgset-0 -c postgres -- bash"],
    ),
    (&["sql", "query", "console", "client"], &["pgset psql", "pgset psql -- -c 'select 1'"]),
    (&["uri", "url", "dsn", "endpoint"], &["pgset connect"]),
    (&["port-forward", "forward", "proxy"], &["kubectl port-forward service/pgset-master 5432"]),
    (
        &["promote", "demote", "switch"],
        &[
            "pgset switchover  # makes a replica the master, while the master works",
            "pgset failover --dry-run  # a master that does not come back: what is known of it",
        ],
    ),
    (
        &["reload"],
        &[
            "pgset up --set NAME=VALUE  # reloads PostgreSQL, restarts the pods if necessary",
            "pgset restart",
        ],
    ),
    (&["resize", "expand", "grow"], &["pgset scale --replicas 3", "pgset up --size 20Gi"]),
    (
        &["config", "configure", "set", "settings"],
        &["pgset up --set work_mem=64MB", "pgset env  # all settings and where they come from"],
    ),
    (&["template", "manifest", "manifests", "yaml"], &["pgset render"]),
    (&["plan", "preview"], &["pgset diff", "pgset up --dry-run"]),
    (&["check", "verify", "validate"], &["pgset test"]),
    (&["secret", "credentials", "passwd"], &["pgset password show", "pgset password rotate"]),
];

/// Options that a command does not have, and what to type instead. An empty list of commands: all of them.
const OPTIONS: &[(&[&str], &[&str], &[&str])] = &[
    (
        &["up", "scale", "start", "stop"],
        &["--wait"],
        &["pgset waits by default; --no-wait returns at once"],
    ),
    (&["up"], &["--force"], &["--force-conflicts  # takes over fields of another manager"]),
    (&["down"], &["--force"], &["--yes  # deletes without a question"]),
    (&["stop"], &["--force"], &["--yes  # stops the pods without a question"]),
    (
        &["start"],
        &["--replicas"],
        &["pgset up --replicas 3  # starts it with another number of pods"],
    ),
    (
        &["down"],
        &["--purge", "--delete-pvc", "--volumes", "--all"],
        &["--delete-data  # deletes the claims, the volumes and the passwords, too"],
    ),
    (&["status"], &["--follow", "-f"], &["--watch"]),
    (
        &["status"],
        &["--all-namespaces", "-A", "--all"],
        &["kubectl get statefulsets -A -l app.kubernetes.io/managed-by=pgset  # all sets"],
    ),
    (
        &["up", "diff", "render", "env"],
        &["--version", "--pg-version", "--postgresql-version"],
        &["--postgres-version 17"],
    ),
    (
        &["up", "diff", "render", "env"],
        &["--storage-class", "--storageclass"],
        &["--storage class:NAME"],
    ),
    (&["up", "diff", "render", "env"], &["--storage-size", "--disk"], &["--size 10Gi"]),
    (
        &["up", "diff", "render", "env"],
        &["--cpu", "--memory", "--resources"],
        &["--requests cpu=1,memory=2Gi --limits cpu=2,memory=2Gi"],
    ),
    (&["up", "diff", "render", "env", "scale"], &["--instances", "--pods"], &["--replicas 3"]),
    (
        &["up", "diff", "render"],
        &["-f", "--file", "--filename", "--values"],
        &[
            "pgset env  # the variables that pgset reads, for a file",
            "pgset templates export DIR  # the templates, for --templates DIR",
        ],
    ),
];

const BOOLEANS: &[&str] = &["true", "false", "yes", "no", "on", "off"];
/// Options whose value needs an equals sign, and their values. Otherwise the value would be taken for the
/// name of the set: `pgset up --tls false`.
const WITH_EQUALS: &[(&str, &[&str])] = &[
    ("--dry-run", &["client", "server", "none"]),
    ("--tls", BOOLEANS),
    ("--network-policy", BOOLEANS),
];

/// Global options that take a value, which is not the command.
const VALUED: &[&str] = &[
    "--kubeconfig",
    "--context",
    "-n",
    "--namespace",
    "--name",
    "-o",
    "--output",
    "--color",
    "--timeout",
];

/// Adds the tips for an error of the parser. `words` are the arguments without the program's name.
pub(super) fn with_tips(mut error: clap::Error, words: &[String]) -> clap::Error {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let suggests = error.get(ContextKind::SuggestedArg).is_some();
    let found = match error.kind() {
        ErrorKind::InvalidSubcommand => for_command(&of(ContextKind::InvalidSubcommand), words),
        ErrorKind::UnknownArgument => {
            let invalid = of(ContextKind::InvalidArg);
            let found = for_argument(&invalid, words);
            if suggests && command_of(words).is_some_and(|(_, command)| command == "psql") {
                Vec::new()
            } else {
                found
            }
        }
        ErrorKind::MissingRequiredArgument => for_number(words).into_iter().collect(),
        _ => return error,
    };
    // The parser suggests `-- --flag` for every unknown flag, because the command has an argument.
    let others: Vec<_> = match error.remove(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => {
            tips.into_iter().filter(|tip| !tip.to_string().starts_with("to pass ")).collect()
        }
        _ => Vec::new(),
    };
    if !found.is_empty() {
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
    }
    let tips: Vec<_> = found.into_iter().map(Into::into).chain(others).collect();
    if !tips.is_empty() {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// Refuses a value without its equals sign, which the parser has taken for the name of the set.
///
/// # Errors
/// When there is one.
pub(super) fn check_values(
    command: &Command,
    words: &[String],
    definition: &mut clap::Command,
) -> Result<(), clap::Error> {
    let ours = words.split(|word| word == "--").next().unwrap_or_default();
    let Some((flag, value)) = value_without_equals(ours) else { return Ok(()) };
    let message = format!("the value of {flag} needs an equals sign: {flag}={value}");
    Err(super::error_of(command, definition, ErrorKind::NoEquals, message))
}

fn value_without_equals(words: &[String]) -> Option<(&str, &str)> {
    words.windows(2).find_map(|pair| {
        let (flag, values) = WITH_EQUALS.iter().find(|(flag, _)| *flag == pair[0])?;
        values.contains(&pair[1].as_str()).then_some((*flag, pair[1].as_str()))
    })
}

/// The tips for an unknown command.
fn for_command(unknown: &str, words: &[String]) -> Vec<String> {
    // `pgset sandbox delete` is about another list of commands.
    let Some(at) = words.iter().position(|word| word == unknown) else { return Vec::new() };
    if command_of(&words[..at]).is_some() {
        return Vec::new();
    }
    if let ("help", Some((_, command))) = (unknown, command_of(words)) {
        return vec![format!("pgset {command} --help")];
    }
    let row = COMMANDS.iter().find(|(unknowns, _)| unknowns.contains(&unknown));
    row.map(|(_, tips)| tips.iter().map(|tip| (*tip).to_owned()).collect()).unwrap_or_default()
}

/// The tips for an argument that the command does not have.
fn for_argument(unknown: &str, words: &[String]) -> Vec<String> {
    let Some((at, command)) = command_of(words) else { return Vec::new() };
    if let Some((flag, value)) = value_without_equals(words)
        && value == unknown
    {
        return vec![format!("{flag}={value}")];
    }
    let rows = OPTIONS.iter().filter(|(commands, _, _)| commands.contains(&command));
    for (_, options, tips) in rows {
        if options.contains(&unknown) {
            return tips.iter().map(|tip| (*tip).to_owned()).collect();
        }
    }
    match command {
        "psql" => for_psql(unknown, words, at),
        "scale" => for_number(words).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// psql's own arguments must follow `--`.
fn for_psql(unknown: &str, words: &[String], at: usize) -> Vec<String> {
    if !unknown.starts_with('-') {
        return match unknown {
            sql if sql.contains(char::is_whitespace) => {
                vec![format!("pgset psql -- -c {}", shell_word(sql))]
            }
            // May contain a password.
            uri if uri.contains([':', '@', '=']) => Vec::new(),
            name => vec![
                format!("pgset psql --name {name}  # the set"),
                format!("pgset psql --database {name}"),
            ],
        };
    }
    // The parser reports `-A` for `-At`.
    let Some(first) = words.iter().skip(at).position(|word| word.starts_with(unknown)) else {
        return Vec::new();
    };
    let (ours, psqls) = words.split_at(at + first);
    let dashes = "--".to_owned();
    vec![line(ours.iter().chain([&dashes]).chain(psqls))]
}

/// `pgset scale 3`: the number must be a value of `--replicas`.
fn for_number(words: &[String]) -> Option<String> {
    let (at, command) = command_of(words)?;
    if command != "scale" || words.iter().any(|word| word.starts_with("--replicas")) {
        return None;
    }
    let is_number = |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let number = (at + 1..words.len())
        .find(|index| is_number(&words[*index]) && !VALUED.contains(&words[index - 1].as_str()))?;
    let flag = "--replicas".to_owned();
    Some(line(words[..number].iter().chain([&flag]).chain(&words[number..])))
}

fn line<'a>(words: impl Iterator<Item = &'a String>) -> String {
    words.fold("pgset".to_owned(), |line, word| line + " " + &shell_word(word))
}

/// The command among the words, and its position.
fn command_of(words: &[String]) -> Option<(usize, &str)> {
    let mut previous = "";
    for (at, word) in words.iter().enumerate() {
        if !VALUED.contains(&previous) && SUBCOMMANDS.contains(&word.as_str()) {
            return Some((at, word));
        }
        previous = word;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    fn words(line: &str) -> Vec<String> {
        shlex::split(line).unwrap()
    }

    fn error(line: &str) -> clap::Error {
        let words = ["pgset".to_owned()].into_iter().chain(words(line));
        parse(words.map(Into::into)).expect_err(line)
    }

    /// The tips in the text of an error, as the user sees them.
    fn shown(error: &clap::Error) -> Vec<String> {
        let text = error.to_string();
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("tip: "))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn each_unknown_command_has_its_tips() {
        for (unknown, tips) in COMMANDS {
            for word in *unknown {
                let error = error(word);
                assert_eq!(error.kind(), ErrorKind::InvalidSubcommand, "{word}");
                assert_eq!(error.exit_code(), 2, "{word}");
                assert_eq!(shown(&error), *tips, "{word}: {error}");
            }
        }
    }

    #[test]
    fn no_word_is_in_two_rows_and_none_is_a_command() {
        let words: Vec<&str> = COMMANDS.iter().flat_map(|(words, _)| *words).copied().collect();
        for (index, word) in words.iter().enumerate() {
            assert!(!words[..index].contains(word), "{word}");
            assert!(!SUBCOMMANDS.contains(word), "{word}");
        }
    }

    #[test]
    fn each_unknown_option_has_its_tips() {
        for (commands, options, tips) in OPTIONS {
            for command in *commands {
                for option in *options {
                    let line = format!("{command} {option}");
                    let error = error(&line);
                    assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{line}");
                    assert_eq!(shown(&error), *tips, "{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn arguments_in_the_wrong_place() {
        for (line, tips) in [
            ("scale 3", &["pgset scale --replicas 3"][..]),
            ("-n shop scale 3 --no-wait", &["pgset -n shop scale --replicas 3 --no-wait"]),
            ("scale orders 3", &["pgset scale orders --replicas 3"]),
            ("scale orders", &[]),
            ("psql -c 'select 1'", &["pgset psql -- -c 'select 1'"]),
            ("psql -n shop -At", &["pgset psql -n shop -- -At"]),
            ("psql --csv", &["pgset psql -- --csv"]),
            ("psql 'select 1'", &["pgset psql -- -c 'select 1'"]),
            (
                "psql orders",
                &["pgset psql --name orders  # the set", "pgset psql --database orders"],
            ),
            ("psql postgresql://joe:s3cret@db/x", &[]),
            ("psql --databse x", &["a similar argument exists: '--database'"]),
            ("help scale", &["pgset scale --help"]),
            ("up --replcias 3", &["a similar argument exists: '--replicas'"]),
            ("up --no-such-flag", &[]),
            ("render --tls false", &["--tls=false"]),
            ("upp", &["a similar subcommand exists: 'up'"]),
            ("password set", &[]),
        ] {
            let error = error(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert_eq!(shown(&error), tips, "{line}: {error}");
        }
    }

    #[test]
    fn a_value_without_its_equals_sign_is_no_name() {
        for (line, message) in [
            ("up --tls false", "--tls=false"),
            ("up --dry-run server", "--dry-run=server"),
            ("diff --network-policy true", "--network-policy=true"),
        ] {
            let error = error(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(message), "{line}: {error}");
        }
        let line = ["pgset", "up", "--tls", "orders"].map(Into::into);
        assert_eq!(parse(line).unwrap().global.name.as_deref(), Some("orders"));
    }
}
