use proptest::prelude::*;

use super::*;

fn connect(password: &str) -> Result<String, ScriptError> {
    let password = Secret::new(password.to_owned());
    connection(&password).connect()
}

fn connection(password: &Secret) -> Connection<'_> {
    Connection {
        host: "pgset-1.pgset",
        user: "o'neil",
        password,
        database: "a b",
        verified: false,
        address: None,
    }
}

/// The CA file is the one in the pod. The host name is verified, not the address.
#[test]
fn a_server_that_must_prove_itself_is_verified_in_full() {
    let password = Secret::new("p'w".to_owned());
    let verified =
        Connection { verified: true, address: Some("10.0.0.7"), ..connection(&password) };
    let text = verified.connect().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "\\set ca_file `echo \"${PGSET_RUN:-/run/pgset}/tls/ca.crt\"`");
    let end =
        "intervalstyle%3Dpostgres&hostaddr=10.0.0.7&sslmode=verify-full&sslrootcert=':ca_file";
    assert!(lines[1].ends_with(end), "{text}");
    assert_eq!(lines.len(), 2);
}

/// The password part of a `\connect` line, decoded as libpq does.
fn decoded(line: &str) -> String {
    let rest = line.split_once("postgresql://o%27neil:").unwrap().1;
    let encoded = rest.split_once('@').unwrap().0;
    let mut bytes = encoded.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(decoded).unwrap()
}

#[test]
fn a_connection_is_one_quoted_uri() {
    assert_eq!(
        connect("it's \"x\" \\ :y").unwrap(),
        "\\connect 'postgresql://o%27neil:it%27s%20%22x%22%20%5C%20%3Ay@pgset-1.pgset:5432/a%20b?connect_timeout=5&application_name=pgset&client_encoding=UTF8&options=-c%20search_path%3Dpg_catalog%2Cpg_temp%20-c%20statement_timeout%3D10000%20-c%20synchronous_commit%3Dlocal%20-c%20intervalstyle%3Dpostgres'\n"
    );
}

#[test]
fn a_nul_is_refused_without_showing_the_password() {
    let error = connect("sentinel\0").unwrap_err();
    assert_eq!(error, ScriptError::Nul("password"));
    assert_eq!(
        error.to_string(),
        "the password contains a NUL character, which PostgreSQL does not accept"
    );
}

proptest! {
    #[test]
    fn any_password_is_on_one_line_and_comes_back(password in "[^\0]{0,40}") {
        let line = connect(&password).unwrap();
        prop_assert_eq!(line.matches(['\n', '\r']).count(), 1);
        prop_assert_eq!(line.matches('\'').count(), 2);
        prop_assert!(!line.contains('"') && line.is_ascii());
        prop_assert_eq!(decoded(&line), password);
    }
}

#[test]
fn psql_never_prompts_and_its_arguments_hold_no_password() {
    let argv = argv();
    assert_eq!(argv[0], "psql");
    for wanted in ["--no-password", "--no-psqlrc", "--set=ON_ERROR_STOP=1"] {
        assert!(argv.iter().any(|argument| argument == wanted), "{wanted}");
    }
    assert!(argv.last().unwrap().contains("connect_timeout=5"));
}

#[test]
fn a_script_ends_psql_and_does_not_show_itself() {
    let script = Script::new("pgset-0", "select 'sentinel'");
    assert_eq!(script.stdin, "select 'sentinel'\n\\quit\n");
    assert!(!format!("{script:?}").contains("sentinel"));
}

fn failed(code: i32, stderr: &str) -> Trouble {
    ExecOutput { stderr: stderr.to_owned(), exit_code: Some(code), ..ExecOutput::default() }
        .trouble()
        .unwrap()
}

#[test]
fn a_statement_error_is_read_with_its_sqlstate() {
    let stderr = "WARNING:  01000: something\nERROR:  25006: cannot execute CREATE TABLE in a read-only transaction\nLOCATION:  PreventCommandIfReadOnly, utility.c:414\n";
    let trouble = failed(3, stderr);
    assert_eq!(trouble.sqlstate.as_deref(), Some("25006"));
    assert_eq!(
        trouble.to_string(),
        "cannot execute CREATE TABLE in a read-only transaction (SQLSTATE 25006)"
    );
    let german = failed(3, "psql:<stdin>:4: FEHLER:  42P01: Relation »x« existiert nicht\n");
    assert_eq!(german.sqlstate.as_deref(), Some("42P01"));
    assert_eq!(german.message, "Relation »x« existiert nicht");
}

