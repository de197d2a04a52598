//! Runs that have more than a sandbox gives, with a word of who builds: what they then can do, and what not even they.

use memobuild::exec::executor::ExecError;
use memobuild::exec::grants::{Grant, Grants};
use memobuild::graph::op::Run;

use crate::sandbox::room::{Outcome, Room, on_input, rooms_with_namespaces, rootfs_input};
use crate::skipped::skipped;
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, can_run, have};

fn allowed(room: &mut Room, words: &[&str], run: &Run) -> Option<Outcome> {
    let grants: Vec<Grant> = words.iter().map(|word| Grant::parse(word).unwrap()).collect();
    room.isolation.grants = Grants::new(&grants);
    Some(room.run(run, &[rootfs_input(room.busybox()?)]))
}

fn privileged(script: &str) -> Run {
    Run { privileged: true, ..on_input(script) }
}

#[test]
fn nothing_is_given_without_a_word_for_it() {
    for mut room in rooms_with_namespaces() {
        let devices = vec!["/dev/null".to_owned(), "/dev/full".to_owned()];
        let both = Run { devices, ..privileged("true") };
        for (words, missing) in [
            (&[][..], "privileged"),
            (&["device=null"], "privileged"),
            (&["privileged"], "device=/dev/null"),
            (&["privileged", "device=null"], "device=/dev/full"),
        ] {
            let Some(outcome) = allowed(&mut room, words, &both) else { return };
            let Err(ExecError::Mistake { help, .. }) = &outcome.result else { panic!("{words:?}") };
            assert_eq!(*help, format!("if you trust what it runs: --allow {missing}"));
        }
        let all = ["privileged", "device=null", "device=full"];
        let outcome = allowed(&mut room, &all, &both).unwrap();
        assert!(!outcome.made().shareable);
    }
}

#[test]
fn a_privileged_run_has_its_own_namespaces() {
    for mut room in rooms_with_namespaces() {
        for script in [
            "mount -t tmpfs none /data; touch /data/file; umount /data; test -e /data/old",
            "mkdir /there; mount -o bind /data /there; test -e /there/old; umount /there",
            "busybox unshare -m true",
            "busybox unshare -n true",
            "busybox unshare -U -r true",
            "busybox unshare -p -f true",
        ] {
            let Some(outcome) = allowed(&mut room, &["privileged"], &privileged(script)) else { return };
            assert!(outcome.result.is_ok(), "{} {script}: {}", room.rung(), outcome.stderr);
            let outcome = allowed(&mut room, &["privileged"], &on_input(script)).unwrap();
            assert!(outcome.result.is_err(), "{} {script}", room.rung());
        }
    }
}

/// Also where who is root inside is root of the machine.
#[test]
fn a_privileged_run_does_not_have_the_machine() {
    for mut room in rooms_with_namespaces() {
        for script in [
            "echo evil > /proc/sys/kernel/core_pattern",
            "umount /proc/sys; echo evil > /proc/sys/kernel/core_pattern",
            "mount -t proc none /data; echo evil > /data/sys/kernel/core_pattern",
            "busybox unshare -p -f -m sh -e -c 'mount -t proc none /data; echo evil > /data/sys/kernel/core_pattern'",
            // What is written to the device that covers it is lost.
            "test ! -c /proc/sysrq-trigger && echo h > /proc/sysrq-trigger",
            "umount /proc/sysrq-trigger && echo h > /proc/sysrq-trigger",
            "mknod /data/disk b 8 0; cat /data/disk",
            "mknod /data/mem c 1 1; cat /data/mem",
            "mount -t devtmpfs none /data",
            "mount -t sysfs none /data; echo x > /data/kernel/uevent_helper",
            "mount -t ext4 /dev/vda /data",
        ] {
            let run = privileged(&format!("set +e; ( set -e; {script} ) || exit 9"));
            let Some(outcome) = allowed(&mut room, &["privileged"], &run) else { return };
            assert!(outcome.result.is_err(), "{} {script}", room.rung());
            assert!(outcome.error().contains("exit code 9"), "{} {script}: {}", room.rung(), outcome.error());
        }
        assert_ne!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), "evil\n");
    }
}

