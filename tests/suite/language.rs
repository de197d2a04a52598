//! What the language means, claim by claim, over the whole program: real files, shown, planned and built.

mod values;
mod axes;
mod reuse;
mod packages;
mod kinds;
mod rules;

use std::fs;

use serde_json::Value;

use crate::space::Space;

/// A workspace from one text: each further file behind a line `%% path`.
pub(crate) fn space(text: &str) -> Space {
    let space = Space::new();
    let mut name = "memobuild.kdl".to_owned();
    let mut content = String::from("memobuild 1\n");
    for line in text.lines() {
        match line.strip_prefix("%% ") {
            Some(next) => {
                space.file(&name, &content);
                name = next.trim().to_owned();
                content = if name.ends_with(".kdl") { "memobuild 1\n".to_owned() } else { String::new() };
            }
            None => content += &format!("{line}\n"),
        }
    }
    space.file(&name, &content);
    space
}

/// What `show` prints: a line for each node and for each thing that it takes, without their places.
pub(crate) fn shown_in(space: &Space, arguments: &[&str]) -> Vec<String> {
    let ran = space.ok(&[&["show"], arguments].concat());
    let lines = ran.stdout.lines().map(|line| line.split("  (").next().unwrap_or_default().trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

pub(crate) fn shown(text: &str) -> Vec<String> {
    shown_in(&space(text), &[])
}

/// What `show --format json` prints of one node.
pub(crate) fn node(space: &Space, name: &str) -> Value {
    let shown: Value = serde_json::from_str(&space.ok(&["show", "--format", "json"]).stdout).unwrap();
    let nodes = shown["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("no {name} in {shown:#}")).clone()
}

/// The mistakes that `check` tells, as `code: message`.
pub(crate) fn told_in(space: &Space, arguments: &[&str]) -> Vec<String> {
    let ran = space.run(&[&["check", "--format", "json"], arguments].concat());
    let told: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr));
    let text = |mistake: &Value, key: &str| mistake[key].as_str().unwrap().to_owned();
    let mistakes =
        told["mistakes"].as_array().unwrap().iter().filter(|mistake| mistake["severity"] == "error");
    mistakes.map(|mistake| format!("{}: {}", text(mistake, "code"), text(mistake, "message"))).collect()
}

pub(crate) fn told(text: &str) -> Vec<String> {
    told_in(&space(text), &[])
}

/// Exactly these mistakes: each is told by a beginning of its code and a part of its message.
pub(crate) fn check(text: &str, expected: &[(&str, &str)]) {
    let told = told(text);
    let fits = told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|(told, (code, part))| told.starts_with(code) && told.contains(part));
    assert!(fits, "{text}\ntold: {told:#?}\nexpected: {expected:#?}");
}

/// Builds the tree `target` and gives the text of a file in it.
pub(crate) fn built_in(space: &Space, target: &str, file: &str, arguments: &[&str]) -> String {
    let folder = space.path().join("built");
    let _ = fs::remove_dir_all(&folder);
    let output = format!("files:{}", folder.display());
    space.ok(&[&["build", target, "-o", &output], arguments].concat());
    fs::read_to_string(folder.join(file)).unwrap()
}

pub(crate) fn built(text: &str, target: &str, file: &str) -> String {
    built_in(&space(text), target, file, &[])
}
