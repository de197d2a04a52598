//! What a command leaves behind, taken into the store when nothing inside the sandbox lives any more.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};

use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::exec::identity::Identity;
use crate::exec::sandbox::copies::{Copied, Copies};
use crate::exec::sandbox::ownership::{Inodes, Seen};
use crate::exec::sandbox::place::{Stubs, file_type, open_following, open_inside};
use crate::exec::sandbox::places;
use crate::exec::sandbox::spec::{Root, Spec, Trouble, Walls, as_typed};
use crate::exec::sandbox::workplace::{self, is_empty};
use crate::graph::op::{Output, OutputKind};
use crate::store::memo::Memo;
use crate::tree::disk::capture::{CaptureOptions, Ids, capture_entry, capture_folder};
use crate::tree::disk::copied::capture_copied;
use crate::tree::disk::notes::PLAIN;
use crate::tree::disk::upper::capture_upper;
use crate::tree::encode;
use crate::tree::overlay::Layers;
use crate::tree::tree::{Directory, Entry};

pub(super) struct Results<'a> {
    spec: &'a Spec,
    /// Whose files are, where the disk cannot tell.
    inodes: Option<Inodes>,
    /// Files that were written to for the run, and are as they were before.
    unchanged: Vec<TreePath>,
    /// Opened when it is needed: a test leaves nothing, as a rule.
    memo: OnceCell<Memo>,
    single_threaded: bool,
    /// The main process kills whoever it has no patience for.
    never: Cancel,
}

/// Below this, starting threads costs more than they could save.
const LONG: Duration = Duration::from_secs(1);

