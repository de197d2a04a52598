//! Puts a sandbox's root together: layers, devices, mounts, and the folders its outputs go to.
//! Everything hangs in the helper's own mount namespace, so that the machine never sees it.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::mount::MountAttrFlags;

use crate::base::hidden::Hidden;
use crate::base::tree_path::TreePath;
use crate::exec::sandbox::authority::Believed;
use crate::exec::sandbox::copies::{Copied, Copies, Copying};
use crate::exec::sandbox::gift::Gift;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::moved::Moved;
use crate::exec::sandbox::overlay::Overlay;
use crate::exec::sandbox::place::Stubs;
use crate::exec::sandbox::places::{self, Placed};
use crate::exec::sandbox::spec::{Mounted, Part, Root, Spec, Trouble, WRAPPED, Walls};
use crate::exec::sandbox::workplace::{self, made_files, make_folder, open};
use crate::exec::sandbox::{agents, caches, devices, host_root, network, plain, secrets, session};
use crate::graph::op::{Access, OutputKind, Tmpfs};
use crate::tree::disk::copy::Stop;

/// A root with everything in its place.
pub(super) struct Assembled {
    /// Its top, as the commands will see it.
    pub top: OwnedFd,
    pub stubs: Stubs,
    /// What was made for the run's user, and is still root's.
    pub gifts: Vec<Gift>,
    pub copies: Copies,
    /// To be moved back when all is over.
    pub moved: Vec<Moved>,
    /// To be taken back before anything is read.
    pub believed: Believed,
}

/// `folders` are where the spec's snapshots are, `secrets` the values of its secret files. Where something is copied, `stop` is asked whether to give up.
pub(super) fn assemble(
    spec: &Spec,
    folders: &[PathBuf],
    secrets: &[Hidden],
    stop: &Stop<'_>,
) -> Result<Assembled, Trouble> {
    let copying = Copying { spec, folders, stop };
    if !spec.walls.has_namespaces() {
        return plain::assemble(&copying);
    }
    let mut copies = Copies::default();
    let (top, copy) = match spec.walls {
        Walls::Copied => show_copy(&copying, &mut copies).map(|(top, copy)| (top, Some(copy)))?,
        _ => (mount_layers(spec, folders)?, None),
    };
    let root = top.as_fd();
    let mut stubs = Stubs::default();
    if let Root::Host { folders, hidden } = &spec.root {
        host_root::mount(root, &mut stubs, &spec.store, folders, hidden)?;
    }
    stubs.folder(root, &known("proc"))?;
    devices::mount(root, &mut stubs, &spec.devices)?;
    if spec.session.as_ref().is_some_and(|session| session.terminal.is_some()) {
        session::mount_terminals(root)?;
    }
    let believed = network::mount(root, &mut stubs, spec)?;
    if !secrets.is_empty() {
        secrets::set_up(&spec.work)?;
    }
    let gifts = mount_all(root, &mut stubs, &copying, secrets, &mut copies)?;
    make_output_places(root, &mut stubs, spec)?;
    copies.root = copy.map(|copy| Copied::new(copy, Vec::new())).transpose()?;
    Ok(Assembled { top, stubs, gifts, copies, moved: Vec::new(), believed })
}

pub(super) fn make_output_places(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    spec: &Spec,
) -> Result<(), Trouble> {
    for output in &spec.outputs {
        match output.kind {
            OutputKind::Dir => stubs.folder(root, &output.path)?,
            OutputKind::File => stubs.folder(root, &output.path.parent().unwrap_or_default())?,
        };
    }
    Ok(())
}

fn mount_layers(spec: &Spec, folders: &[PathBuf]) -> Result<OwnedFd, Trouble> {
    workplace::set_up(&spec.work)?;
    let mut lowers = Vec::new();
    if !spec.has_ground() {
        lowers.push(make_ground(&workplace::ground(&spec.work), spec)?);
    }
    if let Root::Layers { stack, .. } = &spec.root {
        lowers.extend(stack.iter().map(|&number| folders[number].clone()));
    }
    let user_marks = spec.identity.has_namespace();
    let (upper, work) = (workplace::upper(&spec.work), workplace::overlay(&spec.work));
    let overlay = Overlay { lowers: &lowers, upper: &upper, work: &work, user_marks }.mount()?;
    hang(spec, overlay.as_fd())
}

