//! Replaces what changes from run to run.

/// The text with letters instead of times (`T`), sizes (`SIZE`), addresses (`IP`), positions in the WAL (`LSN`),
/// identifiers (`UUID`) and versions (`V`). Lines that only a slow machine prints are left out, pods are deleted in
/// any order, and columns are separated by two spaces.
pub(crate) fn redacted(text: &str) -> String {
    let is_slow = |line: &&str| line.starts_with("pod/") || line.starts_with("still waiting after");
    let mut lines: Vec<String> = text.lines().filter(|line| !is_slow(line)).map(line).collect();
    sort_runs(&mut lines, |line| line.contains("  deleted T"));
    lines.retain(|line| !line.is_empty());
    lines.join("\n") + "\n"
}

/// Sorts neighbours that match.
fn sort_runs(lines: &mut [String], matches: impl Fn(&str) -> bool) {
    for run in lines.chunk_by_mut(|a, b| matches(a) == matches(b)) {
        if matches(&run[0]) {
            run.sort();
        }
    }
}

fn line(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let columns = line.trim().split("  ").map(str::trim).filter(|column| !column.is_empty());
    let columns: Vec<String> = columns.map(column).collect();
    " ".repeat(indent.min(2)) + &columns.join("  ")
}

fn column(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let core = word.trim_matches(|c: char| "(),;:".contains(c));
        let unit = match core {
            "ms" | "s" | "min" => Some("T"),
            "B" | "KiB" | "MiB" | "GiB" => Some("SIZE"),
            "%" => Some("P"),
            _ => None,
        };
        let number = words.last().is_some_and(|last| is_number(last.trim_start_matches('(')));
        match (unit, number) {
            // A delay that is too short to measure, or was not measured yet.
            (Some(unit), true) if words.first().is_some_and(|first| first == "<") => {
                words = vec![unit.to_owned()];
            }
            (Some(unit), true) => {
                let last = words.pop().unwrap_or_default();
                let open = if last.starts_with('(') { "(" } else { "" };
                let with = format!("{open}{}", word.replacen(core, unit, 1));
                // `1 min 5 s` is one time.
                match words.last() {
                    Some(before) if before == "T" => *words.last_mut().unwrap() = with,
                    _ => words.push(with),
                }
            }
            _ => words.push(redacted_word(word, core, words.last().map(String::as_str))),
        }
    }
    words.join(" ")
}

fn redacted_word(word: &str, core: &str, before: Option<&str>) -> String {
    let letters = if word == "-" && before.is_none() {
        return "T".to_owned();
    } else if is_address(core) {
        "IP"
    } else if is_position(core) {
        "LSN"
    } else if core.starts_with("pvc-") {
        "UUID"
    } else if before == Some("PostgreSQL") && is_number(core) {
        "V"
    } else if is_age(core) {
        "AGE"
    } else {
        return word.to_owned();
    };
    word.replacen(core, letters, 1)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

fn is_position(text: &str) -> bool {
    text.split_once('/').is_some_and(|(high, low)| {
        !low.is_empty()
            && [high, low].iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()))
    })
}

/// `9s`, `3m`.
fn is_age(text: &str) -> bool {
    text.strip_suffix(['s', 'm', 'h']).is_some_and(is_number)
}

#[test]
fn what_changes_is_replaced() {
    for (text, expected) in [
        (
            "pgset-0  volume bound 0.4 s, master ready 1 min 5 s",
            "pgset-0  volume bound T, master ready T",
        ),
        ("pgset is up: 2 pods ready (595 ms)", "pgset is up: 2 pods ready (T)"),
        ("pgset-1  cloned 46.5 MiB 2.9 s", "pgset-1  cloned SIZE T"),
        (
            "  pgset-1   streaming  async   0 B   2 ms   0/3000000",
            "  pgset-1  streaming  async  SIZE  T  LSN",
        ),
        ("  pgset-master   10.96.69.28   5432", "  pgset-master  IP  5432"),
        (
            "x is healthy, PostgreSQL 17.12 (postgres:17)",
            "x is healthy, PostgreSQL V (postgres:17)",
        ),
        ("  pgset-pvc   36.1 GiB (39 %)   standard", "  pgset-pvc  SIZE (P)  standard"),
        ("pod/pgset-1 Pulling image", ""),
    ] {
        assert_eq!(redacted(text).trim_end_matches('\n'), expected);
    }
    assert_eq!(
        redacted("pgset-1  deleted 1.0 s\npgset-0  deleted 2.0 s\n"),
        "pgset-0  deleted T\npgset-1  deleted T\n"
    );
}
