//! All of it once more as an ordinary user.

use std::os::unix::fs::chown;
use std::process::Command;

/// Nobody, who owns nothing.
const ID: u32 = 65534;
const SETPRIV: &str = "/usr/bin/setpriv";

#[test]
fn an_ordinary_user_gets_the_same() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    if !std::path::Path::new(SETPRIV).exists() {
        eprintln!("skipped: there is no {SETPRIV}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(ID), Some(ID)).unwrap();
    let id = ID.to_string();
    let output = Command::new(SETPRIV)
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .env("TMPDIR", folder.path())
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test result: ok"), "{text}");
}
