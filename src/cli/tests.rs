//! What the command line takes and refuses.

use std::path::PathBuf;
use std::time::Duration;

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
    command().debug_assert();
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
        ("up -o xml", "[possible values: human, json]"),
        ("up -o junit", "[possible values: human, json]"),
        ("-o junit up", "[possible values: human, json]"),
        ("-o xml up", "junit"),
        ("templates export x -o json", "[possible values: human]"),
        ("diff -o json", "[possible values: human]"),
        ("psql -o json", "[possible values: human]"),
        ("status orders --name shop", "two names for one set: the argument is 'orders'"),
        ("up orders extra", "extra"),
        ("up --profile mysql", "crunchy"),
        ("completions powershell", "zsh"),
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
fn the_argument_is_the_name_of_the_set() {
    for line in [
        "up orders",
        "test orders",
        "status orders",
        "down orders",
        "connect orders",
        "diff orders",
        "scale orders --replicas 3",
        "scale --replicas 3 orders",
        "--name orders status orders",
        "up --name orders",
    ] {
        assert_eq!(parsed(line).global.name.as_deref(), Some("orders"), "{line}");
    }
    assert_eq!(parsed("status").global.name, None);
    // Invalid names have the same error as with `--name`.
    assert_eq!(parsed("up 3").global.name.as_deref(), Some("3"));
}

#[test]
fn each_command_has_its_own_formats() {
    for command in command().get_subcommands() {
        let name = command.get_name();
        let output = command.get_arguments().find(|arg| arg.get_id() == "output").expect(name);
        let values = output.get_possible_values();
        let values: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
        let formats: Vec<String> = outputs(name).iter().map(ToString::to_string).collect();
        assert_eq!(values, formats, "{name}");
        assert_eq!(output.is_hide_set(), formats.len() == 1, "{name}");
    }
    for line in ["-o wide status", "status -o wide", "-o json status -o wide"] {
        assert_eq!(parsed(line).global.output, Some(Output::Wide), "{line}");
    }
    assert_eq!(parsed("env -o json").global.output, Some(Output::Json));
    assert_eq!(parsed("-o json env").global.output, Some(Output::Json));
}

/// All commands without subcommands of their own, with the names that lead to them.
fn leaves() -> Vec<(String, clap::Command)> {
    fn collect(path: &str, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands().for_each(|inner| collect(&path, inner, found));
        }
        found.push((path.trim().to_owned(), command.clone()));
    }
    let mut program = command().term_width(80);
    program.build();
    let mut found = Vec::new();
    collect("", &program, &mut found);
    found
}

#[test]
fn the_short_help_has_one_line_of_80_columns_per_option() {
    for (path, mut command) in leaves() {
        let help = command.render_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{path}: {line}");
        }
        let shown = command.get_opts().chain(command.get_arguments().filter(|arg| {
            !arg.is_positional() && !arg.get_num_args().is_some_and(|n| n.takes_values())
        }));
        for arg in shown.filter(|arg| !arg.is_hide_set()) {
            let long = format!("--{}", arg.get_long().unwrap());
            let lines: Vec<&str> = help
                .lines()
                .filter(|line| line.trim_start().starts_with('-') || line.contains(", --"))
                .filter(|line| {
                    line.split([' ', '[']).any(|word| word.trim_end_matches('.') == long)
                })
                .collect();
            assert!(!lines.is_empty(), "{path}: {long}");
            // The text follows on the same line, after two spaces.
            let text = lines[0].trim_start().split_once("  ");
            assert!(text.is_some_and(|(_, text)| !text.trim().is_empty()), "{path}: {}", lines[0]);
        }
        // A wrapped line would start with spaces and a word.
        let options = help.split("\nExamples:").next().unwrap_or_default();
        for line in options.lines().filter(|line| line.starts_with("      ")) {
            assert!(line.trim_start().starts_with("--"), "{path}: {line}");
        }
    }
}

#[test]
fn the_global_options_are_the_last_group_and_appear_once() {
    for (path, mut command) in leaves() {
        for help in [command.render_help(), command.render_long_help()] {
            let help = help.to_string();
            assert_eq!(help.matches("Global options:").count(), 1, "{path}");
            let (_, globals) = help.split_once("Global options:\n").unwrap();
            let globals = globals.split("\nExamples:").next().unwrap_or_default();
            assert!(globals.contains("--kubeconfig") && globals.contains("--help"), "{path}");
            let heading = |line: &&str| line.ends_with(':') && !line.starts_with(' ');
            assert_eq!(globals.lines().find(heading), None, "{path}");
        }
    }
}

