//! What a run finds at its mounts, and what is kept of its outputs.

use memobuild::base::digest::BlobDigest;
use memobuild::exec::executor::{Cause, ExecError};
use memobuild::graph::action::ActionInput;
use memobuild::graph::op::{Access, Command, OutputKind, Run};
use memobuild::graph::value::Value;
use memobuild::oci::image::Layer;
use memobuild::store::object::{Object, StoreError};
use memobuild::tree::disk::snapshot::{FIRST_TIME, SLOT_WIDTH};
use memobuild::tree::tree::Content;

use crate::sandbox::room::{
    Item, Outcome, Room, host_input, input, mount, on_host, on_input, output, rooms, rooms_with_namespaces,
    rootfs_input,
};
use crate::skipped::skipped;

/// A busybox root at 0, a tree at 1, another at 2, a single file at 3.
fn inputs(room: &Room) -> Option<Vec<ActionInput>> {
    let source = room.tree(vec![
        ("main.c", Item::File("int main;\n")),
        ("sub", Item::Folder(vec![("deep", Item::File("deep\n"))])),
    ]);
    let other = room.tree(vec![("lib.c", Item::File("lib\n"))]);
    let single = room.entry(Item::File("single\n"));
    Some(vec![
        rootfs_input(room.busybox()?),
        input("mount /src", Value::Tree(source)),
        input("mount /src/lib", Value::Tree(other)),
        input("mount /etc/one", Value::Tree(single)),
    ])
}

fn run_on_inputs(room: &Room, script: &str, change: impl FnOnce(&mut Run)) -> Option<Outcome> {
    let mut run = on_input(script);
    change(&mut run);
    Some(room.run(&run, &inputs(room)?))
}

#[test]
fn mounts_nest_and_leave_nothing() {
    for room in rooms() {
        for access in [Access::Cow, Access::Ro] {
            let script = "cat /src/main.c /src/sub/deep /src/lib/lib.c /etc/one";
            let outcome = run_on_inputs(&room, script, |run| {
                run.mounts = vec![
                    mount(2, "/src/lib", access),
                    mount(3, "/etc/one", access),
                    mount(1, "/src", access),
                ];
            });
            let Some(outcome) = outcome else { return };
            assert_eq!(
                (outcome.stdout.as_str(), outcome.stderr.as_str()),
                ("int main;\ndeep\nlib\nsingle\n", "")
            );
            let diff = room.listing(outcome.output("diff"));
            assert_eq!(diff.keys().collect::<Vec<_>>(), ["/"]);
        }
    }
}

#[test]
fn writes_to_mounts_are_thrown_away_or_refused() {
    let script = "for path in /src/main.c /src/new /src/lib/new /etc/one; do \
                  if (echo changed > $path) 2>/dev/null; then cat $path; else echo refused; fi; done; \
                  rm /src/sub/deep 2>/dev/null || echo kept";
    let changed = "changed\nchanged\nchanged\nchanged\n";
    for room in rooms() {
        let refused =
            if room.has_namespaces() { "refused\nrefused\nrefused\nrefused\nkept\n" } else { changed };
        for (access, expected) in [(Access::Cow, changed), (Access::Ro, refused)] {
            for _ in 0..2 {
                // The second run would see what the first one did to its inputs.
                let outcome = run_on_inputs(&room, script, |run| {
                    run.mounts = vec![
                        mount(1, "/src", access),
                        mount(2, "/src/lib", access),
                        mount(3, "/etc/one", access),
                    ];
                });
                let Some(outcome) = outcome else { return };
                assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""));
                assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
            }
        }
    }
}

#[test]
fn what_lies_above_shows_a_later_time() {
    for room in rooms() {
        let Some(first) = room.script("echo second > /data/second") else { return };
        let Value::Rootfs(rootfs) = &first.made().outputs["rootfs"] else { panic!() };
        let mut inputs = inputs(&room).unwrap();
        inputs[0] = rootfs_input((**rootfs).clone());
        let mut run = on_input("stat -c %Y /data/old /data/second /src/main.c /src/lib/lib.c /etc/one");
        run.mounts = vec![
            mount(1, "/src", Access::Ro),
            mount(2, "/src/lib", Access::Cow),
            mount(3, "/etc/one", Access::Cow),
        ];
        let outcome = room.run(&run, &inputs);
        let times: Vec<i64> = outcome.stdout.lines().map(|line| line.parse::<i64>().unwrap()).collect();
        let slots: Vec<i64> = times.iter().map(|time| (time - FIRST_TIME) / SLOT_WIDTH).collect();
        assert_eq!(slots, [2, 4, 6, 8, 6], "{}", outcome.stderr);
    }
}

