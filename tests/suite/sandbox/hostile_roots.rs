//! Roots that ship something else than a file of users, or a working directory that leads elsewhere.

use std::time::Instant;

use memobuild::exec::executor::ExecError;
use memobuild::graph::op::Run;
use memobuild::oci::image::{Layer, Rootfs};
use memobuild::tree::encode;
use memobuild::tree::tree::{Content, Directory, Entry, Metadata};

use crate::sandbox::room::{Item, Room, on_input, path, rooms_with_namespaces, rootfs_input};

/// Busybox's root with this at `/etc/passwd`, and `/way` as a link to `target`.
fn root(room: &Room, passwd: Entry, target: &'static str) -> Option<Rootfs> {
    root_with(room, vec![("passwd", passwd)], target)
}

fn root_with(room: &Room, files: Vec<(&str, Entry)>, target: &'static str) -> Option<Rootfs> {
    let mut rootfs = room.busybox()?;
    let save = |entries: Vec<(&str, Entry)>| {
        let entries = entries.into_iter().map(|(name, entry)| (name.as_bytes().to_vec(), entry)).collect();
        encode::save(&room.memo, &Directory { entries }).unwrap()
    };
    let etc = Entry::directory(save(files));
    let way = room.entry(Item::Link(target));
    rootfs.layers.push(Layer::Made(save(vec![("etc", etc), ("way", way)])));
    Some(rootfs)
}

/// CVE class: links in the lookup of users (CVE-2024-9676).
#[test]
fn a_file_of_users_is_a_file_of_bounded_size() {
    let fifo = Entry { metadata: Metadata::plain(0o644), content: Content::Fifo };
    for room in rooms_with_namespaces() {
        let file = |bytes: &[u8]| {
            let blob = room.memo.write_blob(bytes).unwrap();
            Entry::file(blob, bytes.len() as u64, 0o644)
        };
        let line = "eve:x:0:0::/data:/bin/sh\n";
        let link = |target| room.entry(Item::Link(target));
        let table = [
            (file(line.as_bytes()), None),
            (link("/dev/zero"), Some("is no regular file")),
            (link("/proc/self/fd/0"), Some("has no user `eve`")),
            (link("../../../../../../etc/passwd"), Some("cannot read /etc/passwd of the root")),
            (link("/no/such/file"), Some("has no user `eve`")),
            (fifo.clone(), Some("is no regular file")),
            (
                Entry::directory(encode::save(&room.memo, &Directory::default()).unwrap()),
                Some("is no regular file"),
            ),
            (file(&vec![b'\n'; (16 << 20) + 1]), Some("is larger than 16 MiB")),
        ];
        for (number, (passwd, words)) in table.into_iter().enumerate() {
            let Some(rootfs) = root(&room, passwd, "/data") else { return };
            let start = Instant::now();
            let run = Run { user: Some("eve".to_owned()), ..on_input("cd && pwd") };
            let outcome = room.run(&run, &[rootfs_input(rootfs)]);
            match words {
                None => {
                    outcome.made();
                    assert_eq!(outcome.stdout, "/data\n");
                }
                Some(words) => assert!(outcome.error().contains(words), "{number}: {}", outcome.error()),
            }
            assert!(start.elapsed().as_secs() < 20, "{number}");
        }
    }
}

/// The same of groups, in every way to name one.
#[test]
fn a_file_of_groups_is_a_file_of_bounded_size() {
    let fifo = Entry { metadata: Metadata::plain(0o644), content: Content::Fifo };
    for room in rooms_with_namespaces() {
        let link = |target| room.entry(Item::Link(target));
        let large = room.memo.write_blob(&vec![b'\n'; (16 << 20) + 1]).unwrap();
        let table = [
            (link("/dev/zero"), "is no regular file"),
            (fifo.clone(), "is no regular file"),
            (link("../../../../../../etc/group"), "cannot read /etc/group of the root"),
            (Entry::file(large, (16 << 20) + 1, 0o644), "is larger than 16 MiB"),
        ];
        for (group, words) in table {
            let eve = room.entry(Item::File("eve:x:0:0::/data:/bin/sh\n"));
            let Some(rootfs) = root_with(&room, vec![("passwd", eve), ("group", group)], "/data") else {
                return;
            };
            for user in ["eve", "eve:staff", "0:staff"] {
                let run = Run { user: Some(user.to_owned()), ..on_input("true") };
                let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
                assert!(outcome.error().contains(words), "{user}: {}", outcome.error());
            }
        }
    }
}

/// CVE class: leaked descriptors and working directories (CVE-2024-21626).
#[test]
fn a_working_directory_lies_in_the_root() {
    for room in rooms_with_namespaces() {
        let passwd = || room.entry(Item::File("root:x:0:0:root:/root:/bin/sh\n"));
        for (target, workdir, found) in [
            ("/data", "/way", Some("/data")),
            ("data", "/way/made/deep", Some("/data/made/deep")),
            ("/proc/self/fd", "/way/3", None),
            ("/proc/self/fd/0", "/way", None),
            ("/proc/1/root", "/way", None),
            ("/proc/self/cwd", "/way/x", None),
            ("/nowhere", "/way", None),
            ("/data", "/proc/self/fd/7", None),
            ("/data", "/proc/self/cwd/made", None),
            ("/data", "/etc/passwd/x", None),
        ] {
            let Some(rootfs) = root(&room, passwd(), target) else { return };
            let run = Run { workdir: Some(path(workdir)), ..on_input("/bin/busybox readlink -f .") };
            let outcome = room.run(&run, &[rootfs_input(rootfs)]);
            match found {
                Some(found) => {
                    outcome.made();
                    assert_eq!(outcome.stdout.trim(), found, "{workdir}");
                }
                None => {
                    assert!(matches!(outcome.result, Err(ExecError::Input { .. })), "{workdir} → {target}");
                    assert!(
                        outcome.error().contains("cannot be the working directory"),
                        "{}",
                        outcome.error()
                    );
                }
            }
        }
    }
}
