//! Live lines on a terminal: one for each object that pgset waits for.
//!
//! All other events scroll above them. The cursor is never hidden, so no exit path needs to restore it.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Audience, Event, Outcome};
use crate::manifest::ObjectId;
use crate::readiness::{Milestone, Phase};
use crate::terminal::Kept;
use crate::text::as_called;

use super::display::{DEFAULT_WIDTH, Display};
use super::failure;
use super::lines::{self, one_line, paint};
use super::reporter::Sink;
use super::stream::Stream;
use super::summary::Summary;

const TICK: Duration = Duration::from_millis(100);
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// An unfinished state that is at least this old is shown with its age.
const OLD: Duration = Duration::from_secs(10);

/// The sink for live lines. One thread animates all spinners; it ends with the sink.
pub(super) struct Interactive {
    board: Arc<Mutex<Board>>,
    ticker: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    /// Suppresses the echo of Ctrl-C while there are live lines on a real terminal.
    quiet: Option<Kept>,
}

impl Interactive {
    /// A sink for a terminal. `term` is the real terminal, if there is one; its width may change.
    pub(super) fn new(
        display: Display,
        stderr: Stream,
        target: ProgressDrawTarget,
        term: Option<console::Term>,
    ) -> Self {
        let board = Board {
            display,
            stderr,
            term,
            bars: MultiProgress::with_draw_target(target),
            rows: Vec::new(),
            summary: Summary::default(),
            tick: 0,
        };
        Self { board: Arc::new(Mutex::new(board)), ticker: None, quiet: None }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread that animates the spinners, when the first live line appears.
    fn start_ticker(&mut self) {
        if self.ticker.is_some() || self.board().bars.is_hidden() {
            return;
        }
        let real = self.board().term.is_some();
        self.quiet = real.then(Kept::without_echo_of_signals);
        let (stop, stopped) = mpsc::channel();
        let board = Arc::clone(&self.board);
        // If the thread can't start, the spinners do not move, which is not an error.
        let thread = std::thread::Builder::new().name("spinner".to_owned()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                board.lock().unwrap_or_else(PoisonError::into_inner).turn();
            }
        });
        self.ticker = thread.ok().map(|thread| (stop, thread));
    }
}

impl Sink for Interactive {
    fn emit(&mut self, event: &Event) {
        if event.audience() == Audience::Verbose {
            return;
        }
        if let Event::Object { object, outcome, detail, .. } = event {
            self.board().object(object, *outcome, detail.as_deref());
            return;
        }
        self.board().say_objects();
        match event {
            Event::State { object, phase, state, .. } => {
                self.board().update(object, *phase, state);
                self.start_ticker();
            }
            Event::Milestone { object, milestone, elapsed } => {
                self.board().milestone(object, *milestone, *elapsed);
            }
            // The live lines already show the state with its age.
            Event::Heartbeat { .. } => {}
            Event::Failed { .. } => {
                // The error tells what is wrong with the others.
                self.board().keep_completed();
                self.finish();
                self.board().say(event);
            }
            Event::Finished { .. } => {
                self.finish();
                self.board().say(event);
            }
            _ => self.board().say(event),
        }
    }

    fn suspend(&mut self, f: &mut dyn FnMut()) {
        // Holding the lock keeps the ticker from drawing. The library's own `suspend` panics if stderr is
        // closed.
        let mut board = self.board();
        board.clear();
        f();
        board.redraw();
    }

    fn finish(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            // The join fails only if the thread panicked; then it has ended, too.
            let _ = thread.join();
        }
        self.board().settle();
        self.quiet = None;
    }
}

impl Drop for Interactive {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A live line.
struct Row {
    object: ObjectId,
    name: String,
    phase: Phase,
    state: String,
    since: Instant,
    bar: ProgressBar,
}

impl Row {
    fn turns(&self) -> bool {
        matches!(self.phase, Phase::Pending | Phase::Terminating | Phase::Troubled)
    }
}

struct Board {
    display: Display,
    stderr: Stream,
    term: Option<console::Term>,
    bars: MultiProgress,
    rows: Vec<Row>,
    summary: Summary,
    tick: usize,
}

impl Board {
    /// Prints an event above the live lines.
    fn say(&mut self, event: &Event) {
        let text = lines::text(event, self.display.color_stderr, Some(self.width()));
        self.print(&text);
    }

    fn object(&mut self, object: &ObjectId, outcome: Outcome, detail: Option<&str>) {
        let color = self.display.color_stderr;
        if let Some(line) = self.summary.object(object, outcome, detail, color) {
            self.print(&failure::wrapped(&line, Some(self.width())));
        }
    }

    /// Says what happened to the objects so far, before something else is said.
    fn say_objects(&mut self) {
        for line in self.summary.objects(self.display.color_stderr) {
            self.print(&failure::wrapped(&line, Some(self.width())));
        }
    }

    /// Notes a step of a pod. With the last one, its live line shows all steps.
    fn milestone(&mut self, pod: &ObjectId, milestone: Milestone, elapsed: Duration) {
        let Some(steps) = self.summary.milestone(pod, milestone, elapsed) else { return };
        let phase = if milestone == Milestone::Deleted { Phase::Gone } else { Phase::Ready };
        self.update(pod, phase, &steps);
    }

    fn print(&mut self, text: &str) {
        if self.rows.is_empty() || self.bars.is_hidden() {
            self.stderr.line(text);
        } else {
            let text = as_called(text, self.display.program);
            // The terminal may be gone, so ignore the error.
            let _ = self.bars.println(text);
        }
    }

