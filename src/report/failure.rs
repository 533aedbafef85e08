//! Formats errors as text. Pure.

use console::Style;

use crate::error::Report;
use crate::text::{wrap_hanging, wrap_paragraph};

use super::lines::{paint, sanitize};

/// The maximum width of wrapped text, even on wider terminals.
const WIDEST: usize = 120;
/// Below this width, text is not wrapped: wrapping would make it harder to read.
const NARROWEST: usize = 20;

/// Formats an error, without a final newline:
///
/// ```text
/// error: waiting for StatefulSet pgset
///   caused by: pod/pgset-1: the image does not exist
///     | Failed to pull image "crunchydata/crunchy-postgres:nope"
/// hint: pgset up --image IMAGE
/// ```
///
/// With a width, prose is wrapped. Details and hints are never wrapped, because log lines must stay
/// unchanged and commands must be easy to copy.
#[must_use]
pub fn render(report: &Report, color: bool, width: Option<usize>) -> String {
    let red = Style::new().red().bold();
    let label = paint(&red, "error:", color).to_string();
    let mut lines = vec![labelled("", &label, &sanitize(&report.error), width)];
    for cause in &report.caused_by {
        let label = paint(&Style::new().red(), "caused by:", color).to_string();
        lines.push(labelled("  ", &label, &sanitize(cause), width));
    }
    for detail in &report.details {
        for line in sanitize(detail).lines() {
            let line = format!("| {line}");
            lines.push(format!("    {}", paint(&Style::new().dim(), line.trim_end(), color)));
        }
    }
    for hint in &report.hints {
        let label = paint(&Style::new().cyan().bold(), "hint:", color).to_string();
        lines.push(labelled("", &label, &sanitize(hint), None));
    }
    lines.join("\n")
}

/// Joins `indent`, `label` and `text`. Continuation lines are aligned with the first word of the text.
pub(super) fn labelled(indent: &str, label: &str, text: &str, width: Option<usize>) -> String {
    let hanging = console::measure_text_width(indent) + console::measure_text_width(label) + 1;
    let width = width
        .map(|width| width.min(WIDEST))
        .filter(|width| width.saturating_sub(hanging) >= NARROWEST)
        .unwrap_or(usize::MAX);
    format!("{indent}{label} {}", wrap_hanging(text.trim_end(), hanging, width))
}

/// Wraps a text without a label.
pub(super) fn wrapped(text: &str, width: Option<usize>) -> String {
    match width.map(|width| width.min(WIDEST)).filter(|width| *width >= NARROWEST) {
        Some(width) => wrap_paragraph(text, width),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    fn report() -> Report {
        Report {
            exit: Exit::Failed,
            error: "waiting for StatefulSet pgset".into(),
            caused_by: vec!["pod/pgset-1: CrashLoopBackOff".into(), "exit code 1".into()],
            details: vec![
                "mkdir: cannot create directory\n\u{1b}[31mred\u{1b}[0m".into(),
                String::new(),
            ],
            hints: vec!["chown 26:26 /data".into()],
        }
    }

    #[test]
    fn an_error_has_causes_details_and_hints() {
        let expected = "\
error: waiting for StatefulSet pgset
  caused by: pod/pgset-1: CrashLoopBackOff
  caused by: exit code 1
    | mkdir: cannot create directory
    | red
hint: chown 26:26 /data";
        assert_eq!(render(&report(), false, None), expected);
    }

    #[test]
    fn colour_changes_nothing_else() {
        let colored = render(&report(), true, Some(80));
        assert!(colored.starts_with("\u{1b}[31m\u{1b}[1merror:\u{1b}[0m waiting"), "{colored:?}");
        assert_eq!(console::strip_ansi_codes(&colored), render(&report(), false, Some(80)));
    }

    #[test]
    fn running_text_wraps_under_its_first_word() {
        let mut report = report();
        report.error = "the claim is bound to a volume that belongs to somebody else".into();
        report.caused_by = vec!["one\ntwo".into()];
        report.details.clear();
        report.hints = vec!["kubectl get persistentvolume pv1 --output yaml".into()];
        let expected = "\
error: the claim is bound to a volume
       that belongs to somebody else
  caused by: one
             two
hint: kubectl get persistentvolume pv1 --output yaml";
        assert_eq!(render(&report, false, Some(40)), expected);
    }

    #[test]
    fn long_words_and_narrow_terminals_are_left_alone() {
        let path = "/".repeat(60);
        assert_eq!(labelled("", "error:", &path, Some(50)), format!("error: {path}"));
        assert_eq!(labelled("", "error:", "a b c d e f g h i j k l", Some(10)).lines().count(), 1);
    }
}
