//! What can't be looked up yet, and what `--update` takes along.

use super::*;
use crate::lang::{Request, load_text};

const FILE: &str = "memobuild 1\npull base \"oci:base\"\npull far \"docker.io/library/alpine:3\"\n";

fn loaded(lock: &str) -> Loaded {
    let mut loaded = load_text(FILE, &Request::root()).unwrap();
    loaded.lock = Lock::parse(lock).unwrap();
    loaded
}

fn told(loaded: &Loaded, names: &[&str]) -> Option<String> {
    let wanted = resolve::wanted(&loaded.graph);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let Ok(chosen) = chosen(loaded, &wanted, &names) else { panic!("names of nodes") };
    match unresolved(loaded, &loaded.lock, &chosen, !names.is_empty()) {
        Err(Failure::Environment { message, .. }) => Some(message),
        _ => None,
    }
}

#[test]
fn what_only_a_server_knows_is_named() {
    let hex = "1".repeat(64);
    let base = format!("image \"oci:base\" digest=\"sha256:{hex}\"\n");
    let lacking = loaded(&format!("memobuild-lock 1\n{base}"));
    let far = "image \"docker.io/library/alpine:3\"";
    let message = "this version of memobuild asks no registry yet, so it could not look up ";
    assert_eq!(told(&lacking, &[]), Some(format!("{message}{far}")));
    let lines = format!("{far} digest=\"sha256:{hex}\"\n{base}");
    let full = loaded(&format!("memobuild-lock 1\n{lines}"));
    assert_eq!(told(&full, &[]), None, "what is written by hand is kept");
    assert_eq!(told(&full, &["base"]), None);
    assert_eq!(told(&full, &["far"]), Some(format!("{message}{far}")), "asked for, and not done");
}
