//! Whose files are: what commands are told, and what is captured, is the same on every rung.

use std::collections::BTreeMap;

use memobuild::graph::op::{OutputKind, Run, free_output};
use memobuild::graph::value::Value;
use memobuild::oci::image::Rootfs;
use memobuild::tree::encode;
use memobuild::tree::tree::{Content, Entry};

use crate::sandbox::room::{Outcome, Room, on_input, output, rooms_with_namespaces, rootfs_input};

/// Path to mode, user and group of all that is in a tree; devices with their numbers.
fn owners(room: &Room, entry: &Entry) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![(String::new(), entry.clone())];
    while let Some((at, Entry { metadata, content })) = waiting.pop() {
        let device = match content {
            Content::Device { block, major, minor } => {
                format!(" {}{major}:{minor}", if block { 'b' } else { 'c' })
            }
            _ => String::new(),
        };
        found.insert(at.clone(), format!("{:o} {}:{}{device}", metadata.mode, metadata.uid, metadata.gid));
        if let Content::Directory { tree, .. } = content {
            for (name, entry) in encode::load(&room.memo, tree).unwrap().entries {
                waiting.push((format!("{at}/{}", String::from_utf8_lossy(&name)), entry));
            }
        }
    }
    found
}

fn change(room: &Room, outcome: &Outcome) -> BTreeMap<String, String> {
    let mut found = owners(room, outcome.output(free_output::DIFF));
    found.remove("");
    found
}

fn rootfs(outcome: &Outcome) -> Rootfs {
    match &outcome.made().outputs[free_output::ROOTFS] {
        Value::Rootfs(rootfs) => (**rootfs).clone(),
        other => panic!("{other:?}"),
    }
}

/// A script, what it prints, and the paths with their owners that it leaves.
type Script = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Runs scripts on one another's results.
fn check(scripts: &[Script]) {
    check_as(None, scripts);
}

fn check_as(user: Option<&str>, scripts: &[Script]) {
    for room in rooms_with_namespaces() {
        let Some(mut root) = room.busybox() else { return };
        for (script, printed, left) in scripts {
            let run = Run { user: user.map(str::to_owned), ..on_input(script) };
            let outcome = room.run(&run, &[rootfs_input(root)]);
            outcome.made();
            assert_eq!(outcome.stdout, *printed, "{script}\non rung {}: {}", room.rung(), outcome.stderr);
            let expected: BTreeMap<_, _> =
                left.iter().map(|(path, owner)| ((*path).to_owned(), (*owner).to_owned())).collect();
            assert_eq!(change(&room, &outcome), expected, "{script}\non rung {}", room.rung());
            root = rootfs(&outcome);
        }
    }
}

#[test]
fn what_is_given_away_is_told_and_captured() {
    check(&[(
        "cd /data; touch his; chown 7:8 his; chown :9 old; mkdir d; chown 7 d; ln -s x link; chown -h 5:5 link
         chmod 4755 his; stat -c '%u:%g %a' his; chown 8 his; stat -c '%u:%g %a' his
         stat -c %u:%g old d link; chown -R 3:3 d; chown 0:0 d; stat -c %u:%g d",
        "7:8 4755\n8:8 755\n0:9\n7:0\n5:5\n0:0\n",
        &[
            ("/data", "755 0:0"),
            ("/data/d", "755 0:0"),
            ("/data/his", "755 8:8"),
            ("/data/link", "777 5:5"),
            ("/data/old", "644 0:9"),
        ],
    )]);
}

#[test]
fn owners_come_from_layers_and_stay() {
    let left: &[(&str, &str)] = &[("/data", "755 0:0"), ("/data/gone", "644 9:9"), ("/data/old", "640 7:8")];
    check(&[
        ("chown 7:8 /data/old; chown 9:9 /data/gone; chmod 640 /data/old", "", left),
        ("stat -c %u:%g /data/*; chown 9:9 /data/gone; cat /data/old", "9:9\n7:8\nold\n", &[]),
        (
            "cd /data; echo more >> old; mv old new; cp -p new copy; cp new plain; stat -c '%n %u:%g' *",
            "copy 7:8\ngone 9:9\nnew 7:8\nplain 0:0\n",
            &[
                ("/data", "755 0:0"),
                ("/data/copy", "640 7:8"),
                ("/data/new", "640 7:8"),
                ("/data/plain", "640 0:0"),
            ],
        ),
        (
            "cd /data; chown 0:0 new; rm copy; echo x > copy; stat -c '%n %u:%g' copy new",
            "copy 0:0\nnew 0:0\n",
            &[("/data", "755 0:0"), ("/data/copy", "644 0:0"), ("/data/new", "640 0:0")],
        ),
    ]);
}

#[test]
fn folders_change_hands() {
    check(&[
        (
            "mkdir -p /data/d/e; chown 7:8 /data/d",
            "",
            &[("/data", "755 0:0"), ("/data/d", "755 7:8"), ("/data/d/e", "755 0:0")],
        ),
        ("chown 7:8 /data/d; echo > /data/d/e/f; rm /data/d/e/f", "", &[]),
        ("chown 0:0 /data/d", "", &[("/data", "755 0:0"), ("/data/d", "755 0:0")]),
    ]);
}

#[test]
fn a_number_that_comes_again_is_another_file() {
    let script = "cd /data; n=0; while [ $n -lt 300 ]; do
        echo > a; chown 7:7 a; rm a; echo > b; mkdir c; chown 8:8 c; rmdir c; mkdir d; stat -c %u:%g b d
        rm b; rmdir d; n=$((n+1)); done | sort | head -n 1; ls";
    check(&[(script, "0:0\ngone\nold\n", &[])]);
}