#[test]
fn outputs_are_kept_and_their_parents_are_not() {
    let script =
        "echo a > /out/dist/a; mkdir /out/dist/sub; ln -s /etc /out/dist/sub/link; echo f > /file/made";
    for room in rooms() {
        let outcome = run_on_inputs(&room, script, |run| {
            run.outputs = vec![
                output("dist", "/out/dist", OutputKind::Dir),
                output("one", "/file/made", OutputKind::File),
            ];
        });
        let Some(outcome) = outcome else { return };
        let expected = [("/", "dir"), ("/a", "a\n"), ("/sub", "dir"), ("/sub/link", "-> /etc")];
        let expected = expected.map(|(path, shown)| (path.to_owned(), shown.to_owned()));
        assert_eq!(room.listing(outcome.output("dist")), expected.into());
        assert!(matches!(outcome.output("one").content, Content::File { size: 2, .. }));
        let chosen = run_on_inputs(&room, script, |run| {
            run.outputs = vec![output("dist", "/out/dist", OutputKind::Dir)];
            run.outputs[0].include = vec!["sub/*".to_owned()];
            run.commands.insert(0, Command::Sh("mkdir /file".to_owned()));
        });
        let listing = room.listing(chosen.unwrap().output("dist"));
        assert_eq!(listing.keys().collect::<Vec<_>>(), ["/", "/sub", "/sub/link"]);
        let empty = run_on_inputs(&room, "true", |run| {
            run.outputs = vec![output("dist", "/out/dist", OutputKind::Dir)];
        });
        let empty = empty.unwrap();
        assert_eq!(room.listing(empty.output("dist")).len(), 1);
        assert_eq!(room.listing(empty.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
    }
}

/// CVE class: links where outputs are taken (CVE-2026-39860).
#[test]
fn outputs_that_are_not_there_are_told() {
    let table = [
        ("true", OutputKind::File, "`/bin/sh -e -c true` did not make its output `/out/x`"),
        ("rm -r /out/x", OutputKind::Dir, "`/bin/sh -e -c 'rm -r /out/x'` did not make its output `/out/x`"),
        (
            "ln -s /etc/passwd /out/x",
            OutputKind::File,
            "the output `/out/x` is a symbolic link, or lies behind one",
        ),
        (
            "rm -r /out/x; ln -s /etc /out/x",
            OutputKind::Dir,
            "the output `/out/x` is a symbolic link, or lies behind one",
        ),
        (
            "rm -r /out; ln -s /etc /out; echo > /etc/x",
            OutputKind::File,
            "the output `/out/x` is a symbolic link, or lies behind one",
        ),
        ("mkdir /out/x", OutputKind::File, "the output `/out/x` is no regular file"),
        ("rm -r /out/x; echo > /out/x", OutputKind::Dir, "the output `/out/x` is no directory"),
    ];
    for room in rooms() {
        for (script, kind, message) in table {
            let outcome = run_on_inputs(&room, script, |run| run.outputs = vec![output("x", "/out/x", kind)]);
            let Some(outcome) = outcome else { return };
            assert!(matches!(outcome.result, Err(ExecError::Input { .. })), "{script}");
            assert_eq!(outcome.error(), message);
        }
        let outcome = run_on_inputs(&room, "true", |run| {
            run.outputs = vec![output("x", "/out/x", OutputKind::File)];
            run.outputs[0].optional = true;
        });
        assert!(!outcome.unwrap().made().outputs.contains_key("x"));
    }
}

#[test]
fn the_sandboxs_own_places_are_no_part_of_the_change() {
    for room in rooms() {
        let Some(outcome) = room.script("rmdir /tmp; ls /etc; touch /etc /etc/hosts; echo x >> /etc/hosts")
        else {
            return;
        };
        assert_eq!(outcome.stdout, "hosts\npasswd\n");
        assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
        let layers = |outcome: &Outcome| match &outcome.made().outputs["rootfs"] {
            Value::Rootfs(rootfs) => rootfs.layers.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(layers(&outcome), 1, "a change of nothing is no layer");
        let outcome = room.script("echo x > /tmp/kept; echo y > /etc/kept").unwrap();
        let diff = room.listing(outcome.output("diff"));
        assert_eq!(diff.keys().collect::<Vec<_>>(), ["/", "/etc", "/etc/kept", "/tmp", "/tmp/kept"]);
        assert_eq!(layers(&outcome), 2);
    }
}

/// CVE class: masks, consoles and /proc as targets of links (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
#[test]
fn links_in_the_root_steer_no_mount() {
    for room in rooms() {
        let Some(evil) = room.script("rm -r /data; ln -s /etc /data; ln -s /etc/passwd /name") else {
            return;
        };
        let Value::Rootfs(rootfs) = &evil.made().outputs["rootfs"] else { panic!() };
        let mut inputs = inputs(&room).unwrap();
        inputs[0] = rootfs_input((**rootfs).clone());
        for (number, at) in [(1, "/data"), (1, "/data/sub"), (3, "/name")] {
            let mut run = on_input("true");
            run.mounts = vec![mount(number, at, Access::Ro)];
            let outcome = room.run(&run, &inputs);
            assert!(matches!(outcome.result, Err(ExecError::Input { .. })), "{at}");
        }
    }
}

/// CVE class: masks, consoles and /proc as targets of links.
#[test]
fn a_root_with_links_for_the_sandboxs_own_places_is_refused_or_harmless() {
    for room in rooms() {
        for (name, target) in [("proc", "/etc"), ("dev", "/etc"), ("tmp", "/data")] {
            let Some(mut rootfs) = room.busybox() else { return };
            let Content::Directory { tree, .. } = room.tree(vec![(name, Item::Link(target))]).content else {
                unreachable!()
            };
            rootfs.layers.push(Layer::Made(tree));
            let outcome = room.run(&on_input("true"), &[rootfs_input(rootfs)]);
            let refused = matches!(outcome.result, Err(ExecError::Input { .. }));
            assert_eq!(refused, name != "tmp", "{name}");
        }
    }
}

#[test]
fn the_hosts_programs_make_outputs() {
    for room in rooms_with_namespaces() {
        let mut run = on_host("cp -a /usr/bin/env /out/env; cat /src/main.c > /out/copy; ls -a /root; ls /");
        run.mounts = vec![mount(1, "/src", Access::Cow)];
        run.outputs = vec![output("out", "/out", OutputKind::Dir)];
        let source = room.tree(vec![("main.c", Item::File("int main;\n"))]);
        let outcome = room.run(&run, &[host_input(), input("mount /src", Value::Tree(source))]);
        let made = outcome.made();
        assert_eq!(made.outputs.keys().collect::<Vec<_>>(), ["out"]);
        let Content::Directory { tree, .. } = outcome.output("out").content else { panic!() };
        for (_, entry) in memobuild::tree::encode::load(&room.memo, tree).unwrap().entries {
            assert_eq!((entry.metadata.uid, entry.metadata.gid), (0, 0));
        }
        for hidden in ["work", "home", "root/", "sys", "var", ".cargo"] {
            assert!(!outcome.stdout.contains(hidden), "{}", outcome.stdout);
        }
    }
}

/// Also those of the outputs themselves, and not only of what is in them.
#[test]
fn attributes_of_outputs_are_kept() {
    if !std::path::Path::new("/usr/bin/perl").exists() {
        skipped("there is no /usr/bin/perl");
        return;
    }
    let set = |path: &str| {
        format!(
            "perl -e 'my @of = qw({path} user.name value); exit(syscall({}, @of, 5, 0) ? 9 : 0)'",
            libc::SYS_setxattr
        )
    };
    let script = format!("{}; echo > /file/made; {}", set("/src/out"), set("/file/made"));
    for room in rooms_with_namespaces() {
        let mut run = on_host(&script);
        run.mounts = vec![mount(1, "/src", Access::Cow)];
        run.outputs =
            vec![output("out", "/src/out", OutputKind::Dir), output("made", "/file/made", OutputKind::File)];
        let source = room.tree(vec![("main.c", Item::File("int main;\n"))]);
        let outcome = room.run(&run, &[host_input(), input("mount /src", Value::Tree(source))]);
        if matches!(&outcome.result, Err(ExecError::Failed(failure)) if failure.cause == Cause::Exit(9)) {
            skipped("the store's disk keeps no attributes");
            continue;
        }
        for name in ["out", "made"] {
            let found = &outcome.output(name).metadata.xattrs;
            assert_eq!(found.get(&b"user.name"[..]).map(Vec::as_slice), Some(&b"value"[..]), "{name}");
        }
    }
}

/// Runs use the same folder one after another.
#[test]
fn nothing_of_a_run_reaches_the_next() {
    let look = "ls -A /; stat -c '%a %u:%g' /";
    for room in rooms() {
        let Some(first) = room.script(look) else { return };
        first.made();
        for change in
            ["chmod 1777 /", "touch -d 2001-01-01 /", "echo 1 > /new", "rm -r /data", "mkdir /a; exit 1"]
        {
            let _ = room.script(change);
            let next = room.script(&format!("{look}; find / -maxdepth 0 -mtime +30")).unwrap();
            next.made();
            assert_eq!(next.stdout, first.stdout, "after `{change}`");
        }
    }
}

/// On every rung the build has to hear of it, to make anew what is damaged.
#[test]
fn damage_in_the_store_is_told_as_damage() {
    for room in rooms() {
        let Some(inputs) = inputs(&room) else { return };
        let blob = BlobDigest::of(b"deep\n");
        let hex = blob.to_hex();
        let place = room.memo.folder().join("blobs").join(&hex[..2]).join(&hex);
        std::fs::remove_file(&place).unwrap();
        std::fs::write(&place, "dead\n").unwrap();
        let mut run = on_input("cat /src/sub/deep");
        run.mounts = vec![mount(1, "/src", Access::Ro)];
        // What has read nothing yet, and so remembers nothing.
        let outcome = room.at(room.memo.folder()).run(&run, &inputs);
        let Err(ExecError::Store(StoreError::Damaged(damaged))) = outcome.result else {
            panic!("{:?} on rung {}", outcome.result, room.rung());
        };
        assert_eq!(damaged, Object::Blob(blob));
    }
}
