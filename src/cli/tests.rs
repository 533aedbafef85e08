//! What the command line takes and refuses.

use super::*;

fn parsed(line: &str) -> Cli {
    parse(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> clap::Error {
    parse(words(line)).expect_err(line)
}

fn words(line: &str) -> impl Iterator<Item = OsString> {
    ["pgset"].into_iter().chain(line.split_whitespace()).map(OsString::from)
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_flags_stand_before_and_behind_the_command() {
    for line in ["-n shop --name orders -o json status", "status -n shop --name orders -o json"] {
        let cli = parsed(line);
        assert_eq!(cli.global.namespace.as_deref(), Some("shop"));
        assert_eq!(cli.global.name.as_deref(), Some("orders"));
        assert_eq!(cli.global.output, Some(Output::Json));
    }
    assert_eq!(parsed("up -vvv -y").global.verbose, 3);
    assert_eq!(parsed("up --timeout 1h30m").global.timeout, Some(Duration::from_secs(5400)));
}

#[test]
fn a_version_of_kubernetes_is_read_as_people_write_it() {
    for (text, minor) in [("1.20", 20), ("v1.37.2", 37), ("1.33.5-eks-1", 33), ("v1.21.0+k3s1", 21)]
    {
        let Command::Render(render) = parsed(&format!("render --kube-version {text}")).command
        else {
            panic!("{text}")
        };
        assert_eq!(render.kube_version.unwrap().minor, minor, "{text}");
    }
    for text in ["1.19", "2.0", "1", "1.x", "37"] {
        let error = refused(&format!("render --kube-version {text}"));
        assert!(error.to_string().contains("must be 1.20 or later"), "{error}");
    }
}

#[test]
fn an_image_and_a_version_are_one_or_the_other() {
    assert_eq!(refused("up --image x --postgres-version 17").kind(), ErrorKind::ArgumentConflict);
    let Command::Up(up) = parsed("up --network-policy --label a=b --label c=d").command else {
        panic!()
    };
    assert_eq!(up.settings.network_policy.as_deref(), Some("true"));
    assert_eq!(up.settings.label, ["a=b", "c=d"]);
    let Command::Up(up) = parsed("up --network-policy=false").command else { panic!() };
    assert_eq!(up.settings.network_policy.as_deref(), Some("false"));
}

#[test]
fn negative_numbers_reach_our_own_message() {
    for line in ["up --replicas -1", "render --replicas -1", "up --replicas=-1"] {
        let (Command::Up(UpArgs { settings, .. }) | Command::Render(RenderArgs { settings, .. })) =
            parsed(line).command
        else {
            panic!("{line}")
        };
        assert_eq!(settings.replicas.as_deref(), Some("-1"));
    }
    let Command::Scale(scale) = parsed("scale --replicas -2.5").command else { panic!() };
    assert_eq!(scale.replicas, "-2.5");
    // A flag is not taken for a number.
    assert_eq!(refused("scale --replicas --yes").kind(), ErrorKind::InvalidValue);
}

#[test]
fn dry_run_has_an_optional_value() {
    for (line, expected) in [
        ("up", None),
        ("up --dry-run", Some(DryRun::Client)),
        ("up --dry-run=server", Some(DryRun::Server)),
    ] {
        let Command::Up(up) = parsed(line).command else { panic!("{line}") };
        assert_eq!(up.dry_run, expected, "{line}");
    }
}

#[test]
fn what_stands_behind_two_dashes_is_psqls() {
    let psql = |line: &str| match parsed(line).command {
        Command::Psql(psql) => psql,
        other => panic!("{line}: {other:?}"),
    };
    let none = psql("psql");
    assert_eq!((none.replica, none.user, none.args.len()), (None, None, 0));
    assert_eq!(psql("psql --replica").replica, Some(None));
    assert_eq!(psql("psql --replica 2 -- -At").replica, Some(Some(2)));
    assert_eq!(psql("psql --replica -- -At").replica, Some(None));
    // psql's own flag, that asks; ours would hold one.
    assert_eq!(psql("psql -- --password -U joe").args, ["--password", "-U", "joe"]);
    assert_eq!(refused("psql --password x").kind(), ErrorKind::UnknownArgument);
    assert_eq!(refused("psql -At").exit_code(), 2);
}

#[test]
fn a_file_with_a_password_is_no_password() {
    let Command::Up(up) = parsed("up --password-file=-").command else { panic!() };
    assert_eq!(up.password_file, Some(PathBuf::from("-")));
    let Command::Connect(connect) = parsed("connect --show-password").command else { panic!() };
    assert!(connect.show_password);
    let Command::Password(password) = parsed("password rotate superuser user").command else {
        panic!()
    };
    let PasswordCommand::Rotate(rotate) = password.command else { panic!() };
    assert_eq!(rotate.roles, [RoleKind::Superuser, RoleKind::User]);
    assert_eq!(refused("password rotate --password s3cret").exit_code(), 2);
    assert!(!refused("password rotate --password s3cret").to_string().contains("s3cret"));
}

#[test]
fn each_command_reads_its_flags() {
    let Command::Test(test) = parsed("test --lag-limit 2s").command else { panic!() };
    assert_eq!(test.lag_limit, Duration::from_secs(2));
    let Command::Test(test) = parsed("test").command else { panic!() };
    assert_eq!(test.lag_limit, Duration::from_secs(10));
    let Command::Down(down) = parsed("down --delete-data").command else { panic!() };
    assert!(down.delete_data);
    let Command::Templates(templates) = parsed("templates export here").command else { panic!() };
    let TemplatesCommand::Export { directory } = templates.command;
    assert_eq!(directory, PathBuf::from("here"));
    for line in [
        "status --watch",
        "diff --replicas 3",
        "env",
        "man",
        "completions fish",
        "up --no-wait --force-conflicts",
    ] {
        parsed(line);
    }
}

#[test]
fn what_is_no_use_is_refused_with_exit_code_2() {
    for (line, says) in [
        ("up --replica 3", "--replicas"),
        ("upp", "up"),
        ("scale", "--replicas"),
        ("up -q -v", "--verbose"),
        ("render --list --show-secrets", "--show-secrets"),
        ("up --storage class --storage claim:x", "--storage"),
        ("up --timeout soon", "must be a duration from 1ms to 168h"),
        ("up --timeout -5", "must be a duration from 1ms to 168h"),
        ("up -o xml", "junit"),
        ("up --profile mysql", "crunchy"),
        ("completions powershell", "zsh"),
        ("up extra", "extra"),
    ] {
        let error = refused(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(says), "{line}: {error}");
    }
}

#[test]
fn passwords_are_refused_without_printing_them() {
    for line in [
        "up --password sentinel",
        "up --password=sentinel",
        "--pg-password=sentinel up",
        "up --PASSWORD sentinel --bogus",
        "PG_PASSWORD=sentinel up",
        "up --root_password=sentinel",
    ] {
        let error = refused(line);
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(text.contains("passwords are never taken from the command line"), "{line}: {text}");
        assert!(text.contains("PG_PASSWORD"), "{text}");
        assert!(!text.contains("sentinel"), "{text}");
    }
    parsed("templates export ./password");
    parsed("up --templates ./password=x");
}

#[test]
fn help_has_examples_and_exit_codes() {
    let mut program = Cli::command();
    assert!(program.render_long_help().to_string().contains("Exit codes: 0 done; 1 failed;"));
    for command in program.get_subcommands_mut() {
        let name = command.get_name().to_owned();
        if name == "templates" {
            continue;
        }
        let help = command.render_help().to_string();
        assert!(help.contains("Examples:"), "{name}");
    }
    for exit in [crate::error::Exit::TimedOut, crate::error::Exit::SmokeTest] {
        assert!(AFTER_HELP.contains(&exit.code().to_string()));
    }
    assert_eq!(refused("--help").exit_code(), 0);
    assert_eq!(refused("--version").to_string(), format!("pgset {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_command_has_a_default_format() {
    for line in [
        "up",
        "test",
        "status",
        "render",
        "env",
        "man",
        "scale --replicas 1",
        "down",
        "diff",
        "psql",
        "connect",
        "password show",
    ] {
        assert_eq!(parsed(line).command.outputs().first(), Some(&Output::Human), "{line}");
    }
}

#[test]
fn examples_and_notes_fit_80_columns() {
    fn check(command: &clap::Command) {
        let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in notes.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}
