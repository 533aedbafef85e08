//! Lines of text: for logs, pipes and CI.

use std::collections::HashMap;
use std::time::Duration;

use crate::event::{Audience, Event};
use crate::manifest::ObjectId;
use crate::readiness::Phase;

use super::display::{Detail, Display};
use super::failure::wrapped;
use super::lines;
use super::reporter::Sink;
use super::stream::Stream;
use super::summary::{Summary, pod_line};

/// From this time on, a pod that is not ready tells each change of its state.
const SLOW: Duration = Duration::from_secs(10);

/// Writes lines to stderr: a summary, or with `-v` each object and each change of a state.
pub(super) struct Plain {
    display: Display,
    stderr: Stream,
    summary: Summary,
    said: HashMap<ObjectId, (Phase, String)>,
}

impl Plain {
    pub(super) fn new(display: Display, stderr: Stream) -> Self {
        Self { display, stderr, summary: Summary::default(), said: HashMap::new() }
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

    fn say(&mut self, event: &Event) {
        let line = lines::text(event, self.display.color_stderr, self.display.width);
        self.stderr.line(&line);
    }

    /// Says what happened to the objects so far, before something else is said.
    fn say_objects(&mut self) {
        for line in self.summary.objects(self.display.color_stderr) {
            self.stderr.line(&wrapped(&line, self.display.width));
        }
    }

    fn condense(&mut self, event: &Event) {
        let color = self.display.color_stderr;
        if event.audience() == Audience::Verbose {
            return;
        }
        if let Event::Object { object, outcome, detail, .. } = event {
            if let Some(line) = self.summary.object(object, *outcome, detail.as_deref(), color) {
                self.stderr.line(&wrapped(&line, self.display.width));
            }
            return;
        }
        self.say_objects();
        match event {
            Event::Milestone { object, milestone, elapsed } => {
                if let Some(steps) = self.summary.milestone(object, *milestone, *elapsed) {
                    let line = pod_line(object, &steps, color, self.display.width);
                    self.stderr.line(&line);
                }
            }
            Event::State { phase: Phase::Ready | Phase::Gone, .. } => {}
            Event::State { object, phase, state, elapsed, .. } => {
                if *elapsed >= SLOW && self.is_news(object, *phase, state) {
                    self.say(event);
                }
            }
            _ => self.say(event),
        }
    }
}

impl Sink for Plain {
    fn emit(&mut self, event: &Event) {
        match event {
            Event::Warning { .. } | Event::Failed { .. } => {
                self.say_objects();
                self.say(event);
            }
            _ if self.display.detail == Detail::Problems => {}
            _ if self.display.detail == Detail::Summary => self.condense(event),
            Event::State { object, phase, state, .. } => {
                if self.is_news(object, *phase, state) {
                    self.say(event);
                }
            }
            // The states tell the same.
            Event::Milestone { .. } => {}
            _ => self.say(event),
        }
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
    use crate::readiness::Milestone;
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

    fn pod(phase: Phase, state: &str, seconds: u64) -> Event {
        let object = ObjectId::new(Kind::Pod, "demo", "pgset-1");
        let (elapsed, audience) = (Duration::from_secs(seconds), Audience::Everybody);
        Event::State { object, phase, state: state.into(), elapsed, audience }
    }

    fn step(milestone: Milestone, seconds: u64) -> Event {
        let object = ObjectId::new(Kind::Pod, "demo", "pgset-1");
        Event::Milestone { object, milestone, elapsed: Duration::from_secs(seconds) }
    }

    fn story() -> Vec<Event> {
        let object = |kind, name| ObjectId::new(kind, "demo", name);
        let created = |kind, name| Event::object(object(kind, name), Outcome::Created, None);
        vec![
            Event::Started {
                command: "up",
                set: "pgset".into(),
                namespace: "demo".into(),
                context: "kind".into(),
                details: vec!["postgres:17".into(), "2 pods".into()],
            },
            created(Kind::Service, "pgset"),
            created(Kind::StatefulSet, "pgset"),
            Event::detail("nobody has to know"),
            pod(Phase::Pending, "Pulling", 1),
            step(Milestone::VolumeBound, 1),
            pod(Phase::Pending, "Cloning 40 %", 12),
            pod(Phase::Pending, "Cloning 41.5 %", 13),
            Event::Heartbeat {
                elapsed: Duration::from_secs(43),
                waiting_for: vec!["pgset-1 (Cloning)".into()],
            },
            Event::warning("the password is \"password\""),
            pod(Phase::Troubled, "Pulling", 44),
            step(Milestone::Ready, 45),
            pod(Phase::Ready, "Ready, streaming", 46),
            step(Milestone::Streaming, 46),
            Event::note("connect to pgset-master"),
            Event::Finished {
                message: "pgset is up".into(),
                elapsed: Duration::from_secs(47),
                connection: None,
                next: vec![
                    ("psql", "pgset psql".into()),
                    ("password", "pgset password show".into()),
                ],
            },
        ]
    }

    #[test]
    fn a_summary_and_each_change_of_a_slow_pod() {
        let expected = "\
up pgset: namespace demo, context kind, postgres:17, 2 pods
service/pgset, statefulset/pgset created
pod/pgset-1 Cloning 40 %
still waiting after 43 s: pgset-1 (Cloning)
warning: the password is \"password\"
pod/pgset-1 Pulling
pgset-1  volume bound 1.0 s, streaming 46.0 s
connect to pgset-master
pgset is up (47.0 s)
psql      pgset psql
password  pgset password show
";
        assert_eq!(told(Flags::default(), &story()), expected);
    }

    #[test]
    fn verbose_is_a_line_per_change() {
        let expected = "\
up pgset: namespace demo, context kind, postgres:17, 2 pods
service/pgset created
statefulset/pgset created
nobody has to know
pod/pgset-1 Pulling
pod/pgset-1 Cloning 40 %
still waiting after 43 s: pgset-1 (Cloning)
warning: the password is \"password\"
pod/pgset-1 Pulling
pod/pgset-1 Ready, streaming
connect to pgset-master
pgset is up (47.0 s)
psql      pgset psql
password  pgset password show
";
        assert_eq!(told(Flags { verbose: 1, ..Flags::default() }, &story()), expected);
    }

    #[test]
    fn quiet_is_nothing_but_warnings_and_errors() {
        let expected = "warning: the password is \"password\"\n";
        assert_eq!(told(Flags { quiet: true, ..Flags::default() }, &story()), expected);
    }

    #[test]
    fn percentages_are_told_apart_from_counts() {
        assert_eq!(without_percentage("Cloning 40 %"), "Cloning");
        assert_eq!(without_percentage("Cloning 40.5% of 2 GB"), "Cloning of 2 GB");
        assert_eq!(without_percentage("1 of 2 ready"), "1 of 2 ready");
    }
}
