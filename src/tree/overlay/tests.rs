//! What a stack of layers shows, against a naive oracle.

use super::*;
use crate::tree::dsl::{lookup, memo, path, show, tree};
use crate::tree::flatten;

#[test]
fn what_a_path_shows() {
    let (_folder, memo) = memo();
    let layers = ["a/b=1 a/c=2 d=3 e/f=4 g/h=5", "a/b! a/n=6 d! e/! g=7", "d/x=8 g/:700 g/i=9"];
    let layers = Layers::new(&memo, layers.map(|text| tree(&memo, text)));
    let shown = |at: &str| match lookup(&memo, &layers, &path(at)) {
        None => "nothing".to_owned(),
        Some(entry) => match entry.tree() {
            Some(tree) => show(&memo, tree),
            None => format!("{:o}", entry.metadata.mode),
        },
    };
    for (at, expected) in [
        ("a", "c=2 n=6"),
        ("a/b", "nothing"),
        ("a/c", "644"),
        ("a/c/x", "nothing"),
        ("d", "x=8"),
        ("e", "{}"),
        ("e/f", "nothing"),
        ("g", "i=9"),
        ("", "a/c=2 a/n=6 d/x=8 e/ g/:700 g/i=9"),
    ] {
        assert_eq!(shown(at), expected, "at `{at}`");
    }
    let names = layers.directory(&path("a")).unwrap().unwrap();
    assert_eq!(names.keys().collect::<Vec<_>>(), [b"c", b"n"]);
    assert!(layers.directory(&path("a/c")).unwrap().is_none());
    let held = Below::directory(&layers, &TreePath::root()).unwrap();
    assert_eq!(held[&b"g"[..]], Held::Directory(Metadata::plain(0o700)));
    assert_eq!(Below::directory(&layers, &path("a/c")).unwrap(), BTreeMap::new());
}

#[test]
fn links_are_followed_as_in_a_chroot() {
    let (_folder, memo) = memo();
    let lower =
        tree(&memo, "usr/lib/x=1 lib->usr/lib abs->/usr up->../../usr usr/back->../lib loop->loop file=1");
    let upper = tree(&memo, "here->./usr//lib/ two->abs/back ping->pong pong->ping");
    let layers = Layers::new(&memo, [lower, upper]);
    for (at, parents, all) in [
        ("lib/x", "/usr/lib/x", "/usr/lib/x"),
        ("lib", "/lib", "/usr/lib"),
        ("abs/lib/x", "/usr/lib/x", "/usr/lib/x"),
        ("up/lib", "/usr/lib", "/usr/lib"),
        ("here/x", "/usr/lib/x", "/usr/lib/x"),
        ("two/y", "/usr/lib/y", "/usr/lib/y"),
        ("usr/back/n/m", "/usr/lib/n/m", "/usr/lib/n/m"),
        ("none/x", "/none/x", "/none/x"),
        ("file/x", "/file/x", "/file/x"),
        ("", "/", "/"),
    ] {
        assert_eq!(layers.resolve_parents(&path(at)).unwrap().to_string(), parents, "parents of `{at}`");
        assert_eq!(layers.resolve(&path(at)).unwrap().to_string(), all, "all of `{at}`");
    }
    for at in ["loop/x", "ping/x"] {
        assert!(matches!(layers.resolve_parents(&path(at)), Err(TreeError::Loop(_))), "`{at}`");
    }
    assert_eq!(layers.resolve_parents(&path("loop")).unwrap().to_string(), "/loop");
}

#[test]
fn a_target_that_is_no_path_is_an_error() {
    let (_folder, memo) = memo();
    let long = "n".repeat(256);
    let layers = Layers::plain(&memo, tree(&memo, &format!("a->{long}")));
    assert!(matches!(layers.resolve_parents(&path("a/b")), Err(TreeError::BadTarget { .. })));
}

/// Subtrees that need no look are named by digests that the store does not hold: loading one fails.
#[test]
fn only_the_way_is_loaded() {
    let (_folder, memo) = memo();
    let unknown = Entry::directory(TreeDigest::of(b"not in the store"));
    let root = Directory { entries: [(b"a".to_vec(), unknown.clone())].into() };
    let base = encode::save(&memo, &root).unwrap();
    let layers = Layers::plain(&memo, base);
    assert_eq!(lookup(&memo, &layers, &path("a")), Some(unknown.clone()));
    let change = tree(&memo, "b/c=1");
    let merged = crate::tree::diff::apply(&memo, base, change).unwrap();
    assert_eq!(encode::load(&memo, merged).unwrap().entries[&b"a"[..]], unknown);
    let squashed = flatten::squash(&memo, &[base, change]).unwrap();
    assert_eq!(squashed, merged);
}
