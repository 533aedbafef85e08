//! Checks that every file under `tests/` is a module of the test binary: a scenario that is not compiled
//! can't fail.

use std::path::{Path, PathBuf};

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// Returns the file that must contain `mod NAME;`: `tests/e2e.rs` for `tests/e2e/story.rs`.
fn parent(tests: &Path, file: &Path) -> PathBuf {
    let directory = file.parent().unwrap();
    if directory == tests { tests.join("main.rs") } else { directory.with_extension("rs") }
}

#[test]
fn no_test_file_is_forgotten() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = rust_files(&tests);
    assert!(files.contains(&tests.join("forgotten.rs")));
    for file in files.iter().filter(|f| **f != tests.join("main.rs")) {
        let parent = parent(&tests, file);
        let text = std::fs::read_to_string(&parent).unwrap_or_else(|e| {
            panic!("{} has no parent: {}: {e}", file.display(), parent.display())
        });
        let name = file.file_stem().unwrap().to_str().unwrap();
        let declared = text.lines().any(|line| {
            let line = line.trim();
            let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            line == format!("mod {name};")
        });
        assert!(declared, "{} is no module of {}", file.display(), parent.display());
    }
}

/// `docs/guarantees.md` names the test of each guarantee: `e2e::story::a_test` is a function in `tests/e2e/story.rs`.
#[test]
fn every_guarantee_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let rows = rows.filter(|line| !line.starts_with("| guarantee"));
    let mut count = 0;
    for row in rows {
        let tests: Vec<&str> = row.split('`').filter(|text| text.contains("::")).collect();
        assert!(!tests.is_empty(), "no test proves {row:?}");
        for test in tests {
            let (module, function) = test.rsplit_once("::").unwrap();
            let file = root.join("tests").join(module.replace("::", "/")).with_extension("rs");
            let text = std::fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("{test}: {}: {error}", file.display()));
            assert!(text.contains(&format!("fn {function}()")), "{test} does not exist");
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}
