//! The handle to which commands emit events.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use indicatif::ProgressDrawTarget;

use crate::event::Event;

use super::display::{Display, Mode};
use super::interactive::Interactive;
use super::json::Json;
use super::plain::Plain;
use super::stream::Stream;

/// One form of output.
pub(super) trait Sink: Send {
    /// Shows an event.
    fn emit(&mut self, event: &Event);
    /// Runs `f` while this sink shows nothing on the screen.
    fn suspend(&mut self, f: &mut dyn FnMut()) {
        f();
    }
    /// Replaces live lines with static text. It may be called more than once.
    fn finish(&mut self) {}
}

/// The destination of events. Clones share it. When the last clone is dropped, also by a panic or a cancelled
/// future, it restores the terminal.
#[derive(Clone)]
pub struct Reporter(Arc<Inner>);

struct Inner {
    display: Display,
    stdout: Arc<Mutex<Stream>>,
    sink: Mutex<Box<dyn Sink>>,
    /// The events that arrived while a prompt is open.
    held: Mutex<Option<Vec<Event>>>,
}

impl Reporter {
    /// Reports to this process's stdout and stderr.
    #[must_use]
    pub fn new(display: Display) -> Self {
        let (target, term) = match display.mode {
            Mode::Interactive => (ProgressDrawTarget::stderr(), Some(console::Term::stderr())),
            Mode::Plain | Mode::Json => (ProgressDrawTarget::hidden(), None),
        };
        Self::build(display, Stream::new(io::stdout()), Stream::new(io::stderr()), target, term)
    }

    /// Reports to other streams. Without a terminal, live lines are not drawn, but their last state is
    /// written at the end.
    #[must_use]
    pub fn to_streams(
        display: Display,
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
    ) -> Self {
        let target = ProgressDrawTarget::hidden();
        Self::build(display, Stream::new(stdout), Stream::new(stderr), target, None)
    }

    pub(super) fn build(
        display: Display,
        stdout: Stream,
        stderr: Stream,
        target: ProgressDrawTarget,
        term: Option<console::Term>,
    ) -> Self {
        let (stdout, stderr) = (stdout.called(display.program), stderr.called(display.program));
        let stdout = Arc::new(Mutex::new(stdout));
        let sink: Box<dyn Sink> = match display.mode {
            Mode::Interactive => Box::new(Interactive::new(display, stderr, target, term)),
            Mode::Plain => Box::new(Plain::new(display, stderr)),
            Mode::Json => Box::new(Json::new(Arc::clone(&stdout))),
        };
        Self(Arc::new(Inner { display, stdout, sink: Mutex::new(sink), held: Mutex::default() }))
    }

    /// The display settings.
    #[must_use]
    pub fn display(&self) -> Display {
        self.0.display
    }

    /// Shows an event. Events that arrive while a prompt is open are shown after it.
    pub fn emit(&self, event: Event) {
        if let Some(held) = lock(&self.0.held).as_mut() {
            held.push(event);
            return;
        }
        lock(&self.0.sink).emit(&event);
    }

    /// Runs `f` (a prompt) while nothing else is written. Other callers that emit events block.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: every sink runs the closure")]
    pub fn suspend<R>(&self, f: impl FnOnce() -> R) -> R {
        {
            let mut held = lock(&self.0.held);
            if held.is_some() {
                drop(held);
                return f();
            }
            *held = Some(Vec::new());
        }
        // Also when `f` panics, so that no event is lost.
        let release = Release(&self.0);
        let (mut f, mut result) = (Some(f), None);
        lock(&self.0.sink).suspend(&mut || result = f.take().map(|f| f()));
        drop(release);
        result.expect("every sink runs the closure once")
    }

    /// Writes requested output (YAML, JSON) to stdout, unchanged.
    ///
    /// # Errors
    /// When writing fails (a full disk). A closed pipe is not an error.
    pub fn print(&self, text: &str) -> io::Result<()> {
        self.put(|stdout| stdout.write(text))
    }

    /// Writes requested output for people (a table) to stdout, with the commands in it as the user called the
    /// program.
    ///
    /// # Errors
    /// When writing fails (a full disk). A closed pipe is not an error.
    pub fn say(&self, text: &str) -> io::Result<()> {
        self.put(|stdout| stdout.say(text))
    }

    /// Whether nobody reads standard output any more (`pgset status --watch | head`).
    #[must_use]
    pub fn is_unread(&self) -> bool {
        lock(&self.0.stdout).is_closed()
    }

    /// Whether an event for stdout could not be written (a full disk).
    #[must_use]
    pub fn has_lost_events(&self) -> bool {
        lock(&self.0.stdout).has_lost()
    }

