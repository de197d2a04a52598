//! What can't be looked up yet, and what `--update` takes along.

use super::*;
use crate::graph::op::{Fetch, ImageSource, Op};
use crate::lang::{Request, load_text};

const FILE: &str = "memobuild 1\npull base \"oci:base\"\npull far \"oci:far\"\npull url \"oci:url\"\n";

/// This version's language writes neither registries nor URLs: they are put into the graph.
fn loaded(lock: &str) -> Loaded {
    let mut loaded = load_text(FILE, &Request::root()).unwrap();
    for node in &mut loaded.graph.nodes {
        match (node.name.as_str(), &mut node.op) {
            ("far", Op::Pull(pull)) => {
                pull.source = ImageSource::Registry("docker.io/library/alpine:3".into());
            }
            ("url", op) => {
                let url = "https://example/a".to_owned();
                let (sha256, name, mode) = (None, None, None);
                *op = Op::Fetch(Fetch::Http { url, sha256, name, mode, extract: false, strip: 0 });
            }
            _ => {}
        }
    }
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
    let url = "http \"https://example/a\"";
    let message = "this version of memobuild asks no registry and no server yet, so it could not look up ";
    assert_eq!(told(&lacking, &[]), Some(format!("{message}{url}; {far}")));
    let lines = format!("{url} sha256=\"{hex}\"\n{far} digest=\"sha256:{hex}\"\n{base}");
    let full = loaded(&format!("memobuild-lock 1\n{lines}"));
    assert_eq!(told(&full, &[]), None, "what is written by hand is kept");
    assert_eq!(told(&full, &["base"]), None);
    assert_eq!(told(&full, &["far"]), Some(format!("{message}{far}")), "asked for, and not done");
}
