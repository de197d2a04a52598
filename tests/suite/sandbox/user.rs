//! All of it once more as an ordinary user: without and with a range of user ids.

use std::os::unix::fs::chown;
use std::process::Command;

use crate::sandbox::room::rooms;
use crate::space::have;

/// Nobody, who owns nothing.
const ID: &str = "65534";
/// Gives ids from 200000 on in a mount namespace of its own, and then becomes nobody.
const WITH_RANGE: &str =
    "mount --bind \"$1\" /etc/subuid && mount --bind \"$1\" /etc/subgid && shift && exec \"$@\"";
/// Says which rungs a test program is to find.
const EXPECTED: &str = "MEMOBUILD_TEST_RUNGS";

#[test]
fn an_ordinary_user_gets_the_same() {
    run_all(&[], "CD");
}

#[test]
fn an_ordinary_user_with_more_ids_gets_the_same() {
    if !have(&["newuidmap", "unshare", "mount"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ranges = folder.path().join("ranges");
    std::fs::write(&ranges, format!("{ID}:200000:65536\n")).unwrap();
    let ranges = ranges.to_str().unwrap();
    run_all(&["unshare", "--mount", "/bin/sh", "-c", WITH_RANGE, "sh", ranges], "BCDD");
}

/// All tests of sandboxes, and of sitting at them, as nobody, started by way of `before`.
fn run_all(before: &[&str], rungs: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    if !have(&["setpriv"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), ID.parse().ok(), ID.parse().ok()).unwrap();
    let program = std::env::current_exe().unwrap();
    let setpriv = ["setpriv", "--reuid", ID, "--regid", ID, "--clear-groups", program.to_str().unwrap()];
    let words = [before, &setpriv, &["sandbox::", "sitting::"]].concat();
    let output = Command::new(words[0])
        .args(&words[1..])
        .env("TMPDIR", folder.path())
        .env("HOME", folder.path())
        .env(EXPECTED, rungs)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test result: ok"), "{text}");
}

/// Whoever starts this program again says what it should find; copies come with a range of ids and with one.
#[test]
fn the_rungs_are_those_that_are_expected() {
    let Some(expected) = std::env::var_os(EXPECTED) else { return };
    let found: String = rooms().iter().map(|room| room.rung()).collect();
    assert_eq!(Some(found.as_str()), expected.to_str());
}
