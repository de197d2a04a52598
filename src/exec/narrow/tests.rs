//! Tables of selections, and what each gives.

use super::*;
use crate::base::digest::TreeDigest;
use crate::graph::value::Machine;
use crate::oci::image::{Layer, Rootfs};
use crate::tree::dsl::{memo, show, tree};
use crate::tree::encode;
use crate::tree::tree::Directory;

fn select(path: &str, include: &str, exclude: &str) -> Select {
    let globs = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let path = (!path.is_empty()).then(|| TreePath::parse(path).unwrap());
    Select { path, include: globs(include), exclude: globs(exclude) }
}

fn rootfs(layers: &[TreeDigest]) -> Value {
    let layers = layers.iter().copied().map(Layer::Made).collect();
    Value::Rootfs(Box::new(Rootfs { layers, ..Rootfs::default() }))
}

/// The narrowed tree, `MODE` of what is no directory, or the error's two sentences.
fn shown(memo: &Memo, value: &Value, select: &Select) -> String {
    match narrow(&Supply::of(memo), value, select) {
        Ok(Value::Tree(entry)) => match entry.tree() {
            Some(tree) => show(memo, tree),
            None => format!("{:o}", entry.metadata.mode),
        },
        Err(ExecError::Input { message, help }) => format!("{message}; {help}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts_of_a_tree() {
    let (_folder, memo) = memo();
    let value = Value::Tree(Entry::directory(tree(&memo, "a/b.c=1 a/b.h=2 a/d/e.c=3 l->a x=4:600 alpha/")));
    for (path, include, exclude, expected) in [
        ("a", "", "", "b.c=1 b.h=2 d/e.c=3"),
        ("a/d", "", "", "e.c=3"),
        ("x", "", "", "600"),
        ("l", "", "", "777"),
        ("l/d", "", "", "e.c=3"),
        ("l/b.c", "", "", "644"),
        ("a", "*.c", "", "b.c=1"),
        ("a", "**/*.c", "d", "b.c=1"),
        ("", "a/d", "", "a/d/e.c=3"),
        ("", "", "a x", "alpha/ l->a"),
        ("a", "", "**/*.h", "b.c=1 d/e.c=3"),
    ] {
        let told = format!("path `{path}` include `{include}` exclude `{exclude}`");
        assert_eq!(shown(&memo, &value, &select(path, include, exclude)), expected, "{told}");
    }
    let anchored =
        "globs are anchored where they begin to match: `**/` before one makes it match at any depth";
    for (path, include, expected) in [
        ("a/bc", "", "there is no `/a/bc` in the input; did you mean `/a/b.c`?"),
        ("alpa/x", "", "there is no `/alpa/x` in the input; did you mean `/alpha`?"),
        ("l/bc", "", "there is no `/l/bc` in the input; did you mean `/a/b.c`?"),
        ("other", "", "there is no `/other` in the input; in `/` there are: `a`, `alpha`, `l`, `x`"),
        ("alpha/x", "", "there is no `/alpha/x` in the input; `/alpha` is empty"),
        ("x/y", "", "there is no `/x/y` in the input; `/x` is no directory"),
        ("", "*.c", &format!("`*.c` matches nothing; {anchored}")),
        ("a", "*.c *.d", &format!("`*.d` matches nothing below `/a`; {anchored}")),
        (
            "x",
            "*",
            "`/x` is no directory, so no glob matches below it; leave out `include` and `exclude`, or give the path of a directory",
        ),
        (
            "a",
            "!b",
            "`!b` is not a glob: `!` is not understood here, write an `exclude`; write the glob as `.gitignore` has them, without `!` or `..`",
        ),
    ] {
        assert_eq!(shown(&memo, &value, &select(path, include, "")), expected, "path `{path}` `{include}`");
    }
}

#[test]
fn not_all_names_are_listed() {
    let (_folder, memo) = memo();
    let value = Value::Tree(Entry::directory(tree(&memo, "1= 2= 3= 4= 5= 6= 7= 8= 9=")));
    let told = shown(&memo, &value, &select("other", "", ""));
    assert!(told.ends_with("`7`, `8`, …"), "{told}");
}

#[test]
fn parts_of_a_root() {
    let (_folder, memo) = memo();
    let layers = ["usr/lib/a=1#3 usr/lib/b=2#3 lib->usr/lib", "usr/lib/b! usr/lib/c=3", "usr/lib/:711"];
    let value = rootfs(&layers.map(|text| tree(&memo, text)));
    assert_eq!(shown(&memo, &value, &select("usr/lib", "", "")), "a=1#3 c=3");
    assert_eq!(shown(&memo, &value, &select("lib/a", "", "")), "644");
    assert_eq!(shown(&memo, &value, &select("", "usr/lib/c", "")), "usr/lib/:711 usr/lib/c=3");
    assert!(shown(&memo, &value, &select("usr/lib/b", "", "")).starts_with("there is no `/usr/lib/b`"));
    assert_eq!(narrow(&Supply::of(&memo), &value, &Select::default()).unwrap(), value);
    let Ok(Value::Tree(directory)) = narrow(&Supply::of(&memo), &value, &select("usr/lib", "", "")) else {
        panic!()
    };
    assert_eq!(directory.metadata.mode, 0o711);
    let Ok(Value::Tree(file)) = narrow(&Supply::of(&memo), &value, &select("usr/lib/a", "", "")) else {
        panic!()
    };
    assert!(matches!(file.content, Content::File { link: None, .. }), "one file is no hard link");
}

#[test]
fn the_directory_itself_keeps_its_metadata() {
    let (_folder, memo) = memo();
    let mut entry = Entry::directory(tree(&memo, "a=1 b=2"));
    entry.metadata = Metadata { uid: 7, ..Metadata::plain(0o700) };
    let narrowed = narrow(&Supply::of(&memo), &Value::Tree(entry.clone()), &select("", "a", "")).unwrap();
    let Value::Tree(narrowed) = narrowed else { panic!() };
    assert_eq!(narrowed.metadata, entry.metadata);
}

#[test]
fn what_has_no_parts() {
    let (_folder, memo) = memo();
    let file = Entry::file(memo.write_blob(b"x").unwrap(), 1, 0o644);
    for value in [Value::Tree(file.clone()), Value::Host(Machine::default()), Value::Text("t".to_owned())] {
        let narrowed = narrow(&Supply::of(&memo), &value, &select("a", "", ""));
        assert!(matches!(narrowed, Err(ExecError::Input { .. })), "{value:?}");
    }
    let whole = Select { path: Some(TreePath::root()), ..Select::default() };
    assert_eq!(narrow(&Supply::of(&memo), &Value::Tree(file.clone()), &whole).unwrap(), Value::Tree(file));
}

/// Directories that the store does not hold: loading one would fail.
#[test]
fn what_is_kept_whole_is_not_loaded() {
    let (_folder, memo) = memo();
    let unknown = Entry::directory(TreeDigest::of(b"not in the store"));
    let inner =
        Directory { entries: [(b"b".to_vec(), unknown.clone()), (b"c".to_vec(), unknown.clone())].into() };
    let outer = Directory {
        entries: [(b"a".to_vec(), Entry::directory(encode::save(&memo, &inner).unwrap()))].into(),
    };
    let value = Value::Tree(Entry::directory(encode::save(&memo, &outer).unwrap()));
    assert_eq!(narrow(&Supply::of(&memo), &value, &select("a/b", "", "")).unwrap(), Value::Tree(unknown));
    assert!(narrow(&Supply::of(&memo), &value, &select("", "a/b", "")).is_ok());
}
