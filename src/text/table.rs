//! Text tables that fit a width.
//!
//! No cell is cut or broken, so that names, addresses and numbers can be read and copied: columns are
//! dropped, least important first, and if the most important ones are still too wide, each row becomes a
//! block of lines.
//!
//! No crate does this. comfy-table and tabled wrap or cut cells to reach a width, and hide a column only if
//! the caller names it: which columns to drop and when to use blocks would still be decided here, and the
//! rest is padding.

use super::wrap_hanging;

/// The space between two columns.
const GAP: usize = 2;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// The heading. In a block, its lower-case form is the label.
    pub(crate) heading: &'static str,
    /// When the column is dropped: the highest rank first, 0 never.
    pub(crate) rank: u8,
}

/// Headings and rows with one cell for each column. Cells may contain ANSI colours.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The columns. The first one identifies the row.
    pub(crate) columns: Vec<Column>,
    /// The rows.
    pub(crate) rows: Vec<Vec<String>>,
    /// The indentation of every line.
    pub(crate) indent: usize,
}

/// How a table is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One line per row, with these columns: position and width.
    Columns(Vec<(usize, usize)>),
    /// A block of lines per row, wrapped at this width.
    Blocks(usize),
}

impl Layout {
    /// Whether a column is shown.
    pub(crate) fn shows(&self, column: usize) -> bool {
        match self {
            Self::Columns(columns) => columns.iter().any(|(shown, _)| *shown == column),
            Self::Blocks(_) => true,
        }
    }
}

impl Table {
    /// The first layout that fits: all columns, fewer columns, blocks. Without a width, all columns.
    pub(crate) fn layout(&self, width: Option<usize>) -> Layout {
        let mut columns: Vec<(usize, usize)> =
            (0..self.columns.len()).map(|column| (column, self.width_of(column))).collect();
        let Some(width) = width else { return Layout::Columns(columns) };
        loop {
            let cells: usize = columns.iter().map(|(_, width)| width).sum();
            if self.indent + cells + GAP * columns.len().saturating_sub(1) <= width {
                return Layout::Columns(columns);
            }
            let rank = |column: usize| self.columns[column].rank;
            let droppable = columns.iter().map(|(column, _)| *column).filter(|c| rank(*c) > 0);
            // Of two columns with the same rank, the right one.
            let Some(least) = droppable.max_by_key(|column| (rank(*column), *column)) else {
                return Layout::Blocks(width);
            };
            columns.retain(|(column, _)| *column != least);
        }
    }

    fn width_of(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
        let all = cells.chain([self.columns[column].heading]);
        all.map(console::measure_text_width).max().unwrap_or_default()
    }

    /// The whole table. Every line ends with a newline.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let layout = self.layout(width);
        let mut text = self.heading(&layout);
        for row in &self.rows {
            text.push_str(&self.row(row, &layout));
        }
        text
    }

    /// The line of the headings. Empty for blocks.
    pub(crate) fn heading(&self, layout: &Layout) -> String {
        let Layout::Columns(columns) = layout else { return String::new() };
        self.line(columns, |column| self.columns[column].heading)
    }

    /// The lines of a row.
    pub(crate) fn row(&self, row: &[String], layout: &Layout) -> String {
        let cell = |column: usize| row.get(column).map_or("", String::as_str);
        match layout {
            Layout::Columns(columns) => self.line(columns, cell),
            Layout::Blocks(width) => self.block(*width, cell),
        }
    }

    fn line<'a>(&self, columns: &[(usize, usize)], cell: impl Fn(usize) -> &'a str) -> String {
        let mut line = " ".repeat(self.indent);
        for (position, (column, width)) in columns.iter().enumerate() {
            if position > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let cell = cell(*column);
            let padding = width.saturating_sub(console::measure_text_width(cell));
            line.push_str(cell);
            line.push_str(&" ".repeat(padding));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    /// The first cell, and below it a line with label and value for each other cell. Values wrap between
    /// words.
    fn block<'a>(&self, width: usize, cell: impl Fn(usize) -> &'a str) -> String {
        let mut text = format!("{}{}\n", " ".repeat(self.indent), cell(0));
        let others = || self.columns.iter().enumerate().skip(1);
        let label = others().map(|(_, column)| column.heading.len()).max().unwrap_or_default();
        let indent = " ".repeat(self.indent + 2);
        for (position, Column { heading, .. }) in others() {
            let value = wrap_hanging(cell(position), indent.len() + label + GAP, width);
            let line = format!("{indent}{:<label$}  {value}", heading.to_lowercase());
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Replaces control characters with spaces, so that a text can't break a table or a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// Wraps `text` at `width` columns. All lines except the first are indented by `indent`.
pub(crate) fn wrap(text: &str, indent: usize, width: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    wrap_hanging(&text, indent, width.max(indent + 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = [("NAME", 0), ("STATE", 0), ("AGE", 2), ("ENDPOINTS", 1)];
        Table {
            columns: columns.map(|(heading, rank)| Column { heading, rank }).to_vec(),
            rows: [["pgset-0", "Running", "5m", "a, b, c"], ["é", "Pending", "-", ""]]
                .map(|row| row.map(str::to_owned).to_vec())
                .to_vec(),
            indent: 2,
        }
    }

    #[test]
    fn everything_is_shown_without_a_width_or_with_enough() {
        let whole = "  NAME     STATE    AGE  ENDPOINTS
  pgset-0  Running  5m   a, b, c
  é        Pending  -
";
        for width in [None, Some(200), Some(34)] {
            assert_eq!(table().render(width), whole);
        }
    }

    #[test]
    fn the_least_important_columns_are_dropped_first() {
        let without_age = "  NAME     STATE    ENDPOINTS
  pgset-0  Running  a, b, c
  é        Pending
";
        assert_eq!(table().render(Some(33)), without_age);
        let without_both = "  NAME     STATE
  pgset-0  Running
  é        Pending
";
        assert_eq!(table().render(Some(28)), without_both);
        assert!(!table().layout(Some(28)).shows(2) && table().layout(Some(28)).shows(1));
    }

    #[test]
    fn a_row_becomes_a_block_when_the_most_important_columns_do_not_fit() {
        let mut table = table();
        table.rows[0][3] = "pgset-0, pgset-1, pgset-2".to_owned();
        let blocks = "  pgset-0
    state      Running
    age        5m
    endpoints  pgset-0,
               pgset-1,
               pgset-2
  é
    state      Pending
    age        -
    endpoints
";
        assert_eq!(table.render(Some(17)), blocks);
    }

    #[test]
    fn a_long_word_is_not_broken() {
        let mut table = table();
        table.rows[0][0] = "x".repeat(100);
        for width in [0, 1, 40, 80] {
            assert!(table.render(Some(width)).starts_with(&format!("  {}\n", "x".repeat(100))));
        }
    }

    #[test]
    fn colours_take_no_space() {
        let mut table = table();
        table.rows[0][0] = "\u{1b}[31mpgset-0\u{1b}[0m".to_owned();
        assert!(table.render(Some(34)).contains("\u{1b}[0m  Running"));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\t"), "a [2Jb c");
    }
}
