//! Random programs on random inputs: whatever they do, nothing changes outside of what the run declares, ever; and what
//! it declares is the same when they do it again in a store of another build. `MEMOBUILD_LONG=1` tries many more.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memobuild::base::digest::BlobDigest;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use crate::places::{Place, command_at, digest_of, roots_places, store_at};
use crate::programs::{MACHINE_ROOT, machine_root};
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, have, run};
use crate::traces::work_folders;

const FEW: u32 = 24;
const MANY: u32 = 1_000;
/// No further case begins after it, where few are asked for.
const LONGEST: Duration = Duration::from_secs(10);

/// The witness has the same inputs, so that all of them lie in the store before the vandal comes.
const NODES: &str = r##"
files input root="in" gitignore=#false
run made { from root; mount input at="/in"; sh "busybox cp -a /in /made/sub; echo made > /made/a"; output made "/made"; }
fragment inputs {
    mount input at="/ro" access=ro
    mount input at="/cow"
    mount made.made at="/cow/made"
    mount made.made at="/made" access=ro
    mount "./in/a" at="/single"
}
run witness { from root; use inputs; sh "true"; }
run vandal {
    from root
    use inputs
    cache kept at="/cache"
    tmpfs "/memory" size="1MiB"
    limits disk="64MiB" timeout="60s"
    sh #"""
    for place in /cow /cow/deep /cache /memory /out /etc /tmp /dev/shm CANARY STORE; do
        busybox mkdir -p $place/sub; echo own > $place/a; busybox ln -s PLACE $place/link
    done 2> /dev/null || true
    PROGRAM
    """#
    output out "/out"
    output deep "/cow/deep" optional=#true
}
image all { from vandal; copy vandal.out to="/results"; copy vandal.deep to="/results/deep"; }
"##;

/// Where the commands go; the last three stand for the machine's own folders.
const PLACES: [&str; 18] = [
    "/ro",
    "/cow",
    "/cow/made",
    "/cow/deep",
    "/made",
    "/single",
    "/cache",
    "/memory",
    "/out",
    "/etc",
    "/tmp",
    "/dev",
    "/dev/shm",
    "/proc/self/root",
    "/proc/1/root",
    "CANARY",
    "STORE",
    "WORKSPACE",
];
const NAMES: [&str; 6] = ["a", "b", "sub", "link", "..", "."];

fn place() -> impl Strategy<Value = String> {
    let names = || vec(select(&NAMES[..]), 0..3);
    let below =
        (select(&PLACES[..]), names()).prop_map(|(place, names)| [vec![place], names].concat().join("/"));
    let up = (1..9usize, select(&PLACES[15..]))
        .prop_map(|(steps, place)| format!("{}{place}", "../".repeat(steps)));
    prop_oneof![6 => below, 1 => names().prop_map(|names| format!("./{}", names.join("/"))), 1 => up]
}

/// What is no folder of the sandbox's own: `mv` copies from one filesystem to another, and never ends with `/`.
fn below() -> impl Strategy<Value = String> {
    let names = select(&["a", "b", "sub", "sub/a", "link"][..]);
    (select(&PLACES[..13]), names).prop_map(|(place, name)| format!("{place}/{name}"))
}

/// One command; none of them waits for anybody, and none goes on for ever.
fn command() -> impl Strategy<Value = String> {
    // A FIFO would wait for somebody on its other side.
    let guarded = |place: &str, command: String| format!("busybox test -p {place} || {command}");
    let one = || place();
    let two = || (place(), place());
    let mode = select(&["0", "600", "777", "4755", "1777", "2755", "u+s", "a-w"][..]);
    let owner = select(&["0:0", "7:8", "65534:65534", "12"][..]);
    let simple = prop_oneof![
        4 => one().prop_map(move |at| guarded(&at, format!("echo written > {at}"))),
        2 => one().prop_map(move |at| guarded(&at, format!("echo more >> {at}"))),
        1 => one().prop_map(move |at| guarded(&at, format!(": > {at}"))),
        1 => one().prop_map(move |at| guarded(&at, format!("busybox truncate -s 5000 {at}"))),
        2 => (mode, one()).prop_map(|(mode, at)| format!("busybox chmod {mode} {at}")),
        1 => (mode_all(), one()).prop_map(|(mode, at)| format!("busybox chmod -R {mode} {at}/sub")),
        2 => (owner, one()).prop_map(|(owner, at)| format!("busybox chown {owner} {at}")),
        3 => (below(), one()).prop_map(|(from, to)| format!("busybox mv {from} {to}")),
        2 => two().prop_map(|(from, to)| format!("busybox ln {from} {to}")),
        4 => two().prop_map(|(to, at)| format!("busybox ln -s {to} {at}")),
        2 => two().prop_map(|(to, at)| format!("busybox ln -sfn {to} {at}")),
        2 => (one(), select(&NAMES[..4])).prop_map(|(at, name)| format!("busybox rm -rf {at}/{name}")),
        2 => one().prop_map(|at| format!("busybox mkdir -p {at}")),
        1 => one().prop_map(|at| format!("busybox rmdir {at}")),
        1 => one().prop_map(|at| format!("busybox mkfifo {at}")),
        1 => one().prop_map(|at| format!("busybox mknod {at} c 1 3")),
        2 => two().prop_map(move |(from, to)| guarded(&from, guarded(&to, format!("busybox cp -d {from} {to}")))),
        1 => (select(&PLACES[..4]), one()).prop_map(|(from, to)| format!("busybox cp -a {from} {to}")),
        1 => one().prop_map(|at| format!("busybox touch -d @1000 {at}")),
        1 => one().prop_map(|at| format!("setfattr -n user.name -v value {at}")),
        1 => two().prop_map(|(from, to)| format!("busybox mount -o bind {from} {to}")),
        1 => one().prop_map(|at| format!("busybox umount {at}")),
        1 => one().prop_map(|at| format!("busybox setsid sh -c 'sleep 600; echo late > {at}' &")),
    ];
    (simple, proptest::option::weighted(0.3, place()), proptest::bool::weighted(0.05)).prop_map(
        |(command, folder, is_below)| match (folder, is_below) {
            (Some(folder), false) => format!("(cd {folder} && {command}) 2> /dev/null || true"),
            (Some(folder), true) => {
                format!("busybox chroot {folder} /bin/sh -c '{command}' 2> /dev/null || true")
            }
            (None, _) => format!("({command}) 2> /dev/null || true"),
        },
    )
}

fn mode_all() -> impl Strategy<Value = &'static str> {
    select(&["0", "777", "go+w"][..])
}

#[derive(Debug, Clone)]
enum Item {
    File(String, u32),
    Link(String),
    Folder,
}

fn item() -> impl Strategy<Value = Item> {
    let mode = select(&[0o644, 0o755, 0o600, 0o444][..]);
    let target =
        select(&["a", "..", "../..", "sub/b", "/etc", "/", "CANARY/a", "../../../../../../../../CANARY"][..]);
    prop_oneof![
        3 => ("[a-z]{0,9}", mode).prop_map(|(text, mode)| Item::File(text, mode)),
        2 => target.prop_map(|target| Item::Link(target.to_owned())),
        1 => Just(Item::Folder),
    ]
}

type Inputs = BTreeMap<String, Item>;

impl Item {
    fn named(&self, name: impl Fn(&str) -> String) -> Item {
        match self {
            Item::Link(target) => Item::Link(name(target)),
            other => other.clone(),
        }
    }
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let name =
        (0..3usize, select(&NAMES[..4])).prop_map(|(depth, name)| format!("{}{name}", "sub/".repeat(depth)));
    btree_map(name, item(), 0..7)
}

/// Beside the run, and open to everybody.
pub(crate) fn canary() -> TempDir {
    let canary = tempfile::Builder::new().prefix("memobuild-canary-").tempdir().unwrap();
    fs::create_dir(canary.path().join("sub")).unwrap();
    for name in ["a", "b", "sub/a", "sub/b"] {
        fs::write(canary.path().join(name), name).unwrap();
        fs::set_permissions(canary.path().join(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    for folder in [canary.path().join("sub"), canary.path().to_owned()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    canary
}

/// What stands at a path.
pub(crate) type Census = BTreeMap<PathBuf, (u32, u32, u32, i64, i64, Option<BlobDigest>)>;

/// All that lies below a folder; folders' own times are told by what is in them.
fn census(folder: &Path, census_: &mut Census) {
    let metadata = fs::symlink_metadata(folder).unwrap();
    let content = match metadata.file_type() {
        kind if kind.is_file() => Some(BlobDigest::of(&fs::read(folder).unwrap())),
        kind if kind.is_symlink() => {
            Some(BlobDigest::of(fs::read_link(folder).unwrap().as_os_str().as_encoded_bytes()))
        }
        _ => None,
    };
    let (time, nanoseconds) = content.map_or((0, 0), |_| (metadata.mtime(), metadata.mtime_nsec()));
    let found = (metadata.mode(), metadata.uid(), metadata.gid(), time, nanoseconds, content);
    census_.insert(folder.to_owned(), found);
    if metadata.is_dir() {
        fs::read_dir(folder).unwrap().for_each(|entry| census(&entry.unwrap().path(), census_));
    }
}

pub(crate) fn census_of(folders: &[PathBuf]) -> Census {
    let mut found = Census::new();
    folders.iter().filter(|folder| folder.exists()).for_each(|folder| census(folder, &mut found));
    found
}

fn fill(space: Space, nodes: &str, inputs: &Inputs) -> Space {
    let has_attributes = have(&["setfattr"]) && machine_root(&space, &["setfattr"]);
    let root = if has_attributes { MACHINE_ROOT } else { BUSYBOX_ROOT };
    assert!(has_attributes || busybox_root(&space));
    space.file("memobuild.kdl", format!("{root}{nodes}"));
    space.file("in/a", "input\n");
    for (name, item) in inputs {
        let path = space.workspace().join("in").join(name);
        // What comes first stands, be it a file or a link where this one wants a folder.
        let is_folder = |path: &Path| path.symlink_metadata().map_or(true, |metadata| metadata.is_dir());
        let mut above = path.ancestors().skip(1).take_while(|above| above.starts_with(space.workspace()));
        if path.symlink_metadata().is_ok() || !above.all(is_folder) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match item {
            Item::File(text, mode) => {
                fs::write(&path, text).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Item::Link(target) => symlink(target, path).unwrap(),
            Item::Folder => fs::create_dir(path).unwrap(),
        }
    }
    space
}

/// How it went, and the image where there is one.
fn build(place: Option<Place>, space: &Space) -> (Option<i32>, String) {
    let ran = run(&mut command_at(place, space, &["build", "all", "-o", "oci:image"]));
    let image = space.path().join("image");
    (ran.code, if ran.code == Some(0) { digest_of(&image) } else { ran.stderr })
}

/// `link` is where the links lead that the program begins with.
fn check(place: Option<Place>, link: &str, program: &[String], inputs: &Inputs) -> Result<(), TestCaseError> {
    let canary = canary();
    let empty = Space::new();
    let name = |text: &str| {
        text.replace("CANARY", canary.path().to_str().unwrap())
            .replace("STORE", empty.store().to_str().unwrap())
            .replace("WORKSPACE", empty.workspace().to_str().unwrap())
    };
    let nodes = name(&NODES.replace("PLACE", link).replace("PROGRAM", &program.join("\n    ")));
    let inputs: Inputs = inputs.iter().map(|(path, item)| (path.clone(), item.named(name))).collect();
    let (first, clean) = (fill(empty, &nodes, &inputs), fill(Space::new(), &nodes, &inputs));
    let witness = run(&mut command_at(place, &first, &["build", "witness"]));
    prop_assert_eq!(witness.code, Some(0), "{}", witness.stderr);
    let store = store_at(place, &first);
    let kept = ["blobs", "trees", "records", "snapshots"].map(|name| store.join(name));
    let around = [canary.path().to_owned(), first.workspace(), clean.workspace()];
    let (store_before, before) = (census_of(&kept), census_of(&around));
    let (code, told) = build(place, &first);
    let again = build(place, &clean);
    prop_assert!(matches!(code, Some(0..=2)), "{:?}: {}", code, told);
    prop_assert_eq!(code, again.0, "{}\nand again: {}", told, again.1);
    if code == Some(0) {
        prop_assert_eq!(told, again.1);
    }
    same(&before, &census_of(&around))?;
    // What was kept is as it was; more may have come.
    let mut store_after = census_of(&kept);
    store_after.retain(|path, _| store_before.contains_key(path));
    same(&store_before, &store_after)?;
    for space in [&first, &clean] {
        let verified = run(&mut command_at(place, space, &["cache", "verify"]));
        prop_assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    }
    prop_assert_eq!(work_folders(&store), Vec::<PathBuf>::new());
    Ok(())
}

fn same(before: &Census, after: &Census) -> Result<(), TestCaseError> {
    let paths = before.keys().chain(after.keys());
    let changed: Vec<_> = paths.filter(|path| before.get(*path) != after.get(*path)).collect();
    prop_assert!(changed.is_empty(), "changed: {:?}", changed);
    Ok(())
}

#[test]
fn nothing_changes_but_what_is_declared() {
    if !busybox_root(&Space::new()) {
        return;
    }
    let is_long = std::env::var_os("MEMOBUILD_LONG").is_some();
    let cases = if is_long { MANY } else { FEW };
    let places = roots_places();
    let began = Instant::now();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let story = (select(places), place(), vec(command(), 1..14), inputs());
    let told = TestRunner::new(config).run(&story, |(place, link, program, inputs)| {
        if !is_long && began.elapsed() > LONGEST {
            return Ok(());
        }
        check(place, &link, &program, &inputs)
    });
    if let Err(failure) = told {
        panic!("{failure}");
    }
}
