//! Tests of the architecture that `src/lib.rs` describes: which module imports which, and which decisions are
//! made in one place only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pgset::cli::Cli;

/// The modules whose files must not import each other in a cycle either.
const WITHOUT_CYCLES: [&str; 3] = ["commands", "procedure", "set"];
/// The maximum number of lines of a file in `src/commands`.
const MAX_COMMAND: usize = 200;

type Graph = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A file of the library, without its tests and comments.
struct Source {
    /// The path of its module: `procedure::tls::follow`.
    module: String,
    code: String,
}

impl Source {
    fn top(&self) -> &str {
        self.module.split("::").next().unwrap()
    }
}

fn files(directory: &Path, suffixes: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, suffixes));
        } else if suffixes.iter().any(|suffix| path.to_str().unwrap().ends_with(suffix)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// All files of the library, except those that contain only tests.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut found = Vec::new();
    for path in files(&src, &[".rs"]) {
        let relative = path.strip_prefix(&src).unwrap().with_extension("");
        let parts: Vec<&str> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        let module = parts.join("::");
        if ["lib", "main"].contains(&module.as_str())
            || parts.iter().any(|part| ["tests", "fixtures"].contains(part))
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        found.push(Source { module, code: code(&text) });
    }
    assert!(found.len() > 100, "{} files", found.len());
    found
}

/// Removes comments, and the test module at the end of the file.
fn code(text: &str) -> String {
    let mut lines = Vec::new();
    let mut rest = text.lines().peekable();
    while let Some(line) = rest.next() {
        let tests = line == "#[cfg(test)]"
            && rest.peek().is_some_and(|next| next.starts_with("mod tests {"));
        if tests {
            break;
        }
        if !line.trim_start().starts_with("//") {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// All paths in a file, as paths from the crate root: those in `use` declarations and those in the code.
fn paths(source: &Source) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let own: Vec<&str> = source.module.split("::").collect();
    let absolute = |path: &str| -> Option<String> {
        let mut segments: Vec<&str> = path.split("::").map(str::trim).collect();
        let mut base = match *segments.first()? {
            "crate" => Vec::new(),
            "self" => own.clone(),
            "super" => own[..own.len() - 1].to_vec(),
            _ => return None,
        };
        segments.remove(0);
        while segments.first() == Some(&"super") {
            segments.remove(0);
            base.pop();
        }
        base.extend(segments);
        Some(base.join("::"))
    };
    // Relative paths that start with a child module of this file: `use change::Change;`.
    for line in source.code.lines() {
        let declared = line.trim().trim_end_matches(';').rsplit_once("mod ");
        let Some((_, child)) = declared.filter(|_| line.trim().ends_with(';')) else { continue };
        let path = format!("{child}::");
        let mut uses = source.code.match_indices(&path);
        let is_path = |at: usize| {
            let before = source.code[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
        };
        if uses.any(|(at, _)| is_path(at)) {
            found.insert(format!("{}::{child}", source.module));
        }
    }
    let mut rest = source.code.as_str();
    while let Some(at) = ["crate::", "super::", "self::"].iter().filter_map(|p| rest.find(p)).min()
    {
        let before = rest[..at].chars().next_back();
        let path = &rest[at..];
        let end = tree_end(path);
        if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$') {
            found.extend(expand(&path[..end]).iter().filter_map(|path| absolute(path)));
        }
        rest = &rest[at + end.max(5)..];
    }
    found
}

/// The end of the path at the start of the text, including the braces of a `use` declaration.
fn tree_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' if depth > 0 || text[..at].ends_with("::") => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' if depth > 1 => depth -= 1,
            ',' | ' ' | '\n' if depth > 0 => {}
            c if c.is_alphanumeric() || c == '_' || c == ':' || c == '*' => {}
            _ => return at,
        }
    }
    text.len()
}

/// Expands `a::{b, c::{d, e}}` into single paths.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, body)) = tree.split_once('{') else {
        return vec![tree.trim_end_matches(':').to_owned()];
    };
    let body = body.strip_suffix('}').unwrap_or(body);
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for c in body.chars() {
        match c {
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                part.push(c);
            }
        }
    }
    parts.push(part);
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts
        .flat_map(|part| match part.split(" as ").next().unwrap().trim() {
            "self" => vec![prefix.trim_end_matches(':').to_owned()],
            part => expand(&format!("{prefix}{part}")),
        })
        .collect()
}

