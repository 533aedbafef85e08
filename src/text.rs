//! Formats text for terminals, shells and URIs, and commands as the user calls the program.

pub(crate) mod table;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use textwrap::core::Word;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Wraps the text at `width` columns. A longer word (a path, a URL) and a command are not broken, so that
/// users can copy them.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    textwrap::wrap(text, options(width))
}

/// The same, as one text. The lines after the first one are indented.
pub(crate) fn wrap_paragraph(text: &str, width: usize) -> String {
    textwrap::fill(text, options(width).subsequent_indent("  "))
}

fn options<'a>(width: usize) -> Options<'a> {
    Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

/// Splits a line into words. A command is one word.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let last_quote = line.rfind('`').unwrap_or_default();
    let (mut words, mut start, mut end) = (Vec::new(), 0, 0);
    let (mut quoted, mut command) = (false, None);
    for word in WordSeparator::AsciiSpace.find_words(line) {
        let known = Command::including(command, word.word);
        let within = known.is_some() || (quoted && last_quote >= end);
        if end > start && !within {
            words.push(Word::from(&line[start..end]));
            start = end;
        }
        end += word.word.len() + word.whitespace.len();
        quoted ^= word.word.matches('`').count() % 2 == 1;
        command = Command::after(known, word.word);
    }
    if end > start {
        words.push(Word::from(&line[start..end]));
    }
    Box::new(words.into_iter())
}

/// A command without backticks, as far as its end can be known: `pgset up --tls`, `kubectl get pods`.
/// Commands with other arguments are written in backticks.
#[derive(Clone, Copy)]
enum Command {
    /// The next word is a part of it: the subcommand, or the value of a flag.
    Any,
    /// The next word is a part of it if it is a flag.
    Flag,
    /// The rest is a part of it, up to a punctuation mark.
    Rest,
}

impl Command {
    /// The command that ends before `word`, if `word` continues it.
    fn including(command: Option<Self>, word: &str) -> Option<Self> {
        command.filter(|command| match command {
            Self::Any => true,
            Self::Flag => word.starts_with('-'),
            Self::Rest => !word.starts_with('('),
        })
    }

    /// The command that includes `word`, if one does and does not end there.
    fn after(command: Option<Self>, word: &str) -> Option<Self> {
        if word.ends_with([',', ';', ':', '.', ')', '`', '"']) {
            return None;
        }
        match (command, word.trim_start_matches(['(', '`', '"'])) {
            (Some(Self::Rest), _) | (None, "kubectl") => Some(Self::Rest),
            (Some(Self::Flag), "-n" | "--name") | (None, "pgset") => Some(Self::Any),
            (Some(_), _) => Some(Self::Flag),
            (None, _) => None,
        }
    }
}

/// Wraps the text for a line on which `indent` columns are already used, and indents the following lines by
/// `indent`.
pub(crate) fn wrap_hanging(text: &str, indent: usize, width: usize) -> String {
    wrap(text, width.saturating_sub(indent)).join(&format!("\n{}", " ".repeat(indent)))
}

/// A number of bytes for people: `512 B`, `3 GiB`, `22.8 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        // One decimal, with integer arithmetic: an `f64` can't represent every `u64`.
        Some((size, unit)) => match bytes % size * 10 / size {
            0 => format!("{} {unit}", bytes / size),
            tenths => format!("{}.{tenths} {unit}", bytes / size),
        },
        None => format!("{bytes} B"),
    }
}

/// `1 pod`, `2 pods`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Lines of a label and a text, the texts aligned: `read only       postgresql://...`.
pub(crate) fn labelled(rows: &[(&'static str, String)]) -> Vec<String> {
    let widest = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    rows.iter().map(|(label, text)| format!("{label:widest$}  {text}")).collect()
}

/// Quotes a word for a shell. Words without special characters are not quoted, so that hints stay readable:
/// `--requests cpu=500m,memory=1Gi`.
pub(crate) fn shell_word(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    // shlex fails only for NUL, and NUL is allowed here: there is no error to handle.
    shlex::Quoter::new().allow_nul(true).quote(word).unwrap_or_default()
}

/// The characters that a URI component contains unencoded: letters, digits and these (RFC 3986).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes the text for a URI component: every byte that is not unreserved becomes `%XX`.
pub(crate) fn percent_encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

/// The program's name, as users type it.
pub(crate) const PROGRAM: &str = "pgset";
/// The program's name as a plugin of kubectl, whose file is `kubectl-pgset`.
pub(crate) const PLUGIN: &str = "kubectl pgset";

/// The commands of pgset. A test compares them with the command line.
pub(crate) const SUBCOMMANDS: [&str; 21] = [
    "up",
    "scale",
    "restart",
    "switchover",
    "failover",
    "rejoin",
    "test",
    "status",
    "stop",
    "start",
    "down",
    "psql",
    "connect",
    "password",
    "render",
    "diff",
    "templates",
    "env",
    "sandbox",
    "completions",
    "man",
];

/// The program's name, from the first argument of the process.
pub(crate) fn program(first: &OsStr) -> &'static str {
    match Path::new(first).file_name() {
        Some(name) if name == "kubectl-pgset" => PLUGIN,
        _ => PROGRAM,
    }
}

/// Writes the commands in a text as the user called the program: `pgset up` becomes `kubectl pgset up`.
///
/// Replaces only commands: `pgset` before a subcommand or a flag. Names such as `pgset-0` and
/// `secret/pgset` stay.
pub(crate) fn as_called<'a>(text: &'a str, program: &str) -> Cow<'a, str> {
    let before = program.strip_suffix(PROGRAM).unwrap_or_default();
    with_inserted(text, commands(text).map(|at| (at, before)))
}

