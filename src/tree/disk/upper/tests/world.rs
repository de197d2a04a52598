//! A root to write to: a snapshot under a real overlay mount. Mounts need namespaces, which a process with threads
//! can't enter: so a test runs its own program again in them, and does its work there.

use std::path::PathBuf;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags};

use super::*;
use crate::tree::disk::capture::capture_folder;
use crate::tree::disk::copied::capture_copied;
use crate::tree::disk::copy::{ToCopy, copy};
use crate::tree::disk::materialize::Owners;
use crate::tree::disk::notes::Notes;
use crate::tree::disk::snapshot::{Age, SnapshotForm, snapshot};

/// Says that a test runs again, and in which form it is to make its snapshots.
const INSIDE: &str = "MEMOBUILD_TEST_INSIDE";

/// Runs `body` as root with a mount namespace of its own, and as a user who is root in one of users.
pub(super) fn in_namespaces(test: &str, body: impl FnOnce(SnapshotForm)) {
    match std::env::var(INSIDE).as_deref() {
        Ok("root") => body(SnapshotForm::root()),
        Ok(_) => body(SnapshotForm::one_id()),
        Err(_) => run_again(test),
    }
}

fn run_again(test: &str) {
    let own = tempfile::tempdir().unwrap();
    set_mode(own.path(), 0o755);
    // Where a user who may not see the build folder can run it.
    let program = own.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let name = format!("tree::disk::upper::tests::{test}");
    let ways: &[(&str, &str)] = match rustix::process::geteuid().is_root() {
        true => &[
            ("root", "unshare -m"),
            ("user", "setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm"),
        ],
        false => &[("user", "unshare -Urm")],
    };
    for (form, way) in ways {
        let run = |program: &str, arguments: &[&str]| {
            let mut words = way.split(' ').chain([program]).chain(arguments.iter().copied());
            let mut command = Command::new(words.next().unwrap());
            command.args(words).current_dir("/").env(INSIDE, form).output()
        };
        if !run("mount", &["-t", "tmpfs", "none", "/tmp"]).is_ok_and(|done| done.status.success()) {
            crate::base::skipped::skipped(&format!("{test} as {form}, for `{way} mount` does not work here"));
            continue;
        }
        let done = run(program.to_str().unwrap(), &["--exact", &name, "--nocapture"]).unwrap();
        let output = [done.stdout, done.stderr].concat();
        let output = String::from_utf8_lossy(&output);
        assert!(done.status.success() && output.contains("1 passed"), "as {form}: {output}");
    }
}

pub(super) struct World {
    temporary: tempfile::TempDir,
    pub(super) memo: Memo,
    form: SnapshotForm,
    base: TreeDigest,
}

impl World {
    pub(super) fn new(form: SnapshotForm, base: &str) -> World {
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let (temporary, memo) = memo();
        let base = dsl::tree(&memo, base);
        World { temporary, memo, form, base }
    }

    /// The change that `write` makes to the base. Laid over the base again, it shows what `write` left. Done to a
    /// copy of the base, it is the same change.
    pub(super) fn run(&self, leave_out: &[&str], write: impl Fn(&Path)) -> TreeDigest {
        let change = self.run_mounted(leave_out, &write);
        let copied = self.run_copied(leave_out, &write);
        if copied != change {
            panic!(
                "{} on a copy, {} on a mount",
                dsl::show(&self.memo, copied),
                dsl::show(&self.memo, change)
            );
        }
        change
    }

    /// The change that `write` makes to a copy of the base.
    pub(super) fn run_copied(&self, leave_out: &[&str], write: impl Fn(&Path)) -> TreeDigest {
        let root = self.folder("copied");
        let lowers = [self.snapshot(self.base, 0)];
        let leave_out = paths(leave_out);
        let to_copy = ToCopy { lowers: &lowers, notes: &[], flavour: self.form.flavour, leave_out: &[] };
        let opened = descent::open_path(&root).unwrap();
        copy(&to_copy, opened.as_fd(), &|| false).unwrap();
        let notes = Notes::take(opened.as_fd(), &leave_out).unwrap();
        let layers = Layers::plain(&self.memo, self.base);
        let options = CaptureOptions { leave_out, unlock: true, ..self.options() };
        let capture = || {
            capture_copied(&self.memo, opened.as_fd(), &notes, &layers, &options, &Cancel::default()).unwrap()
        };
        assert_eq!(dsl::show(&self.memo, capture()), "{}");
        write(&root);
        capture()
    }

