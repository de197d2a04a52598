//! Random edits to random graphs: what an incremental build exports equals what a clean one does, with any
//! number of jobs. `MEMOBUILD_LONG=1` tries many more.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::space::{BUSYBOX_ROOT, Space, busybox_root};

const FEW: u32 = 12;
const MANY: u32 = 500;
/// No further case begins after it, where few are asked for.
const LONGEST: Duration = Duration::from_secs(15);

/// Deterministic, and often the same for different inputs, so that builds are cut off early.
const SCRIPTS: [&str; 6] = [
    "cat $(busybox find /in -type f | busybox sort) > /made/all",
    "cat $(busybox find /in -type f | busybox sort) | grep -v '^#' > /made/all || true",
    "busybox find /in -type f | busybox wc -l > /made/count",
    "cp -r /in/. /made/; busybox find /made -type f -name '*1' -exec busybox rm {} +",
    "if grep -rq '#' /in; then echo yes; else echo no; fi > /made/answer; ls -R /in > /listing",
    "busybox find /in -type f -perm -100 | busybox sort > /made/programs; busybox rm -rf /root-file; mkdir -p /kept; busybox date +%Y > /dev/null; echo $FROM >> /kept/log",
];

#[derive(Debug, Clone)]
enum Node {
    Tree {
        sources: Vec<usize>,
    },
    /// On the root, or on an earlier run.
    Run {
        on: usize,
        sources: Vec<usize>,
        script: usize,
        read_only: bool,
    },
}

#[derive(Debug, Clone)]
struct World {
    nodes: Vec<Node>,
    /// Content and whether it is executable.
    files: BTreeMap<String, (String, bool)>,
}

#[derive(Debug, Clone)]
enum Edit {
    Write(String, String),
    Remove(String),
    Rename(String, String),
    Executable(String),
    Script(usize, usize),
    Swap(usize, Node),
}

fn name() -> impl Strategy<Value = String> {
    (0..3usize, 0..3usize).prop_map(|(folder, file)| format!("d{folder}/f{file}"))
}

fn content() -> impl Strategy<Value = String> {
    vec(prop_oneof!["# note [ab]\n", "line [abc]\n", Just(String::new())], 0..4)
        .prop_map(|lines| lines.concat())
}

