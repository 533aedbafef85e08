//! Formats events as lines for people. Pure.

use std::borrow::Cow;
use std::time::Duration;

use console::{Style, StyledObject};

use crate::event::{Event, Outcome};
use crate::manifest::{Kind, ObjectId};
use crate::readiness::Phase;

use crate::text::labelled;

use super::{failure, summary};

/// The object's name in kubectl's form: `pod/pgset-1`.
#[must_use]
pub fn name(object: &ObjectId) -> String {
    format!("{}/{}", object.kind.name().to_lowercase(), object.name)
}

/// What a summary calls the object: the name alone for a pod, otherwise as [`name`].
pub(super) fn subject(object: &ObjectId) -> String {
    if object.kind == Kind::Pod { object.name.clone() } else { name(object) }
}

/// Makes external text (a log line, a server's message) safe for a terminal: removes escape sequences and
/// control characters and replaces tabs with spaces. Line breaks are kept.
#[must_use]
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return Cow::Borrowed(text);
    }
    let text = console::strip_ansi_codes(text).replace('\t', "    ");
    Cow::Owned(text.chars().filter(|c| *c == '\n' || !c.is_control()).collect())
}

/// The same, joined into one line.
pub(super) fn one_line(text: &str) -> String {
    sanitize(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Applies a style only if `color` is set, regardless of the library's terminal detection.
pub(super) fn paint<D>(style: &Style, value: D, color: bool) -> StyledObject<D> {
    style.apply_to(value).force_styling(color)
}

/// `850 ms`, `12.3 s`, `4 min 5 s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64().min(59.9)),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// Tenths of a second, for the steps of pods: `0.4 s`, `4 min 5 s`.
pub(super) fn tenths(elapsed: Duration) -> String {
    if elapsed.as_secs() < 60 {
        // Cut, not rounded: a step must not seem later than the command's end.
        return format!("{}.{} s", elapsed.as_secs(), elapsed.subsec_millis() / 100);
    }
    seconds(elapsed)
}

/// Whole seconds, for longer durations: `30 s`, `4 min 5 s`.
pub(super) fn seconds(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

/// The text of an event, without a final newline. The sink decides whether it is shown.
pub(super) fn text(event: &Event, color: bool, width: Option<usize>) -> String {
    match event {
        Event::Started { command, set, namespace, context, details } => {
            let mut facts = vec![format!("namespace {namespace}")];
            if !context.is_empty() {
                facts.push(format!("context {context}"));
            }
            facts.extend(details.iter().cloned());
            let text = one_line(&facts.join(", "));
            let label = format!("{command} {set}:");
            paint(&Style::new().dim(), failure::labelled("", &label, &text, width), color)
                .to_string()
        }
        Event::Object { object, outcome, detail, .. } => {
            let (style, word) = outcome_word(*outcome);
            let mut line = format!("{} {}", name(object), paint(&style, word, color));
            if let Some(detail) = detail {
                line = format!("{line} ({})", one_line(detail));
            }
            line
        }
        Event::State { object, phase, state, .. } => {
            format!("{} {}", name(object), paint(&phase_style(*phase), one_line(state), color))
        }
        Event::Milestone { object, milestone, elapsed } => {
            let step = summary::words(*milestone).unwrap_or("ready".to_owned());
            format!("{}  {step} {}", subject(object), tenths(*elapsed))
        }
        Event::Heartbeat { elapsed, waiting_for } => {
            let waiting_for: Vec<_> = waiting_for.iter().map(|text| one_line(text)).collect();
            let label = format!("still waiting after {}:", seconds(*elapsed));
            failure::labelled("", &label, &waiting_for.join("; "), width)
        }
        Event::Warning { message } => {
            let label = paint(&Style::new().yellow().bold(), "warning:", color).to_string();
            failure::labelled("", &label, &sanitize(message), width)
        }
        Event::Note { message, .. } => {
            let message = sanitize(message);
            let lines: Vec<String> =
                message.lines().map(|line| failure::wrapped(line, width)).collect();
            lines.join("\n")
        }
        Event::Finished { message, elapsed, next, .. } => {
            let message = format!("{} ({})", sanitize(message), duration(*elapsed));
            let message = failure::wrapped(&message, width);
            let mut lines = vec![paint(&Style::new().green(), message, color).to_string()];
            lines.extend(labelled(next).into_iter().map(|line| sanitize(&line).into_owned()));
            lines.join("\n")
        }
        Event::Failed { failure } => failure::render(failure, color, width),
    }
}

pub(super) fn outcome_word(outcome: Outcome) -> (Style, &'static str) {
    match outcome {
        Outcome::Created => (Style::new().green(), "created"),
        Outcome::Configured => (Style::new().yellow(), "configured"),
        Outcome::Unchanged => (Style::new().dim(), "unchanged"),
        Outcome::Deleted => (Style::new().yellow(), "deleted"),
        Outcome::Kept => (Style::new().dim(), "kept"),
        Outcome::WouldCreate => (Style::new().green(), "would be created (dry run)"),
        Outcome::WouldConfigure => (Style::new().yellow(), "would be configured (dry run)"),
        Outcome::WouldDelete => (Style::new().yellow(), "would be deleted (dry run)"),
        Outcome::WouldKeep => (Style::new().dim(), "would be kept (dry run)"),
    }
}

/// The colour of a phase.
pub(super) fn phase_style(phase: Phase) -> Style {
    match phase {
        Phase::Pending => Style::new(),
        Phase::Ready => Style::new().green(),
        Phase::Troubled => Style::new().red(),
        Phase::Terminating => Style::new().yellow(),
        Phase::Gone => Style::new().dim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Kind;

    fn plain(event: &Event) -> String {
        text(event, false, None)
    }

    #[test]
    fn an_object_reads_like_kubectls() {
        let object = ObjectId::new(Kind::Service, "demo", "pgset-master");
        let event = |outcome, detail| Event::object(object.clone(), outcome, detail);
        assert_eq!(plain(&event(Outcome::Created, None)), "service/pgset-master created");
        assert_eq!(
            plain(&event(Outcome::Unchanged, Some("keeps 4 replicas".into()))),
            "service/pgset-master unchanged (keeps 4 replicas)"
        );
        let would = plain(&event(Outcome::WouldCreate, None));
        assert_eq!(would, "service/pgset-master would be created (dry run)");
        let colored = text(&event(Outcome::Created, None), true, None);
        assert_eq!(colored, "service/pgset-master \u{1b}[32mcreated\u{1b}[0m");
    }

    #[test]
    fn a_heartbeat_names_what_is_waited_for() {
        let event = Event::Heartbeat {
            elapsed: Duration::from_millis(30_400),
            waiting_for: vec!["pod/pgset-1 Cloning".into(), "pod/pgset-2 Pending".into()],
        };
        assert_eq!(
            plain(&event),
            "still waiting after 30 s: pod/pgset-1 Cloning; pod/pgset-2 Pending"
        );
    }

    #[test]
    fn the_start_says_where() {
        let started = |context: &str| Event::Started {
            command: "up",
            set: "pgset".into(),
            namespace: "demo".into(),
            context: context.into(),
            details: Vec::new(),
        };
        assert_eq!(plain(&started("kind")), "up pgset: namespace demo, context kind");
        assert_eq!(plain(&started("")), "up pgset: namespace demo");
    }

    #[test]
    fn durations_read_well() {
        let of = |millis| duration(Duration::from_millis(millis));
        assert_eq!(of(850), "850 ms");
        assert_eq!(of(12_345), "12.3 s");
        assert_eq!(of(59_999), "59.9 s");
        assert_eq!(of(60_000), "1 min");
        assert_eq!(of(245_900), "4 min 5 s");
        assert_eq!(seconds(Duration::from_millis(61_500)), "1 min 1 s");
    }

    #[test]
    fn a_foreign_text_cannot_drive_the_terminal() {
        assert_eq!(sanitize("plain\ntext"), "plain\ntext");
        assert_eq!(sanitize("\u{1b}[2Jgone\u{7}\ra\tb\n"), "gonea    b\n");
        assert_eq!(sanitize("\u{9b}31mred"), "red");
        assert_eq!(one_line("two\n lines\u{1b}[1A"), "two lines");
    }
}
