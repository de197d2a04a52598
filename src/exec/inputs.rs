//! A run's trees: what is stacked and what is mounted, made into folders as far as this process can, each showing
//! the time that its place calls for.

use std::fs;
use std::path::Path;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::exec::caches::{Claims, Shown, Sight};
use crate::exec::executor::ExecError;
use crate::exec::prepare::{check_place, wrong_type};
use crate::exec::sandbox::network::WHERE_MISSING;
use crate::exec::sandbox::spec::{MOST_LOWERS, Mounted, Part, Snapshot, Source, WRAPPED};
use crate::graph::action::ActionInput;
use crate::graph::op::{From, Mount, Network, Run};
use crate::graph::value::Value;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::disk::snapshot::{Age, SnapshotForm, snapshot};
use crate::tree::edit;
use crate::tree::encode;
use crate::tree::flatten;
use crate::tree::overlay::Layers;
use crate::tree::size::size;
use crate::tree::tree::{Content, Directory, Entry, Metadata};

/// What a run is given, before anything is made of it.
pub(crate) struct Inputs<'a> {
    memo: &'a Memo,
    /// Of the root, lowest first.
    layers: &'a [TreeDigest],
    /// What lies under them, where the sandbox makes nothing for that itself.
    ground: Option<TreeDigest>,
    /// What the root is, where it is the machine's own programs.
    machine: Option<&'a str>,
    /// Sorted by where they are mounted.
    mounts: Vec<Wanted<'a>>,
}

struct Wanted<'a> {
    mount: &'a Mount,
    tree: TreeDigest,
    part: Part,
    slot: usize,
}

/// What the sandbox is told of it.
pub(crate) struct Made {
    pub snapshots: Vec<Snapshot>,
    /// Numbers of snapshots, lowest first.
    pub stack: Vec<usize>,
    pub mounts: Vec<Mounted>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn of(
        memo: &'a Memo,
        run: &'a Run,
        inputs: &'a [ActionInput],
        layers: &'a [TreeDigest],
    ) -> Result<Inputs<'a>, ExecError> {
        let machine = match run.from {
            From::Host(index) => match &inputs[index].value {
                Value::Host(machine) => Some(machine.fingerprint.as_str()),
                _ => None,
            },
            _ => None,
        };
        let mut sorted: Vec<&Mount> = run.mounts.iter().collect();
        sorted.sort_by(|one, other| one.at.cmp(&other.at));
        let wanted = |mount: &'a Mount| {
            check_place(&mount.at)?;
            let (tree, part) = tree_of(memo, &inputs[mount.input])?;
            Ok(Wanted { mount, tree, part, slot: slot_of_mount(mount, &run.mounts, layers.len()) })
        };
        let mounts = sorted.into_iter().map(wanted).collect::<Result<_, ExecError>>()?;
        Ok(Inputs { memo, layers, ground: None, machine, mounts })
    }

    /// With the places that every sandbox has in a layer of their own, under all others: where that is on the same
    /// filesystem, the numbers of inodes hold in the whole root.
    pub(crate) fn grounded(self, network: Network) -> Result<Inputs<'a>, ExecError> {
        Ok(Inputs { ground: Some(ground(self.memo, network)?), ..self })
    }

    /// As folders; those that only the sandbox can make are told to it. What the run's caches have not seen yet
    /// shows that it is new.
    pub(crate) fn make(
        &self,
        form: Option<&SnapshotForm>,
        claims: &mut Claims,
        cancel: &Cancel,
    ) -> Result<Made, ExecError> {
        let root = Layers::new(self.memo, self.layers.iter().copied());
        // Who cannot tell says yes, which costs no more than time.
        let root_has = |place: &str| {
            let Ok(path) = TreePath::parse(place) else { return true };
            self.machine.is_some() || !matches!(root.find(&path), Ok(None))
        };
        let shown = claims.show(&self.sights(), &root_has, cancel)?;
        let mut making = Making { memo: self.memo, form, cancel, shown, made: Vec::new() };
        let stack = self.stack(&mut making)?;
        let mut mounts = Vec::with_capacity(self.mounts.len());
        for Wanted { mount, tree, part, slot } in &self.mounts {
            let snapshot = making.make(*tree, &mount.at.to_string(), *slot)?;
            let source = Source { snapshot, part: *part };
            mounts.push(Mounted { at: mount.at.clone(), source, access: mount.access });
        }
        Ok(Made { snapshots: making.made, stack, mounts })
    }

    /// What the run's caches get to see.
    fn sights(&self) -> Vec<Sight> {
        let sight =
            |place: String, slot: usize, content: String| Sight { place, slot: number(slot), content };
        let machine = self.machine.map(|machine| sight("machine".to_owned(), 0, machine.to_owned()));
        let layers = self.layers.iter().zip(1..);
        let layers = layers.map(|(tree, number)| sight(layer(number), slot_of_layer(number), tree.to_hex()));
        let mounts = self.mounts.iter().map(|wanted| {
            let part = match wanted.part {
                Part::All => "",
                Part::Folder | Part::File => WRAPPED,
            };
            sight(wanted.mount.at.to_string(), wanted.slot, format!("{}{part}", wanted.tree.to_hex()))
        });
        machine.into_iter().chain(layers).chain(mounts).collect()
    }

    /// Each layer shows a later time than the one below it. Where there are too many to be stacked, the
    /// lowest ones become one, with the time of the highest of them.
    fn stack(&self, making: &mut Making<'_>) -> Result<Vec<usize>, ExecError> {
        let merged = match self.layers.len().checked_sub(MOST_LOWERS) {
            None | Some(0) => 0,
            Some(surplus) => surplus + 1,
        };
        let mut stack = Vec::with_capacity(self.layers.len() - merged + 2);
        if let Some(ground) = self.ground {
            stack.push(making.make_layer(ground, 0)?);
        }
        if merged > 0 {
            let tree = flatten::flatten(self.memo, &self.layers[..merged])?;
            stack.push(making.make_layer(tree, merged)?);
        }
        for (number, &tree) in self.layers.iter().enumerate().skip(merged) {
            stack.push(making.make_layer(tree, number + 1)?);
        }
        Ok(stack)
    }
}

