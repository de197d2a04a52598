//! Includes against real folders.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::base::facts::HashSink;

fn folder_of(path: &Path) -> HostFolder {
    HostFolder { path: path.to_str().unwrap().to_owned(), optional: false }
}

fn key(folder: &Path, hidden: &[PathBuf]) -> String {
    let mut sink = HashSink::new("test");
    let folders = folders(&[folder_of(folder)], hidden).unwrap();
    write_facts(&mut sink, &folders, hidden).unwrap();
    sink.finish().to_hex()
}

fn refusal(path: &str, hidden: &[PathBuf]) -> String {
    match folders(&[HostFolder { path: path.to_owned(), optional: false }], hidden) {
        Err(ExecError::Input { message, .. }) => message,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn any_difference_of_metadata_is_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("lib/deep")).unwrap();
    fs::write(at("lib/deep/file"), "one").unwrap();
    symlink("file", at("lib/deep/link")).unwrap();
    let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let set_time = |time| fs::File::open(at("lib/deep/file")).unwrap().set_modified(time).unwrap();
    set_time(early);
    let mut keys = vec![key(folder.path(), &[])];
    assert_eq!(key(folder.path(), &[]), keys[0]);
    let changes: [&dyn Fn(); 7] = [
        &|| set_time(early + Duration::from_nanos(1)),
        &|| fs::set_permissions(at("lib/deep/file"), fs::Permissions::from_mode(0o755)).unwrap(),
        &|| {
            fs::write(at("lib/deep/file"), "longer").unwrap();
            set_time(early);
        },
        &|| {
            fs::remove_file(at("lib/deep/link")).unwrap();
            symlink("other", at("lib/deep/link")).unwrap();
        },
        &|| fs::create_dir(at("lib/empty")).unwrap(),
        &|| fs::set_permissions(at("lib/empty"), fs::Permissions::from_mode(0o700)).unwrap(),
        &|| fs::rename(at("lib/empty"), at("lib/void")).unwrap(),
    ];
    for change in changes {
        change();
        keys.push(key(folder.path(), &[]));
    }
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

#[test]
fn what_is_hidden_is_no_fact() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    fs::create_dir(&store).unwrap();
    let hidden = [store.clone()];
    let before = key(folder.path(), &hidden);
    fs::write(store.join("object"), "").unwrap();
    assert_eq!(key(folder.path(), &hidden), before);
    assert_ne!(key(folder.path(), &[]), before);
    let inside = store.to_str().unwrap();
    assert_eq!(
        refusal(inside, &hidden),
        format!("`{inside}`, which `host` includes, lies in the workspace or the store")
    );
}

#[test]
fn a_missing_folder_is_left_out_only_where_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let optional = HostFolder { optional: true, ..folder_of(&missing) };
    assert_eq!(folders(&[optional], &[]).unwrap(), [""; 0]);
    assert!(refusal(missing.to_str().unwrap(), &[]).ends_with("does not exist on this machine"));
    let own = folder_of(folder.path());
    assert_eq!(folders(&[own.clone(), own.clone()], &[]).unwrap(), [own.path]);
}

#[test]
fn some_places_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    symlink("/", &root).unwrap();
    for (path, why) in [
        ("/", "is never shown to a run"),
        (root.to_str().unwrap(), "is never shown to a run"),
        ("/proc/self", "is never shown to a run"),
        ("/dev", "is never shown to a run"),
        ("relative", "is no absolute path"),
        ("/usr/../etc", "is no absolute path"),
        ("/etc/passwd", "is no folder"),
    ] {
        assert!(refusal(path, &[]).ends_with(why), "{path}: {}", refusal(path, &[]));
    }
    if Path::new("/home").is_dir() {
        let home = folder.path().join("home");
        symlink("/home", &home).unwrap();
        assert!(refusal(home.to_str().unwrap(), &[]).ends_with("is all of /home"));
        assert_eq!(folders(&[folder_of(Path::new("/home"))], &[]).unwrap(), ["/home"]);
    }
}
