//! Checks that the texts for people use plain words. Turns of phrase that are hard to read are listed here with
//! their replacements, so that they do not come back.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Turns that no text may contain, and what to say instead. They are compared in lower case and as whole words.
const BANNED: &[(&str, &str)] = &[
    ("1 to go", "1 pod still to be deleted"),
    ("{} to go", "{} pods still to be deleted"),
    ("again for more", "repeatable"),
    ("anew", "again"),
    ("are asked whether", "checking"),
    ("are gone", "are deleted, or do not exist"),
    ("are looked at", "are checked"),
    ("are not there", "do not exist"),
    ("as it should be", "up to date"),
    ("at hand", "available"),
    ("belongs to nobody", "is not owned by"),
    ("brings", "updates, or copies"),
    ("brought", "updated, received, or copied"),
    ("by itself", "automatically"),
    ("by the way", "(nothing)"),
    ("carried out", "applied, or done"),
    ("carries out", "applies, or does"),
    ("carry out", "apply, or do"),
    ("claim asks for", "requested size of each claim"),
    ("default: what runs", "default: the current value"),
    ("did not say", "did not report, or cannot be queried"),
    ("do it by themselves", "do it automatically"),
    ("does not carry", "has no"),
    ("does not say", "does not report"),
    ("for ever", "without a time limit"),
    ("for how many", "number of"),
    ("go on", "continue"),
    ("goes on", "continues, or resumes"),
    ("going on", "continuing"),
    ("has it done", "then applies it"),
    ("has not brought", "has not received"),
    ("has not said", "has not reported"),
    ("has them do", "then applies it"),
    ("have it done", "then apply it"),
    ("in force", "in effect"),
    ("is asked whether", "checking"),
    ("is gone", "is deleted, or does not exist"),
    ("is looked at", "is checked"),
    ("is not there", "does not exist"),
    ("is said", "is reported"),
    ("is still there", "still exists"),
    ("let in", "authorized"),
    ("lets in", "authorizes"),
    ("lies", "is"),
    ("look at it", "check it"),
    ("looked at", "checked"),
    ("looks at it", "checks it"),
    ("made again", "created again"),
    ("never ends", "without a time limit"),
    ("nobody", "no one, or no other client or user"),
    ("of its own", "its"),
    ("of their own", "their"),
    ("of your own", "your"),
    ("on its way", "being deleted, or not finished"),
    ("on their way", "being deleted, or not finished"),
    ("once more", "again"),
    ("open the data", "passwords of the data"),
    ("out of its way", "(nothing)"),
    ("please", "(nothing)"),
    ("put up with", "tolerate"),
    ("puts it right", "repairs it"),
    ("puts up with", "tolerates"),
    ("said nothing", "gave no reason"),
    ("says nothing", "gives no reason"),
    ("somebody", "another client, or another user"),
    ("sorry", "(nothing)"),
    ("stands at", "is at"),
    ("stands in", "is in"),
    ("take away", "remove"),
    ("take it down", "delete it"),
    ("take the set down", "delete the set's objects"),
    ("taken away", "removed"),
    ("takes away", "removes"),
    ("takes it down", "deletes it"),
    ("took away", "removed"),
    ("waits for its removal", "will be deleted"),
    ("waits on", "waits for"),
    ("waits to be", "will be"),
    ("what is there", "the existing objects, or what exists"),
    ("what is wrong", "problems"),
    ("what's wrong", "problems"),
    ("whose data", "identifies the data"),
];

/// The attributes with texts for people: of `thiserror` and of `clap`.
const SHOWN_ATTRIBUTES: [&str; 5] = ["arg", "command", "error", "group", "value"];
/// How much of a long text a failure shows, in characters before and after the turn.
const EXCERPT: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A path below the root of the repository, with slashes.
fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

/// Joins all words with one space, so that a line break does not hide a turn.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('’', "'")
}

/// The texts that people see, with the names of their files.
fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files(&root().join("src")) {
        let name = name(&path);
        if let Some(help) = scanned(&name) {
            let source = std::fs::read_to_string(&path).unwrap();
            found.extend(strings(&source, help).into_iter().map(|text| (name.clone(), text)));
        }
    }
    let mut documents = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for directory in ["completions", "docs", "templates"] {
        documents.extend(files(&root().join(directory)));
    }
    for path in documents {
        let name = name(&path);
        let is_markdown = path.extension().is_some_and(|extension| extension == "md");
        if name.starts_with("docs/") && !is_markdown {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // Comments and headings go over several lines, each with its own mark.
        let lines: Vec<&str> =
            text.lines().map(|line| line.trim_start().trim_start_matches('#')).collect();
        found.push((name, joined(&lines.join("\n"))));
    }
    found
}

/// Whether the strings of a file are checked; if so, whether its documentation comments are help texts. The
/// sandbox imitates the messages of Kubernetes.
fn scanned(name: &str) -> Option<bool> {
    let mut parts = name.split(['/', '.']);
    let is_source = Path::new(name).extension().is_some_and(|extension| extension == "rs");
    let is_test = parts.any(|part| ["tests", "fixtures"].contains(&part));
    let is_sandbox = name == "src/sandbox.rs" || name.starts_with("src/sandbox/");
    let is_help = name == "src/cli.rs" || name.starts_with("src/cli/");
    (is_source && !is_test && !is_sandbox).then_some(is_help)
}

