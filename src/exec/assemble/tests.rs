//! Tables of landings: what a `copy` gives, and what it refuses.

use std::collections::BTreeMap;

use super::*;
use crate::base::cancel::Cancel;
use crate::graph::image_settings::{ConfigEdit, Edit};
use crate::graph::value::Machine;
use crate::oci::image::{Compression, Packing};
use crate::oci::layer::{pack, pack_into};
use crate::tree::dsl::{memo, passwd_tree, path, show, tree};
use crate::tree::encode;
use crate::tree::tree::Directory;

fn input(value: Value) -> ActionInput {
    ActionInput { slot: "copy".to_owned(), value }
}

fn tree_input(memo: &Memo, text: &str) -> ActionInput {
    input(Value::Tree(Entry::directory(tree(memo, text))))
}

fn file_input(memo: &Memo, text: &str) -> ActionInput {
    let blob = memo.write_blob(text.as_bytes()).unwrap();
    input(Value::Tree(Entry::file(blob, text.len() as u64, 0o640)))
}

fn rootfs_input(layers: &[TreeDigest]) -> ActionInput {
    let layers = layers.iter().copied().map(Layer::Made).collect();
    input(Value::Rootfs(Box::new(Rootfs { layers, ..Rootfs::default() })))
}

fn trees(rootfs: &Rootfs) -> Vec<TreeDigest> {
    let made = rootfs.layers.iter().map(|layer| match layer {
        Layer::Made(tree) => *tree,
        Layer::Pulled(layer) => panic!("{layer:?}"),
    });
    made.collect()
}

fn copy(input: usize, to: &str) -> Place {
    Place::Copy {
        input,
        to: path(to),
        into: to.ends_with('/'),
        name: Some("named".to_owned()),
        owner: None,
        mode: None,
        follow: false,
    }
}

fn owned(input: usize, to: &str, owner: &str) -> Place {
    let owner = Some(Owner(owner.to_owned()));
    Place::Copy { input, to: path(to), into: false, name: None, owner, mode: None, follow: false }
}

fn remove(globs: &str) -> Place {
    Place::Remove { globs: globs.split_whitespace().map(str::to_owned).collect() }
}

fn build(
    memo: &Memo,
    from: From,
    result: Composition,
    layers: Vec<Vec<Place>>,
    inputs: &[ActionInput],
) -> Result<Value, ExecError> {
    let op = Assemble { from, layers, result };
    assemble(&Supply::of(memo), &op, inputs, &Platform::current())
}

