//! Compares the generated files in the repository with the output of the code. After a change of the
//! command line, run `PGSET_UPDATE=1 cargo test generated`.

use std::path::Path;

use pgset::cli::{Shell, completions, man};
use pgset::environment::VARIABLES;
use pgset::settings::table::markdown;

fn check(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name);
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let update = std::env::var_os("PGSET_UPDATE").is_some_and(|value| value == "1");
    if update {
        std::fs::write(&path, generated).expect("the completions directory is writable");
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "completions/{name} is not what the code generates: PGSET_UPDATE=1 cargo test generated"
    );
}

#[test]
fn bash() {
    check("pgset.bash", &completions(Shell::Bash));
}

#[test]
fn zsh() {
    check("_pgset", &completions(Shell::Zsh));
}

#[test]
fn fish() {
    check("pgset.fish", &completions(Shell::Fish));
}

#[test]
fn man_page() {
    check("pgset.1", &man());
}

/// The README's table of variables, between its markers.
#[test]
fn environment_table() {
    const BEGIN: &str = "<!-- environment table: begin -->\n";
    const END: &str = "<!-- environment table: end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("there is a README");
    let (before, rest) = readme.split_once(BEGIN).expect("the README has the table's markers");
    let (table, after) = rest.split_once(END).expect("the table ends");
    let generated = markdown();
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let update = std::env::var_os("PGSET_UPDATE").is_some_and(|value| value == "1");
    if update {
        let text = format!("{before}{BEGIN}{generated}{END}{after}");
        std::fs::write(&path, text).expect("the README is writable");
        return;
    }
    assert!(table == generated, "README.md: PGSET_UPDATE=1 cargo test generated");
}

/// pgset reads every variable that the examples set.
#[test]
fn examples_name_known_variables() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).expect("there are examples") {
        let path = entry.expect("a directory entry").path();
        if path.extension().is_none_or(|extension| extension != "env") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("an example is text");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, _)) = line.split_once('=') else { continue };
            let name = name.trim_start_matches("export ").trim();
            assert!(VARIABLES.iter().any(|v| v.name == name), "{}: {name}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 0, "no example sets a variable");
}
