//! Decides how output looks: a pure function of flags and terminal.
//!
//! | first matching rule | mode |
//! | --- | --- |
//! | `-o json` | [`Mode::Json`]: events on stdout, one per line |
//! | `-q` | [`Mode::Plain`]: warnings and errors alone need no live display |
//! | `-v` | [`Mode::Plain`]: a line per change, and log lines, which would break a live display |
//! | stderr is not a terminal, or a dumb one | [`Mode::Plain`] |
//! | `CI` is set | [`Mode::Plain`]: nobody watches the terminal |
//! | otherwise | [`Mode::Interactive`] |
//!
//! | first matching rule | colour, separately for stdout and stderr |
//! | --- | --- |
//! | `--color always`, `--color never` | as requested |
//! | `NO_COLOR` is set | off |
//! | `CLICOLOR_FORCE` is set | on |
//! | otherwise | on a terminal that isn't dumb |

use std::io::IsTerminal;

/// The default width, for terminals that do not report theirs.
pub const DEFAULT_WIDTH: usize = 80;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// For people, on stderr.
    #[default]
    Human,
    /// A JSON line per event, on stdout.
    Json,
}

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal, unless the environment overrides this.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The flags about output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// How events are written.
    pub output: Output,
    /// `--color`.
    pub color: ColorChoice,
    /// `-q`: only warnings and errors.
    pub quiet: bool,
    /// How the user called the program, for commands in hints; the default is `pgset`.
    pub program: &'static str,
    /// `-v`, counted. From 1 on, every object and every change of state is shown. From 2 on, pgset also
    /// writes a log to stderr.
    pub verbose: u8,
}

/// The terminal, and the environment variables about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; none excludes another"
)]
pub struct Terminal {
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// Columns of the terminal at stderr, else of the one at stdout, if known.
    pub width: Option<usize>,
    /// `CI` is set: nobody watches the terminal.
    pub ci: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set, not empty and not `0`.
    pub clicolor_force: bool,
    /// `TERM` is `dumb` or not set: the cursor can't be moved.
    pub term_dumb: bool,
}

impl Terminal {
    /// Inspects stdout and stderr of this process. The caller must fill in the environment variables.
    #[must_use]
    pub fn attached() -> Self {
        let (stdout, stderr) = (console::Term::stdout(), console::Term::stderr());
        let size = stderr.size_checked().or_else(|| stdout.size_checked());
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            width: size.map(|(_, columns)| usize::from(columns)),
            ..Self::default()
        }
    }
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Live lines on a terminal.
    Interactive,
    /// One line per change.
    Plain,
    /// A JSON line per event.
    Json,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// `-q`: only warnings and errors.
    Problems,
    /// A line for what happened to objects, and one for each pod.
    #[default]
    Summary,
    /// `-v`: every object and every change of state.
    Everything,
}

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    /// The form of events.
    pub mode: Mode,
    /// Whether output on stdout (tables) is coloured.
    pub color_stdout: bool,
    /// Whether events and errors are coloured.
    pub color_stderr: bool,
    /// The width to wrap and cut at; `None` if the output is not a terminal, which disables both.
    pub width: Option<usize>,
    /// The width of stdout; `None` if it is not a terminal, or one without cursor movement.
    pub stdout_width: Option<usize>,
    /// How much is shown.
    pub detail: Detail,
    /// How the user called the program.
    pub program: &'static str,
}

impl Display {
    /// Whether every detail is shown (`-v`).
    #[must_use]
    pub fn tells_everything(&self) -> bool {
        self.detail == Detail::Everything
    }
}

