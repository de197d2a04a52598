//! Classes of holes that builders have had, one test each where no other file has it; `sandbox.rs` lists them all.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use memobuild::exec::executor::ExecError;
use memobuild::graph::op::{Access, OutputKind, Run, Tmpfs};
use memobuild::graph::value::Value;

use crate::sandbox::caches::cache;
use crate::sandbox::room::{Item, input, mount, on_input, output, path, rooms, rootfs_input};
use crate::sandbox::vandals::{canary, census_of};
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, have, is_root, run};

/// CVE class: cleanup deletes the host's files (CVE-2024-23652). What is above each mount is put away, and a link to a
/// folder of the machine, in which all these names are as well, is put there.
#[test]
fn cleanup_follows_no_link_where_a_mount_was() {
    for room in rooms() {
        let canary = canary();
        for name in ["in", "cached", "memory", "out", "made", "file"] {
            fs::create_dir(canary.path().join(name)).unwrap();
            fs::write(canary.path().join(name).join("kept"), "kept").unwrap();
        }
        let folders = [canary.path().to_owned()];
        let before = census_of(&folders);
        let Some(rootfs) = room.busybox() else { return };
        let tree = room.tree(vec![("a", Item::File("a\n"))]);
        let place = canary.path().display();
        let swap = format!(
            "set +e; exec 2> /dev/null; for way in /way/sub /way /data /src/way /etc; do \
             mv $way $way-moved && ln -s {place} $way && echo $way; rm -rf $way-moved/*; done; true"
        );
        for (script, has_outputs) in
            [(swap.clone(), true), (swap.clone(), false), (format!("{swap}; exit 3"), true)]
        {
            let mut run = on_input(&script);
            run.mounts = vec![
                mount(1, "/way/sub/in", Access::Cow),
                mount(1, "/src", Access::Cow),
                mount(1, "/data/in", Access::Ro),
            ];
            run.caches = vec![cache("one", "/way/sub/cached"), cache("two", "/data/cached")];
            run.tmpfs = vec![Tmpfs { at: path("/way/sub/memory"), size: None }];
            if has_outputs {
                run.outputs = vec![
                    output("made", "/way/sub/made", OutputKind::Dir),
                    output("out", "/src/way/out", OutputKind::Dir),
                ];
            }
            let inputs = [rootfs_input(rootfs.clone()), input("mount", Value::Tree(tree.clone()))];
            let outcome = room.run(&run, &inputs);
            let told = format!("{}: {:?} {}", room.rung(), outcome.result, outcome.stderr);
            assert!(census_of(&folders) == before, "{told}");
            assert!(outcome.stdout.starts_with("/way/sub\n/way\n"), "{told}");
            assert_eq!(room.left_of_runs(), Vec::<PathBuf>::new(), "{told}");
            match &outcome.result {
                Ok(_) => assert!(room.listing(outcome.output("diff"))["/way"].starts_with("-> "), "{told}"),
                Err(error) => {
                    assert!(has_outputs && !matches!(error, ExecError::Environment { .. }), "{told}");
                }
            }
        }
    }
}

/// CVE class: a symbolic link as what is mounted (CVE-2024-1753), from the workspace and from a node.
#[test]
fn a_link_that_is_mounted_shows_nothing_of_the_machine() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    fs::create_dir(space.workspace().join("in")).unwrap();
    for (name, target) in [("root", "/"), ("up", "../../.."), ("etc", "/etc"), ("store", "../../store")] {
        symlink(target, space.workspace().join("in").join(name)).unwrap();
    }
    let others = "files input root=\"in\"\nrun made { from root; output out \"/out\"; \
                  sh \"busybox ln -s / /out/root; busybox ln -s /etc /out/etc\"; }\n";
    let sources = [
        ("\"./in/root\"", ""),
        ("\"./in/up\"", ""),
        ("\"./in/etc\"", ""),
        ("\"./in/store\"", ""),
        ("\"./in/root/etc\"", ""),
        ("input", "path=\"root\""),
        ("input", "path=\"root/etc\""),
        ("input", "path=\"up\""),
        ("made.out", "path=\"root\""),
        ("made.out", "path=\"root/etc\""),
        ("made", "path=\"/out/etc\""),
        ("made", "path=\"/out/root/etc\""),
    ];
    let look =
        "sh \"cat /m/passwd /m/shadow /m/etc/passwd /m/hostname /m/blobs/* /m 2>/dev/null || echo none\"";
    // A root of the test's own has no such file.
    let machine = fs::read_to_string("/etc/passwd").unwrap();
    let first = machine.lines().next().unwrap();
    let mut shown = 0;
    for (source, path) in sources {
        for nodes in [
            format!("run looks {{ from root; mount {source} {path} at=\"/m\" access=ro; {look}; }}\n"),
            format!("run looks {{ from root; mount {source} {path} at=\"/m\"; {look}; }}\n"),
            format!("run looks {{ from root; cache c at=\"/m\" seed={source}; {look}; }}\n"),
            format!(
                "tree m {{ from root; copy {source} {path} to=\"/m\"; }}\nrun looks {{ from m; {look}; }}\n"
            ),
        ] {
            space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{others}{nodes}"));
            let ran = space.run(&["build", "looks", "--progress", "plain"]);
            assert!(matches!(ran.code, Some(0 | 2)), "{nodes}: {}", ran.stderr);
            assert!(!ran.stderr.contains(first), "{nodes}: {}", ran.stderr);
            shown += usize::from(ran.stderr.contains("│ none"));
        }
    }
    // Most are refused, and what is not has a link of its own root there.
    assert!(shown > 0 && shown < 48, "{shown}");
}

