//! The report of a smoke test: for people, as JSON and as JUnit XML.
//!
//! The XML is written by hand: a dependency would be more code than five elements and one escaping rule.

use std::fmt::Write as _;
use std::time::Duration;

use console::style;
use serde::Serialize;

use super::{CheckResult, Verdict};
use crate::postgres::table::{clean, wrap};

/// The version of the JSON document. Within one version, fields may be added but not changed.
pub const REPORT_VERSION: u32 = 1;

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SmokeReport {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The set's name.
    pub set: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether no check failed.
    pub passed: bool,
    /// How long the run took.
    #[serde(serialize_with = "super::seconds", rename = "elapsed_seconds")]
    pub elapsed: Duration,
    /// The results of all checks.
    pub checks: Vec<CheckResult>,
}

impl SmokeReport {
    /// Creates the report of a run.
    #[must_use]
    pub fn new(set: &str, namespace: &str, elapsed: Duration, checks: Vec<CheckResult>) -> Self {
        let passed = !checks.iter().any(|check| matches!(check.verdict, Verdict::Failed { .. }));
        Self {
            version: REPORT_VERSION,
            set: set.to_owned(),
            namespace: namespace.to_owned(),
            passed,
            elapsed,
            checks,
        }
    }

    /// The number of passed, failed and skipped checks.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count =
            |pick: fn(&Verdict) -> bool| self.checks.iter().filter(|c| pick(&c.verdict)).count();
        (
            count(|v| matches!(v, Verdict::Passed { .. })),
            count(|v| matches!(v, Verdict::Failed { .. })),
            count(|v| matches!(v, Verdict::Skipped { .. })),
        )
    }

    /// One line per check: a tick, a cross or a dash, the elapsed time and the title; then the reason, if
    /// any.
    #[must_use]
    pub fn human(&self, width: usize, color: bool) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let mark = match check.verdict {
                Verdict::Passed { .. } => style("✓").green(),
                Verdict::Failed { .. } => style("✗").red(),
                Verdict::Skipped { .. } => style("-").yellow(),
            };
            let time = match check.verdict {
                Verdict::Skipped { .. } => String::new(),
                _ => milliseconds(check.elapsed),
            };
            let head = format!("{time:>9}  ");
            let _ = writeln!(
                text,
                "{} {head}{}",
                mark.force_styling(color),
                wrap(&clean(&check.title), 13, width)
            );
            let (reason, hint) = match &check.verdict {
                Verdict::Passed { detail } => (detail, None),
                Verdict::Failed { reason, hint } => (reason, hint.as_ref()),
                Verdict::Skipped { reason } => (reason, None),
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

    /// JUnit XML: one suite with a case per check.
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
            let _ = match &check.verdict {
                Verdict::Passed { detail } => {
                    writeln!(text, "><system-out>{}</system-out></testcase>", xml(detail))
                }
                Verdict::Failed { reason, hint } => writeln!(
                    text,
                    "><failure message=\"{}\">{}</failure></testcase>",
                    xml(reason),
                    xml(hint.as_deref().unwrap_or_default())
                ),
                Verdict::Skipped { reason } => {
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

/// Escapes text for an XML element or attribute. Characters that XML 1.0 can't represent become U+FFFD. Line
/// ends and tabs are written as character references, because attributes would lose them.
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