    fn update(&mut self, object: &ObjectId, phase: Phase, state: &str) {
        let state = one_line(state);
        if let Some(row) = self.rows.iter_mut().find(|row| row.object == *object) {
            if row.phase != phase || row.state != state {
                (row.phase, row.state, row.since) = (phase, state, Instant::now());
            }
        } else {
            let at = self.rows.iter().take_while(|row| row.object < *object).count();
            let style = ProgressStyle::with_template("{msg}")
                .expect("the template is a constant that the tests draw");
            let bar = self.bars.insert(at, ProgressBar::new_spinner().with_style(style));
            let (object, since) = (object.clone(), Instant::now());
            let name = lines::subject(&object);
            self.rows.insert(at, Row { object, name, phase, state, since, bar });
        }
        self.redraw();
    }

    fn turn(&mut self) {
        self.tick = self.tick.wrapping_add(1);
        if self.rows.iter().any(Row::turns) {
            self.redraw();
        }
    }

    fn redraw(&mut self) {
        for (row, line) in self.rows.iter().zip(self.lines()) {
            row.bar.set_message(line);
        }
    }

    fn clear(&mut self) {
        let _ = self.bars.clear();
    }

    /// Removes the live lines of objects that are not ready.
    fn keep_completed(&mut self) {
        let is_completed = |row: &Row| matches!(row.phase, Phase::Ready | Phase::Gone);
        self.clear();
        for row in self.rows.iter().filter(|row| !is_completed(row)) {
            self.bars.remove(&row.bar);
        }
        self.rows.retain(is_completed);
    }

    /// Replaces the live lines with their last states as normal text.
    fn settle(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        if std::thread::panicking() {
            // The library no longer draws while panicking: the screen keeps its content, with the cursor
            // at the end.
            self.rows.clear();
            self.stderr.line("");
            return;
        }
        self.tick = usize::MAX;
        let lines = self.settled();
        self.clear();
        for row in self.rows.drain(..) {
            self.bars.remove(&row.bar);
        }
        for line in lines {
            self.stderr.line(&line);
        }
    }

    fn lines(&self) -> Vec<String> {
        let (width, color) = (self.width(), self.display.color_stderr);
        let names = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        let now = Instant::now();
        let line = |row: &Row| {
            let glyph = glyph(row.phase, self.tick);
            let age = now.saturating_duration_since(row.since);
            let age = (row.turns() && age >= OLD).then_some(age);
            Line { glyph, name: &row.name, names, phase: row.phase, state: &row.state, age }
                .text(width, color)
        };
        self.rows.iter().map(line).collect()
    }

    /// The last states as text: wrapped where live lines are cut.
    fn settled(&self) -> Vec<String> {
        let (width, color) = (self.width(), self.display.color_stderr);
        let names = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        let line = |row: &Row| {
            let style = lines::phase_style(row.phase);
            let glyph = paint(&style, glyph(row.phase, self.tick), color);
            let label = format!("{glyph} {:names$} ", row.name);
            let state = failure::labelled("", &label, &row.state, Some(width.saturating_sub(1)));
            match state.strip_prefix(&label) {
                Some(state) => format!("{label}{}", paint(&style, state, color)),
                None => state,
            }
        };
        self.rows.iter().map(line).collect()
    }

    /// The current width: the terminal may have been resized.
    fn width(&self) -> usize {
        let now = self.term.as_ref().and_then(console::Term::size_checked);
        let now = now.map(|(_, columns)| usize::from(columns));
        now.or(self.display.width).unwrap_or(DEFAULT_WIDTH)
    }
}

/// A tick, a cross, or a spinner. In static text (`tick` is `usize::MAX`) the spinner is a dot.
fn glyph(phase: Phase, tick: usize) -> char {
    match phase {
        Phase::Ready | Phase::Gone => '✔',
        Phase::Troubled => '✖',
        Phase::Pending | Phase::Terminating if tick == usize::MAX => '·',
        Phase::Pending | Phase::Terminating => SPINNER[tick % SPINNER.len()],
    }
}

/// The content of a live line.
struct Line<'a> {
    glyph: char,
    name: &'a str,
    /// Columns of the longest name.
    names: usize,
    phase: Phase,
    state: &'a str,
    age: Option<Duration>,
}

impl Line<'_> {
    /// The line, cut to `width` columns: first the state is shortened, then the age.
    fn text(&self, width: usize, color: bool) -> String {
        // Some terminals wrap a line that fills the last column.
        let room = width.saturating_sub(1);
        let names = self.names.min(room / 2);
        let age = self.age.map(|age| format!(" {}", lines::seconds(age))).unwrap_or_default();
        let state_room = room.saturating_sub(names + 4 + age.len());
        let name = console::truncate_str(self.name, names, "…");
        let state = console::truncate_str(self.state, state_room, "…");
        let style = lines::phase_style(self.phase);
        let glyph = match self.phase {
            Phase::Pending => paint(&Style::new().cyan(), self.glyph, color),
            _ => paint(&style, self.glyph, color),
        };
        let state = paint(&style, state, color);
        let age = paint(&Style::new().dim(), age, color);
        let text = format!("{glyph} {name:names$}  {state}{age}");
        console::truncate_str(text.trim_end(), room, "").into_owned()
    }
}

#[cfg(test)]
#[path = "interactive/tests.rs"]
mod tests;