#[test]
fn the_long_help_explains_the_settings() {
    let mut program = command();
    program.build();
    let up = program.find_subcommand_mut("up").unwrap();
    let help = up.render_long_help().to_string();
    let mut last = 0;
    for heading in [
        "\nArguments:\n",
        "\nReplication:\n",
        "\nImage:\n",
        "\nStorage:\n",
        "\nPostgreSQL (official image only):\n",
        "\nTLS (official image only):\n",
        "\nPods (official image only):\n",
        "\nTemplates:\n",
        "\nOptions:\n",
        "\nGlobal options:\n",
    ] {
        let at = help.find(heading).unwrap_or_else(|| panic!("{heading} is missing in {help}"));
        assert!(at > last, "{heading}");
        last = at;
    }
    for variable in crate::environment::VARIABLES {
        let is_option = variable.meaning.contains("(`--") && variable.name.starts_with("PGSET_");
        if is_option {
            assert!(help.contains(&format!("Variable: {}\n", variable.name)), "{}", variable.name);
        }
    }
    // The option of `scale` is required and has no variable.
    let scale = program.find_subcommand_mut("scale").unwrap();
    assert!(!scale.render_long_help().to_string().contains("PGSET_REPLICAS"));
}

#[test]
fn every_help_has_examples() {
    for (path, mut command) in leaves() {
        if command.is_hide_set() {
            continue;
        }
        for help in [command.render_help(), command.render_long_help()] {
            assert!(help.to_string().contains("Examples:\n"), "{path}");
        }
    }
    let long = command().render_long_help().to_string();
    assert!(long.contains("Exit codes: 0 done; 1 failed;"));
    for exit in [crate::error::Exit::TimedOut, crate::error::Exit::SmokeTest] {
        assert!(AFTER_LONG_HELP.contains(&exit.code().to_string()));
    }
    assert!(AFTER_LONG_HELP.starts_with(AFTER_HELP.split("\n\n").next().unwrap()));
    assert_eq!(refused("--help").exit_code(), 0);
    assert_eq!(refused("up --help").exit_code(), 0);
    for line in ["--version", "-V"] {
        assert_eq!(refused(line).to_string(), format!("pgset {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn the_examples_can_be_parsed() {
    let mut parsed = 0;
    for (path, command) in leaves() {
        let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in notes.lines().filter(|line| line.starts_with("  ")) {
            // `COMPLETE=bash pgset` is no command line.
            for (at, _) in line.match_indices("pgset ").filter(|_| !line.contains("COMPLETE=")) {
                if line[..at].ends_with(['/', '-']) {
                    continue;
                }
                let end = ["  ", " |", " >", " <", " &&", ")", "\"", "; "]
                    .map(|end| line[at..].find(end));
                let end = end.into_iter().flatten().min().map_or(line.len(), |end| at + end);
                // A command in quotes ends with a quote too many.
                let Some(words) = shlex::split(&line[at..end]) else { continue };
                if let Err(error) = parse(words.into_iter().map(OsString::from)) {
                    panic!("{path}: {line}: {error}");
                }
                parsed += 1;
            }
        }
    }
    assert!(parsed > 40, "{parsed}");
}

#[test]
fn the_plugin_of_kubectl_names_itself() {
    let words = ["/usr/bin/kubectl-pgset", "status", "--help"].map(OsString::from);
    let help = parse(words).unwrap_err().to_string();
    assert!(help.contains("Usage: kubectl pgset status [OPTIONS] [NAME]"), "{help}");
    let help = crate::text::as_called(&help, crate::text::PLUGIN);
    assert!(help.contains("  kubectl pgset status --watch\n"), "{help}");
    let error = parse(["kubectl-pgset", "upp"].map(OsString::from)).unwrap_err().to_string();
    assert!(error.contains("Usage: kubectl pgset [OPTIONS] <COMMAND>"), "{error}");
}

#[test]
fn the_commands_are_known_by_name() {
    let program = command();
    let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    let known = text::SUBCOMMANDS.into_iter();
    let known: Vec<&str> =
        known.filter(|name| cfg!(feature = "sandbox") || *name != "sandbox").collect();
    assert_eq!(names, known);
    for (name, rest) in names.iter().map(|name| match *name {
        "scale" => (*name, " --replicas 3"),
        "rejoin" => (*name, " pgset-0"),
        "password" => (*name, " show"),
        "templates" => (*name, " export x"),
        "completions" => (*name, " bash"),
        "sandbox" => (*name, " status"),
        _ => (*name, ""),
    }) {
        assert_eq!(parsed(&format!("{name}{rest}")).command.name(), name);
    }
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
        "stop",
        "start",
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
    check(&command());
}