/// A copy of the layers in the place of a mount; second, the copy itself, with nothing mounted in it.
fn show_copy(copying: &Copying<'_>, copies: &mut Copies) -> Result<(OwnedFd, OwnedFd), Trouble> {
    let spec = copying.spec;
    workplace::set_up(&spec.work)?;
    let copy = copying.lay_root(&[], copies)?;
    let view = mounts::view(&workplace::copied_root(&spec.work)).map_err(Trouble::at("show the root"))?;
    mounts::make_deviceless(view.as_fd())?;
    Ok((hang(spec, view.as_fd())?, copy))
}

/// Mounts the root, and opens it.
fn hang(spec: &Spec, root: BorrowedFd<'_>) -> Result<OwnedFd, Trouble> {
    let place = workplace::root(&spec.work);
    let under = open(&place).map_err(Trouble::at("open the root's place"))?;
    mounts::attach(root, under.as_fd()).map_err(Trouble::at("mount the root"))?;
    open(&place).map_err(Trouble::at("open the root"))
}

/// What lies under the lowest layer: the places that every sandbox has. Those that the root has itself lie
/// over it; and since it is no part of what the command writes, nothing has to be taken out of that.
/// `inputs.rs` has the same as a tree.
pub(super) fn make_ground(ground: &Path, spec: &Spec) -> Result<PathBuf, Trouble> {
    make_folder(ground, 0o755)?;
    for (name, mode) in [("proc", 0o755), ("dev", 0o755), ("etc", 0o755), ("tmp", 0o1777)] {
        make_folder(&ground.join(name), mode)?;
    }
    fs::write(ground.join("etc/hosts"), "").map_err(Trouble::at("make /etc/hosts"))?;
    network::lay_ground(ground, spec)?;
    Ok(ground.to_owned())
}

fn mount_all(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    copying: &Copying<'_>,
    secrets: &[Hidden],
    copies: &mut Copies,
) -> Result<Vec<Gift>, Trouble> {
    let spec = copying.spec;
    let (mut to_be_sealed, mut gifts) = (Vec::new(), Vec::new());
    for placed in places::all(spec) {
        match placed {
            Placed::Tree(number, mounted) => {
                let mount = match own_mount(copying, (number, mounted), copies)? {
                    Some(copy) => copy,
                    None => shown(spec, (number, mounted), &source(mounted, copying.folders))?,
                };
                attach_tree(root, stubs, mounted, mount.as_fd())?;
                if mounted.access == Access::Ro && has_more_below(mounted, spec) {
                    to_be_sealed.push(mount);
                }
            }
            Placed::Memory(tmpfs) => mount_memory(root, stubs, tmpfs)?,
            Placed::Cache(cache) => gifts.extend(caches::mount(root, stubs, cache)?),
            Placed::Agent(agent) => agents::mount(root, stubs, agent)?,
            Placed::Secret(number, secret) => {
                let value = &secrets[number];
                gifts.push(secrets::mount(root, stubs, &spec.work, (number, secret), value)?);
            }
        }
    }
    to_be_sealed.iter().try_for_each(|mount| mounts::make_itself_read_only(mount.as_fd()))?;
    Ok(gifts)
}

/// Of what is mounted.
pub(super) fn source(mounted: &Mounted, folders: &[PathBuf]) -> PathBuf {
    let folder = &folders[mounted.source.snapshot];
    match mounted.source.part {
        Part::All => folder.clone(),
        Part::Folder | Part::File => folder.join(WRAPPED),
    }
}

/// A copy, where nothing can be stacked and something has to be written.
fn own_mount(
    copying: &Copying<'_>,
    (number, mounted): (usize, &Mounted),
    copies: &mut Copies,
) -> Result<Option<OwnedFd>, Trouble> {
    let is_written = mounted.access == Access::Cow || has_more_below(mounted, copying.spec);
    if copying.spec.walls != Walls::Copied || mounted.source.part == Part::File || !is_written {
        return Ok(None);
    }
    let (mount, copied) = copying.mount((number, mounted), copies)?;
    if mounted.access == Access::Cow {
        copies.mounts.insert(number, copied);
    }
    Ok(Some(mount))
}

