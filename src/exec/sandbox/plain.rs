//! A root without a single mount: everything in it is a copy, read-only mounts too, whatever is written there being
//! thrown away. Of `/proc` and of a tmpfs there is the folder; devices are made where the machine allows it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, fchmod, fchown, futimens, openat, unlinkat,
};
use rustix::io::Errno;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::authority::Believed;
use crate::exec::sandbox::copies::{Copied, Copies, Copying};
use crate::exec::sandbox::place::{Stubs, open_inside};
use crate::exec::sandbox::places::{self, Placed};
use crate::exec::sandbox::root::{Assembled, known, make_output_places, source};
use crate::exec::sandbox::spec::{Mounted, Part, Spec, Trouble, Walls};
use crate::exec::sandbox::{devices, moved, network, workplace};
use crate::graph::op::Access;

pub(super) fn assemble(copying: &Copying<'_>) -> Result<Assembled, Trouble> {
    let spec = copying.spec;
    workplace::set_up_without_mounts(&spec.work)?;
    let mut copies = Copies::default();
    let mut left_out = own_places(spec);
    let top = copying.lay_root(&left_out, &mut copies)?;
    let root = top.as_fd();
    let mut stubs = Stubs::default();
    if spec.walls == Walls::Chrooted {
        stubs.folder(root, &known("proc"))?;
        devices::make(root, &mut stubs)?;
        left_out.extend(put_names(root, &mut stubs, spec)?);
    }
    let (mut moved, mut gifts) = (Vec::new(), Vec::new());
    for placed in places::all(spec) {
        match placed {
            Placed::Tree(number, mounted) => {
                put_tree(root, &mut stubs, (number, mounted), copying, &mut copies)?;
            }
            Placed::Memory(tmpfs) => put_memory(root, &mut stubs, &tmpfs.at)?,
            Placed::Cache(cache) => {
                let (one, gift) = moved::move_in(root, &mut stubs, cache)?;
                moved.push(one);
                gifts.extend(gift);
            }
            Placed::Secret(..) | Placed::Agent(_) => unreachable!("bug: refused before"),
        }
    }
    make_output_places(root, &mut stubs, spec)?;
    let again = top.try_clone().map_err(Trouble::at("open the root"))?;
    copies.root = Some(Copied::new(again, left_out)?);
    Ok(Assembled { top, stubs, gifts, copies, moved, believed: Believed::default() })
}

/// What takes a namespace. It says so instead of doing without.
pub(super) fn refuse(spec: &Spec) -> Result<(), Trouble> {
    let lacking = |what: &str, help: &str| {
        let message = format!("{what}, which takes a sandbox with namespaces, and this machine gives none");
        Err(Trouble::Environment { message, help: Some(help.to_owned()) })
    };
    if spec.emulator.is_some() {
        return lacking(
            "a command of another processor needs an emulator of its own",
            "register qemu-user-static for the whole machine (systemd-binfmt)",
        );
    }
    let used = [
        ("the command uses the network behind the build's own proxy", spec.network.has_proxy()),
        ("somebody is to sit in the sandbox", spec.session.is_some()),
        ("the run is `privileged`", spec.privileged),
        ("the run has a device", !spec.devices.is_empty()),
        ("something is mounted in a cache, or the cache at another place too", has_nested_caches(spec)),
        ("a `secret` is a file that lies on no disk", !spec.lent.secret_files.is_empty()),
        ("the run has an ssh agent", !spec.lent.agents.is_empty()),
        ("the test has services", !spec.services.is_empty()),
    ];
    match used.iter().find(|(_, is_used)| *is_used) {
        Some((what, _)) => lacking(what, "`memobuild doctor` tells how to get there"),
        None => Ok(()),
    }
}

/// Caches are moved, so that each can be in one place only, and all that is in it stays in it.
fn has_nested_caches(spec: &Spec) -> bool {
    let caches = &spec.lent.caches;
    let placed = places::all(spec);
    caches.iter().enumerate().any(|(number, cache)| {
        let is_twice = caches[..number].iter().any(|other| other.folder == cache.folder);
        is_twice || placed.iter().any(|it| *it.at() != cache.at && it.at().starts_with(&cache.at))
    })
}

