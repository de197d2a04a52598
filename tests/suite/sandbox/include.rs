//! Folders of the machine that a build file includes, as runs on `host` see them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use memobuild::exec::host;
use memobuild::graph::op::{HostFolder, OutputKind};
use memobuild::graph::value::{Machine, Value};

use crate::sandbox::room::{Outcome, Room, input, on_host, output, rooms_with_namespaces};

fn run_seeing(room: &Room, machine: &Machine, script: &str) -> Outcome {
    let mut run = on_host(script);
    run.outputs = vec![output("out", "/out", OutputKind::Dir)];
    room.run(&run, &[input("from", Value::Host(machine.clone()))])
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn included_folders_are_seen_where_they_are_and_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("tools/bin")).unwrap();
    fs::write(at("tools/bin/tool"), "#!/bin/sh\necho used\n").unwrap();
    fs::set_permissions(at("tools/bin/tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    symlink("tools", at("current")).unwrap();
    fs::create_dir(at("tools/workspace")).unwrap();
    fs::write(at("tools/workspace/secret"), "seen").unwrap();
    fs::write(at("beside"), "").unwrap();
    let include = ["tools", "current", "missing"]
        .map(|name| HostFolder { path: text(&at(name)), optional: name == "missing" });
    let machine = host::look(&include, &[at("tools/workspace")]).unwrap();
    assert_eq!(machine.folders, [text(&at("current")), text(&at("tools"))]);
    for room in rooms_with_namespaces() {
        let script = format!(
            "{}/tools/bin/tool; {0}/current/bin/tool; ls {0} {0}/tools/workspace {0}/current/workspace; \
             touch {0}/tools/x 2>&1 || echo refused; echo > {0}/own",
            folder.path().display()
        );
        let outcome = run_seeing(&room, &machine, &script);
        outcome.made();
        assert!(outcome.stdout.starts_with("used\nused\n"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("refused"), "{}", outcome.stdout);
        for hidden in ["secret", "beside", "missing"] {
            assert!(!outcome.stdout.contains(hidden), "{hidden} in {}", outcome.stdout);
        }
        assert!(!at("tools/x").exists() && !at("own").exists());
    }
}

#[test]
fn another_tool_is_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let include = [HostFolder { path: text(folder.path()), optional: false }];
    fs::write(folder.path().join("cc"), "one").unwrap();
    let before = host::look(&include, &[]).unwrap();
    assert_eq!(host::look(&include, &[]).unwrap(), before);
    fs::write(folder.path().join("cc"), "other one").unwrap();
    assert_ne!(host::look(&include, &[]).unwrap().fingerprint, before.fingerprint);
    assert_eq!(host::look(&[], &[]).unwrap().fingerprint, host::fingerprint().unwrap());
}
