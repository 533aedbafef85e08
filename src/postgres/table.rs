//! Text tables that fit a width.

use crate::text::wrap_hanging;

/// How much two columns are apart.
const GAP: usize = 2;
/// Columns are never cut below this width.
const NARROWEST: usize = 8;

/// Replaces control characters with spaces, so that a text can't break a table or a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// Formats a heading and rows as aligned columns. It cuts the widest columns until a line fits into `width`
/// columns. Cells may contain ANSI colours. Each line is indented by two spaces and ends with a newline.
pub(super) fn render(headings: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|h| console::measure_text_width(h)).collect();
    for row in rows {
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = (*column).max(console::measure_text_width(cell));
        }
    }
    let gaps = GAP * widths.len();
    while widths.iter().sum::<usize>() + gaps > width {
        let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROWEST) else {
            break;
        };
        *widest -= 1;
    }
    let mut text = String::new();
    line(&mut text, headings.iter().map(|h| (*h).to_owned()), &widths);
    for row in rows {
        line(&mut text, row.iter().cloned(), &widths);
    }
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>, widths: &[usize]) {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        line.push_str("  ");
        let cut = console::truncate_str(&cell, *width, "…");
        line.push_str(&console::pad_str(&cut, *width, console::Alignment::Left, None));
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Wraps `text` at `width` columns. All lines except the first are indented by `indent`.
pub(super) fn wrap(text: &str, indent: usize, width: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    wrap_hanging(&text, indent, width.max(indent + 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_column_is_cut_until_a_line_fits() {
        let rows = vec![vec!["pgset-0".to_owned(), "x".repeat(100)], vec!["é".into(), "y".into()]];
        let text = render(&["POD", "IMAGE"], &rows, 40);
        assert!(text.lines().all(|line| console::measure_text_width(line) <= 40), "{text}");
        assert!(text.contains("pgset-0") && text.contains('…'), "{text}");
        assert_eq!(text.lines().last(), Some("  é        y"));
    }

    #[test]
    fn a_width_too_small_for_anything_still_ends() {
        assert!(render(&["A", "B"], &[vec!["a".repeat(30), "b".repeat(30)]], 3).contains('…'));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\t"), "a [2Jb c");
    }
}