/// What a PostgreSQL server says, in lower case, whose files are missing or damaged. It stays so until a person does something.
pub(crate) const DAMAGE: [&str; 4] = [
    "could not open file \"",
    "could not read block",
    "invalid page in block",
    "database \"postgres\" does not exist",
];

/// The subcommands that do not work on the set of a cluster.
const OF_NO_SET: [&str; 6] = ["render", "templates", "env", "sandbox", "completions", "man"];

/// Adds the flags that select the set to each command in a text, so that the command works on the same set when it
/// is copied: `pgset down --delete-data` becomes `pgset down -n shop --delete-data`. A flag that the command has is
/// not added. `flags` are pairs of a flag and its value.
pub(crate) fn for_set<'a>(text: &'a str, flags: &[(&str, String)]) -> Cow<'a, str> {
    let missing = |command: &str| -> String {
        let is_missing = |(flag, _): &&(&str, String)| !command.contains(&format!(" {flag} "));
        let missing = flags.iter().filter(is_missing);
        let missing = missing.map(|(flag, value)| format!(" {flag} {value}"));
        missing.collect::<String>()
    };
    let insertion = |at| {
        let begin = at + PROGRAM.len() + 1;
        let subcommand = text[begin..].split(|c: char| !c.is_alphanumeric()).next()?;
        let is_of_a_set = SUBCOMMANDS.contains(&subcommand) && !OF_NO_SET.contains(&subcommand);
        let command = text[begin..].split(['\n', '`', ')', ';', '#']).next()?;
        is_of_a_set.then(|| (begin + subcommand.len(), missing(command)))
    };
    with_inserted(text, commands(text).filter_map(insertion))
}

/// Where the commands in a text begin.
fn commands(text: &str) -> impl Iterator<Item = usize> {
    let names = text.match_indices(PROGRAM).map(|(at, _)| at);
    names.filter(|at| is_command(&text[..*at], &text[at + PROGRAM.len()..]))
}

/// Inserts texts at these places.
fn with_inserted(
    text: &str,
    insertions: impl Iterator<Item = (usize, impl AsRef<str>)>,
) -> Cow<'_, str> {
    let mut whole = String::new();
    let mut copied = 0;
    for (place, insertion) in insertions.filter(|(_, insertion)| !insertion.as_ref().is_empty()) {
        whole.push_str(&text[copied..place]);
        whole.push_str(insertion.as_ref());
        copied = place;
    }
    if whole.is_empty() {
        return Cow::Borrowed(text);
    }
    whole.push_str(&text[copied..]);
    Cow::Owned(whole)
}

