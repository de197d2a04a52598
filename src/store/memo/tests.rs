//! The store as a whole: tiers, origins, locks, crashes, a full disk.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::fixture::memo;
use crate::store::record::tests::{key, sample};

/// The same store, with nothing in memory.
fn again(memo: &Memo) -> Memo {
    Memo::open(memo.folder()).unwrap()
}

/// As cosmic rays do it: in place.
fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 4;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_find_is_promoted() {
    let (_folder, memo) = memo();
    let blob = Object::Blob(memo.write_blob(b"x").unwrap());
    let record = sample("node", &[blob]);
    memo.remember(key(1), &record).unwrap();

    let memo = again(&memo);
    assert_eq!(memo.recall_from(key(1)).unwrap(), Some((record.clone(), "disk")));
    assert_eq!(memo.recall_from(key(1)).unwrap(), Some((record, "memory")));
    assert_eq!(memo.recall_from(key(2)).unwrap(), None);
    memo.forget(key(1)).unwrap();
    assert_eq!(memo.recall(key(1)).unwrap(), None);
}

#[test]
fn a_record_never_outlives_what_it_names() {
    let (_folder, memo) = memo();
    let object = Object::Tree(TreeDigest::of(b"tree"));
    let record = sample("node", &[object]);
    assert!(matches!(memo.remember(key(1), &record), Err(StoreError::Missing(_))));

    memo.write_tree(b"tree").unwrap();
    memo.remember(key(1), &record).unwrap();
    flip(&memo.disk().place(object), 0);
    assert!(matches!(again(&memo).read(object), Err(StoreError::Damaged(_))));
    assert_eq!(memo.recall(key(1)).unwrap(), None, "not even from memory");
    memo.write_tree(b"tree").unwrap();
    assert_eq!(memo.recall(key(1)).unwrap(), Some(record));
}

struct File(PathBuf, BlobDigest);

impl Origin for File {
    fn locate(&self, blob: &BlobDigest) -> Option<PathBuf> {
        (*blob == self.1).then(|| self.0.clone())
    }
}

fn again_with(memo: &Memo, path: &Path, blob: BlobDigest) -> Memo {
    let memo = again(memo);
    memo.offer(Arc::new(File(path.to_owned(), blob)));
    memo
}

#[test]
fn an_origin_serves_until_it_changes() {
    let (folder, memo) = memo();
    let path = folder.path().join("file");
    fs::write(&path, "content").unwrap();
    let blob = BlobDigest::of(b"content");
    assert!(!memo.has(Object::Blob(blob)));
    assert!(matches!(memo.open_blob(blob), Err(StoreError::Missing(_))));
    memo.offer(Arc::new(File(path.clone(), blob)));

    assert!(memo.has(Object::Blob(blob)));
    let mut text = String::new();
    memo.open_blob(blob).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
    assert_eq!(io::copy(&mut memo.open_blob(blob).unwrap(), &mut io::sink()).unwrap(), 7);
    assert!(!memo.disk().place(Object::Blob(blob)).exists(), "reading copies nothing");

    fs::write(&path, "Content").unwrap();
    assert!(matches!(memo.read(Object::Blob(blob)), Err(StoreError::Changed { .. })));
    assert!(matches!(memo.adopt(&path, blob), Err(StoreError::Changed { .. })));
    let error = memo.open_blob(blob).unwrap().read_to_string(&mut text).unwrap_err();
    assert!(matches!(StoreError::io("", &path)(error), StoreError::Changed { path: found } if found == path));
    assert!(path.exists());

    fs::write(&path, "content").unwrap();
    memo.adopt(&path, blob).unwrap();
    fs::remove_file(memo.disk().place(Object::Blob(blob))).unwrap();
    fs::write(memo.disk().place(Object::Blob(blob)), "").unwrap();
    assert_eq!(
        io::copy(&mut memo.open_blob(blob).unwrap(), &mut io::sink()).unwrap(),
        7,
        "what a power cut emptied is no reason to fail"
    );
    assert_eq!(&*again_with(&memo, &path, blob).read(Object::Blob(blob)).unwrap(), b"content");

    memo.adopt(&path, blob).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(&*memo.read(Object::Blob(blob)).unwrap(), b"content");
}

