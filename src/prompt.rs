//! Asks the user questions, behind a small trait. Without a terminal, questions are refused.
//!
//! Run a prompt inside `Reporter::suspend`, so that nothing is written over it.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use console::{Key, Term};
use dialoguer::Input;
use dialoguer::theme::Theme;

use crate::error::{Diagnose, Exit};

/// A way to ask the user.
pub trait Prompt: Send + Sync {
    /// Asks a yes-or-no question. Enter alone and Ctrl-D mean no.
    ///
    /// # Errors
    /// When there is no answer.
    fn confirm(&self, question: &str) -> Result<bool, PromptError>;

    /// Asks the user to type `expected` (the set's name). Returns whether the input matches; Ctrl-D does
    /// not.
    ///
    /// # Errors
    /// When there is no answer.
    fn type_name(&self, question: &str, expected: &str) -> Result<bool, PromptError>;

    /// Whether questions can be answered.
    fn answers(&self) -> bool {
        true
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is no terminal.
    #[error("cannot ask \"{question}\" without a terminal")]
    NoTerminal {
        /// The question that was not asked.
        question: String,
    },
    /// The input ended before an answer.
    #[error("the input ended before an answer to \"{question}\"")]
    Closed {
        /// The question.
        question: String,
    },
    /// Ctrl-C, or a signal, at the prompt.
    #[error("interrupted at the prompt")]
    Interrupted,
    /// The terminal failed.
    #[error("cannot ask \"{question}\"")]
    Broken {
        /// The question.
        question: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Diagnose for PromptError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoTerminal { .. } | Self::Closed { .. } => Exit::Refused,
            Self::Interrupted => Exit::Interrupted,
            Self::Broken { .. } => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoTerminal { .. } | Self::Closed { .. } => {
                vec!["add --yes to answer every question with yes".to_owned()]
            }
            Self::Interrupted | Self::Broken { .. } => Vec::new(),
        }
    }
}

/// Chooses the prompt: with `--yes`, no question is asked; otherwise the user at the terminal, if there is
/// one.
#[must_use]
pub fn choose(yes: bool) -> Box<dyn Prompt> {
    if yes {
        Box::new(Yes)
    } else if io::stdin().is_terminal() && io::stderr().is_terminal() {
        Box::new(Terminal)
    } else {
        Box::new(Unattended)
    }
}

/// `--yes`: every answer is yes.
#[derive(Clone, Copy, Debug)]
pub struct Yes;

impl Prompt for Yes {
    fn confirm(&self, _: &str) -> Result<bool, PromptError> {
        Ok(true)
    }
    fn type_name(&self, _: &str, _: &str) -> Result<bool, PromptError> {
        Ok(true)
    }
}

/// No terminal: every question is refused.
#[derive(Clone, Copy, Debug)]
pub struct Unattended;

impl Prompt for Unattended {
    fn confirm(&self, question: &str) -> Result<bool, PromptError> {
        Err(PromptError::NoTerminal { question: question.to_owned() })
    }
    fn type_name(&self, question: &str, _: &str) -> Result<bool, PromptError> {
        Err(PromptError::NoTerminal { question: question.to_owned() })
    }
    fn answers(&self) -> bool {
        false
    }
}

/// Asks the user at the terminal. Questions go to stderr, without colours.
///
/// Both kinds of question need a line that ends with Enter, so that an early keypress confirms nothing.
/// Unlike the library's own yes-or-no prompt, they never hide the cursor.
#[derive(Clone, Copy, Debug)]
pub struct Terminal;

impl Prompt for Terminal {
    fn confirm(&self, question: &str) -> Result<bool, PromptError> {
        loop {
            let answer = read_line(question, "[y/N]")?.unwrap_or_default();
            if let Some(answer) = yes_or_no(&answer) {
                return Ok(answer);
            }
        }
    }

    fn type_name(&self, question: &str, expected: &str) -> Result<bool, PromptError> {
        Ok(read_line(question, "")?.is_some_and(|name| name.trim() == expected))
    }
}

/// Parses an answer; `None` if it is invalid.
fn yes_or_no(answer: &str) -> Option<bool> {
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// Reads a line. `None` is Ctrl-D.
fn read_line(question: &str, choices: &str) -> Result<Option<String>, PromptError> {
    // On Ctrl-C the library sends SIGINT to this process, which would end it while it reads the line. With
    // a signal handler installed, the read returns an error instead, and the terminal is restored.
    let _handlers = signal_handlers();
    let columns = usize::from(Term::stderr().size().1);
    let (reasons, short) = apart(question, columns.saturating_sub(choices.len() + 2));
    if !reasons.is_empty() {
        // If the terminal is gone, the question below fails, too.
        let _ = writeln!(io::stderr(), "{reasons}");
    }
    let prompt = if choices.is_empty() { short.to_owned() } else { format!("{short} {choices}") };
    edit_line(&prompt).map_err(|source| {
        // The next output starts on a new line. If the terminal is gone, ignore the error.
        let _ = writeln!(io::stderr());
        unanswered(question, source)
    })
}

/// Shows the prompt and lets the user edit a line. The library ignores Ctrl-D, so the first key is read
/// before: Ctrl-D ends the input of a terminal only at the start of a line.
fn edit_line(prompt: &str) -> io::Result<Option<String>> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        // Its keys could not be read.
        return Err(io::ErrorKind::NotConnected.into());
    }
    terminal.write_str(&format!("{prompt} "))?;
    let first = loop {
        match first_key(&terminal.read_key()?) {
            FirstKey::Ignored => {}
            FirstKey::End => {
                terminal.write_line("")?;
                return Ok(None);
            }
            FirstKey::Enter => {
                terminal.write_line("")?;
                return Ok(Some(String::new()));
            }
            FirstKey::Text(first) => break first,
        }
    };
    // The library writes the prompt again.
    terminal.clear_line()?;
    let input = Input::<String>::with_theme(&Bare).with_prompt(prompt).with_initial_text(first);
    match input.allow_empty(true).interact_text_on(&terminal) {
        Ok(line) => Ok(Some(line)),
        Err(dialoguer::Error::IO(source)) => Err(source),
    }
}

