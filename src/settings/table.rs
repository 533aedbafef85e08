//! The table of environment variables, for `pgset env` and for `docs/settings.md`.

use std::fmt::Write as _;

use serde::Serialize;

use super::Source;
use crate::environment::{Environment, VARIABLES};
use crate::text::table::{Column, Layout, Table};
use crate::text::wrap;

/// The value in force for the setting of a variable, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The variable's name.
    pub variable: &'static str,
    /// The value; never a password.
    pub value: String,
    /// Its source.
    pub source: Source,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvRow {
    /// The variable's name.
    pub name: &'static str,
    /// What the variable sets.
    pub meaning: &'static str,
    /// The default, if the variable is unset.
    pub default: &'static str,
    /// The value in force. A password is shown as `***`. `None` if there is no value.
    pub value: Option<String>,
    /// The source of the value: a flag, a variable or `default`; `unset` if there is no value.
    pub source: String,
}

/// Builds the rows, in the order of [`VARIABLES`]. `in_force` holds the settings that `resolve` and
/// `general` resolved. For all other variables, the value is read from the environment.
#[must_use]
pub fn table(environment: &Environment, in_force: &[InForce]) -> Vec<EnvRow> {
    VARIABLES
        .iter()
        .map(|variable| {
            let settled = in_force.iter().find(|known| known.variable == variable.name);
            let (value, source) = match (settled, environment.raw(variable)) {
                (None, Some(_)) if variable.secret => {
                    (Some("***".to_owned()), variable.name.to_owned())
                }
                (Some(known), _) => (Some(known.value.clone()), known.source.to_string()),
                (None, Some(raw)) => {
                    (Some(raw.to_string_lossy().into_owned()), variable.name.to_owned())
                }
                (None, None) if variable.default.is_empty() => (None, "unset".to_owned()),
                (None, None) => (None, Source::Default.to_string()),
            };
            EnvRow {
                name: variable.name,
                meaning: variable.meaning,
                default: variable.default,
                value,
                source,
            }
        })
        .collect()
}

