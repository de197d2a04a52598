//! What a run's own lines put around its commands: folders in memory, names of machines.

use memobuild::base::tree_path::TreePath;
use memobuild::graph::action::ActionInput;
use memobuild::graph::op::{Access, Network, OutputKind, Run, Tmpfs};
use memobuild::graph::value::Value;

use crate::sandbox::room::{
    Item, Room, input, mount, on_input, output, rooms, rooms_with_namespaces, rootfs_input,
};

/// A busybox root at 0, a tree at 1.
fn inputs(room: &Room) -> Option<Vec<ActionInput>> {
    let tree = room.tree(vec![("a", Item::File("a\n")), ("sub", Item::Folder(vec![]))]);
    Some(vec![rootfs_input(room.busybox()?), input("mount /src", Value::Tree(tree))])
}

fn tmpfs(at: &str, size: Option<u64>) -> Tmpfs {
    Tmpfs { at: TreePath::parse(at).unwrap(), size }
}

#[test]
fn a_tmpfs_takes_what_is_written_and_leaves_nothing() {
    for room in rooms_with_namespaces() {
        let Some(inputs) = inputs(&room) else { return };
        let script = "stat -c '%a %U' /data/memory && grep -c ' /data/memory tmpfs ' /proc/self/mounts \
                      && echo x > /data/memory/x && cat /data/memory/src/a && echo kept > /data/new \
                      && cp /data/memory/x /out/x && ls /data/memory /data/old-memory";
        let run = Run {
            tmpfs: vec![tmpfs("/data/old-memory", None), tmpfs("/data/memory", Some(1 << 20))],
            mounts: vec![mount(1, "/data/memory/src", Access::Ro)],
            outputs: vec![output("out", "/out", OutputKind::Dir)],
            ..on_input(script)
        };
        let outcome = room.run(&run, &inputs);
        assert_eq!(
            outcome.stdout, "1777 root\n1\na\n/data/memory:\nsrc\nx\n\n/data/old-memory:\n",
            "{}",
            outcome.stderr
        );
        assert_eq!(room.listing(outcome.output("out"))["/x"], "x\n");
        let diff = room.listing(outcome.output("diff"));
        assert_eq!(diff.keys().collect::<Vec<_>>(), ["/", "/data", "/data/new", "/out", "/out/x"]);
    }
}

#[test]
fn a_tmpfs_is_as_large_as_it_says_and_anybodys() {
    for room in rooms_with_namespaces() {
        let Some(inputs) = inputs(&room) else { return };
        let script = "dd if=/dev/zero of=/memory/x bs=65536 count=32 2>/dev/null || stat -c %s /memory/x";
        let run = Run {
            tmpfs: vec![tmpfs("/memory", Some(1 << 20))],
            user: Some("bob".to_owned()),
            ..on_input(script)
        };
        assert_eq!(room.run(&run, &inputs).stdout, "1048576\n");
    }
}

#[test]
fn a_tmpfs_lies_in_a_mount_of_either_kind() {
    for room in rooms() {
        let Some(inputs) = inputs(&room) else { return };
        for access in [Access::Cow, Access::Ro] {
            let run = Run {
                tmpfs: vec![tmpfs("/src/sub", None)],
                mounts: vec![mount(1, "/src", access)],
                ..on_input("echo x > /src/sub/x && cat /src/sub/x /src/a")
            };
            assert_eq!(room.run(&run, &inputs).stdout, "x\na\n");
        }
    }
}

#[test]
fn names_of_machines_are_told_before_all_others() {
    for room in rooms() {
        let Some(inputs) = inputs(&room) else { return };
        for network in [Network::None, Network::Host] {
            let add_hosts = [("db.internal", "10.0.0.7"), ("six", "fd00::1")];
            let run = Run {
                add_hosts: add_hosts.map(|(name, address)| (name.to_owned(), address.to_owned())).to_vec(),
                network,
                ..on_input(
                    "head -n 2 /etc/hosts; grep -c localhost /etc/hosts > /dev/null && echo and others",
                )
            };
            let outcome = room.run(&run, &inputs);
            assert_eq!(outcome.stdout, "10.0.0.7\tdb.internal\nfd00::1\tsix\nand others\n");
            assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
        }
    }
}
