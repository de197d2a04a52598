//! The rules of the code, checked: floors import downwards, each file and function stays small,
//! each file says what it is, and what only one floor may do no other does.

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first, as `src/lib.rs` declares them.
const FLOORS: [&str; 10] = ["base", "net", "store", "tree", "oci", "graph", "lang", "exec", "engine", "cli"];
const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src"), root().join("tests"), root().join("benches")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 20, "the sources are not where this test looks");
    found
}

fn complain(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

/// The floor of a file below src/, and its place in the order.
fn floor(path: &Path) -> Option<usize> {
    let mut names = path.iter().map(|name| name.to_str().unwrap());
    if names.next() != Some("src") {
        return None;
    }
    let first = names.next()?;
    FLOORS.iter().position(|floor| *floor == first)
}

#[test]
fn floors_import_downwards() {
    let mut offences = Vec::new();
    for (path, text) in sources() {
        let Some(own) = floor(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            for rest in line.split("crate::").skip(1) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let used = FLOORS.iter().position(|floor| *floor == name);
                if used.is_some_and(|used| used > own) {
                    offences.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
                }
            }
        }
    }
    complain("a floor imports only what lies below it", &offences);
}

#[test]
fn only_one_floor_does_it() {
    let rules: [(&str, &[&str]); 3] = [
        ("net", &["async fn", "async {", "async move", "async |", "tokio::", "reqwest::", "rustls::"]),
        ("cli", &["println!", "eprintln!", "print!(", "eprint!("]),
        ("cli", &["env::var", "env::args", "env::vars"]),
    ];
    let mut offences = Vec::new();
    let sources = sources();
    let tests = test_modules(&sources);
    for (path, text) in &sources {
        let is_test =
            tests.iter().any(|module| path.starts_with(module) || path.with_extension("") == *module);
        if !path.starts_with("src") || path == Path::new("src/main.rs") || is_test {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (floor, words) in rules {
            let is_allowed = path.starts_with(Path::new("src").join(floor));
            for (number, line) in code.lines().enumerate() {
                let line = line.split("//").next().unwrap();
                if !is_allowed && words.iter().any(|word| line.contains(word)) {
                    offences.push(format!(
                        "{}:{}: only {floor}: {}",
                        path.display(),
                        number + 1,
                        line.trim()
                    ));
                }
            }
        }
    }
    complain("what one floor owns no other does", &offences);
}

/// Modules that are compiled for tests only, without their extension.
fn test_modules(sources: &[(PathBuf, String)]) -> Vec<PathBuf> {
    let mut modules = Vec::new();
    for (path, text) in sources {
        let folder = match path.file_name().and_then(|name| name.to_str()) {
            Some("mod.rs" | "lib.rs") => path.parent().unwrap().to_owned(),
            _ => path.with_extension(""),
        };
        for after in text.split("#[cfg(test)]\n").skip(1) {
            let line = after.lines().next().unwrap().trim();
            let name = line.rsplit_once("mod ").and_then(|(_, name)| name.strip_suffix(';'));
            modules.extend(name.map(|name| folder.join(name)));
        }
    }
    modules
}

#[test]
fn files_are_small_and_say_what_they_are() {
    let mut offences = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            offences.push(format!("{}: {lines} lines", path.display()));
        }
        if !text.starts_with("//!") && !text.starts_with("#![doc") {
            offences.push(format!("{}: does not open with `//!`", path.display()));
        }
    }
    complain("files are small and say what they are", &offences);
}

#[test]
fn functions_are_small() {
    let mut offences = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            let head = ["pub ", "pub(crate) ", "pub(super) ", "const ", "unsafe ", "extern \"C\" "]
                .iter()
                .fold(code, |code, word| code.strip_prefix(word).unwrap_or(code));
            let ends = |line: &&&str| line.ends_with('{') || line.ends_with(';') || line.ends_with('}');
            let has_body = lines[start..].iter().find(ends).is_some_and(|line| !line.ends_with(';'));
            if !head.starts_with("fn ") || !has_body {
                continue;
            }
            let end = (start..lines.len()).find(|&at| {
                lines[at].trim_start().starts_with('}')
                    && lines[at].len() - lines[at].trim_start().len() == indent
            });
            let length = end.map_or(0, |end| end - start + 1);
            if length > LONGEST_FUNCTION {
                offences.push(format!("{}:{}: {length} lines", path.display(), start + 1));
            }
        }
    }
    complain("functions are small", &offences);
}

#[test]
fn every_node_kind_is_documented() {
    let reference = fs::read_to_string(root().join("schema/reference.md")).unwrap();
    let kinds: Vec<&str> = memobuild::lang::table::KINDS.iter().map(|line| line.word).collect();
    assert!(kinds.len() > 5);
    let missing = kinds.iter().filter(|kind| !reference.contains(&format!("\n## {kind}\n")));
    let offences: Vec<String> = missing.map(|kind| format!("{kind} is not in schema/reference.md")).collect();
    complain("every node kind is documented", &offences);
}