fn tree_of(memo: &Memo, places: Vec<Place>, inputs: &[ActionInput]) -> String {
    match build(memo, From::Nothing, Composition::Tree, vec![places], inputs) {
        Ok(Value::Tree(entry)) => show(memo, entry.tree().unwrap()),
        Err(ExecError::Input { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

/// The one layer that lands on the root at input 0.
fn layer_of(memo: &Memo, places: Vec<Place>, inputs: &[ActionInput]) -> String {
    match build(memo, From::Input(0), Composition::Rootfs, vec![places], inputs) {
        Ok(Value::Rootfs(rootfs)) => show(memo, *trees(&rootfs).last().unwrap()),
        Err(ExecError::Input { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn operations_on_a_tree() {
    let (_folder, memo) = memo();
    let inputs = [
        tree_input(&memo, "a=1 d/b=2#7 d/c=2#7"),
        tree_input(&memo, "a=9 d/e=3"),
        file_input(&memo, "f"),
        tree_input(&memo, "d=4"),
    ];
    let merge = |inputs: &[usize], conflicts_fail| Place::Merge { inputs: inputs.to_vec(), conflicts_fail };
    let file = |at: &str| Place::File { path: path(at), text: "t".to_owned(), mode: 0o600 };
    let dir = |at: &str| Place::Dir { path: path(at), mode: 0o700 };
    let link = |at: &str, target: &str| Place::Symlink { path: path(at), target: target.to_owned() };
    for (places, expected) in [
        (vec![], "{}"),
        (vec![copy(0, "")], "a=1 d/b=2#7 d/c=2#7"),
        (vec![copy(0, "x/y")], "x/y/a=1 x/y/d/b=2#7 x/y/d/c=2#7"),
        (vec![copy(2, "x/y")], "x/y=f:640"),
        (vec![copy(2, "x/y/")], "x/y/named=f:640"),
        (vec![copy(2, "/")], "named=f:640"),
        (vec![copy(0, ""), copy(2, "d")], "a file lands on `/d`, which is a directory"),
        (vec![copy(2, "x"), copy(0, "x")], "a directory lands on `/x`, which is no directory"),
        (vec![copy(2, "x"), copy(2, "x/y")], "`/x/y` cannot be made: `/x` is no directory"),
        (vec![copy(0, ""), copy(3, "")], "at `/d` a directory and a file land on each other"),
        (vec![copy(0, ""), copy(1, "")], "a=9 d/b=2#7 d/c=2#7 d/e=3"),
        (vec![merge(&[0, 1], false)], "a=9 d/b=2#7 d/c=2#7 d/e=3"),
        (vec![merge(&[1, 0], false)], "a=1 d/b=2#7 d/c=2#7 d/e=3"),
        (vec![merge(&[0, 3], false)], "a=1 d=4"),
        (vec![merge(&[3, 1], false)], "a=9 d/e=3"),
        (vec![merge(&[0, 1], true)], "`/a` of copy is in another input with other content"),
        (vec![merge(&[0, 0], true)], "a=1 d/b=2#7 d/c=2#7"),
        (vec![file("x/y")], "x/y=t:600"),
        (vec![file("x"), file("x")], "x=t:600"),
        (vec![dir("x/y")], "x/y/:700"),
        (vec![copy(0, ""), dir("d")], "a=1 d/:700 d/b=2#7 d/c=2#7"),
        (vec![copy(2, "x"), dir("x")], "a directory lands on `/x`, which is no directory"),
        (vec![link("l", "a/b"), file("l")], "l=t:600"),
        (vec![dir("r"), link("l", "r"), file("l/x")], "l->r r/:700 r/x=t:600"),
        (vec![dir("r"), link("l", "r"), copy(0, "l/")], "l->r r/:700 r/a=1 r/d/b=2#7 r/d/c=2#7"),
        (vec![dir("r"), link("l", "r"), file("l")], "a file lands on `/l`, which is a directory"),
        (vec![link("l", "l"), file("l/x")], "`/l/x` leads through more than 40 symbolic links"),
        (vec![copy(0, ""), remove("d/* a")], "d/"),
        (vec![copy(0, ""), remove("**/c")], "a=1 d/b=2#7"),
        (vec![copy(0, ""), remove("d d/b")], "a=1"),
        (vec![copy(0, ""), remove("a x*")], "`remove` `x*` matches nothing"),
        (vec![copy(0, ""), remove("d"), file("d")], "a=1 d=t:600"),
        (
            vec![copy(0, ""), owned(1, "o", "5:6")],
            "a=1 d/b=2#7 d/c=2#7 o/:755:5:6 o/a=9:644:5:6 o/d/:755:5:6 o/d/e=3:644:5:6",
        ),
        (vec![owned(0, "", "node")], "owner `node` has a name, but there is no `from` that could know it"),
    ] {
        let told = format!("{places:?}");
        assert_eq!(tree_of(&memo, places, &inputs), expected, "{told}");
    }
}

#[test]
fn a_mode_is_for_files_and_directories() {
    let (_folder, memo) = memo();
    let inputs = [tree_input(&memo, "a=1 d/:700 d/l->a d/x=2:701")];
    let symbolic = |text: &str| Mode::Symbolic(text.to_owned());
    for (mode, expected) in [
        (Mode::Exact(0o500), "x/:500 x/a=1:500 x/d/:500 x/d/l->a x/d/x=2:500"),
        (symbolic("u=rwX,go=rX"), "x/a=1 x/d/l->a x/d/x=2:755"),
        (symbolic("go-rwx"), "x/:700 x/a=1:600 x/d/:700 x/d/l->a x/d/x=2:700"),
        (symbolic("rwx"), "`rwx` is no change of a mode: `r` means nothing there"),
    ] {
        let Place::Copy { input, to, into, name, owner, follow, .. } = copy(0, "x") else { unreachable!() };
        let place = Place::Copy { input, to, into, name, owner, mode: Some(mode), follow };
        assert_eq!(tree_of(&memo, vec![place], &inputs), expected);
    }
}

#[test]
fn links_are_followed_where_it_is_asked() {
    let (_folder, memo) = memo();
    let followed = |input| {
        let Place::Copy { to, into, name, owner, mode, .. } = copy(input, "x") else { unreachable!() };
        vec![Place::Copy { input, to, into, name, owner, mode, follow: true }]
    };
    let inputs = [tree_input(&memo, "a=1 d/l->/a"), tree_input(&memo, "l->../a")];
    assert_eq!(tree_of(&memo, vec![copy(0, "x")], &inputs), "x/a=1 x/d/l->/a");
    assert_eq!(tree_of(&memo, followed(0), &inputs), "x/a=1 x/d/l=1");
    let told = "`copy`: the symbolic link `/l` leads to `../a`, outside of what is copied";
    assert_eq!(tree_of(&memo, followed(1), &inputs), told);
}

#[test]
fn an_archive_lands_as_a_directory_does() {
    let (_folder, memo) = memo();
    let layer = tree(&memo, "p-1/bin/:700 p-1/bin/tool=1:4755:5:6 p-1/l->/etc");
    let mut packed = memo.blob_writer().unwrap();
    pack_into(&memo, layer, Compression::Gzip { level: 1 }, &mut packed, &Cancel::default()).unwrap();
    let packed = packed.finish().unwrap();
    let archive = Value::Tree(Entry::file(packed.blob, packed.size, 0o644));
    let root = tree(&memo, "opt/:711:1:1 opt/bin/old=0");
    let inputs = [rootfs_input(&[root]), input(archive), file_input(&memo, "text"), tree_input(&memo, "a=1")];
    let extract = |input, to: &str, strip| vec![Place::Extract { input, to: path(to), strip }];
    for (places, expected) in [
        (extract(1, "opt", 1), "opt/:711:1:1 opt/bin/:700 opt/bin/tool=1:4755:5:6 opt/l->/etc"),
        (extract(1, "", 2), "tool=1:4755:5:6"),
        (extract(1, "opt", 9), "opt/:711:1:1"),
        (extract(2, "opt", 0), "`copy`: archive entry ``: the archive ends in a header"),
        (extract(3, "opt", 0), "copy is tree, but an archive is wanted there"),
    ] {
        let told = format!("{places:?}");
        assert_eq!(layer_of(&memo, places, &inputs), expected, "{told}");
    }
}

/// The tree of the one layer, and whether packing it found it packed.
fn packed_on(memo: &Memo, base: TreeDigest, places: &[Place], inputs: &[ActionInput]) -> (TreeDigest, bool) {
    let inputs: Vec<_> = [rootfs_input(&[base])].into_iter().chain(inputs.iter().cloned()).collect();
    let made = build(memo, From::Input(0), Composition::Rootfs, vec![places.to_vec()], &inputs).unwrap();
    let layer = trees(made.rootfs().unwrap())[1];
    let records = || count_below(&memo.folder().join("records"));
    let before = records();
    pack(memo, layer, Compression::None, &Cancel::default()).unwrap();
    (layer, records() == before)
}

fn count_below(folder: &std::path::Path) -> usize {
    let below = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    below.map(|path| if path.is_dir() { count_below(&path) } else { 1 }).sum()
}

/// A layer depends on its base only for what it looked up there (language.md, section 3, `image`).
#[test]
fn a_layer_is_the_same_and_stays_packed_on_bases_that_look_alike_to_it() {
    let (_folder, memo) = memo();
    let file = |text: &str| Entry::file(memo.write_blob(text.as_bytes()).unwrap(), text.len() as u64, 0o644);
    let base = |passwd: &str, rest: &str| {
        let etc = Directory { entries: [(b"passwd".to_vec(), file(passwd))].into() };
        let mut root = encode::load(&memo, tree(&memo, rest)).unwrap();
        root.entries.insert(b"etc".to_vec(), Entry::directory(encode::save(&memo, &etc).unwrap()));
        encode::save(&memo, &root).unwrap()
    };
    let (known, other) = ("app:x:7:8::/:\n", "app:x:9:8::/:\n");
    let inputs = [tree_input(&memo, "n=1 m/o=2"), file_input(&memo, "f")];
    let at_link = [copy(2, "lib/f")];
    let by_name = [owned(1, "srv/app", "app")];
    let removing = [copy(2, "f"), remove("srv/*.log")];
    let one = base(known, "srv/a.log=1 usr/lib/x=1 lib->usr/lib");
    for (places, changed, is_same) in [
        (&at_link[..], base(other, "srv/b=1 usr/lib/x=2 usr/lib/y=3 lib->usr/lib"), true),
        (&at_link, base(known, "srv/a.log=1 usr/lib64/x=1 lib->usr/lib64"), false),
        (&at_link, base(known, "srv/a.log=1 usr/lib/:700 lib->usr/lib"), false),
        (&by_name, base(&format!("{known}more:x:1:1::/:\n"), "srv/b=2 lib->x"), true),
        (&by_name, base(other, "srv/a.log=1 usr/lib/x=1 lib->usr/lib"), false),
        (&by_name, base(known, "srv/:700 srv/a.log=1 usr/lib/x=1 lib->usr/lib"), false),
        (&removing, base(other, "srv/a.log=2 srv/b=1 new=1"), true),
        (&removing, base(known, "srv/a.log=1 srv/b.log=1 usr/lib/x=1 lib->usr/lib"), false),
    ] {
        let (before, _) = packed_on(&memo, one, places, &inputs);
        let (after, was_packed) = packed_on(&memo, changed, places, &inputs);
        let told = format!("{places:?} on {}", show(&memo, changed));
        assert_eq!((before == after, was_packed), (is_same, is_same), "{told}");
    }
}

#[test]
fn a_layer_holds_the_parents_as_they_are_below() {
    let (_folder, memo) = memo();
    let lower = tree(
        &memo,
        "srv/:2775:3:4 srv/app/:700:5:6 srv/app/old=0 usr/lib/ lib->usr/lib etc/x=1 abs->/usr/lib up->../../srv loop->loop",
    );
    let upper = tree(&memo, "etc/:711 etc/y=2");
    let inputs =
        [rootfs_input(&[lower, upper]), tree_input(&memo, "n=1 m/:750 m/o=2"), file_input(&memo, "f")];
    for (places, expected) in [
        (vec![], "{}"),
        (vec![copy(1, "srv/app")], "srv/:2775:3:4 srv/app/:700:5:6 srv/app/m/:750 srv/app/m/o=2 srv/app/n=1"),
        (vec![copy(1, "srv/new")], "srv/:2775:3:4 srv/new/m/:750 srv/new/m/o=2 srv/new/n=1"),
        (vec![copy(2, "etc/z")], "etc/:711 etc/z=f:640"),
        (vec![copy(2, "etc/x")], "etc/:711 etc/x=f:640"),
        (vec![copy(2, "etc/")], "etc/:711 etc/named=f:640"),
        (vec![copy(2, "etc")], "a file lands on `/etc`, which is a directory"),
        (vec![copy(2, "lib")], "a file lands on `/lib`, which is a directory"),
        (vec![copy(1, "etc/x")], "a directory lands on `/etc/x`, which is no directory"),
        (vec![copy(2, "etc/x/y")], "`/etc/x/y` cannot be made: `/etc/x` is no directory"),
        (vec![copy(2, "lib/z")], "usr/lib/z=f:640"),
        (vec![copy(2, "abs/z")], "usr/lib/z=f:640"),
        (vec![copy(2, "up/z")], "srv/:2775:3:4 srv/z=f:640"),
        (vec![copy(1, "lib")], "usr/lib/m/:750 usr/lib/m/o=2 usr/lib/n=1"),
        (vec![copy(2, "loop/z")], "`/loop/z` leads through more than 40 symbolic links"),
        (vec![copy(2, "loop")], "loop=f:640"),
        (vec![remove("etc/x lib")], "etc/:711 etc/x! lib!"),
        (vec![remove("srv"), copy(2, "srv/z")], "srv/! srv/z=f:640"),
        (vec![remove("srv"), copy(1, "srv")], "srv/! srv/m/:750 srv/m/o=2 srv/n=1"),
        (vec![remove("etc/x"), copy(2, "etc/x")], "etc/:711 etc/x=f:640"),
        (vec![copy(2, "etc/q"), remove("etc/q")], "etc/:711"),
        (vec![copy(2, "etc/x"), remove("etc/x")], "etc/:711 etc/x!"),
        (vec![remove("etc/x"), remove("etc/x")], "`remove` `etc/x` matches nothing"),
        (vec![remove("etc"), copy(2, "etc/y"), remove("etc/y")], "etc/!"),
    ] {
        let told = format!("{places:?}");
        assert_eq!(layer_of(&memo, places, &inputs), expected, "{told}");
    }
}

#[test]
fn names_of_owners_are_those_of_the_root() {
    let (_folder, memo) = memo();
    let passwd = b"node:x:77:78::/:\n";
    let passwd = Entry::file(memo.write_blob(passwd).unwrap(), passwd.len() as u64, 0o644);
    let inputs = [rootfs_input(&[passwd_tree(&memo)]), tree_input(&memo, "a=1"), input(Value::Tree(passwd))];
    assert_eq!(
        layer_of(&memo, vec![owned(1, "x", "node:staff")], &inputs),
        "x/:755:1000:50 x/a=1:644:1000:50"
    );
    assert!(layer_of(&memo, vec![owned(1, "x", "who")], &inputs).contains("has no `who`"));
    let replaced = vec![copy(2, "real"), owned(1, "x", "node"), remove("real")];
    assert_eq!(layer_of(&memo, replaced, &inputs), "real! x/:755:77:78 x/a=1:644:77:78");
}

#[test]
fn layers_of_the_base_stay_and_each_list_adds_one() {
    let (_folder, memo) = memo();
    let base = tree(&memo, "a=1");
    let inputs = [rootfs_input(&[base]), tree_input(&memo, "b=2")];
    let layers = vec![vec![copy(1, "")], vec![copy(1, "x")]];
    let made = build(&memo, From::Input(0), Composition::Rootfs, layers, &inputs).unwrap();
    let layers = trees(made.rootfs().unwrap());
    assert_eq!(layers[0], base);
    assert_eq!(layers[1..].iter().map(|&layer| show(&memo, layer)).collect::<Vec<_>>(), ["b=2", "x/b=2"]);
    let same = build(&memo, From::Input(0), Composition::Rootfs, vec![], &inputs).unwrap();
    assert_eq!(same, inputs[0].value);
    let scratch = build(&memo, From::Scratch, Composition::Rootfs, vec![vec![copy(1, "")]], &inputs).unwrap();
    assert_eq!(trees(scratch.rootfs().unwrap()).len(), 1);
}

#[test]
fn an_image_has_its_settings() {
    let (_folder, memo) = memo();
    let mut rootfs = Rootfs { layers: Vec::new(), ..Rootfs::default() };
    rootfs.layers = ["a=1 b=2", "b!"].map(|text| Layer::Made(tree(&memo, text))).into();
    rootfs.config.set_env("PATH", "/bin");
    rootfs.config.cmd = Some(vec!["sh".to_owned()]);
    let other = Platform { os: "linux".to_owned(), architecture: "s390x".to_owned(), variant: None };
    let settings = ImageSettings {
        names: vec!["app:1".to_owned()],
        config: ConfigEdit { entrypoint: Some(Edit::Set(vec!["/app".to_owned()])), ..ConfigEdit::default() },
        squash: true,
        ..ImageSettings::default()
    };
    let from = Image {
        rootfs,
        platform: other.clone(),
        packing: Packing::DEFAULT,
        names: vec!["base".to_owned()],
        annotations: [("base".to_owned(), "x".to_owned())].into(),
        index_annotations: BTreeMap::new(),
        descriptor_annotations: BTreeMap::new(),
        created: Some(7),
    };
    let inputs = [input(Value::Image(Box::new(from)))];
    let layers = vec![vec![Place::Dir { path: path("d"), mode: 0o755 }]];
    let made = build(&memo, From::Input(0), Composition::Image(Box::new(settings)), layers, &inputs).unwrap();
    let Value::Image(image) = made else { panic!("{made:?}") };
    assert_eq!(image.platform, other);
    assert_eq!(
        (image.names.as_slice(), image.annotations.len(), image.created),
        (&["app:1".to_owned()][..], 0, None)
    );
    assert_eq!((image.rootfs.config.env("PATH"), &image.rootfs.config.cmd), (Some("/bin"), &None));
    assert_eq!(trees(&image.rootfs).iter().map(|&tree| show(&memo, tree)).collect::<Vec<_>>(), ["a=1 d/"]);
}

#[test]
fn what_cannot_be_composed() {
    let (_folder, memo) = memo();
    let inputs = [rootfs_input(&[]), file_input(&memo, "f"), input(Value::Host(Machine::default()))];
    let nameless = Place::Copy {
        input: 1,
        to: path("x"),
        into: true,
        name: None,
        owner: None,
        mode: None,
        follow: false,
    };
    let merge = Place::Merge { inputs: vec![1], conflicts_fail: false };
    for (from, place) in [
        (From::Nothing, copy(0, "x")),
        (From::Nothing, nameless),
        (From::Nothing, merge),
        (From::Input(1), copy(1, "x")),
        (From::Host(2), copy(1, "x")),
    ] {
        let told = format!("{from:?} {place:?}");
        let made = build(&memo, from, Composition::Rootfs, vec![vec![place]], &inputs);
        assert!(matches!(made, Err(ExecError::Input { .. })), "{told}");
    }
}

/// A copied directory that the store does not hold: loading it would fail.
#[test]
fn what_is_copied_is_not_loaded() {
    let (_folder, memo) = memo();
    let unknown = Entry::directory(TreeDigest::of(b"not in the store"));
    let inputs = [rootfs_input(&[tree(&memo, "srv/:700 srv/a=1")]), input(Value::Tree(unknown.clone()))];
    let places =
        vec![copy(1, "srv/app"), copy(1, "srv/other"), Place::Dir { path: path("srv/d"), mode: 0o755 }];
    let made = build(&memo, From::Input(0), Composition::Rootfs, vec![places], &inputs).unwrap();
    let layer = trees(made.rootfs().unwrap())[1];
    let found = crate::tree::overlay::Layers::new(&memo, [layer]).directory(&path("srv")).unwrap().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&b"app"[..], b"d", b"other"]);
}