/// Decides how output looks, by the tables at the top of this module.
#[must_use]
pub fn display(flags: Flags, terminal: Terminal) -> Display {
    let live = terminal.stderr_is_terminal && !terminal.term_dumb && !terminal.ci;
    let mode = if flags.output == Output::Json {
        Mode::Json
    } else if live && !flags.quiet && flags.verbose == 0 {
        Mode::Interactive
    } else {
        Mode::Plain
    };
    let color = |is_terminal: bool| match flags.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if terminal.no_color => false,
        ColorChoice::Auto if terminal.clicolor_force => true,
        ColorChoice::Auto => is_terminal && !terminal.term_dumb,
    };
    Display {
        mode,
        // JSON is for programs, so no flag adds escape sequences to it.
        color_stdout: mode != Mode::Json && color(terminal.stdout_is_terminal),
        color_stderr: color(terminal.stderr_is_terminal),
        width: terminal.stderr_is_terminal.then(|| terminal.width.unwrap_or(DEFAULT_WIDTH)),
        stdout_width: (terminal.stdout_is_terminal && !terminal.term_dumb)
            .then(|| terminal.width.unwrap_or(DEFAULT_WIDTH)),
        detail: match (flags.quiet, flags.verbose) {
            (true, _) => Detail::Problems,
            (false, 0) => Detail::Summary,
            (false, _) => Detail::Everything,
        },
        program: flags.program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTY: Terminal = Terminal {
        stdout_is_terminal: true,
        stderr_is_terminal: true,
        width: Some(120),
        ci: false,
        no_color: false,
        clicolor_force: false,
        term_dumb: false,
    };
    const PIPE: Terminal =
        Terminal { stdout_is_terminal: false, stderr_is_terminal: false, width: None, ..TTY };
    const HUMAN: Flags = Flags {
        output: Output::Human,
        color: ColorChoice::Auto,
        quiet: false,
        program: "",
        verbose: 0,
    };

    #[test]
    fn the_truth_table() {
        use Mode::{Interactive, Json, Plain};
        let json = Flags { output: Output::Json, ..HUMAN };
        let always = Flags { color: ColorChoice::Always, ..HUMAN };
        let never = Flags { color: ColorChoice::Never, ..HUMAN };
        let stdout_piped = Terminal { stdout_is_terminal: false, ..TTY };
        let stderr_piped = Terminal { stderr_is_terminal: false, width: None, ..TTY };
        // case, flags, terminal, mode, colour on stdout, colour on stderr, width
        #[rustfmt::skip]
        let table = [
            ("a terminal", HUMAN, TTY, Interactive, true, true, Some(120)),
            ("both piped", HUMAN, PIPE, Plain, false, false, None),
            ("stdout piped", HUMAN, stdout_piped, Interactive, false, true, Some(120)),
            ("stderr piped", HUMAN, stderr_piped, Plain, true, false, None),
            ("json", json, TTY, Json, false, true, Some(120)),
            ("json piped", json, PIPE, Json, false, false, None),
            ("json, quiet", Flags { quiet: true, ..json }, TTY, Json, false, true, Some(120)),
            ("json, colour always", Flags { color: ColorChoice::Always, ..json }, PIPE, Json, false, true, None),
            ("quiet", Flags { quiet: true, ..HUMAN }, TTY, Plain, true, true, Some(120)),
            ("verbose", Flags { verbose: 1, ..HUMAN }, TTY, Plain, true, true, Some(120)),
            ("CI on a terminal", HUMAN, Terminal { ci: true, ..TTY }, Plain, true, true, Some(120)),
            ("dumb", HUMAN, Terminal { term_dumb: true, ..TTY }, Plain, false, false, Some(120)),
            ("dumb, forced", HUMAN, Terminal { term_dumb: true, clicolor_force: true, ..TTY }, Plain, true, true, Some(120)),
            ("NO_COLOR", HUMAN, Terminal { no_color: true, ..TTY }, Interactive, false, false, Some(120)),
            ("CLICOLOR_FORCE piped", HUMAN, Terminal { clicolor_force: true, ..PIPE }, Plain, true, true, None),
            ("NO_COLOR wins over CLICOLOR_FORCE", HUMAN, Terminal { no_color: true, clicolor_force: true, ..TTY }, Interactive, false, false, Some(120)),
            ("always wins over NO_COLOR", always, Terminal { no_color: true, ..PIPE }, Plain, true, true, None),
            ("never wins over CLICOLOR_FORCE", never, Terminal { clicolor_force: true, ..TTY }, Interactive, false, false, Some(120)),
            ("a terminal without a width", HUMAN, Terminal { width: None, ..TTY }, Interactive, true, true, Some(80)),
        ];
        for (case, flags, terminal, mode, color_stdout, color_stderr, width) in table {
            let fits = terminal.stdout_is_terminal && !terminal.term_dumb;
            let stdout_width = fits.then(|| terminal.width.unwrap_or(80));
            let expected = Display {
                mode,
                color_stdout,
                color_stderr,
                width,
                stdout_width,
                detail: match (flags.quiet, flags.verbose) {
                    (true, _) => Detail::Problems,
                    (false, 0) => Detail::Summary,
                    _ => Detail::Everything,
                },
                program: "",
            };
            assert_eq!(display(flags, terminal), expected, "{case}");
        }
    }
}
