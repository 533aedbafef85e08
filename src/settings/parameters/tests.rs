//! Files, flags and variables in combination. Errors name the source and the line.

use super::*;
use crate::environment::Environment;
use crate::settings::Recipe;

fn given(
    set: &[&str],
    file: Option<&str>,
    variables: &[(&str, &str)],
) -> Result<Option<Parameters>, String> {
    let environment = Environment::from_pairs(variables.iter().copied());
    let set: Vec<String> = set.iter().map(|&s| s.to_owned()).collect();
    let read = |path: &Path| match file {
        Some(text) if path == Path::new("my.conf") => Ok(text.to_owned()),
        _ => Err("no such file".to_owned()),
    };
    let path = file.map(|_| Path::new("my.conf"));
    let recipe = Recipe::default();
    let mut sources = Sources::new(&environment, &recipe);
    parameters(&mut sources, &set, path, &read, &mut Vec::new()).map_err(|e| e.to_string())
}

fn text(set: &[&str], file: Option<&str>, variables: &[(&str, &str)]) -> String {
    given(set, file, variables).unwrap().unwrap().text()
}

#[test]
fn nothing_said_is_not_the_same_as_nothing_wanted() {
    assert_eq!(given(&[], None, &[]), Ok(None));
    assert_eq!(given(&[], Some("# nothing\n"), &[]), Ok(Some(Parameters::default())));
}

#[test]
fn flags_hold_over_the_file_and_the_variable() {
    let file = Some("work_mem = 1MB\nrandom_page_cost = 1.1\n");
    assert_eq!(text(&[], file, &[]), "random_page_cost = '1.1'\nwork_mem = '1MB'\n");
    let both = text(&["Work_Mem=64MB"], file, &[]);
    assert_eq!(both, "random_page_cost = '1.1'\nwork_mem = '64MB'\n");
    let lines = [("PGSET_SET", "work_mem = 2MB\njit = off")];
    assert_eq!(text(&[], None, &lines), "jit = 'off'\nwork_mem = '2MB'\n");
    assert_eq!(text(&["work_mem=3MB"], None, &lines), "work_mem = '3MB'\n");
    let file = [("PGSET_CONFIG", "gone.conf")];
    let error = given(&[], None, &file).unwrap_err();
    assert_eq!(
        error,
        "settings file \"gone.conf\" (from PGSET_CONFIG) can't be read: no such file"
    );
}

#[test]
fn a_value_is_taken_as_it_is() {
    let odd = r"log_line_prefix=%m '\ =";
    assert_eq!(text(&[odd], None, &[]), "log_line_prefix = '%m ''\\\\ ='\n");
    assert_eq!(text(&["search_path="], None, &[]), "search_path = ''\n");
}

#[test]
fn refusals_say_where() {
    for (set, file, expected) in [
        (vec!["work_mem"], None, "PostgreSQL setting \"work_mem\" (from --set) must be name=value"),
        (
            vec!["work-mem=1"],
            None,
            "PostgreSQL setting \"work-mem=1\" (from --set) must begin with the name of a setting, \
             which must be letters, digits and underscores, such as work_mem or extension.setting",
        ),
        (
            vec!["a=1", "A=2"],
            None,
            "PostgreSQL setting \"A=2\" (from --set) must be unique: a is set twice",
        ),
        (
            vec!["port=1"],
            None,
            "PostgreSQL setting \"port=1\" (from --set) must not be set: the Services use port 5432",
        ),
        (
            vec![],
            Some("jit = off\ninclude 'x'"),
            "settings file \"my.conf\" (from --config) line 2 has include, which must not be used: \
             only one file is copied into the set's ConfigMap",
        ),
        (
            vec![],
            Some("a = 1\n\nA = 2"),
            "settings file \"my.conf\" (from --config) line 3 sets a again: line 1 already sets it",
        ),
        (
            vec![],
            Some("work_mem = 10 MB"),
            "settings file \"my.conf\" (from --config) line 1 has text after the value of \
             work_mem: \"MB\"",
        ),
    ] {
        assert_eq!(given(&set, file, &[]).unwrap_err(), expected);
    }
}

#[test]
fn what_a_set_runs_with_is_read_back() {
    let parameters = given(&["work_mem=64MB", "a.b=it's"], None, &[]).unwrap().unwrap();
    let conf = format!("port = 5432\n{MARKER}\n{}", parameters.text());
    assert_eq!(Parameters::of_set(&conf), parameters);
    assert_eq!(Parameters::of_set("work_mem = 1MB\n"), Parameters::default());
    // Someone edited the file by hand. `--set port=1` would be refused, so the line is not kept.
    let conf = format!("{MARKER}\nport = 1\nwork_mem = 1MB\n");
    assert_eq!(Parameters::of_set(&conf).names(), "work_mem");
}

#[test]
fn changes_are_said() {
    let of = |set: &[&str]| given(set, None, &[]).unwrap().unwrap();
    assert_eq!(
        of(&["a=1", "b=2", "d=4"]).changes_since(&of(&["a=1", "b=1", "c=3"])),
        ["b '1' -> '2'", "no longer sets c (was '3')", "sets d = '4'"]
    );
    assert!(of(&["a=1"]).changes_since(&of(&["a=1"])).is_empty());
}

#[test]
fn the_sets_size_is_looked_at() {
    let many = given(&["max_wal_senders=12"], None, &[]).unwrap().unwrap();
    assert!(many.check_for(5, 0).is_ok());
    let error = many.check_for(6, 0).unwrap_err().to_string();
    assert_eq!(
        error,
        "PostgreSQL setting \"max_wal_senders=12\" (from --set or --config) must be at least 14: \
         each replica needs one, and two while it is cloned"
    );
}