fn shown(spec: &Spec, (number, mounted): (usize, &Mounted), source: &Path) -> Result<OwnedFd, Trouble> {
    match (mounted.source.part, mounted.access) {
        (Part::File, Access::Cow) => copied(source, &copied_place(spec, number)),
        (_, Access::Ro) if !has_more_below(mounted, spec) => read_only(source),
        _ => copy_on_write(source, &own_place(spec, number), spec.identity.has_namespace()),
    }
}

fn attach_tree(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    mounted: &Mounted,
    mount: BorrowedFd<'_>,
) -> Result<(), Trouble> {
    let under = match mounted.source.part {
        Part::All | Part::Folder => stubs.folder(root, &mounted.at)?,
        Part::File => stubs.file(root, &mounted.at)?,
    };
    mounts::attach(mount, under.as_fd()).map_err(Trouble::at(format!("mount at `{}`", mounted.at)))
}

/// Whoever the run's user is may write there.
fn mount_memory(root: BorrowedFd<'_>, stubs: &mut Stubs, tmpfs: &Tmpfs) -> Result<(), Trouble> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = mounts::sized_memory("1777", tmpfs.size, attributes)?;
    let under = stubs.folder(root, &tmpfs.at)?;
    mounts::attach(mount.as_fd(), under.as_fd())
        .map_err(Trouble::at(format!("mount a tmpfs at `{}`", tmpfs.at)))
}

/// For the mount of this number, where it is a folder that can be written.
pub(super) fn own_place(spec: &Spec, number: usize) -> PathBuf {
    spec.work.join(number.to_string())
}

/// For the mount of this number, where it is a file that can be written.
pub(super) fn copied_place(spec: &Spec, number: usize) -> PathBuf {
    made_files(&spec.work).join(number.to_string())
}

/// Then something has to be made in the mount first, so that the rest can hang there.
fn has_more_below(mounted: &Mounted, spec: &Spec) -> bool {
    let is_below = |path: &TreePath| *path != mounted.at && path.starts_with(&mounted.at);
    places::all(spec).iter().any(|placed| is_below(placed.at()))
}

fn read_only(source: &Path) -> Result<OwnedFd, Trouble> {
    let view = mounts::view(source).map_err(Trouble::at("open a snapshot"))?;
    mounts::make_read_only(view.as_fd())?;
    Ok(view)
}

fn copy_on_write(source: &Path, own: &Path, user_marks: bool) -> Result<OwnedFd, Trouble> {
    let (upper, work) = (own.join("upper"), own.join("overlay"));
    make_folder(own, 0o700)?;
    make_folder(&work, 0o755)?;
    make_folder(&upper, 0o755)?;
    // The top of an overlay looks like the top of its upper folder.
    copy_owner_and_mode(source, &upper).map_err(Trouble::at("copy a folder's mode"))?;
    Overlay { lowers: &[source.to_owned()], upper: &upper, work: &work, user_marks }.mount()
}

fn copied(source: &Path, own: &Path) -> Result<OwnedFd, Trouble> {
    let copy = || {
        fs::copy(source, own)?;
        copy_owner_and_mode(source, own)?;
        let modified = fs::metadata(source)?.modified()?;
        fs::File::open(own)?.set_modified(modified)?;
        Ok(mounts::view(own)?)
    };
    copy().map_err(Trouble::at::<std::io::Error>("copy a file that is mounted"))
}

fn copy_owner_and_mode(source: &Path, target: &Path) -> std::io::Result<()> {
    let (wanted, found) = (fs::metadata(source)?, fs::metadata(target)?);
    if (wanted.uid(), wanted.gid()) != (found.uid(), found.gid()) {
        chown(target, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    fs::set_permissions(target, wanted.permissions())
}

/// A path that this program itself names.
pub(super) fn known(path: &str) -> TreePath {
    TreePath::parse(path).expect("bug: a plain path")
}