/// The meaning of a key at the start of a line.
#[derive(Debug, PartialEq, Eq)]
enum FirstKey {
    /// Ctrl-D: there is no input.
    End,
    /// An empty line.
    Enter,
    /// The first character of a line.
    Text(char),
    /// A key that edits nothing in an empty line.
    Ignored,
}

fn first_key(key: &Key) -> FirstKey {
    match key {
        Key::Char('\u{4}') => FirstKey::End,
        Key::Enter => FirstKey::Enter,
        Key::Char(c) if !c.is_control() => FirstKey::Text(*c),
        _ => FirstKey::Ignored,
    }
}

/// Splits off the reasons from the question itself. The library redraws the prompt for each typed key,
/// which works only for a prompt that fits on one line.
fn apart(question: &str, width: usize) -> (&str, &str) {
    let (reasons, short) = question.rsplit_once(". ").map_or(("", question), |(before, short)| {
        // Includes the full stop.
        (&question[..=before.len()], short)
    });
    if short.chars().count() < width { (reasons, short) } else { (question, "Continue?") }
}

fn unanswered(question: &str, source: io::Error) -> PromptError {
    let question = question.to_owned();
    match source.kind() {
        io::ErrorKind::Interrupted => PromptError::Interrupted,
        io::ErrorKind::UnexpectedEof => PromptError::Closed { question },
        io::ErrorKind::NotConnected => PromptError::NoTerminal { question },
        _ => PromptError::Broken { question, source },
    }
}

#[cfg(unix)]
fn signal_handlers() -> Option<[tokio::signal::unix::Signal; 2]> {
    use tokio::signal::unix::{SignalKind, signal};
    tokio::runtime::Handle::try_current().ok()?;
    Some([signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?])
}

#[cfg(not(unix))]
fn signal_handlers() -> Option<()> {
    None
}

/// A theme that shows only the question and a space.
struct Bare;

impl Theme for Bare {
    fn format_input_prompt(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        _default: Option<&str>,
    ) -> fmt::Result {
        write!(f, "{prompt} ")
    }

    fn format_input_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        answer: &str,
    ) -> fmt::Result {
        write!(f, "{prompt} {answer}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for yes in ["y", "Y", "yes", " YES "] {
            assert_eq!(yes_or_no(yes), Some(true), "{yes}");
        }
        for no in ["", " ", "n", "No", "NO"] {
            assert_eq!(yes_or_no(no), Some(false), "{no}");
        }
        assert_eq!(yes_or_no("maybe"), None);
    }

    #[test]
    fn ctrl_d_at_the_start_of_a_line_ends_the_input() {
        for (key, expected) in [
            (Key::Char('\u{4}'), FirstKey::End),
            (Key::Enter, FirstKey::Enter),
            (Key::Char('y'), FirstKey::Text('y')),
            (Key::Char('ü'), FirstKey::Text('ü')),
            (Key::Char('\u{15}'), FirstKey::Ignored),
            (Key::Backspace, FirstKey::Ignored),
            (Key::ArrowUp, FirstKey::Ignored),
        ] {
            assert_eq!(first_key(&key), expected, "{key:?}");
        }
    }

    #[test]
    fn only_the_last_sentence_is_drawn_by_the_prompt() {
        assert_eq!(
            apart("It is old. It waits. Delete it?", 70),
            ("It is old. It waits.", "Delete it?")
        );
        assert_eq!(apart("Go on?", 70), ("", "Go on?"));
    }

    #[test]
    fn without_a_terminal_a_question_is_refused_with_the_flag_to_add() {
        for error in [
            Unattended.confirm("take down pgset?").unwrap_err(),
            Unattended.type_name("take down pgset?", "pgset").unwrap_err(),
            unanswered("take down pgset?", io::ErrorKind::UnexpectedEof.into()),
        ] {
            assert_eq!(error.exit(), Exit::Refused);
            assert!(error.to_string().contains("\"take down pgset?\""), "{error}");
            assert!(error.hints()[0].contains("--yes"));
        }
    }

    #[test]
    fn ctrl_c_at_the_prompt_is_an_interruption() {
        let error = unanswered("go on?", io::ErrorKind::Interrupted.into());
        assert_eq!((error.exit(), error.hints().len()), (Exit::Interrupted, 0));
    }

    #[test]
    fn a_broken_terminal_keeps_its_cause() {
        let error = unanswered("go on?", io::Error::other("tty on fire"));
        let report = crate::error::Report::of(
            &anyhow::Error::new(error),
            crate::error::diagnosed::<PromptError>,
        );
        assert_eq!(report.exit, Exit::Failed);
        assert_eq!(report.caused_by, ["tty on fire"]);
    }

    #[test]
    fn yes_answers_everything() {
        assert!(Yes.confirm("go on?").unwrap());
        assert!(Yes.type_name("name?", "pgset").unwrap());
    }
}
