//! What stands on a screen.

/// The lines on the screen after this output, without empty lines at its end. A line that the terminal had to
/// break is one line, wider than the screen.
pub(super) fn after(output: &[u8], columns: u16) -> String {
    let mut terminal = vt100::Parser::new(60, columns, 0);
    terminal.process(output);
    let screen = terminal.screen();
    let mut text = String::new();
    for (row, line) in (0..).zip(screen.rows(0, columns)) {
        text.push_str(&line);
        // Live lines are padded to the width, which breaks nothing.
        let full =
            screen.cell(row, columns - 1).is_some_and(|cell| !cell.contents().trim().is_empty());
        if !(full && screen.row_wrapped(row)) {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
    }
    text.trim_end().to_owned() + "\n"
}

/// The text of a picture: a line for each line, without tags and style.
pub(super) fn text_of_svg(svg: &str) -> String {
    let body = svg.split_once("<text").map_or("", |(_, body)| body);
    let body = body.split_once('>').map_or("", |(_, body)| body);
    let mut text = String::new();
    let mut rest = body;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    let text = text.replace("&#39;", "'").replace("&#x27;", "'").replace("&amp;", "&");
    // Each line stands in an element that is indented. No line of the program begins with a space.
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}