/// CVE class: options of mounts that nobody looks at (CVE-2024-9407), sources of caches that lead elsewhere
/// (CVE-2024-9675). What a line may say is a list of words, a number or a clean path, and nothing of it is an option of
/// the kernel's.
#[test]
fn what_a_mount_may_say_is_known() {
    let space = Space::new();
    space.file("in/a", "");
    let options = [
        "",
        "rw",
        "bind",
        "ro,remount",
        "cow,suid",
        "shared,rshared",
        "private,slave",
        "1MiB,mode=7777",
        "-1",
        "%s",
    ];
    let paths = ["", ".", "..", "a", "../../a", "/a/../../b", "/", "/a\u{1}b"];
    let names = ["", ".", "..", "../../escape", "/escape", "a/b", "a\\\\b", "a b", "-a", "a\u{1}"];
    let lines = |line: &'static str, these: &[&'static str]| -> Vec<String> {
        these.iter().map(|this| line.replace("THIS", this)).collect()
    };
    let all = [
        lines("mount in at=\"/m\" access=\"THIS\"", &options),
        lines("cache c at=\"/c\" sharing=\"THIS\"", &options[..5]),
        lines("cache c at=\"/c\" scope=\"THIS\"", &options),
        lines("cache c at=\"/c\" mode=\"THIS\"", &options),
        lines("tmpfs \"/t\" size=\"THIS\"", &options),
        lines("secret s at=\"/s\" mode=\"THIS\"", &options),
        lines("mount in at=\"THIS\"", &paths),
        lines("cache c at=\"THIS\"", &paths),
        lines("tmpfs \"THIS\"", &paths),
        lines("secret s at=\"THIS\"", &paths),
        lines("mount in at=\"/m\" path=\"THIS\"", &["..", "../../a", "a/../../b", "/a/../../b"]),
        lines("cache \"THIS\" at=\"/c\"", &names),
        lines("cache c at=\"/c\" per=\"THIS\"", &names),
    ];
    let mut passed = Vec::new();
    for line in all.concat() {
        let text = format!(
            "memobuild 1\nfiles in\nworkspace w {{ secret s from-env=S; }}\nrun r {{ from scratch; exec \"/x\"; {line}; }}\n"
        );
        space.file("memobuild.kdl", text);
        let ran = space.run(&["check"]);
        match ran.code {
            Some(2) => assert!(ran.stderr.contains("memo::"), "{line}: {}", ran.stderr),
            code => passed.push(format!("{code:?} {line}")),
        }
    }
    assert_eq!(passed, [""; 0]);
}

#[test]
fn the_sandboxs_own_places_stay_its_own() {
    let places = [
        "/proc",
        "/proc/self",
        "/proc/self/root/x",
        "/proc/1/cwd",
        "/proc/sys",
        "/proc/kcore",
        "/dev",
        "/dev/null",
        "/dev/fd/3",
        "/dev/shm",
        "/etc/hosts",
    ];
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let tree = room.tree(vec![("a", Item::File("a\n"))]);
        let inputs = [rootfs_input(rootfs), input("mount", Value::Tree(tree))];
        for at in places {
            let mounted = Run { mounts: vec![mount(1, at, Access::Cow)], ..on_input("true") };
            let cached = Run { caches: vec![cache("one", at)], ..on_input("true") };
            let remembered = Run { tmpfs: vec![Tmpfs { at: path(at), size: None }], ..on_input("true") };
            for run in [mounted, cached, remembered] {
                let outcome = room.run(&run, &inputs);
                assert!(matches!(outcome.result, Err(ExecError::Input { .. })), "{at}: {:?}", outcome.result);
            }
        }
    }
}

/// CVE class: groups of the caller that a command keeps (CVE-2022-2990, CVE-2022-27651).
#[test]
fn groups_of_the_caller_stay_outside() {
    let space = Space::new();
    if !is_root() || !have(&["setpriv"]) || !busybox_root(&space) {
        return;
    }
    let look = "run look { from root; sh \"grep Groups: /proc/self/status; grep Cap /proc/self/status\"; }\n";
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{look}"));
    let build = space.command(&["build", "look"]);
    let mut caller = Command::new("setpriv");
    caller.args(["--groups", "4,27,100", "--inh-caps", "+sys_admin", "--"]).arg(build.get_program());
    caller.args(build.get_args()).current_dir(space.path());
    let ran = run(&mut caller);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let log = space.ok(&["log", "look"]).stdout;
    assert_eq!(log.lines().next().map(str::trim), Some("Groups:"), "{log}");
    assert!(
        log.contains("CapInh:\t0000000000000000\n") && log.contains("CapAmb:\t0000000000000000\n"),
        "{log}"
    );
}