impl Results<'_> {
    /// `took` is how long the commands ran.
    pub(super) fn new(
        spec: &Spec,
        took: Duration,
        inodes: Option<Inodes>,
        unchanged: Vec<TreePath>,
    ) -> Results<'_> {
        let single_threaded = took < LONG;
        Results { spec, inodes, unchanged, memo: OnceCell::new(), single_threaded, never: Cancel::default() }
    }

    fn memo(&self) -> Result<&Memo, Trouble> {
        if let Some(memo) = self.memo.get() {
            return Ok(memo);
        }
        let memo = Memo::open(&self.spec.store)?;
        Ok(self.memo.get_or_init(|| memo))
    }

    /// The declared outputs, seen as the command saw them; `top` is the root's top.
    /// Second, what is wrong with the first one that should be there and is not, or is something else.
    pub(super) fn outputs(
        &self,
        top: BorrowedFd<'_>,
    ) -> Result<(BTreeMap<String, Entry>, Option<Trouble>), Trouble> {
        let (mut entries, mut lacking) = (BTreeMap::new(), None);
        for output in &self.spec.outputs {
            match self.output(top, output) {
                Ok(Some(entry)) => drop(entries.insert(output.name.clone(), entry)),
                Ok(None) if output.optional => {}
                Ok(None) => drop(lacking.get_or_insert_with(|| self.missing(output))),
                Err(trouble @ Trouble::Input { .. }) => drop(lacking.get_or_insert(trouble)),
                Err(trouble) => return Err(trouble),
            }
        }
        Ok((entries, lacking))
    }

    /// The first of the files that a test expects and that is not there. The root's own links are followed.
    pub(super) fn absent(&self, top: BorrowedFd<'_>) -> Option<TreePath> {
        let mut expected = self.spec.expected_files.iter();
        expected.find(|path| open_following(top, path, OFlags::PATH).is_err()).cloned()
    }

    fn output(&self, top: BorrowedFd<'_>, output: &Output) -> Result<Option<Entry>, Trouble> {
        let place = match open_inside(top, &output.path, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::LOOP) => return Err(wrong_kind(output, "a symbolic link, or lies behind one")),
            place => place.map_err(Trouble::at(format!("open the output `{}`", output.path)))?,
        };
        let found =
            file_type(place.as_fd()).map_err(Trouble::at(format!("look at the output `{}`", output.path)))?;
        match (output.kind, found) {
            (OutputKind::Dir, FileType::Directory) => self.folder(top, output).map(Some),
            (OutputKind::File, FileType::RegularFile) => self.file(top, output),
            (OutputKind::Dir, _) => Err(wrong_kind(output, "no directory")),
            (OutputKind::File, _) => Err(wrong_kind(output, "no regular file")),
        }
    }

    fn folder(&self, top: BorrowedFd<'_>, output: &Output) -> Result<Entry, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let folder = open_inside(top, &output.path, flags)
            .map_err(Trouble::at(format!("open the output `{}`", output.path)))?;
        let below = |path: &TreePath| path.strip_prefix(&output.path).filter(|path| !path.is_root());
        let seen = self.seen(folder.as_fd(), None);
        let options = CaptureOptions {
            leave_out: places::all(self.spec).iter().filter_map(|placed| below(placed.at())).collect(),
            ..self.options(seen.as_ref())
        };
        capture_folder(self.memo()?, folder.as_fd(), &options, &self.never).map_err(Trouble::from)
    }

    fn file(&self, top: BorrowedFd<'_>, output: &Output) -> Result<Option<Entry>, Trouble> {
        let (Some(parent), Some(name)) = (output.path.parent(), output.path.name()) else { return Ok(None) };
        let parent = open_inside(top, &parent, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(Trouble::at(format!("open the output `{}`", output.path)))?;
        let seen = self.seen(parent.as_fd(), None);
        let options = self.options(seen.as_ref());
        capture_entry(self.memo()?, parent.as_fd(), name, &options, &self.never).map_err(Trouble::from)
    }

    /// What changed on the root; nothing where it is the machine's. `root` is a view of the root without mounts.
    pub(super) fn change(
        &self,
        stubs: &Stubs,
        root: Option<BorrowedFd<'_>>,
        copies: &Copies,
    ) -> Result<Option<TreeDigest>, Trouble> {
        let Root::Layers { trees, .. } = &self.spec.root else { return Ok(None) };
        if let Some(copied) = &copies.root {
            return self.change_of_copy(stubs, copied, trees).map(Some);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = openat(CWD, workplace::upper(&self.spec.work), flags, Mode::empty())
            .map_err(Trouble::at("open what the command wrote"))?;
        stubs.remove_from(upper.as_fd());
        if is_empty(upper.as_fd()).map_err(Trouble::at("list what the command wrote"))? {
            return Ok(Some(TreeDigest::of(&encode::encode(&Directory::default()))));
        }
        let memo = self.memo()?;
        let below = Layers::new(memo, trees.iter().copied());
        let seen = root.and_then(|root| self.seen(root, Some(&below)));
        let leave_out = self.only_below(&below)?;
        let options = CaptureOptions { unlock: true, leave_out, ..self.options(seen.as_ref()) };
        capture_upper(memo, upper.as_fd(), &below, &options, &self.never).map(Some).map_err(Trouble::from)
    }

    fn change_of_copy(
        &self,
        stubs: &Stubs,
        copied: &Copied,
        trees: &[TreeDigest],
    ) -> Result<TreeDigest, Trouble> {
        let folder = copied.folder.as_fd();
        stubs.remove_from(folder);
        let memo = self.memo()?;
        let below = Layers::new(memo, trees.iter().copied());
        let seen = self.seen(folder, Some(&below));
        let leave_out = [copied.left_out.clone(), self.only_below(&below)?].concat();
        let options = CaptureOptions { unlock: true, leave_out, ..self.options(seen.as_ref()) };
        Ok(capture_copied(memo, folder, &copied.notes, &below, &options, &self.never)?)
    }

    /// Those of the unchanged files that lie under all layers, and so are none of the root's.
    fn only_below(&self, layers: &Layers<'_>) -> Result<Vec<TreePath>, Trouble> {
        let mut found = Vec::new();
        for path in &self.unchanged {
            if layers.find(path)?.is_none() {
                found.push(path.clone());
            }
        }
        Ok(found)
    }

    /// Who knows whose the files in `folder` are, where that is not on the disk.
    fn seen<'s>(&'s self, folder: BorrowedFd<'s>, below: Option<&'s Layers<'s>>) -> Option<Seen<'s>> {
        self.inodes.as_ref().map(|inodes| Seen { folder, inodes, below })
    }

    fn options<'s>(&self, seen: Option<&'s Seen<'s>>) -> CaptureOptions<'s> {
        CaptureOptions {
            ids: match (seen, &self.spec.identity, &self.spec.root) {
                (Some(seen), ..) => Ids::Told(seen),
                // Who called the build is no part of what the machine's programs made.
                (None, Identity::Single { .. }, _) | (None, _, Root::Host { .. }) => Ids::AllRoot,
                (None, ..) => Ids::Exact,
            },
            flavour: match self.spec.walls {
                Walls::Mounted => self.spec.flavour(),
                _ => PLAIN,
            },
            single_threaded: self.single_threaded,
            ..CaptureOptions::default()
        }
    }

    fn missing(&self, output: &Output) -> Trouble {
        let command = self.spec.commands.last().map_or_else(String::new, |words| as_typed(words));
        Trouble::input(
            format!("`{command}` did not make its output `{}`", output.path),
            "let the command write it there, or declare it `optional=#true`",
        )
    }
}

fn wrong_kind(output: &Output, found: &str) -> Trouble {
    let help = match output.kind {
        OutputKind::Dir => "let the command put a directory there, or declare it `type=file`",
        OutputKind::File => "let the command put a regular file there, or declare a directory",
    };
    Trouble::input(format!("the output `{}` is {found}", output.path), help)
}