#[test]
fn devices_are_where_they_are_on_the_machine() {
    for mut room in rooms_with_namespaces() {
        // Something that every machine has and no sandbox shows.
        let run = Run { devices: vec!["/dev/kmsg".to_owned()], ..on_input("test -c /dev/kmsg") };
        if !std::path::Path::new("/dev/kmsg").exists() {
            skipped("this machine has no /dev/kmsg");
            return;
        }
        let Some(outcome) = allowed(&mut room, &["device=kmsg"], &run) else { return };
        outcome.made();
        assert!(room.script("test -c /dev/kmsg").unwrap().result.is_err());
        for (path, words) in [
            ("/dev/none-such", "does not exist"),
            ("/dev/stdin", "is a link, or lies behind one"),
            ("/dev/fd/0", "is a link, or lies behind one"),
            ("/dev/shm", "is no device"),
        ] {
            let run = Run { devices: vec![path.to_owned()], ..on_input("true") };
            let outcome = allowed(&mut room, &[&format!("device={path}")], &run).unwrap();
            assert_eq!(outcome.error(), format!("this machine's {path} {words}"));
        }
    }
}

/// CVE class: missing privilege check on one of the ways to run something (CVE-2024-23653).
#[test]
fn the_command_line_must_allow_it_wherever_something_runs() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    let nodes = r#"
run out { from root; privileged; sh "echo > /out/x"; output out "/out"; }
run kmsg { from root; device kmsg; sh "true"; }
run below { from root; mount out.out at="/in"; sh "true"; }
run tried { from root; privileged; retry 3; sh "echo tried; false"; }
run pinned { from root; privileged; network locked; sh "echo > /out/x"; output out "/out"; }
test checked { from root; privileged; sh "true"; }
image app { from root; copy out.out to="/app"; cmd "/bin/sh" "-c" "true"; }
test served { from root; service app from=app port=80; sh "true"; }
export made out.out to="made"
workspace acme { policy { network allow; }; }
"#;
    space.file("memobuild.kdl", BUSYBOX_ROOT.to_owned() + nodes);
    for (arguments, flag) in [
        (&["build", "out"][..], "privileged"),
        (&["build", "out", "--allow", "device=kmsg"], "privileged"),
        (&["build", "below"], "privileged"),
        (&["build", "tried"], "privileged"),
        (&["build", "checked"], "privileged"),
        (&["build", "served"], "privileged"),
        (&["export"], "privileged"),
        (&["lock"], "privileged"),
        (&["shell", "out"], "privileged"),
        (&["shell", "out", "--failed"], "privileged"),
        (&["shell", "below"], "privileged"),
        (&["shell", "checked", "--", "/bin/sh", "-c", "true"], "privileged"),
        (&["run", "app"], "privileged"),
        (&["build", "kmsg"], "device=/dev/kmsg"),
        (&["shell", "kmsg", "--allow", "privileged", "--", "/bin/sh"], "device=/dev/kmsg"),
    ] {
        let ran = space.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("memo::grant::missing"), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--allow {flag}")), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("tried\n"), "{}", ran.stderr);
    }
    let ran = space.run(&["build", "tried", "--allow", "privileged"]);
    assert_eq!((ran.code, ran.stderr.matches("[tried] │ tried").count()), (Some(1), 4), "{}", ran.stderr);
    space.ok(&["lock", "--allow", "privileged"]);
    space.ok(&["shell", "below", "--allow", "privileged", "--", "/bin/cat", "/in/x"]);
    space.ok(&["export", "--allow", "privileged"]);
    assert!(space.workspace().join("made/x").exists());
    let ran = space.run(&["build", "kmsg", "--allow", "everything"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

/// Another sandbox works in a privileged one. As root, it has no /proc of its own there.
#[test]
fn bubblewrap_works_inside() {
    if !have(&["bwrap"]) || !can_run() {
        return;
    }
    let program = |more: &str| {
        format!(
            "memobuild 1\nrun r {{ from host; privileged; output out \"/out\"; \
             exec \"bwrap\" \"--unshare-all\" \"--ro-bind\" \"/\" \"/\" \"--dev\" \"/dev\" {more} \"true\"; }}\n"
        )
    };
    let space = Space::new();
    space.file("memobuild.kdl", program(""));
    space.ok(&["build", "r", "--allow", "privileged"]);
    let Some(space) = Space::of_ordinary_user() else { return };
    space.file("memobuild.kdl", program("\"--proc\" \"/proc\""));
    space.ok(&["build", "r", "--allow", "privileged"]);
}