#[test]
fn folders_give_their_group() {
    let script = "cd /data; mkdir -m 2775 ours; chown 0:50 ours; chmod 2775 ours; cd ours
        echo > file; mkdir below; ln -s x link; echo > below/deep; chown 0:0 file; cp file ../out; mv file ../moved
        stat -c '%n %u:%g' * below/deep ../moved ../out";
    check(&[(
        script,
        "below 0:50\nlink 0:50\nbelow/deep 0:50\n../moved 0:0\n../out 0:0\n",
        &[
            ("/data", "755 0:0"),
            ("/data/moved", "644 0:0"),
            ("/data/ours", "2775 0:50"),
            ("/data/ours/below", "2755 0:50"),
            ("/data/ours/below/deep", "644 0:50"),
            ("/data/ours/link", "777 0:50"),
            ("/data/out", "644 0:0"),
        ],
    )]);
}

#[test]
fn a_command_is_who_it_runs_as() {
    let script = "id -u; id -g; umask 027; cd /tmp; echo > file; mkdir folder; ln -s x link
        (echo > deep; sh -c 'echo > /tmp/deeper') & wait; stat -c '%n %u:%g' *
        chown 0 file 2>/dev/null || echo kept; echo > /data/old 2>/dev/null || echo not his; mkdir /data/x 2>/dev/null || echo nor that";
    check_as(
        Some("33:44"),
        &[(
            script,
            "33\n44\ndeep 33:44\ndeeper 33:44\nfile 33:44\nfolder 33:44\nlink 33:44\nkept\nnot his\nnor that\n",
            &[
                ("/tmp", "1777 0:0"),
                ("/tmp/deep", "640 33:44"),
                ("/tmp/deeper", "640 33:44"),
                ("/tmp/file", "640 33:44"),
                ("/tmp/folder", "750 33:44"),
                ("/tmp/link", "777 33:44"),
            ],
        )],
    );
}

#[test]
fn outputs_have_owners_too() {
    for room in rooms_with_namespaces() {
        let Some(root) = room.busybox() else { return };
        let script = "cd /out; echo > a; chown 7:8 a; mkdir b; chown 9 b; echo > /one; chown 5:6 /one";
        let outputs = vec![output("out", "/out", OutputKind::Dir), output("one", "/one", OutputKind::File)];
        let outcome = room.run(&Run { outputs, ..on_input(script) }, &[rootfs_input(root)]);
        let found = owners(&room, outcome.output("out"));
        let expected = [("", "755 0:0"), ("/a", "644 7:8"), ("/b", "755 9:0")];
        assert_eq!(found, expected.map(|(path, owner)| (path.to_owned(), owner.to_owned())).into());
        assert_eq!(owners(&room, outcome.output("one"))[""], "644 5:6");
    }
}

/// Where all ids are one, so are devices: they are what they were said to be, and lead nowhere.
#[test]
fn devices_are_recorded_where_none_can_be_made() {
    for room in rooms_with_namespaces().iter().filter(|room| room.has_one_id()) {
        let Some(root) = room.busybox() else { return };
        let script = "cd /data; mknod -m 640 disk b 8 0; mknod null c 1 3; chown 7:8 null; stat -c '%F %t %T %u' disk null
            cp -a disk copy; ln null hard; rm disk; mv null void; wc -c < void; mknod pipe p";
        let outcome = room.run(&on_input(script), &[rootfs_input(root)]);
        assert_eq!(
            outcome.stdout, "block special file 8 0 0\ncharacter special file 1 3 7\n0\n",
            "{}",
            outcome.stderr
        );
        let found = change(room, &outcome);
        let expected = [
            ("/data", "755 0:0"),
            ("/data/copy", "640 0:0 b8:0"),
            ("/data/hard", "644 7:8 c1:3"),
            ("/data/pipe", "644 0:0"),
            ("/data/void", "644 7:8 c1:3"),
        ];
        assert_eq!(found, expected.map(|(path, owner)| (path.to_owned(), owner.to_owned())).into());
        let script = "stat -c '%F %t %T %u' /data/copy /data/void; chmod 600 /data/void; rm /data/copy";
        let outcome = room.run(&on_input(script), &[rootfs_input(rootfs(&outcome))]);
        assert_eq!(outcome.stdout, "block special file 8 0 0\ncharacter special file 1 3 7\n");
        let found = change(room, &outcome);
        let expected = [("/data", "755 0:0"), ("/data/void", "600 7:8 c1:3")];
        assert_eq!(found, expected.map(|(path, owner)| (path.to_owned(), owner.to_owned())).into());
    }
}

/// The parent of a process.
fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

/// A process whose command line has this word.
fn find(word: &str) -> Option<u32> {
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = line.split(|&byte| byte == 0);
        (words.next() == Some(b"sleep") && words.any(|found| found == word.as_bytes())).then_some(pid)
    })
}

/// Who answers calls is killed: the run fails, all that it started ends, and nothing of it is kept.
#[test]
fn nothing_is_kept_where_nobody_answers() {
    for (room, seconds) in rooms_with_namespaces().iter().zip(["78001", "78002", "78003"]) {
        let Some(root) = room.busybox() else { return };
        let script = format!("chown 7 /data/old; exec sleep {seconds}");
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                let sleeper = (0..1000).find_map(|_| {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    find(seconds)
                });
                let answering = parent(parent(sleeper.expect("the command never ran")));
                let pid = rustix::process::Pid::from_raw(answering.cast_signed()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            });
            room.run(&on_input(&script), &[rootfs_input(root)])
        });
        let message = "the sandbox's own process ended without a word";
        assert_eq!(outcome.error(), message, "on rung {}", room.rung());
        let gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            find(seconds).is_none()
        });
        assert!(gone);
    }
}
