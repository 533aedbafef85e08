//! The results of a smoke test: for people, as JSON, as JUnit XML.
//!
//! The XML is written by hand: five elements and one escaping rule are less than a dependency.

use std::fmt::Write as _;
use std::time::Duration;

use console::style;
use serde::Serialize;

use super::{CheckOutcome, CheckResult};
use crate::postgres::table::{clean, wrap};

/// The version of the JSON document. Fields may be added under one version, never changed.
pub const REPORT_VERSION: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SmokeReport {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The set's name.
    pub set: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether nothing failed.
    pub passed: bool,
    /// How long all of it took.
    #[serde(serialize_with = "super::seconds", rename = "elapsed_seconds")]
    pub elapsed: Duration,
    /// Each check.
    pub checks: Vec<CheckResult>,
}

impl SmokeReport {
    /// A run of these checks.
    #[must_use]
    pub fn new(set: &str, namespace: &str, elapsed: Duration, checks: Vec<CheckResult>) -> Self {
        let passed =
            !checks.iter().any(|check| matches!(check.outcome, CheckOutcome::Failed { .. }));
        Self {
            version: REPORT_VERSION,
            set: set.to_owned(),
            namespace: namespace.to_owned(),
            passed,
            elapsed,
            checks,
        }
    }

    /// How many passed, failed, were skipped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |pick: fn(&CheckOutcome) -> bool| {
            self.checks.iter().filter(|c| pick(&c.outcome)).count()
        };
        (
            count(|v| matches!(v, CheckOutcome::Passed { .. })),
            count(|v| matches!(v, CheckOutcome::Failed { .. })),
            count(|v| matches!(v, CheckOutcome::Skipped { .. })),
        )
    }

    /// A line per check: a tick, a cross or a dash, the time, what holds; then the reason.
    #[must_use]
    pub fn human(&self, width: usize, color: bool) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let mark = match check.outcome {
                CheckOutcome::Passed { .. } => style("✓").green(),
                CheckOutcome::Failed { .. } => style("✗").red(),
                CheckOutcome::Skipped { .. } => style("-").yellow(),
            };
            let time = match check.outcome {
                CheckOutcome::Skipped { .. } => String::new(),
                _ => milliseconds(check.elapsed),
            };
            let head = format!("{time:>9}  ");
            let _ = writeln!(
                text,
                "{} {head}{}",
                mark.force_styling(color),
                wrap(&clean(&check.title), 13, width)
            );
            let (reason, hint) = match &check.outcome {
                CheckOutcome::Passed { detail } => (detail, None),
                CheckOutcome::Failed { reason, hint } => (reason, hint.as_ref()),
                CheckOutcome::Skipped { reason } => (reason, None),
            };
            for line in [Some(clean(reason)), hint.map(|hint| format!("hint: {}", clean(hint)))] {
                let Some(line) = line.filter(|line| !line.is_empty()) else { continue };
                let line = wrap(&line, 13, width);
                let _ = writeln!(text, "             {}", style(line).dim().force_styling(color));
            }
        }
        let (passed, failed, skipped) = self.counts();
        let _ = write!(text, "{passed} passed, {failed} failed");
        if skipped > 0 {
            let _ = write!(text, ", {skipped} skipped");
        }
        let _ = writeln!(text, " in {}", milliseconds(self.elapsed));
        text
    }

    /// JUnit's XML: one suite, a case per check.
    #[must_use]
    pub fn junit(&self) -> String {
        let (_, failed, skipped) = self.counts();
        let name = xml(&format!("pgset {}/{}", self.namespace, self.set));
        let counts = format!(
            "tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\"",
            self.checks.len(),
            self.elapsed.as_secs_f64()
        );
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{name}\" {counts}>\n  <testsuite name=\"{name}\" {counts}>\n"
        );
        for check in &self.checks {
            let (title, time) = (xml(&check.title), check.elapsed.as_secs_f64());
            let _ = write!(
                text,
                "    <testcase classname=\"pgset.{}\" name=\"{title}\" time=\"{time:.3}\"",
                xml(&check.id)
            );
            let _ = match &check.outcome {
                CheckOutcome::Passed { detail } => {
                    writeln!(text, "><system-out>{}</system-out></testcase>", xml(detail))
                }
                CheckOutcome::Failed { reason, hint } => writeln!(
                    text,
                    "><failure message=\"{}\">{}</failure></testcase>",
                    xml(reason),
                    xml(hint.as_deref().unwrap_or_default())
                ),
                CheckOutcome::Skipped { reason } => {
                    writeln!(text, "><skipped message=\"{}\"/></testcase>", xml(reason))
                }
            };
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

fn milliseconds(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(10) {
        format!("{} ms", elapsed.as_millis())
    } else {
        format!("{:.1} s", elapsed.as_secs_f64())
    }
}

/// Text in XML, in an element or an attribute. Characters that XML 1.0 has no way to write become
/// U+FFFD; line ends and tabs are written as references, since attributes would lose them.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\r' | '\t' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