/// Where something lies that is no part of the root, and what the root has there is not seen.
fn own_places(spec: &Spec) -> Vec<TreePath> {
    let placed = places::all(spec).into_iter().map(|placed| placed.at().clone());
    placed.chain([known("dev"), known("proc")]).collect()
}

/// The files of `/etc` that name machines: those that were put there.
fn put_names(root: BorrowedFd<'_>, stubs: &mut Stubs, spec: &Spec) -> Result<Vec<TreePath>, Trouble> {
    let mut put = Vec::new();
    for (path, content) in network::files(root, spec)? {
        match stubs.file(root, &path) {
            Ok(_) => {}
            // The root has a link there: its choice stands.
            Err(Trouble::Input { .. }) => continue,
            Err(trouble) => return Err(trouble),
        }
        let mut file = make_anew(root, &path)?;
        io::Write::write_all(&mut file, &content).map_err(Trouble::at(format!("write /{path}")))?;
        put.push(path);
    }
    Ok(put)
}

fn put_tree(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    (number, mounted): (usize, &Mounted),
    copying: &Copying<'_>,
    copies: &mut Copies,
) -> Result<(), Trouble> {
    if mounted.source.part == Part::File {
        stubs.file(root, &mounted.at)?;
        let file = make_anew(root, &mounted.at)?;
        return fill_file(&source(mounted, copying.folders), file)
            .map_err(Trouble::at("copy a file that is mounted"));
    }
    let place = stubs.folder(root, &mounted.at)?;
    let below = |path: TreePath| path.strip_prefix(&mounted.at).filter(|path| !path.is_root());
    let leave_out: Vec<TreePath> = own_places(copying.spec).into_iter().filter_map(below).collect();
    copying.fill(mounted, place.as_fd(), &leave_out, copies)?;
    if mounted.access == Access::Cow {
        copies.mounts.insert(number, Copied::new(place, leave_out)?);
    }
    Ok(())
}

/// Whoever the run's user is may write there.
fn put_memory(root: BorrowedFd<'_>, stubs: &mut Stubs, at: &TreePath) -> Result<(), Trouble> {
    stubs.folder(root, at)?;
    open_inside(root, at, OFlags::RDONLY | OFlags::DIRECTORY)
        .and_then(|folder| fchmod(folder, Mode::from_raw_mode(0o1777)))
        .map_err(Trouble::at(format!("make a tmpfs at `{at}`")))
}

/// In place of a file that is there, which may have other names.
fn make_anew(root: BorrowedFd<'_>, path: &TreePath) -> Result<File, Trouble> {
    let make = || -> Result<OwnedFd, Errno> {
        let (parent, name) = path.parent().zip(path.name()).ok_or(Errno::ISDIR)?;
        let parent = open_inside(root, &parent, OFlags::PATH | OFlags::DIRECTORY)?;
        unlinkat(&parent, name, AtFlags::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(parent, name, flags, Mode::from_raw_mode(0o644))
    };
    make().map(File::from).map_err(Trouble::at(format!("write `{path}`")))
}

fn fill_file(source: &Path, mut file: File) -> io::Result<()> {
    let mut from = File::open(source)?;
    io::copy(&mut from, &mut file)?;
    let wanted = from.metadata()?;
    let found = file.metadata()?;
    if (wanted.uid(), wanted.gid()) != (found.uid(), found.gid()) {
        fchown(&file, Some(Uid::from_raw(wanted.uid())), Some(Gid::from_raw(wanted.gid())))?;
    }
    file.set_permissions(wanted.permissions())?;
    let time = Timespec { tv_sec: wanted.mtime(), tv_nsec: wanted.mtime_nsec() };
    Ok(futimens(&file, &Timestamps { last_access: time, last_modification: time })?)
}