#[test]
fn connection_errors_of_every_version_get_a_hint() {
    let cases = [
        // 15
        (
            3,
            "\\connect: connection to server at \"127.0.0.1\", port 6543 failed: FATAL:  password authentication failed for user \"postgres\"\n",
            "connection to server",
            "Secret",
        ),
        (
            3,
            "\\connect: could not translate host name \"pgset-master\" to address: Name or service not known\n",
            "could not translate",
            "kubectl get service pgset-master",
        ),
        (
            3,
            "\\connect: connection to server at \"127.0.0.1\", port 6599 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
            "connection to server",
            "kubectl get endpointslices -l kubernetes.io/service-name=pgset-master",
        ),
        (
            2,
            "psql: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: timeout expired\n",
            "connection to server on socket",
            "kubectl get endpointslices",
        ),
        // 9.5
        (
            3,
            "\\connect: FATAL:  password authentication failed for user \"testuser\"\n",
            "FATAL:  password",
            "Secret",
        ),
        (
            3,
            "\\connect: could not connect to server: Connection refused\n\tIs the server running on host \"pgset-master\" (10.0.0.1) and accepting\n\tTCP/IP connections on port 5432?\n",
            "could not connect",
            "kubectl get endpointslices",
        ),
        (2, "psql: timeout expired\n", "timeout expired", "kubectl get endpointslices"),
    ];
    for (code, stderr, begins, hint) in cases {
        let trouble = failed(code, stderr);
        assert_eq!(trouble.sqlstate, None, "{stderr}");
        assert!(trouble.message.starts_with(begins), "{trouble}");
        assert!(trouble.hint("pgset-master", None).unwrap().contains(hint), "{trouble}");
    }
}

#[test]
fn silence_is_an_error_too_and_success_is_none() {
    assert_eq!(failed(4, "").message, "psql ended with exit code 4 and no message");
    assert_eq!(failed(137, "").message, "psql was ended by signal 9, as when its container stops");
    let ok = ExecOutput { exit_code: Some(0), stderr: "NOTICE:  x".into(), stdout: String::new() };
    assert_eq!(ok.trouble(), None);
    let cut = ExecOutput::default();
    assert_eq!(cut.trouble().unwrap().message, "psql ended without an exit code");
}

#[test]
fn a_server_that_is_not_ready_is_told_in_plain_words() {
    for (stderr, said) in [
        (
            "psql: error: connection to server on socket \"/run/pgset/socket/.s.PGSQL.5432\" failed: FATAL:  the database system is starting up\n",
            "PostgreSQL is starting and accepts no connections yet",
        ),
        (
            "psql: error: connection to server at \"pgset-master\" (10.0.0.1), port 5432 failed: FATAL:  the database system is shutting down\n",
            "PostgreSQL is shutting down and accepts no connections",
        ),
        (
            "psql: FATAL:  the database system is in recovery mode\n",
            "PostgreSQL is recovering from a crash and accepts no connections yet",
        ),
        (
            "psql: FATAL:  the database system is not yet accepting connections\nDETAIL:  x\n",
            "PostgreSQL is starting and accepts no connections yet",
        ),
        (
            "psql: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: No such file or directory\n\tIs the server running locally and accepting connections on that socket?\n",
            "PostgreSQL is not running: nothing listens on its socket",
        ),
        (
            "psql: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: Connection refused\n",
            "PostgreSQL is not running: nothing listens on its socket",
        ),
    ] {
        let trouble = failed(2, stderr);
        assert_eq!(trouble.to_string(), said);
        assert!(trouble.is_unreachable(), "{stderr}");
    }
    // The address says which server refuses, so it stays.
    let refused = failed(
        2,
        "psql: error: connection to server at \"pgset-master\" (10.0.0.1), port 5432 failed: Connection refused\n",
    );
    assert!(refused.to_string().contains("pgset-master"), "{refused}");
    assert!(refused.is_unreachable());
}

#[test]
fn a_server_that_has_lost_its_files_runs() {
    for stderr in [
        "psql: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: FATAL:  could not open file \"global/pg_filenode.map\": No such file or directory\n",
        // PostgreSQL 13.
        "psql: error: FATAL:  could not open file \"global/pg_filenode.map\": No such file or directory\n",
    ] {
        let trouble = failed(2, stderr);
        assert!(trouble.to_string().ends_with("No such file or directory"), "{trouble}");
        // A retry would not help.
        assert!(!trouble.is_unreachable());
    }
}

#[test]
fn a_full_server_is_answered_with_its_limit() {
    let full = failed(
        2,
        "psql: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: FATAL:  sorry, too many clients already\n",
    );
    let hint = full.hint("pgset-master", Some(100)).unwrap();
    assert!(hint.contains("max_connections is 100"), "{hint}");
    // A retry would not help, and would take another connection.
    assert!(!full.is_unreachable());
}
