//! The report of a smoke test: for people, as JSON and as JUnit XML.
//!
//! The XML is written by hand: a dependency would be more code than five elements and one escaping rule.

use std::fmt::Write as _;
use std::time::Duration;

use console::style;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::{CheckOutcome, CheckResult};
use crate::text::table::{clean, wrap};

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

    /// The number of passed, failed and skipped checks.
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

    /// One line per check: a tick, a cross or a dash, the elapsed time and the title. Then the reason of a
    /// check that did not pass; with `verbose`, what a check found.
    #[must_use]
    pub fn human(&self, width: usize, color: bool, verbose: bool) -> String {
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
                CheckOutcome::Passed { .. } if !verbose => continue,
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
    pub fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        let name = format!("pgset {}/{}", self.namespace, self.set);
        let mut suite = TestSuite::new(&name);
        suite.set_time(self.elapsed);
        suite.add_test_cases(self.checks.iter().map(test_case));
        let mut report = Report::new(&name);
        report.set_time(self.elapsed).add_test_suite(suite);
        report.to_string()
    }
}

fn test_case(check: &CheckResult) -> TestCase {
    let status = match &check.outcome {
        CheckOutcome::Passed { .. } => TestCaseStatus::success(),
        CheckOutcome::Failed { reason, hint } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(for_xml(reason));
            if let Some(hint) = hint {
                status.set_description(for_xml(hint));
            }
            status
        }
        CheckOutcome::Skipped { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(for_xml(reason));
            status
        }
    };
    let mut case = TestCase::new(for_xml(&check.title), status);
    case.set_classname(format!("pgset.{}", check.id)).set_time(check.elapsed);
    if let CheckOutcome::Passed { detail } = &check.outcome {
        case.set_system_out(for_xml(detail));
    }
    case
}

/// One line, without the characters that XML 1.0 can't hold: the library removes only some of them.
fn for_xml(text: &str) -> String {
    clean(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

fn milliseconds(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(10) {
        format!("{} ms", elapsed.as_millis())
    } else {
        format!("{:.1} s", elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests;
