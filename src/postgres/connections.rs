//! What to do when a server accepts no more connections.

/// What limits the number of connections that PostgreSQL has refused to exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Limit {
    /// `max_connections` of the server.
    Server,
    /// `CONNECTION LIMIT` of a role, with its name.
    Role(String),
    /// `CONNECTION LIMIT` of a database, with its name.
    Database(String),
}

impl Limit {
    /// Finds PostgreSQL's message in a text. Its end differs between the versions: `... for non-replication superuser
    /// connections`, `... for roles with the SUPERUSER attribute`.
    fn of(text: &str) -> Option<Self> {
        let name = |before: &str| {
            let (_, rest) = text.split_once(before)?;
            Some(rest.split('"').next().unwrap_or_default().to_owned())
        };
        if text.contains("too many clients already")
            || text.contains("remaining connection slots are reserved")
        {
            return Some(Self::Server);
        }
        name("too many connections for role \"")
            .map(Self::Role)
            .or_else(|| name("too many connections for database \"").map(Self::Database))
    }
}

/// Ends the sessions that have been idle for a minute. A pool opens a session again when it needs one.
const END_IDLE: &str = "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle' and state_change < now() - interval '1 minute'";

/// What to do about a message of PostgreSQL that no further connection is possible.
struct Advice {
    /// What the limit is.
    limit: String,
    /// The commands that help, with what each does.
    commands: Vec<(String, &'static str)>,
}

impl Advice {
    fn of(message: &str, max_connections: Option<u32>) -> Option<Self> {
        let end = |only: &str| {
            let command = format!("pgset psql -- -c \"{END_IDLE}{only}\"");
            (
                command,
                "ends idle sessions, as the superuser, for whom some connections are reserved",
            )
        };
        let of = |column: &str, name: &str| {
            if is_plain(name) { format!(" and {column} = '{name}'") } else { String::new() }
        };
        Some(match Limit::of(message)? {
            Limit::Server => {
                let limit = match max_connections {
                    Some(value) => {
                        format!("max_connections is {value}, and every connection is in use")
                    }
                    None => "every connection that max_connections allows is in use".to_owned(),
                };
                let more = max_connections.map_or(200, |value| value.saturating_mul(2));
                let raise = format!("pgset up --set max_connections={more}");
                let raises = "allows more, and restarts the pods (official image)";
                Self { limit, commands: vec![end(""), (raise, raises)] }
            }
            Limit::Role(name) => Self {
                limit: format!(
                    "the limit is that of the role, not max_connections: alter role \"{name}\" connection limit -1 removes it"
                ),
                commands: vec![end(&of("usename", &name))],
            },
            Limit::Database(name) => Self {
                limit: format!(
                    "the limit is that of the database, not max_connections: alter database \"{name}\" connection limit -1 removes it"
                ),
                commands: vec![end(&of("datname", &name))],
            },
        })
    }
}

/// What to do about a message of PostgreSQL that no further connection is possible: what the limit is, how to end idle
/// sessions, and how to raise it. Empty for any other message. `max_connections` is the server's value, if known.
#[must_use]
pub fn hints(message: &str, max_connections: Option<u32>) -> Vec<String> {
    let Some(advice) = Advice::of(message, max_connections) else { return Vec::new() };
    let commands = advice.commands.iter().map(|(command, does)| format!("{command}  # {does}"));
    std::iter::once(advice.limit.clone()).chain(commands).collect()
}

/// The same in one line, for a place that shows a single hint.
#[must_use]
pub fn hint(message: &str, max_connections: Option<u32>) -> Option<String> {
    let advice = Advice::of(message, max_connections)?;
    let commands = advice.commands.iter().map(|(command, does)| format!("; `{command}` {does}"));
    Some(commands.fold(advice.limit.clone(), |text, command| text + &command))
}

/// Whether a name needs no quoting in SQL or in a shell.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_about_a_limit_is_recognized() {
        let role = || Some(Limit::Role("app".to_owned()));
        let database = || Some(Limit::Database("userdb".to_owned()));
        for (message, limit) in [
            ("FATAL:  sorry, too many clients already", Some(Limit::Server)),
            (
                "connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: FATAL:  remaining connection slots are reserved for non-replication superuser connections",
                Some(Limit::Server),
            ),
            (
                "remaining connection slots are reserved for roles with the SUPERUSER attribute",
                Some(Limit::Server),
            ),
            ("FATAL:  too many connections for role \"app\"", role()),
            ("FATAL:  too many connections for database \"userdb\"", database()),
            ("FATAL:  password authentication failed for user \"app\"", None),
        ] {
            assert_eq!(Limit::of(message), limit, "{message}");
            assert_eq!(hints(message, None).is_empty(), limit.is_none(), "{message}");
        }
    }

    #[test]
    fn the_value_is_said_where_it_is_known() {
        let said = hints("sorry, too many clients already", Some(100));
        assert!(said[0].starts_with("max_connections is 100, "), "{said:?}");
        assert!(said[1].starts_with("pgset psql -- -c \"select pg_terminate_backend(pid) "));
        assert!(said[2].starts_with("pgset up --set max_connections=200  # "), "{said:?}");
        assert!(said[2].contains("restarts"), "{said:?}");
        let unknown = hints("sorry, too many clients already", None);
        assert!(unknown[0].contains("that max_connections allows"), "{unknown:?}");
        let line = hint("sorry, too many clients already", Some(100)).unwrap();
        assert!(line.contains("; `pgset up --set max_connections=200` allows more"), "{line}");
    }

    #[test]
    fn only_the_sessions_of_the_role_or_database_are_ended() {
        let said = |message: &str| hints(message, None).join("\n");
        let role = said("too many connections for role \"app\"");
        assert!(role.contains("and usename = 'app'\"  #"), "{role}");
        assert!(role.contains("alter role \"app\" connection limit -1"), "{role}");
        let database = said("too many connections for database \"userdb\"");
        assert!(database.contains("and datname = 'userdb'\"  #"), "{database}");
        // A name with a quote is not written into a command.
        assert!(!said("too many connections for role \"o'neil $x\"").contains("usename"));
    }
}
