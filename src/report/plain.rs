//! One line per change: for logs, pipes and CI.

use std::collections::HashMap;

use crate::event::Event;
use crate::manifest::ObjectId;
use crate::readiness::Phase;

use super::display::Display;
use super::lines;
use super::reporter::Sink;
use super::stream::Stream;

/// Writes lines to stderr. A state is printed when it changes, not when the same event is repeated.
pub(super) struct Plain {
    display: Display,
    stderr: Stream,
    said: HashMap<ObjectId, (Phase, String)>,
}

impl Plain {
    pub(super) fn new(display: Display, stderr: Stream) -> Self {
        Self { display, stderr, said: HashMap::new() }
    }

    /// Whether the state is new. A changed percentage is not, because a log does not need a line for each.
    fn is_news(&mut self, object: &ObjectId, phase: Phase, state: &str) -> bool {
        let state = (phase, without_percentage(state));
        match self.said.get_mut(object) {
            Some(said) if *said == state => false,
            Some(said) => {
                *said = state;
                true
            }
            None => {
                self.said.insert(object.clone(), state);
                true
            }
        }
    }
}

impl Sink for Plain {
    fn emit(&mut self, event: &Event) {
        if self.display.quiet && !lines::matters(event) {
            return;
        }
        if let Event::State { object, phase, state } = event
            && !self.is_news(object, *phase, state)
        {
            return;
        }
        let line = lines::text(event, self.display.color_stderr, self.display.width);
        self.stderr.line(&line);
    }
}

/// Removes the percentage: `Cloning 40 %` becomes `Cloning`.
fn without_percentage(state: &str) -> String {
    let Some((before, after)) = state.split_once('%') else { return state.to_owned() };
    let before = before.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    format!("{}{after}", before.trim_end())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Outcome;
    use crate::manifest::Kind;
    use crate::report::{Buffer, Flags, Terminal, display};

    fn told(flags: Flags, events: &[Event]) -> String {
        let buffer = Buffer::default();
        let display = display(flags, Terminal::default());
        let mut plain = Plain::new(display, Stream::new(buffer.clone()));
        for event in events {
            plain.emit(event);
        }
        buffer.text()
    }

    fn pod(phase: Phase, state: &str) -> Event {
        let object = ObjectId::new(Kind::Pod, "demo", "pgset-1");
        Event::State { object, phase, state: state.into() }
    }

    fn story() -> Vec<Event> {
        let object = ObjectId::new(Kind::StatefulSet, "demo", "pgset");
        vec![
            Event::Started {
                command: "up",
                set: "pgset".into(),
                namespace: "demo".into(),
                context: "kind".into(),
            },
            Event::Object { object, outcome: Outcome::Created, detail: None },
            pod(Phase::Pending, "Pulling"),
            pod(Phase::Pending, "Pulling"),
            pod(Phase::Pending, "Cloning 40 %"),
            pod(Phase::Pending, "Cloning 41.5 %"),
            Event::Heartbeat {
                elapsed: Duration::from_secs(30),
                waiting_for: vec!["pod/pgset-1 Cloning".into()],
            },
            Event::warning("the password is \"password\""),
            pod(Phase::Troubled, "Pulling"),
            pod(Phase::Pending, "Pulling"),
            pod(Phase::Ready, "Ready, streaming"),
            Event::note("connect to pgset-master"),
            Event::note_that_matters("the data is kept in pgset-pvc"),
            Event::Finished { message: "pgset is up".into(), elapsed: Duration::from_secs(4) },
        ]
    }

    #[test]
    fn a_line_per_change() {
        let expected = "\
up pgset: namespace demo, context kind
statefulset/pgset created
pod/pgset-1 Pulling
pod/pgset-1 Cloning 40 %
still waiting after 30 s: pod/pgset-1 Cloning
warning: the password is \"password\"
pod/pgset-1 Pulling
pod/pgset-1 Pulling
pod/pgset-1 Ready, streaming
connect to pgset-master
the data is kept in pgset-pvc
pgset is up (4.0 s)
";
        assert_eq!(told(Flags::default(), &story()), expected);
    }

    #[test]
    fn quiet_says_what_matters() {
        let expected = "\
warning: the password is \"password\"
the data is kept in pgset-pvc
";
        assert_eq!(told(Flags { quiet: true, ..Flags::default() }, &story()), expected);
    }

    #[test]
    fn percentages_are_told_apart_from_counts() {
        assert_eq!(without_percentage("Cloning 40 %"), "Cloning");
        assert_eq!(without_percentage("Cloning 40.5% of 2 GB"), "Cloning of 2 GB");
        assert_eq!(without_percentage("1 of 2 ready"), "1 of 2 ready");
    }
}