/// `sandbox/root.rs` has the same as a folder.
fn ground(memo: &Memo, network: Network) -> Result<TreeDigest, ExecError> {
    let nothing = Entry::directory(encode::save(memo, &Directory::default())?);
    let tmp = Entry { metadata: Metadata::plain(0o1777), ..nothing.clone() };
    let places = [("dev", nothing.clone()), ("proc", nothing), ("tmp", tmp)];
    let entries = places.map(|(name, entry)| (name.as_bytes().to_vec(), entry)).into();
    let mut trees = vec![encode::save(memo, &Directory { entries })?];
    let mut files = vec![("etc/hosts", Vec::new())];
    if network != Network::None {
        let of_machine = |path: &'static str| Some((path, fs::read(Path::new("/").join(path)).ok()?));
        files.extend(WHERE_MISSING.into_iter().filter_map(of_machine));
    }
    for (path, content) in files {
        let file = Entry::file(memo.write_blob(&content)?, content.len() as u64, 0o644);
        let path = TreePath::parse(path).expect("bug: a plain path");
        let parents = |_: &TreePath| Ok::<_, StoreError>(Metadata::plain(0o755));
        trees.push(edit::wrap(memo, &path, file, parents)?);
    }
    Ok(edit::merge(memo, &trees)?)
}

/// Bytes of file content in a layer that is not made again for another time.
const LARGE: u64 = 64 << 20;

struct Making<'a> {
    memo: &'a Memo,
    /// `None`: they must be made inside the sandbox's user namespace.
    form: Option<&'a SnapshotForm>,
    cancel: &'a Cancel,
    shown: Shown,
    made: Vec<Snapshot>,
}

impl Making<'_> {
    /// Its number among those that are made. Large layers are never made again for another time: all that lies on
    /// them shows it.
    fn make_layer(&mut self, tree: TreeDigest, number: usize) -> Result<usize, ExecError> {
        let (place, slot) = (layer(number), slot_of_layer(number));
        let is_real = matches!(self.shown.age(&place, 0), Age::Since(_));
        if is_real && size(self.memo, &Entry::directory(tree))? > LARGE {
            return self.make_of_age(tree, Age::Slot(self::number(slot)));
        }
        self.make(tree, &place, slot)
    }

    fn make(&mut self, tree: TreeDigest, place: &str, slot: usize) -> Result<usize, ExecError> {
        self.make_of_age(tree, self.shown.age(place, number(slot)))
    }

    fn make_of_age(&mut self, tree: TreeDigest, age: Age) -> Result<usize, ExecError> {
        self.made.push(match self.form {
            Some(form) => Snapshot::At(snapshot(self.memo, tree, age, form, self.cancel)?),
            None => Snapshot::ToBeMade { tree, age },
        });
        Ok(self.made.len() - 1)
    }
}

fn tree_of(memo: &Memo, input: &ActionInput) -> Result<(TreeDigest, Part), ExecError> {
    let Value::Tree(entry) = &input.value else { return Err(wrong_type(input, "a tree")) };
    Ok(match &entry.content {
        Content::Directory { tree, .. } if entry.metadata == Metadata::plain(0o755) => (*tree, Part::All),
        Content::Directory { .. } => (wrap(memo, entry)?, Part::Folder),
        Content::File { .. } => (wrap(memo, entry)?, Part::File),
        _ => {
            return Err(ExecError::Input {
                message: format!("`{}` is neither a directory nor a regular file", input.slot),
                help: "mount the directory that holds it".to_owned(),
            });
        }
    })
}

/// A snapshot is a directory's content: what has a mode of its own, or is a file, needs one around it.
fn wrap(memo: &Memo, entry: &Entry) -> Result<TreeDigest, ExecError> {
    let around = Directory { entries: [(WRAPPED.into(), entry.clone())].into() };
    Ok(encode::save(memo, &around)?)
}

/// What the caches call it.
fn layer(number: usize) -> String {
    format!("layer {number}")
}

/// The number of a layer counts from 1 at the bottom. Between two layers there is a slot for what runs made.
fn slot_of_layer(number: usize) -> usize {
    2 * number
}

/// A mount is newer than the root, and than a mount that it lies in; but what runs made, to be kept up to
/// date with sources, is older than any of these.
fn slot_of_mount(mount: &Mount, mounts: &[Mount], layers: usize) -> usize {
    if let Some(newer) = mount.older_than {
        return slot_of_layer(layers.saturating_sub(newer)) + 1;
    }
    let is_above = |path: &TreePath| *path != mount.at && mount.at.starts_with(path);
    slot_of_layer(layers + 1 + mounts.iter().filter(|other| is_above(&other.at)).count())
}

fn number(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}
