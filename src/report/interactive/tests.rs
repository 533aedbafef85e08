use std::io::{self, Write};

use indicatif::{InMemoryTerm, TermLike};

use super::*;
use crate::error::{Exit, Report};
use crate::event::{Audience, Outcome};
use crate::manifest::Kind;
use crate::report::{Flags, Reporter, Terminal, display};

/// The terminal's stderr. It converts LF to CRLF, as a terminal in cooked mode does.
struct Screen(InMemoryTerm);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).unwrap().replace('\n', "\r\n");
        self.0.write_str(&text)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn terminal(rows: u16, columns: u16, color: bool) -> (InMemoryTerm, Reporter) {
    let term = InMemoryTerm::new(rows, columns);
    let terminal = Terminal {
        stderr_is_terminal: true,
        width: Some(usize::from(columns)),
        no_color: !color,
        ..Terminal::default()
    };
    let display = display(Flags::default(), terminal);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let (stdout, stderr) = (Stream::new(io::sink()), Stream::new(Screen(term.clone())));
    (term, Reporter::build(display, stdout, stderr, target, None))
}

fn state(kind: Kind, name: &str, phase: Phase, state: &str) -> Event {
    Event::State {
        object: ObjectId::new(kind, "demo", name),
        phase,
        state: state.into(),
        elapsed: Duration::ZERO,
        audience: Audience::Everybody,
    }
}

fn created(kind: Kind, name: &str) -> Event {
    Event::object(ObjectId::new(kind, "demo", name), Outcome::Created, None)
}

fn finished() -> Event {
    Event::Finished {
        message: "pgset is up".into(),
        elapsed: Duration::from_secs(5),
        connection: None,
        next: vec![("psql", "pgset psql".into())],
    }
}

/// The content of the screen, with a moving spinner as `*`.
fn screen(term: &InMemoryTerm) -> String {
    term.contents().replace(SPINNER, "*")
}

const LONG: &str = "Pending: 0/1 nodes are available: persistentvolumeclaim \"pgset-pvc\" not found, \
                    preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling";

fn story(reporter: &Reporter) {
    reporter.emit(created(Kind::Service, "pgset-master"));
    reporter.emit(created(Kind::StatefulSet, "pgset"));
    reporter.emit(state(Kind::Pod, "pgset-1", Phase::Pending, LONG));
    reporter.emit(state(Kind::StatefulSet, "pgset", Phase::Pending, "1 of 2 ready"));
    reporter.emit(state(Kind::Pod, "pgset-0", Phase::Ready, "Ready, master"));
}

#[test]
fn live_lines_fit_80_columns() {
    let (term, reporter) = terminal(24, 80, false);
    story(&reporter);
    let expected = "\
service/pgset-master, statefulset/pgset created
* statefulset/pgset  1 of 2 ready
✔ pgset-0            Ready, master
* pgset-1            Pending: 0/1 nodes are available: persistentvolumeclaim \"…";
    assert_eq!(screen(&term), expected);
}

#[test]
fn live_lines_fit_200_columns() {
    let (term, reporter) = terminal(50, 200, false);
    story(&reporter);
    let screen = screen(&term);
    assert!(screen.ends_with(&format!("\n* pgset-1            {LONG}")), "{screen}");
}

#[test]
fn the_end_leaves_the_last_states_as_text() {
    let (term, reporter) = terminal(24, 80, false);
    story(&reporter);
    reporter.emit(state(Kind::Pod, "pgset-1", Phase::Ready, "Ready, streaming"));
    reporter.emit(state(Kind::StatefulSet, "pgset", Phase::Ready, "2 of 2 ready"));
    reporter.emit(finished());
    reporter.emit(Event::note("connect to pgset-master"));
    drop(reporter);
    let expected = "\
service/pgset-master, statefulset/pgset created
✔ statefulset/pgset  2 of 2 ready
✔ pgset-0            Ready, master
✔ pgset-1            Ready, streaming
pgset is up (5.0 s)
psql  pgset psql
connect to pgset-master";
    assert_eq!(screen(&term), expected);
}

