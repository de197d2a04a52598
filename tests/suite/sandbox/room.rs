//! A store of a test's own, and runs in it.

use crate::skipped::skipped;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use memobuild::base::cancel::Cancel;
use memobuild::base::tree_path::TreePath;
use memobuild::exec::executor::{ExecError, Failure, Listener, Made, Stream};
use memobuild::exec::identity::Identity;
use memobuild::exec::lender::Lender;
use memobuild::exec::log;
use memobuild::exec::probe::{self, Granted, Isolation, Rung};
use memobuild::exec::run::{Here, run};
use memobuild::exec::zygote::Zygote;
use memobuild::graph::action::ActionInput;
use memobuild::graph::op::{Access, Command, From, Mount, Output, OutputKind, Run, free_output};
use memobuild::graph::value::{Machine, Value};
use memobuild::net::network::Network;
use memobuild::oci::image::{Layer, Platform, Rootfs};
use memobuild::oci::supply::Supply;
use memobuild::store::memo::Memo;
use memobuild::tree::encode;
use memobuild::tree::flatten::flatten;
use memobuild::tree::tree::{Content, Directory, Entry, Metadata};

/// Names to contents, for trees that tests write down.
pub(crate) enum Item {
    File(&'static str),
    Program(Vec<u8>),
    Link(&'static str),
    Folder(Vec<(&'static str, Item)>),
}

pub(crate) struct Room {
    pub(crate) memo: Memo,
    pub(crate) isolation: Isolation,
    /// Nothing, as a rule.
    pub(crate) lender: Lender,
    /// Where its runs get, if they are let out.
    pub(crate) network: Network,
    _folder: Option<tempfile::TempDir>,
}

/// What one run did, with all that it wrote.
pub(crate) struct Outcome {
    pub(crate) result: Result<Made, ExecError>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[derive(Default)]
struct Ears {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Listener for Ears {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
    }
}

/// The program with the sandbox in it; a test's own program is another one.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_memobuild"))
}

/// A room on each rung that holds here. Skips aloud where there is none.
pub(crate) fn rooms() -> Vec<Room> {
    static HOLDING: OnceLock<Vec<Granted>> = OnceLock::new();
    let holding = HOLDING.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let memo = Memo::open(folder.path()).unwrap();
        let mut holding = probe::every(&memo, &program()).unwrap();
        // Root has copies with all ids, and others those with one.
        let one_id = holding.iter().find(|granted| granted.rung == Rung::C).cloned();
        let copies = holding.iter().position(|granted| granted.rung == Rung::D);
        if let (Some(Granted { identity, .. }), Some(place)) = (one_id, copies)
            && holding[place].identity != identity
        {
            holding.insert(place + 1, Granted { rung: Rung::D, identity });
        }
        holding
    });
    if holding.is_empty() {
        skipped("no isolation rung holds on this machine");
    }
    holding.iter().map(Room::new).collect()
}

/// Those of them that have namespaces, and so processes, a network and this machine's programs of their own.
pub(crate) fn rooms_with_namespaces() -> Vec<Room> {
    rooms().into_iter().filter(Room::has_namespaces).collect()
}

impl Room {
    fn new(granted: &Granted) -> Room {
        let folder = tempfile::tempdir().unwrap();
        let memo = Memo::open(folder.path()).unwrap();
        Room {
            memo,
            isolation: Room::isolation(granted),
            lender: Lender::default(),
            network: Network::default(),
            _folder: Some(folder),
        }
    }

    /// The same room, with another way out.
    pub(crate) fn reaching(self, network: &Network) -> Room {
        Room { network: network.clone(), ..self }
    }

    /// The same room with another store, which stays.
    pub(crate) fn at(&self, folder: &Path) -> Room {
        let isolation = Room::isolation(self.isolation.granted.as_ref().unwrap());
        Room {
            memo: Memo::open(folder).unwrap(),
            isolation,
            lender: Lender::default(),
            network: self.network.clone(),
            _folder: None,
        }
    }

    fn isolation(granted: &Granted) -> Isolation {
        Isolation::new(Some(granted.clone()), Vec::new(), Arc::new(Zygote::new(program())))
    }

    pub(crate) fn rung(&self) -> &'static str {
        self.isolation.granted.as_ref().unwrap().rung.name()
    }

    /// What the lowest rungs lack.
    pub(crate) fn has_namespaces(&self) -> bool {
        !matches!(self.rung(), "E" | "F")
    }

    /// Whether nobody but root is there, and all others are remembered.
    pub(crate) fn has_one_id(&self) -> bool {
        matches!(self.isolation.granted.as_ref().unwrap().identity, Identity::Single { .. })
    }

    pub(crate) fn tree(&self, items: Vec<(&'static str, Item)>) -> Entry {
        let mut directory = Directory::default();
        for (name, item) in items {
            directory.entries.insert(name.as_bytes().to_vec(), self.entry(item));
        }
        Entry::directory(encode::save(&self.memo, &directory).unwrap())
    }

    pub(crate) fn entry(&self, item: Item) -> Entry {
        let file =
            |bytes: &[u8], mode| Entry::file(self.memo.write_blob(bytes).unwrap(), bytes.len() as u64, mode);
        match item {
            Item::File(text) => file(text.as_bytes(), 0o644),
            Item::Program(bytes) => file(&bytes, 0o755),
            Item::Link(target) => Entry {
                metadata: Metadata::plain(0o777),
                content: Content::Symlink { target: target.as_bytes().to_vec() },
            },
            Item::Folder(items) => self.tree(items),
        }
    }

    /// A root filesystem with busybox as every usual program. `None`, aloud, where there is no static busybox.
    pub(crate) fn busybox(&self) -> Option<Rootfs> {
        let Ok(bytes) = std::fs::read("/bin/busybox") else {
            skipped("there is no /bin/busybox");
            return None;
        };
        let applets = [
            "sh", "true", "false", "cat", "ls", "echo", "stat", "touch", "mkdir", "rm", "mv", "ln", "id",
            "env", "pwd", "sleep", "kill", "ps", "hostname", "chmod", "chown", "cp", "find", "date",
            "readlink", "mknod", "mount", "head", "tail", "grep", "test", "setsid", "nc", "ping", "wget",
            "dd", "umask", "seq", "ip", "wc", "sort",
        ];
        let mut programs = vec![("busybox", Item::Program(bytes))];
        programs.extend(applets.map(|name| (name, Item::Link("busybox"))));
        let accounts = "root:x:0:0:root:/root:/bin/sh\nbob:x:7:8:Bob:/home/bob:/bin/sh\n";
        let tree = self.tree(vec![
            ("bin", Item::Folder(programs)),
            ("etc", Item::Folder(vec![("passwd", Item::File(accounts))])),
            ("data", Item::Folder(vec![("old", Item::File("old\n")), ("gone", Item::File("gone\n"))])),
        ]);
        let Content::Directory { tree, .. } = tree.content else { unreachable!() };
        Some(Rootfs { layers: vec![Layer::Made(tree)], ..Rootfs::default() })
    }

    pub(crate) fn run(&self, run_: &Run, inputs: &[ActionInput]) -> Outcome {
        self.run_until(run_, inputs, &Cancel::default())
    }

    pub(crate) fn run_until(&self, run_: &Run, inputs: &[ActionInput], cancel: &Cancel) -> Outcome {
        let mut ears = Ears::default();
        let mut result = run(
            &Supply::new(&self.memo, &self.network, cancel),
            run_,
            inputs,
            Here {
                node: "run",
                isolation: &self.isolation,
                emulator: None,
                workspace: Path::new("/workspace"),
                platform: &Platform::current(),
                lender: &self.lender,
            },
            cancel,
            &mut ears,
        );
        if let Ok(made) = &mut result {
            self.derive(made, inputs);
        }
        Outcome {
            result,
            stdout: String::from_utf8_lossy(&ears.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ears.stderr).into_owned(),
        }
    }

    /// What follows from a change and the root it was made on.
    fn derive(&self, made: &mut Made, inputs: &[ActionInput]) {
        let Some(Value::Tree(change)) = made.outputs.get(free_output::CHANGE) else { return };
        let change = change.tree().unwrap();
        let mut rootfs = inputs[0].value.rootfs().unwrap().clone();
        if !encode::load(&self.memo, change).unwrap().entries.is_empty() {
            rootfs.layers.push(Layer::Made(change));
        }
        let layers =
            Supply::new(&self.memo, &Network::default(), &Cancel::default()).trees(&rootfs.layers).unwrap();
        let flat = |layers: &[_]| Value::Tree(Entry::directory(flatten(&self.memo, layers).unwrap()));
        let derived = [
            (free_output::TREE, flat(&layers)),
            (free_output::DIFF, flat(&[change])),
            (free_output::ROOTFS, Value::Rootfs(Box::new(rootfs))),
        ];
        made.outputs.extend(derived.map(|(name, value)| (name.to_owned(), value)));
    }

    /// Runs a script on a busybox root; `None` where there is none.
    pub(crate) fn script(&self, script: &str) -> Option<Outcome> {
        let rootfs = self.busybox()?;
        Some(self.run(&on_input(script), &[rootfs_input(rootfs)]))
    }

    /// Path to content, or a note of what else it is, of everything in a tree.
    pub(crate) fn listing(&self, entry: &Entry) -> BTreeMap<String, String> {
        let mut listing = BTreeMap::new();
        self.list(entry, &TreePath::root(), &mut listing);
        listing
    }

    fn list(&self, entry: &Entry, at: &TreePath, listing: &mut BTreeMap<String, String>) {
        let shown = match &entry.content {
            Content::Directory { tree, .. } => {
                for (name, entry) in encode::load(&self.memo, *tree).unwrap().entries {
                    self.list(&entry, &at.join(&name), listing);
                }
                "dir".to_owned()
            }
            Content::File { blob, .. } => {
                let bytes = self.memo.read(memobuild::store::object::Object::Blob(*blob)).unwrap();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Content::Symlink { target } => format!("-> {}", String::from_utf8_lossy(target)),
            other => format!("{other:?}"),
        };
        listing.insert(at.to_string(), shown);
    }

    /// What runs that are over have left in their folders. A folder that the next run will have holds nothing but
    /// three empty ones; those of writers have none of these.
    pub(crate) fn left_of_runs(&self) -> Vec<PathBuf> {
        let list = |folder: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let mut left = Vec::new();
        for folder in list(&self.memo.folder().join("work")) {
            let places = ["upper", "overlay", "memory"].map(|name| folder.join(name));
            if places[0].exists() {
                left.extend(list(&folder).into_iter().filter(|path| !places.contains(path)));
                left.extend(places.iter().flat_map(|place| list(place)));
            }
        }
        left
    }
}

impl Outcome {
    pub(crate) fn made(&self) -> &Made {
        match &self.result {
            Ok(made) => made,
            Err(error) => panic!("{error:?}\nstdout: {}\nstderr: {}", self.stdout, self.stderr),
        }
    }

    pub(crate) fn failure(&self) -> &Failure {
        match &self.result {
            Err(ExecError::Failed(failure)) => failure,
            other => panic!("{other:?}\nstdout: {}\nstderr: {}", self.stdout, self.stderr),
        }
    }

    pub(crate) fn error(&self) -> String {
        self.result.as_ref().map(|_| ()).unwrap_err().to_string()
    }

    pub(crate) fn output(&self, name: &str) -> &Entry {
        match &self.made().outputs[name] {
            Value::Tree(entry) => entry,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

/// A run of a script on its first input.
pub(crate) fn on_input(script: &str) -> Run {
    on(From::Input(0), vec![Command::Sh(script.to_owned())])
}

pub(crate) fn on_host(script: &str) -> Run {
    on(From::Host(0), vec![Command::Sh(script.to_owned())])
}

pub(crate) fn on(from: From, commands: Vec<Command>) -> Run {
    Run { from, inherit: true, commands, ..Run::default() }
}

pub(crate) fn input(slot: &str, value: Value) -> ActionInput {
    ActionInput { slot: slot.to_owned(), value }
}

pub(crate) fn rootfs_input(rootfs: Rootfs) -> ActionInput {
    input("from", Value::Rootfs(Box::new(rootfs)))
}

pub(crate) fn host_input() -> ActionInput {
    input("from", Value::Host(Machine { fingerprint: "test".to_owned(), ..Machine::default() }))
}

pub(crate) fn mount(input: usize, at: &str, access: Access) -> Mount {
    Mount { input, at: path(at), access, older_than: None }
}

pub(crate) fn output(name: &str, at: &str, kind: OutputKind) -> Output {
    Output { name: name.to_owned(), path: path(at), kind, optional: false, include: Vec::new(), locked: None }
}

/// All that a log holds, streams mixed.
pub(crate) fn log_text(memo: &Memo, log: memobuild::base::digest::BlobDigest) -> String {
    let mut text = Vec::new();
    log::read(memo.open_blob(log).unwrap(), |chunk| {
        text.extend_from_slice(&chunk.bytes);
        Ok(())
    })
    .unwrap();
    String::from_utf8_lossy(&text).into_owned()
}
