//! Compares the generated files in the repository with the output of the code, and the documentation with
//! the program. After a change of the command line, run `PGSET_UPDATE=1 cargo test generated`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgset::cli::{Shell, completions, man};
use pgset::environment::VARIABLES;
use pgset::settings::table::markdown;

use crate::support::updates;

fn check(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name);
    if updates() {
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

/// The table of variables in `docs/settings.md`, between its markers.
#[test]
fn environment_table() {
    const BEGIN: &str = "<!-- environment table: begin -->\n";
    const END: &str = "<!-- environment table: end -->";
    let path = root().join("docs/settings.md");
    let page = std::fs::read_to_string(&path).expect("there is a page about settings");
    let (before, rest) = page.split_once(BEGIN).expect("the page has the table's markers");
    let (table, after) = rest.split_once(END).expect("the table ends");
    let generated = markdown();
    if updates() {
        let text = format!("{before}{BEGIN}{generated}{END}{after}");
        std::fs::write(&path, text).expect("the page is writable");
        return;
    }
    assert!(table == generated, "docs/settings.md: PGSET_UPDATE=1 cargo test generated");
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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The README and the pages in `docs/`, with their paths.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = std::fs::read_dir(root().join("docs")).expect("there are pages");
    let mut paths: Vec<PathBuf> = docs.map(|e| e.expect("a directory entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root().join("README.md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a page is text");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn the_readme_is_short() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    assert!(readme.lines().count() <= 250, "{} lines", readme.lines().count());
}

/// The anchors of the headings, as GitHub names them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    for (path, text) in pages() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let directory = path.parent().expect("a page is in a directory");
            let target = if file.is_empty() { path.clone() } else { directory.join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).expect("a page is text");
                let known = anchors(&text).iter().any(|known| known == anchor);
                assert!(known, "{}: {link}", path.display());
            }
        }
    }
}

/// The lines that a user types, of the `console` blocks.
#[cfg(feature = "sandbox")]
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut console = false;
    for line in text.lines() {
        if line.starts_with("```") {
            console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| console) {
            commands.push(command.to_owned());
        }
    }
    commands
}

/// Every call of pgset on a page has arguments that pgset accepts.
#[cfg(feature = "sandbox")]
#[test]
fn commands_are_valid() {
    let mut seen = 0;
    for (path, text) in pages() {
        for line in commands(&text) {
            let words = shlex::split(&line);
            let words = words.unwrap_or_else(|| panic!("{}: {line}", path.display()));
            for call in words.split(|word| ["|", "&&"].contains(&word.as_str())) {
                let call: Vec<std::ffi::OsString> = call
                    .iter()
                    .take_while(|word| !word.starts_with(['>', '<']))
                    .map(Into::into)
                    .collect();
                if call.len() < 2 || call[0] != "pgset" {
                    continue;
                }
                if let Err(error) = pgset::cli::parse(call) {
                    assert!(error.exit_code() == 0, "{}: {line}\n{error}", path.display());
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen} calls of pgset");
}

/// The sentences of the prose, without headings, tables and code.
fn sentences(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut code = false;
    for line in text.lines() {
        let fence = line.starts_with("```");
        code ^= fence;
        let prose = !code && !fence && !line.is_empty() && !line.starts_with(['#', '|', '<', '!']);
        if !prose || line.starts_with("- ") {
            paragraphs.push(String::new());
        }
        if let Some(paragraph) = paragraphs.last_mut().filter(|_| prose) {
            paragraph.push_str(line.trim_start_matches("- "));
            paragraph.push(' ');
        }
    }
    let sentences = paragraphs.iter().flat_map(|paragraph| paragraph.split(['.', ':']));
    let words = |sentence: &str| sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    sentences.map(words).filter(|sentence| sentence.len() >= 30).collect()
}

#[test]
fn no_sentence_is_written_twice() {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, text) in pages() {
        for sentence in sentences(&text) {
            if let Some(first) = seen.get(&sentence) {
                panic!("{} and {}: {sentence}", first.display(), path.display());
            }
            seen.insert(sentence, path.clone());
        }
    }
    assert!(seen.len() > 200, "{} sentences", seen.len());
}

/// The text of the source and of the templates, in lower case. String literals that continue on the next line
/// are joined.
fn source() -> String {
    let mut text = String::new();
    let mut directories = vec![root().join("src"), root().join("templates")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory of the source") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let file = std::fs::read_to_string(&path).expect("the source is text");
            let mut continues = false;
            for line in file.lines() {
                let line = if continues { line.trim_start() } else { line };
                continues = line.ends_with('\\');
                text.push_str(line.strip_suffix('\\').unwrap_or(line));
                if !continues {
                    text.push('\n');
                }
            }
        }
    }
    text.replace("\\\"", "\"").to_lowercase()
}

/// The program can print each message that `docs/troubleshooting.md` explains. `...` in a message stands for a
/// name, a number or a reason.
#[test]
fn explained_messages_exist_and_are_in_order() {
    let page = root().join("docs/troubleshooting.md");
    let page = std::fs::read_to_string(page).expect("there is a page about messages");
    let messages: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
        .map(str::to_lowercase)
        .collect();
    assert!(messages.len() > 50, "{} messages", messages.len());
    let source = source();
    let missing: Vec<&String> = messages
        .iter()
        .filter(|message| {
            let mut parts = message.split("...").map(|part| part.trim_matches([' ', '(', ')']));
            parts.any(|part| !source.contains(part))
        })
        .collect();
    assert!(missing.is_empty(), "no message of the program: {missing:#?}");
    let key = |message: &String| message.trim_start_matches(['.', ',', ':', ' ']).to_owned();
    let mut sorted = messages.clone();
    sorted.sort_by_key(key);
    assert!(messages.iter().map(key).eq(sorted.iter().map(key)), "messages are not in order");
}

#[cfg(feature = "sandbox")]
mod sandbox {
    use std::path::Path;
    use std::process::Stdio;

    use crate::support::served::Served;

    /// Runs the commands of the README's story in their order, as a shell does.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
    async fn the_story_of_the_readme() {
        let readme = std::fs::read_to_string(super::root().join("README.md"));
        let readme = readme.expect("there is a README");
        let (_, story) = readme.split_once("<!-- story: begin -->").expect("the story begins");
        let (story, _) = story.split_once("<!-- story: end -->").expect("the story ends");
        let commands = super::commands(story);
        assert!(commands.len() >= 6, "{commands:?}");

        let sandbox = Served::start().await;
        let home = tempfile::TempDir::new().expect("a directory for HOME");
        let programs = Path::new(env!("CARGO_BIN_EXE_pgset")).parent().expect("a directory");
        for command in commands {
            let output = tokio::process::Command::new("bash")
                .args(["-euo", "pipefail", "-c", &command])
                .env_clear()
                .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
                .env("HOME", home.path())
                .env("KUBECONFIG", sandbox.kubeconfig())
                .current_dir(home.path())
                .stdin(Stdio::null())
                .output()
                .await
                .expect("bash runs");
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "$ {command}\n{out}{err}");
        }
    }
}