#[test]
fn a_failure_comes_after_the_lines_and_names_the_cause() {
    let (term, reporter) = terminal(24, 80, false);
    reporter.emit(state(Kind::Pod, "pgset-0", Phase::Troubled, "ErrImagePull"));
    reporter.emit(state(Kind::Pod, "pgset-1", Phase::Pending, "Pending"));
    let failure = Report {
        exit: Exit::Failed,
        error: "no such image".into(),
        caused_by: vec![],
        details: vec![],
        hints: vec!["pgset up --image IMAGE".into()],
    };
    reporter.emit(Event::Failed { failure });
    let expected = "\
error: no such image
hint: pgset up --image IMAGE";
    assert_eq!(screen(&term), expected);
}

#[test]
fn more_lines_than_the_screen_has_are_all_there_at_the_end() {
    let (term, reporter) = terminal(5, 80, false);
    for ordinal in 0..9 {
        reporter.emit(state(Kind::Pod, &format!("pgset-{ordinal}"), Phase::Ready, "Ready"));
    }
    reporter.finish().unwrap();
    // The last row is empty: the cursor is there.
    let last = "✔ pgset-5  Ready\n✔ pgset-6  Ready\n✔ pgset-7  Ready\n✔ pgset-8  Ready";
    assert_eq!(screen(&term), last);
}

#[test]
fn a_prompt_has_the_screen_to_itself() {
    let (term, reporter) = terminal(24, 80, false);
    reporter.emit(state(Kind::Pod, "pgset-0", Phase::Ready, "Ready"));
    reporter.suspend(|| {
        assert_eq!(screen(&term), "");
        Screen(term.clone()).write_all(b"delete? y\n").unwrap();
        reporter.emit(state(Kind::Pod, "pgset-0", Phase::Terminating, "Terminating"));
        assert_eq!(screen(&term), "delete? y");
    });
    assert_eq!(screen(&term), "delete? y\n* pgset-0  Terminating");
}

#[test]
fn dropping_the_last_handle_ends_the_display() {
    let (term, reporter) = terminal(24, 80, false);
    reporter.emit(state(Kind::Pod, "pgset-0", Phase::Pending, "Pulling"));
    let clone = reporter.clone();
    drop(reporter);
    assert_eq!(screen(&term), "* pgset-0  Pulling");
    drop(clone);
    assert_eq!(screen(&term), "· pgset-0  Pulling");
}

#[test]
fn a_panic_leaves_the_cursor_on_a_line_of_its_own() {
    let (term, reporter) = terminal(24, 80, false);
    reporter.emit(state(Kind::Pod, "pgset-0", Phase::Pending, "Pulling"));
    let thread = std::thread::spawn(move || {
        let _reporter = reporter;
        panic!("expected by the test");
    });
    assert!(thread.join().is_err());
    Screen(term.clone()).write_all(b"$ ").unwrap();
    assert_eq!(screen(&term), "* pgset-0  Pulling\n$");
}

#[test]
fn the_glyphs_are_coloured_only_when_asked() {
    let (term, reporter) = terminal(24, 80, true);
    reporter.emit(state(Kind::Pod, "pgset-0", Phase::Ready, "Ready"));
    let bytes = term.contents_formatted();
    assert!(String::from_utf8_lossy(&bytes).contains("\u{1b}[32m✔"), "{bytes:?}");
    let (term, reporter) = terminal(24, 80, false);
    reporter.emit(state(Kind::Pod, "pgset-0", Phase::Ready, "Ready"));
    assert!(!String::from_utf8_lossy(&term.contents_formatted()).contains("[32m"));
}

#[test]
fn an_old_state_says_how_old_it_is() {
    let line = |width, age: Option<u64>| {
        Line {
            glyph: '*',
            name: "pgset-0",
            names: 8,
            phase: Phase::Pending,
            state: "Pulling the image",
            age: age.map(Duration::from_secs),
        }
        .text(width, false)
    };
    assert_eq!(line(80, None), "* pgset-0   Pulling the image");
    assert_eq!(line(80, Some(75)), "* pgset-0   Pulling the image 1 min 15 s");
    assert_eq!(line(34, Some(75)), "* pgset-0   Pulling t… 1 min 15 s");
    for width in 1..80 {
        let text = line(width, Some(75));
        let columns = console::measure_text_width(&text);
        assert!(columns < width, "{width}: {text}");
    }
}
