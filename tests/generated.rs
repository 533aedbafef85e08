//! Files that are generated and checked in: compared with what the code generates. After a change of
//! the command line: `PGSET_UPDATE=1 cargo test generated`.

use std::path::Path;

use pgset::cli::{Shell, completions, man};

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