#[test]
fn one_at_a_time_makes_a_key() {
    let (_folder, memo) = memo();
    let (other, inside) = (again(&memo), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for memo in [&memo, &memo, &other, &other] {
            scope.spawn(|| {
                for _ in 0..20 {
                    let _lock = memo.lock_key(key(1), &Cancel::default()).unwrap();
                    assert!(!inside.swap(true, Ordering::SeqCst));
                    std::thread::yield_now();
                    inside.store(false, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(memo.folder().join(LOCKS)).unwrap().count(), 0);
}

#[test]
fn waiting_for_a_key_ends_when_told() {
    let (_folder, memo) = memo();
    let cancel = Cancel::default();
    let _lock = memo.lock_key(key(1), &cancel).unwrap();
    let _other = memo.lock_key(key(2), &cancel).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| memo.lock_key(key(1), &cancel).map(drop));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        cancel.raise();
        assert!(matches!(waiting.join().unwrap(), Err(StoreError::Cancelled)));
    });
}

#[test]
fn a_killed_process_gives_up_its_key() {
    let (_folder, memo) = memo();
    fs::create_dir(memo.folder().join(LOCKS)).unwrap();
    let path = memo.folder().join(LOCKS).join(key(1).to_hex());
    let mut command = Command::new("flock");
    command.arg("--close").arg(&path).args(["sh", "-c", "echo locked; exec cat"]);
    let Ok(mut holder) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        return crate::base::skipped::skipped("there is no `flock` program");
    };
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| memo.lock_key(key(1), &Cancel::default()).map(drop));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        holder.kill().unwrap();
        holder.wait().unwrap();
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn what_a_dead_process_left_is_swept_by_the_next() {
    let (_folder, memo) = memo();
    let live = memo.work_folder().unwrap();
    memo.write_blob(b"so there is a folder of drafts").unwrap();
    let work = memo.folder().join(disk::WORK);
    fs::create_dir(work.join("1-0")).unwrap();
    fs::write(work.join("1-0/7"), "half a blob").unwrap();
    fs::create_dir(memo.folder().join(LOCKS)).unwrap();
    fs::write(memo.folder().join(LOCKS).join(key(1).to_hex()), "").unwrap();
    assert_eq!(memo.stale_work_folders().unwrap(), [work.join("1-0")]);

    let next = again(&memo);
    assert!(next.stale_work_folders().unwrap().is_empty());
    assert!(!work.join("1-0").exists());
    assert_eq!(fs::read_dir(memo.folder().join(LOCKS)).unwrap().count(), 0);
    assert!(live.path().exists());
    memo.write_blob(b"the folder of drafts was not swept either").unwrap();
    drop((live, memo, next));
    assert_eq!(fs::read_dir(work).unwrap().count(), 0);
}

fn write_records(folder: &Path, round: u8) {
    let memo = Memo::open(folder).unwrap();
    for number in 0..u8::MAX {
        let bytes = [round, number].repeat(3000);
        let blob = Object::Blob(memo.write_blob(&bytes).unwrap());
        let mut writer = memo.blob_writer().unwrap();
        writer.write_all(&bytes.repeat(30)).unwrap();
        let large = Object::Blob(writer.finish().unwrap().blob);
        let tree = Object::Tree(memo.write_tree(&bytes).unwrap());
        let _lock = memo.lock_key(key(number), &Cancel::default()).unwrap();
        memo.remember(key(number), &sample("node", &[blob, large, tree])).unwrap();
    }
}

#[test]
fn kills_at_any_moment_leave_a_right_store() {
    let (_folder, memo) = memo();
    for round in 0..50 {
        // SAFETY: the child uses nothing that another thread could have held at the fork but the
        // allocator, which the C library makes usable again.
        let child = match unsafe { libc::fork() } {
            0 => {
                let done = std::panic::catch_unwind(|| write_records(memo.folder(), round));
                // SAFETY: ends this process, and runs nothing that belongs to the parent.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
            child => rustix::process::Pid::from_raw(child).unwrap(),
        };
        std::thread::sleep(Duration::from_micros(200 * u64::from(round)));
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        let ended = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
        assert_ne!(ended.unwrap().unwrap().1.exit_status(), Some(1), "the child panicked");

        let memo = again(&memo);
        assert!(crate::store::verify::verify(&memo, &Cancel::default()).unwrap().damaged.is_empty());
        for number in 0..u8::MAX {
            let record = memo.disk().load(key(number)).unwrap();
            assert_eq!(record.is_some(), memo.recall(key(number)).unwrap().is_some());
        }
    }
    assert!(memo.recall(key(0)).unwrap().is_some(), "some child came that far");
    assert_eq!(fs::read_dir(memo.folder().join(disk::WORK)).unwrap().count(), 0);
    assert_eq!(fs::read_dir(memo.folder().join(LOCKS)).unwrap().count(), 0);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let (_folder, memo) = memo();
    let mut writer = memo.blob_writer().unwrap();
    writer.write_all(&vec![7; 1 << 20]).unwrap();
    drop(writer);
    assert!(!memo.folder().join(disk::BLOBS).exists());
    let drafts = fs::read_dir(memo.folder().join(disk::WORK)).unwrap();
    for folder in drafts.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }
}

/// Mounts in a mount namespace of the calling thread's own, which ends with it.
fn mount_small_disk(at: &Path) -> bool {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    // SAFETY: takes no pointers and changes the calling thread alone.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).is_ok()
        && mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"size=256k")).is_ok()
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let body = || {
        if !mount_small_disk(folder.path()) {
            return crate::base::skipped::skipped("mounting a small disk needs root");
        }
        let memo = Memo::open(&folder.path().join("store")).unwrap();
        let kept = Object::Blob(memo.write_blob(b"kept").unwrap());
        let large = vec![1; 1 << 20];
        let is_full = |error: StoreError| {
            let full = matches!(&error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull);
            assert!(full, "{error}");
        };
        is_full(memo.write_blob(&large).unwrap_err());
        let mut writer = memo.blob_writer().unwrap();
        is_full(StoreError::io("", Path::new(""))(writer.write_all(&large).unwrap_err()));
        assert!(writer.finish().is_err());
        assert!(!memo.has(Object::Blob(BlobDigest::of(&large))));
        assert_eq!(&*again(&memo).read(kept).unwrap(), b"kept");
        memo.write_blob(&large[..100_000]).unwrap();
    };
    std::thread::scope(|scope| scope.spawn(body).join().unwrap());
}

#[test]
fn a_folder_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter"), "dear").unwrap();
    assert!(matches!(Memo::open(folder.path()), Err(StoreError::NotStore { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_laid_aside_is_the_next_one_and_goes_with_the_store() {
    let (_folder, memo) = memo();
    let folder = memo.used_work_folder().unwrap();
    let path = folder.path().to_owned();
    fs::write(path.join("kept"), "").unwrap();
    memo.lay_aside(folder);
    assert!(again(&memo).stale_work_folders().unwrap().is_empty());
    let (used, fresh) = (memo.used_work_folder().unwrap(), memo.used_work_folder().unwrap());
    assert!(used.path().join("kept").exists() && !fresh.path().join("kept").exists());
    memo.lay_aside(used);
    drop((memo, fresh));
    assert!(!path.exists());
}