fn node() -> impl Strategy<Value = Node> {
    let sources = || vec(0..16usize, 1..4);
    prop_oneof![
        sources().prop_map(|sources| Node::Tree { sources }),
        (0..16usize, sources(), 0..SCRIPTS.len(), any::<bool>())
            .prop_map(|(on, sources, script, read_only)| Node::Run { on, sources, script, read_only }),
        (0..16usize, sources(), 0..SCRIPTS.len(), any::<bool>())
            .prop_map(|(on, sources, script, read_only)| Node::Run { on, sources, script, read_only }),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let files = proptest::collection::btree_map(name(), (content(), any::<bool>()), 1..7);
    (vec(node(), 2..6), files).prop_map(|(nodes, files)| World { nodes, files })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (name(), content()).prop_map(|(name, content)| Edit::Write(name, content)),
        1 => name().prop_map(Edit::Remove),
        1 => (name(), name()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => name().prop_map(Edit::Executable),
        1 => (0..16usize, 0..SCRIPTS.len()).prop_map(|(node, script)| Edit::Script(node, script)),
        1 => (0..16usize, node()).prop_map(|(at, node)| Edit::Swap(at, node)),
    ]
}

impl World {
    fn edit(&mut self, edit: &Edit) {
        let count = self.nodes.len();
        match edit.clone() {
            Edit::Write(name, content) => {
                self.files.entry(name).or_default().0 = content;
            }
            Edit::Remove(name) => {
                self.files.remove(&name);
            }
            Edit::Rename(from, to) => {
                if let Some(file) = self.files.remove(&from) {
                    self.files.insert(to, file);
                }
            }
            Edit::Executable(name) => {
                self.files.entry(name).and_modify(|file| file.1 = !file.1);
            }
            Edit::Script(at, new) => {
                if let Node::Run { script, .. } = &mut self.nodes[at % count] {
                    *script = new;
                }
            }
            Edit::Swap(at, node) => self.nodes[at % count] = node,
        }
    }

    /// A reference to a folder of files, or to what an earlier node made.
    fn source(&self, number: usize, before: usize) -> String {
        match number % (before + 3) {
            folder @ 0..3 => format!("d{folder}"),
            earlier => match self.nodes[earlier - 3] {
                Node::Tree { .. } => format!("n{}", earlier - 3),
                Node::Run { .. } => format!("n{}.made", earlier - 3),
            },
        }
    }

    fn root(&self, number: usize, before: usize) -> String {
        let runs = |number: &usize| matches!(self.nodes[*number], Node::Run { .. });
        let mut roots: Vec<_> = (0..before).filter(runs).map(|number| format!("n{number}")).collect();
        roots.push("root".to_owned());
        roots.swap_remove(number % roots.len())
    }

    fn text(&self) -> String {
        let mut text = BUSYBOX_ROOT.to_owned();
        for folder in 0..3 {
            text += &format!("files d{folder} root=\"d{folder}\" {{ exclude \".keep\"; }}\n");
        }
        let mut image = "image all {\n    from ROOT\n    compress none\n".to_owned();
        let mut last = "root".to_owned();
        for (number, node) in self.nodes.iter().enumerate() {
            match node {
                Node::Tree { sources } => {
                    text += &format!("tree n{number} {{\n");
                    for (at, source) in sources.iter().enumerate() {
                        text += &format!("    copy {} to=\"/part{at}\"\n", self.source(*source, number));
                    }
                    image += &format!("    copy n{number} to=\"/n{number}\"\n");
                }
                Node::Run { on, sources, script, read_only } => {
                    text += &format!("run n{number} {{\n    from {}\n", self.root(*on, number));
                    for (at, source) in sources.iter().enumerate() {
                        let access = if *read_only { "ro" } else { "cow" };
                        let source = self.source(*source, number);
                        text += &format!("    mount {source} at=\"/in/part{at}\" access={access}\n");
                    }
                    text += &format!("    env FROM=\"n{number}\"\n    sh #\"{}\"#\n", SCRIPTS[*script]);
                    text += "    output made \"/made\"\n";
                    image += &format!("    copy n{number}.made to=\"/n{number}\"\n");
                    last = format!("n{number}");
                }
            }
            text += "}\n";
        }
        text + &image.replace("ROOT", &last) + "}\n"
    }

    /// Only what differs is written, as an editor would.
    fn write(&self, space: &Space, before: Option<&World>) {
        for folder in 0..3 {
            space.file(&format!("d{folder}/.keep"), "");
        }
        for name in before.into_iter().flat_map(|before| before.files.keys()) {
            if !self.files.contains_key(name) {
                fs::remove_file(space.workspace().join(name)).unwrap();
            }
        }
        for (name, file) in &self.files {
            if before.is_none_or(|before| before.files.get(name) != Some(file)) {
                let path = space.file(name, &file.0);
                let mode = if file.1 { 0o755 } else { 0o644 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        space.file("memobuild.kdl", self.text());
    }
}

fn export(space: &Space, jobs: u32) -> String {
    space.ok(&["build", "-o", "oci:image", "--jobs", &jobs.to_string()]);
    fs::read_to_string(space.path().join("image/index.json")).unwrap()
}

#[test]
fn incremental_images_equal_clean_ones() {
    if !busybox_root(&Space::new()) {
        return;
    }
    let is_long = std::env::var_os("MEMOBUILD_LONG").is_some();
    let cases = if is_long { MANY } else { FEW };
    let began = Instant::now();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let story = (world(), vec((vec(edit(), 1..3), 1..9u32), 2..4));
    let told = TestRunner::new(config).run(&story, |(mut world, edits)| {
        if !is_long && began.elapsed() > LONGEST {
            return Ok(());
        }
        let space = Space::new();
        busybox_root(&space);
        world.write(&space, None);
        export(&space, 8);
        for (edits, jobs) in &edits {
            let before = world.clone();
            edits.iter().for_each(|edit| world.edit(edit));
            world.write(&space, Some(&before));
            let clean = Space::new();
            busybox_root(&clean);
            world.write(&clean, None);
            prop_assert_eq!(export(&space, *jobs), export(&clean, 9 - jobs), "{}", world.text());
        }
        Ok(())
    });
    if let Err(failure) = told {
        panic!("{failure}");
    }
}