/// Formats the table for a terminal with `width` columns: one line per variable if that fits, else with
/// default and meaning on their own lines.
#[must_use]
pub fn human(rows: &[EnvRow], width: Option<usize>) -> String {
    let rows: Vec<[String; 5]> = rows.iter().map(cells).collect();
    let whole = columns(&["NAME", "VALUE", "FROM", "DEFAULT", "MEANING"], &rows);
    let Layout::Blocks(width) = whole.layout(width) else { return whole.render(width) };
    let mut short = columns(&["NAME", "VALUE", "FROM"], &rows);
    short.columns[2].rank = 1;
    let layout = short.layout(Some(width));
    let mut text = short.heading(&layout);
    for (row, cells) in short.rows.iter().zip(&rows) {
        let [_, _, from, default, meaning] = cells;
        text.push_str(&short.row(row, &layout));
        let mut about = meaning.clone();
        if default != "-" {
            let _ = write!(about, "; default: {default}");
        }
        // A default and a missing value need no source.
        if !layout.shows(2) && !["default", "unset"].contains(&from.as_str()) {
            let _ = write!(about, "; from: {from}");
        }
        for line in wrap(&about, width.saturating_sub(4).max(20)) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// A table of the first cells of each row, with no column that may be dropped.
fn columns(headings: &[&'static str], rows: &[[String; 5]]) -> Table {
    Table {
        columns: headings.iter().map(|heading| Column { heading, rank: 0 }).collect(),
        rows: rows.iter().map(|row| row[..headings.len()].to_vec()).collect(),
        indent: 0,
    }
}

fn cells(row: &EnvRow) -> [String; 5] {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    // A value may contain a newline, but a cell of the table must not.
    let value = row.value.as_deref().map_or_else(String::new, |value| {
        value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    });
    [
        row.name.to_owned(),
        or_dash(&value),
        row.source.clone(),
        or_dash(row.default),
        // Only `docs/settings.md` needs the backticks.
        row.meaning.replace('`', ""),
    ]
}

/// The table as a JSON array, a newline at its end.
#[must_use]
pub fn json(rows: &[EnvRow]) -> String {
    // The rows contain only strings, so serialization can't fail.
    let mut text = serde_json::to_string_pretty(rows).unwrap_or_default();
    text.push('\n');
    text
}

/// Formats the table of `docs/settings.md`: name, meaning, default.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| variable | meaning | default |\n| --- | --- | --- |\n");
    for variable in VARIABLES {
        let _ =
            writeln!(text, "| `{}` | {} | {} |", variable.name, variable.meaning, variable.default);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<EnvRow> {
        let environment = Environment::from_pairs([
            ("PG_PASSWORD", "sentinel"),
            ("CCP_IMAGE_TAG", "centos7-9.5-1.2.6"),
            ("CI", "a\nb"),
        ]);
        let in_force = [
            InForce {
                variable: "PGSET_IMAGE",
                value: "crunchydata/crunchy-postgres:centos7-9.5-1.2.6".into(),
                source: Source::Variable("CCP_IMAGE_TAG"),
            },
            InForce {
                variable: "PGSET_REPLICAS",
                value: "3".into(),
                source: Source::Flag("--replicas"),
            },
        ];
        table(&environment, &in_force)
    }

    #[test]
    fn every_variable_has_a_row_and_no_password_is_in_it() {
        let rows = rows();
        assert_eq!(rows.len(), VARIABLES.len());
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap().clone();
        assert_eq!(row("PG_PASSWORD").value.as_deref(), Some("***"));
        assert_eq!(row("PG_PASSWORD").source, "PG_PASSWORD");
        assert_eq!(row("PGSET_IMAGE").source, "CCP_IMAGE_TAG");
        assert_eq!(row("PGSET_REPLICAS").value.as_deref(), Some("3"));
        assert_eq!(row("PG_ROOT_PASSWORD").value, None);
        assert_eq!(row("PG_ROOT_PASSWORD").source, "default");
        assert_eq!(row("BUILDBASE").source, "unset");
        for text in [human(&rows, Some(80)), human(&rows, None), json(&rows)] {
            assert!(!text.contains("sentinel"));
            assert!(text.contains("***"));
        }
    }

    #[test]
    fn wide_terminals_get_a_line_per_variable_and_narrow_ones_more() {
        for width in [None, Some(300)] {
            let wide = human(&rows(), width);
            assert_eq!(wide.lines().count(), VARIABLES.len() + 1);
            assert!(wide.starts_with("NAME "));
        }
        for width in [80, 40] {
            let narrow = human(&rows(), Some(width));
            for line in narrow.lines() {
                // Only a value that is one long word may be too wide.
                let fits = console::measure_text_width(line) <= width;
                assert!(fits || line.split_whitespace().count() <= 2, "{line}");
            }
        }
        let about = "\n    name of the set (--name); default: pgset";
        assert!(human(&rows(), Some(80)).contains(about));
        assert!(human(&rows(), Some(80)).contains("; from: CCP_IMAGE_TAG\n"));
        let block = "\nPGSET_REPLICAS\n  value  3\n  from   --replicas\n    ";
        assert!(human(&rows(), Some(40)).contains(block));
    }

    #[test]
    fn json_is_an_array_of_rows() {
        let value: serde_json::Value = serde_json::from_str(&json(&rows())).unwrap();
        assert_eq!(value[0]["name"], "PGSET_NAME");
        assert_eq!(value[0]["default"], "pgset");
    }

    #[test]
    fn markdown_has_a_row_per_variable() {
        let text = markdown();
        assert_eq!(text.lines().count(), VARIABLES.len() + 2);
        assert!(text.contains(
            "| `CCP_STORAGE_PATH` | path of the NFS export; chooses nfs storage | /nfsfileshare |"
        ));
        assert!(text.lines().all(|line| line.matches('|').count() == 4));
    }
}