    fn put(&self, write: impl Fn(&mut Stream) -> io::Result<()>) -> io::Result<()> {
        let write = || {
            // Without the stream's name, `No space left on device` would be taken for that of a volume.
            write(&mut lock(&self.0.stdout)).map_err(|error| {
                let kind = error.kind();
                io::Error::new(kind, format!("standard output could not be written: {error}"))
            })
        };
        if lock(&self.0.held).is_some() {
            return write();
        }
        let mut result = Ok(());
        lock(&self.0.sink).suspend(&mut || result = write());
        result
    }

    /// Replaces live lines with static text. Later events are shown as plain text.
    ///
    /// Call this last. If a signal has ended the command during a prompt, the prompt still holds the sink
    /// and never releases it. The events that were held back are then written directly.
    ///
    /// # Errors
    /// When an event for stdout could not be written (a full disk).
    pub fn finish(&self) -> io::Result<()> {
        match self.0.sink.try_lock() {
            Ok(mut sink) => sink.finish(),
            Err(TryLockError::Poisoned(sink)) => sink.into_inner().finish(),
            Err(TryLockError::WouldBlock) => self.past_the_prompt(Stream::new(io::stderr())),
        }
        lock(&self.0.stdout).take_lost().map_or(Ok(()), Err)
    }

    fn past_the_prompt(&self, mut stderr: Stream) {
        let held = lock(&self.0.held).take().unwrap_or_default();
        let mut sink: Box<dyn Sink> = match self.0.display.mode {
            Mode::Json => Box::new(Json::new(Arc::clone(&self.0.stdout))),
            Mode::Plain | Mode::Interactive => {
                // End the line of the question.
                stderr.line("");
                Box::new(Plain::new(self.0.display, stderr))
            }
        };
        for event in &held {
            sink.emit(event);
        }
    }
}

struct Release<'a>(&'a Inner);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let held = lock(&self.0.held).take().unwrap_or_default();
        let mut sink = lock(&self.0.sink);
        for event in &held {
            sink.emit(event);
        }
    }
}

/// Ignores poisoning: a panic in one thread must not suppress the output of the others.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Buffer, Flags, Output, Terminal, display};

    fn reporter(flags: Flags) -> (Reporter, Buffer, Buffer) {
        let (stdout, stderr) = (Buffer::default(), Buffer::default());
        let display = display(flags, Terminal::default());
        (Reporter::to_streams(display, stdout.clone(), stderr.clone()), stdout, stderr)
    }

    #[test]
    fn events_and_results_keep_to_their_streams() {
        let (reporter, stdout, stderr) = reporter(Flags::default());
        reporter.emit(Event::note("connect here"));
        reporter.print("a: 1\n").unwrap();
        assert_eq!(stdout.text(), "a: 1\n");
        assert_eq!(stderr.text(), "connect here\n");
    }

    #[test]
    fn json_events_are_lines_on_stdout() {
        let (reporter, stdout, stderr) =
            reporter(Flags { output: Output::Json, ..Flags::default() });
        reporter.emit(Event::warning("two\nlines"));
        assert_eq!(
            stdout.text(),
            "{\"version\":1,\"event\":\"warning\",\"message\":\"two\\nlines\"}\n"
        );
        assert_eq!(stderr.text(), "");
    }

    #[test]
    fn what_happens_during_a_prompt_is_said_after_it() {
        let (reporter, stdout, stderr) = reporter(Flags::default());
        let clone = reporter.clone();
        let answer = reporter.suspend(|| {
            clone.emit(Event::note("later"));
            clone.print("now\n").unwrap();
            clone.suspend(|| {
                assert_eq!((stderr.text(), stdout.text().as_str()), (String::new(), "now\n"));
            });
            7
        });
        assert_eq!(answer, 7);
        assert_eq!(stderr.text(), "later\n");
    }

    #[test]
    fn a_prompt_that_stays_open_holds_nobody() {
        let (reporter, _, _) = reporter(Flags::default());
        let (opened, is_open) = std::sync::mpsc::channel();
        let (answer, answered) = std::sync::mpsc::channel::<()>();
        let clone = reporter.clone();
        let prompt = std::thread::spawn(move || {
            clone.suspend(|| {
                opened.send(()).unwrap();
                answered.recv().unwrap();
            });
        });
        is_open.recv().unwrap();
        reporter.emit(Event::warning("terminated"));
        let said = Buffer::default();
        reporter.past_the_prompt(Stream::new(said.clone()));
        assert_eq!(said.text(), "\nwarning: terminated\n");
        // It returns although the prompt has no answer yet.
        reporter.finish().unwrap();
        answer.send(()).unwrap();
        prompt.join().unwrap();
    }

    #[test]
    fn a_panic_during_a_prompt_swallows_nothing() {
        let (reporter, _, stderr) = reporter(Flags::default());
        let clone = reporter.clone();
        let thread = std::thread::spawn(move || {
            clone.suspend(|| {
                clone.emit(Event::note("before"));
                panic!("expected by the test");
            });
        });
        assert!(thread.join().is_err());
        reporter.emit(Event::note("after"));
        assert_eq!(stderr.text(), "before\nafter\n");
    }
}