    pub(super) fn run_mounted(&self, leave_out: &[&str], write: impl Fn(&Path)) -> TreeDigest {
        let [upper, work, root, again] = ["upper", "work", "root", "again"].map(|name| self.folder(name));
        let base = self.snapshot(self.base, 0);
        let own = format!(",upperdir={},workdir={}", upper.display(), work.display());
        mount(&[&base], &own, self.form.flavour, &root);
        write(&root);
        let seen = self.capture(&root);
        rustix::mount::unmount(&root, UnmountFlags::empty()).unwrap();
        let change = self.capture_upper(&upper, leave_out);
        if leave_out.is_empty() {
            mount(&[&self.snapshot(change, 1), &base], "", self.form.flavour, &again);
            // A mount shows some links as apart that are one file in the change.
            assert_eq!(self.without_links(self.capture(&again)), self.without_links(seen));
            rustix::mount::unmount(&again, UnmountFlags::empty()).unwrap();
        }
        change
    }

    pub(super) fn capture_upper(&self, upper: &Path, leave_out: &[&str]) -> TreeDigest {
        let options = CaptureOptions { leave_out: paths(leave_out), unlock: true, ..self.options() };
        let opened = descent::open_path(upper).unwrap();
        let layers = Layers::plain(&self.memo, self.base);
        capture_upper(&self.memo, opened.as_fd(), &layers, &options, &Cancel::default()).unwrap()
    }

    /// The names in a directory when `over` lies over the base.
    pub(super) fn list(&self, over: &Path, directory: &str) -> Vec<std::ffi::OsString> {
        let root = self.folder("root");
        mount(&[over, &self.snapshot(self.base, 0)], "", self.form.flavour, &root);
        let names =
            fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        rustix::mount::unmount(&root, UnmountFlags::empty()).unwrap();
        names
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.temporary.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn snapshot(&self, tree: TreeDigest, slot: u32) -> PathBuf {
        snapshot(&self.memo, tree, Age::Slot(slot), &self.form, &Cancel::default()).unwrap()
    }

    fn options(&self) -> CaptureOptions<'_> {
        let ids = if self.form.owners == Owners::Exact { Ids::Exact } else { Ids::AllRoot };
        CaptureOptions { ids, flavour: self.form.flavour, ..CaptureOptions::default() }
    }

    fn without_links(&self, mut entry: Entry) -> Entry {
        match &mut entry.content {
            Content::File { link, .. } => *link = None,
            Content::Directory { tree, .. } => {
                let mut directory = encode::load(&self.memo, *tree).unwrap();
                for below in directory.entries.values_mut() {
                    *below = self.without_links(below.clone());
                }
                *tree = encode::save(&self.memo, &directory).unwrap();
            }
            _ => {}
        }
        entry
    }

    fn capture(&self, root: &Path) -> Entry {
        let opened = descent::open_path(root).unwrap();
        capture_folder(&self.memo, opened.as_fd(), &self.options(), &Cancel::default()).unwrap()
    }
}

fn paths(texts: &[&str]) -> Vec<TreePath> {
    texts.iter().map(|text| TreePath::parse(text).unwrap()).collect()
}

fn mount(lowers: &[&Path], own: &str, flavour: Flavour, at: &Path) {
    let lowers: Vec<_> = lowers.iter().map(|lower| lower.display().to_string()).collect();
    let marks = if flavour == Flavour::User { ",userxattr" } else { "" };
    let data = std::ffi::CString::new(format!("lowerdir={}{own}{marks}", lowers.join(":"))).unwrap();
    rustix::mount::mount("overlay", at, "overlay", MountFlags::empty(), Some(data.as_c_str())).unwrap();
}