/// Parses the table in the documentation of `src/lib.rs`: the imports of each top-level module.
fn map() -> Graph {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut map = Graph::new();
    for row in rows.filter(|row| !row.starts_with("module") && !row.starts_with("---")) {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        let module = cells[0].trim_matches(['[', ']', '`']).to_owned();
        let imports = cells[2].split(',').map(|name| name.trim().to_owned());
        map.insert(module, imports.filter(|name| !name.is_empty()).collect());
    }
    map
}

/// Finds an import cycle. Returns its modules in order, or `None`.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(
        graph: &Graph,
        node: &str,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(at) = path.iter().position(|seen| seen == node) {
            path.drain(..at);
            return true;
        }
        if done.contains(node) {
            return false;
        }
        path.push(node.to_owned());
        for next in graph.get(node).into_iter().flatten() {
            if visit(graph, next, path, done) {
                return true;
            }
        }
        path.pop();
        done.insert(node.to_owned());
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    graph.keys().any(|node| visit(graph, node, &mut path, &mut done)).then_some(path)
}

#[test]
fn every_module_imports_what_the_map_says() {
    let mut seen = Graph::new();
    for source in sources() {
        let imports = seen.entry(source.top().to_owned()).or_default();
        for path in paths(&source) {
            let top = path.split("::").next().unwrap().to_owned();
            if top != source.top() {
                imports.insert(top);
            }
        }
    }
    let map = map();
    for (module, imports) in &seen {
        let allowed =
            map.get(module).unwrap_or_else(|| panic!("{module} is not in src/lib.rs's map"));
        assert_eq!(imports, allowed, "what {module} imports, and what the map in src/lib.rs says");
    }
    assert_eq!(map.keys().collect::<Vec<_>>(), seen.keys().collect::<Vec<_>>());
    assert_eq!(cycle(&seen), None);
}

#[test]
fn no_cycle_inside_the_modules_that_decide() {
    for top in WITHOUT_CYCLES {
        let sources: Vec<Source> = sources().into_iter().filter(|it| it.top() == top).collect();
        let modules: BTreeSet<&str> = sources.iter().map(|it| it.module.as_str()).collect();
        let mut graph = Graph::new();
        for source in &sources {
            // The longest prefix of a path that is a module is the imported file.
            let file = |path: &String| {
                let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
                ends.map(|end| &path[..end])
                    .filter(|prefix| modules.contains(prefix))
                    .last()
                    .map(str::to_owned)
            };
            let imports =
                paths(source).iter().filter_map(file).filter(|it| *it != source.module).collect();
            graph.insert(source.module.clone(), imports);
        }
        assert!(graph.len() > 3, "{top}: {graph:?}");
        assert_eq!(cycle(&graph), None, "{top}");
    }
}