/// Whether the program's name between these texts is a command.
fn is_command(before: &str, after: &str) -> bool {
    let joined = |c: char| c.is_alphanumeric() || "-_/.".contains(c);
    if before.ends_with(joined) || before.ends_with("kubectl ") {
        return false;
    }
    let Some(rest) = after.strip_prefix(' ') else { return false };
    if let Some(flag) = rest.strip_prefix('-') {
        return flag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(rest.len());
    SUBCOMMANDS.contains(&&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_copied_works_on_the_same_set() {
        for (text, expected) in [
            (
                "pgset down --delete-data  # deletes the data",
                "pgset down -n shop --delete-data  # deletes the data",
            ),
            (
                "no TLS; pgset up --tls encrypts them",
                "no TLS; pgset up -n shop --tls encrypts them",
            ),
            ("run the same `pgset up` again", "run the same `pgset up -n shop` again"),
            ("pgset password rotate, with a file", "pgset password -n shop rotate, with a file"),
            ("pgset up -n other --name x", "pgset up -n other --name x"),
            // What one command has, another one may lack.
            (
                "pgset up --tls; kubectl -n shop logs x\npgset status -n other",
                "pgset up -n shop --tls; kubectl -n shop logs x\npgset status -n other",
            ),
            (
                "pgset is up: pgset-0, pgset --help, pgset templates export DIR",
                "pgset is up: pgset-0, pgset --help, pgset templates export DIR",
            ),
        ] {
            assert_eq!(for_set(text, &[("-n", "shop".to_owned())]), expected);
            assert_eq!(for_set(text, &[]), text);
        }
    }

    #[test]
    fn commands_are_written_as_the_user_called_the_program() {
        for (text, expected) in [
            ("pgset up", "kubectl pgset up"),
            ("run `pgset status --watch`", "run `kubectl pgset status --watch`"),
            ("pgset --version", "kubectl pgset --version"),
            ("pgset -n shop up && pgset test", "kubectl pgset -n shop up && kubectl pgset test"),
            ("env $(pgset connect -o env) psql", "env $(kubectl pgset connect -o env) psql"),
            ("  pgset down  # keeps the data", "  kubectl pgset down  # keeps the data"),
            ("pgset is up: 2 pods ready", "pgset is up: 2 pods ready"),
            ("a pgset uploads nothing", "a pgset uploads nothing"),
            ("pgset up-to-date", "pgset up-to-date"),
            ("kubectl pgset up", "kubectl pgset up"),
            ("kubectl-pgset up", "kubectl-pgset up"),
            ("./pgset up, /usr/bin/pgset up", "./pgset up, /usr/bin/pgset up"),
            ("my.pgset up, xpgset up, 1pgset up", "my.pgset up, xpgset up, 1pgset up"),
            ("kubectl delete pod pgset-0", "kubectl delete pod pgset-0"),
            ("kubectl -n pgset get pods", "kubectl -n pgset get pods"),
            ("secret/pgset - kept", "secret/pgset - kept"),
            ("pgset - a tool", "pgset - a tool"),
            ("pgset", "pgset"),
            ("größe: pgset env, pgset man.", "größe: kubectl pgset env, kubectl pgset man."),
        ] {
            assert_eq!(as_called(text, PLUGIN), expected);
            assert_eq!(as_called(text, PROGRAM), text);
        }
    }

    #[test]
    fn the_program_is_named_by_its_file() {
        for (first, expected) in [
            ("pgset", PROGRAM),
            ("/usr/local/bin/kubectl-pgset", PLUGIN),
            ("kubectl-pgset", PLUGIN),
            ("/opt/kubectl-pgset/pgset", PROGRAM),
            ("", PROGRAM),
        ] {
            assert_eq!(program(OsStr::new(first)), expected, "{first}");
        }
    }

    #[test]
    fn lines_break_at_spaces_only_and_no_word_is_cut() {
        assert_eq!(wrap("one two-three /four/five/six", 8), ["one", "two-three", "/four/five/six"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(wrap("日本 語 é", 6), ["日本", "語 é"]);
    }

    #[test]
    fn further_lines_hang_below_the_first() {
        let text = wrap_hanging("one two three four five six seven", 2, 22);
        assert_eq!(text, "one two three four\n  five six seven");
        assert_eq!(wrap_hanging("one\ntwo", 2, usize::MAX), "one\n  two");
    }

    #[test]
    fn commands_are_not_broken() {
        let lines = |text| wrap(text, 10).into_iter().map(Cow::into_owned).collect::<Vec<_>>();
        for (text, expected) in [
            (
                "no TLS; pgset up --tls encrypts them",
                &["no TLS;", "pgset up --tls", "encrypts", "them"] as &[&str],
            ),
            ("a restart (pgset up does it)", &["a restart", "(pgset up", "does it)"]),
            ("pgset up -n demo --tls: again", &["pgset up -n demo --tls:", "again"]),
            (
                "still there; kubectl -n demo delete pod pgset-0",
                &["still", "there;", "kubectl -n demo delete pod pgset-0"],
            ),
            ("kubectl get pods, then the rest", &["kubectl get pods,", "then the", "rest"]),
            (
                "the same `pgset up --size 2Gi` again",
                &["the same", "`pgset up --size 2Gi`", "again"],
            ),
            ("a lone ` breaks nothing here", &["a lone `", "breaks", "nothing", "here"]),
            ("set pgset: no answer", &["set pgset:", "no answer"]),
        ] {
            assert_eq!(lines(text), expected, "{text}");
        }
    }

    #[test]
    fn only_special_characters_are_quoted() {
        for (word, quoted) in [
            ("--requests=cpu=500m,memory=1Gi", "--requests=cpu=500m,memory=1Gi"),
            ("/data/a:b@c%d+e", "/data/a:b@c%d+e"),
            ("my dir", "'my dir'"),
            ("$HOME", "'$HOME'"),
            ("größe", "'größe'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }

    #[test]
    fn uris_keep_unreserved_characters_only() {
        assert_eq!(percent_encode("a/b=c,d").to_string(), "a%2Fb%3Dc%2Cd");
        assert_eq!(percent_encode("A-z_0.9~ é").to_string(), "A-z_0.9~%20%C3%A9");
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_word_is_one_word(word in "(?s).*") {
            proptest::prop_assert_eq!(shlex::split(&shell_word(&word)), Some(vec![word]));
        }
    }
}