/// The string literals of a source file without its tests; with `help`, also its documentation comments.
fn strings(source: &str, help: bool) -> Vec<String> {
    let mut found = Vec::new();
    collect(TokenStream::from_str(source).unwrap(), help, &mut found);
    found.iter().map(|text| joined(text)).filter(|text| !text.is_empty()).collect()
}

fn collect(stream: TokenStream, help: bool, found: &mut Vec<String>) {
    let mut comment = String::new();
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if is_punct(&token, '#') {
            let of_file = tokens.next_if(|token| is_punct(token, '!')).is_some();
            if let Some(TokenTree::Group(attribute)) = tokens.next_if(is_attribute) {
                match first_word(&attribute).as_str() {
                    "doc" if help && !of_file => comment += &documentation(&attribute),
                    "cfg" if is_for_tests(&attribute) => skip_item(&mut tokens),
                    word if SHOWN_ATTRIBUTES.contains(&word) => {
                        collect(attribute.stream(), help, found);
                    }
                    _ => {}
                }
                continue;
            }
        }
        if !comment.is_empty() {
            found.push(std::mem::take(&mut comment));
        }
        match token {
            TokenTree::Group(group) => collect(group.stream(), help, found),
            TokenTree::Literal(literal) => found.extend(value(&literal.to_string())),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
    found.push(comment);
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_attribute(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
}

fn first_word(attribute: &Group) -> String {
    attribute.stream().into_iter().next().map(|token| token.to_string()).unwrap_or_default()
}

/// The text of `#[doc = " text"]`, which stands for a line of a documentation comment.
fn documentation(attribute: &Group) -> String {
    let mut tokens = attribute.stream().into_iter();
    tokens.find_map(|token| value(&token.to_string())).unwrap_or_default()
}

/// Whether it is `cfg(test)`, or a longer condition with `test` in it.
fn is_for_tests(attribute: &Group) -> bool {
    let condition = attribute.stream().to_string();
    let mut words = condition.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word == "test") && !condition.contains("not")
}

/// Skips the item after its attribute: up to its block or its semicolon.
fn skip_item(tokens: &mut Peekable<IntoIter>) {
    for token in tokens.by_ref() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

/// The value of a string literal, with a space for each control character; `None` for any other token.
fn value(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('r') {
        let quoted = raw.trim_matches('#');
        return Some(quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    }
    let quoted = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut chars = quoted.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            // A line break after a backslash and the indentation are not part of the value.
            Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            Some('u') => {
                chars.by_ref().take_while(|c| *c != '}').for_each(drop);
                text.push(' ');
            }
            Some('x') => {
                chars.nth(1);
                text.push(' ');
            }
            Some('n' | 'r' | 't' | '0') => text.push(' '),
            Some(escaped) => text.push(escaped),
            None => {}
        }
    }
    Some(text)
}

/// Where a text in lower case contains a turn as whole words.
fn position(text: &str, turn: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let found = text.match_indices(turn).find(|(at, turn)| {
        !text[..*at].ends_with(is_word) && !text[at + turn.len()..].starts_with(is_word)
    });
    found.map(|(at, _)| at)
}

/// The part of a text around a position.
fn excerpt(text: &str, at: usize) -> String {
    let start = text[..at].char_indices().rev().nth(EXCERPT).map_or(0, |(start, _)| start);
    text[start..].chars().take(2 * EXCERPT).collect()
}

/// The banned turns in a text, each with the place and the replacement.
fn complaints(file: &str, text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let found =
        BANNED.iter().filter_map(|(turn, instead)| Some((position(&text, turn)?, turn, instead)));
    found
        .map(|(at, turn, instead)| {
            format!("{file}: {:?}\n    not {turn:?}; instead: {instead}", excerpt(&text, at))
        })
        .collect()
}

#[test]
fn texts_for_people_use_plain_words() {
    let texts = texts();
    assert!(texts.len() > 1000, "{} texts", texts.len());
    let found: Vec<String> = texts.iter().flat_map(|(file, text)| complaints(file, text)).collect();
    assert!(found.is_empty(), "{} banned turns:\n{}", found.len(), found.join("\n"));
}

#[test]
fn strings_that_people_see_are_collected() {
    let source = r#"
//! of the file
const A: &str = "one \
    two\n";
#[error("three {x}")]
struct E;
#[expect(dead_code, reason = "reason")]
/// four
/// five
fn f() { g(r"six x", 'c', b"bytes", "\u{1b}seven\x07 \"y\""); }
#[cfg(test)]
use crate::{a, b};
#[cfg(test)]
mod tests { const B: &str = "test"; }
#[cfg(all(test, unix))]
const C: [&str; 1] = ["test"];
#[cfg(feature = "sandbox")]
const D: &str = "eight";
"#;
    let found = strings(source, false);
    assert_eq!(found, ["one two", "three {x}", "six x", "seven \"y\"", "eight"]);
    assert_eq!(strings(source, true)[2], "four five");
}

#[test]
fn turns_are_found_as_whole_words() {
    let of = |text: &str| complaints("x.rs", text).len();
    assert_eq!(of("It Goes on."), 1);
    assert_eq!(of(&joined("the set\n  goes\n  on")), 1);
    assert_eq!(of("cargo only: a pinging ongoing pleased newcomer"), 0);
    assert_eq!(position("3 pods: {} to go", "{} to go"), Some(8));
    assert_eq!(excerpt(&format!("{}here", "é".repeat(100)), 200).chars().count(), 65);
    let shown = complaints("x.rs", "the pod belongs to nobody");
    assert!(shown[0].contains("x.rs") && shown[0].contains("is not owned by"), "{shown:?}");
}