#[test]
fn the_test_finds_paths_and_cycles() {
    let source = Source {
        module: "a::b".to_owned(),
        code: "mod m;\nuse m::n;\nuse crate::c::{self, d::{E, F}};\nuse super::{g, h::I};\nlet x = crate::j::k(self::l());\n\
               pub(crate) struct S;"
            .to_owned(),
    };
    let found = paths(&source);
    let expected = ["a::b::l", "a::b::m", "a::g", "a::h::I", "c", "c::d::E", "c::d::F", "j::k"];
    assert_eq!(found, expected.map(str::to_owned).into());
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c")])), None);
    let found = cycle(&graph(&[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")]));
    assert_eq!(found.unwrap(), ["a", "b", "c"]);
}

/// Fails if `forbidden` is true for a line of the library. Skips modules whose path starts with one of
/// `outside`.
fn nowhere_but(outside: &[&str], what: &str, forbidden: impl Fn(&str) -> bool) {
    let mut found = Vec::new();
    for source in sources() {
        let is_inside = |module: &&str| {
            source.module == **module || source.module.starts_with(&format!("{module}::"))
        };
        if outside.iter().any(is_inside) {
            continue;
        }
        let lines = source.code.lines().filter(|line| forbidden(line));
        found.extend(lines.map(|line| format!("{}: {}", source.module, line.trim())));
    }
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// Whether a line compares an ordinal with 0 or names the pod with ordinal 0.
fn decides_by_ordinal(line: &str) -> bool {
    let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let compared = ["==0", "!=0", ">0", "<1", ">=1", "==Some(0)", "!=Some(0)", "{0=>"];
    (line.contains("ordinal") && compared.iter().any(|with| line.contains(with)))
        || line.contains(".pod(0)")
        || line.contains("}-0\"")
        || line.contains("\"-0\"")
}

#[test]
fn the_topology_alone_decides_who_is_the_master() {
    for line in [
        "if ordinal == 0 {",
        "set.pod(0)",
        "Some(ordinal) if ordinal > 0 =>",
        "format!(\"{name}-0\")",
    ] {
        assert!(decides_by_ordinal(line), "{line}");
    }
    assert!(!decides_by_ordinal("let ordinal = number - 1;"));
    nowhere_but(
        &["set::topology", "sandbox"],
        "an ordinal is compared with 0 outside of set/topology.rs",
        decides_by_ordinal,
    );
}

#[test]
fn the_capabilities_of_an_image_are_asked_and_not_its_name() {
    nowhere_but(
        &["image", "environment", "sandbox"],
        "a profile is named outside of image/",
        |line| {
            let line = line.to_lowercase();
            line.contains("crunchy")
                || line.contains("profile::postgres")
                || line.contains("profilename::postgres")
        },
    );
}

#[test]
fn containers_are_found_by_name() {
    nowhere_but(&["sandbox"], "a container is found by its position", |line| {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        line.contains("containers\"][0]")
            || line.contains("ontainers.first()")
            || line.contains("ontainers[0]")
    });
}

#[test]
fn types_say_what_they_are() {
    let mut plans = Vec::new();
    for source in sources() {
        for line in source.code.lines() {
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|w| !w.is_empty())
                .collect();
            for pair in words
                .windows(2)
                .filter(|pair| ["struct", "enum", "trait", "type"].contains(&pair[0]))
            {
                let vague = ["How", "Look", "Given", "Named", "Again", "Verdict"];
                assert!(!vague.contains(&pair[1]), "{}: {line}", source.module);
                if pair[1] == "Plan" {
                    plans.push(source.module.clone());
                }
            }
        }
    }
    assert_eq!(plans, ["plan"]);
}

/// Each subcommand in `--help` has a file with its name, and there are no other files.
#[test]
fn a_file_in_commands_is_a_subcommand() {
    use clap::CommandFactory as _;
    let command = Cli::command();
    let listed = command.get_subcommands().map(|it| it.get_name().to_owned());
    let subcommands: BTreeSet<String> = listed.filter(|name| name != "help").collect();
    let commands = root().join("src/commands");
    let mut files_of: BTreeSet<String> = BTreeSet::new();
    for path in files(&commands, &[".rs"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= MAX_COMMAND, "{} has {lines} lines", path.display());
        assert_eq!(path.parent().unwrap(), commands, "{}", path.display());
        files_of.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    if cfg!(not(feature = "sandbox")) {
        files_of.remove("sandbox");
    }
    assert_eq!(files_of, subcommands);
}

/// An error type that is missing in the list of `run` loses its exit code.
#[test]
fn every_error_that_diagnoses_itself_is_known() {
    let run = std::fs::read_to_string(root().join("src/run.rs")).unwrap();
    let mut found = 0;
    for source in sources() {
        for line in source.code.lines().filter(|line| line.contains("impl Diagnose for ")) {
            let name =
                line.split("impl Diagnose for ").nth(1).unwrap().trim_end_matches([' ', '{']);
            let listed = run.lines().any(|line| {
                line.contains("error::diagnosed::<")
                    && line.trim_end_matches([',', '>']).rsplit([':', '<']).next() == Some(name)
            });
            assert!(listed, "{name} is not in the list of src/run.rs");
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
}
