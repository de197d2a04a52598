//! `.dockerignore` means what the reference says: the cases of the conformance data, which lie outside of
//! this repository: beside it, or where `MEMOBUILD_CONFORMANCE` says.

use std::path::PathBuf;

use memobuild::tree::scan::docker_ignore::DockerIgnore;
use serde_json::Value;

use crate::skipped::skipped;

fn cases(file: &str) -> Vec<Value> {
    let folder = std::env::var_os("MEMOBUILD_CONFORMANCE").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let path = folder.unwrap_or_else(beside).join("dockerignore").join(file);
    let Ok(text) = std::fs::read(&path) else {
        skipped("there is no conformance data (MEMOBUILD_CONFORMANCE)");
        return Vec::new();
    };
    let data: Value = serde_json::from_slice(&text).unwrap();
    let cases = data["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn files_are_read_alike() {
    for case in cases("file.json") {
        let patterns = DockerIgnore::patterns(case["content"].as_str().unwrap().as_bytes()).unwrap();
        let patterns: Vec<String> =
            patterns.into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
        assert_eq!(patterns, texts(&case["patterns"]), "{case}");
    }
}

#[test]
fn paths_are_judged_alike() {
    for case in cases("match.json") {
        let path = case["path"].as_str().unwrap();
        let ignore = DockerIgnore::parse(texts(&case["patterns"]).join("\n").as_bytes());
        if case["error"] == true {
            assert!(ignore.is_err(), "{case}");
            continue;
        }
        // A walk never asks about its own top, and asks without a slash at the end.
        let clean = path.trim_end_matches('/');
        let excluded = match (path, clean) {
            (".", _) => false,
            (_, "") => ignore.unwrap().top().leaves_out(path.as_bytes()).is_some(),
            _ => leaves_out(&ignore.unwrap(), clean),
        };
        assert_eq!(Value::from(excluded), case["match"], "{case}");
    }
}

fn leaves_out(ignore: &DockerIgnore, path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    ignore.at(folder.as_bytes()).leaves_out(path.as_bytes()).is_some()
}
