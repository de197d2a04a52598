//! What a run without a network asks for: it is answered at once, and told when the run fails.

use crate::skipped::skipped;
use std::path::Path;

use memobuild::graph::op::Network;
use memobuild::oci::image::{Layer, Rootfs};

use crate::sandbox::room::{
    Item, Room, host_input, on_host, on_input, output, rooms_with_namespaces, rootfs_input,
};

/// Busybox, and in `/etc` what is given.
fn root_with(room: &Room, etc: Vec<(&'static str, Item)>, more: Vec<(&'static str, Item)>) -> Option<Rootfs> {
    let mut rootfs = room.busybox()?;
    let mut items = vec![("etc", Item::Folder(etc))];
    items.extend(more);
    let tree = room.tree(items).tree().unwrap();
    rootfs.layers.push(Layer::Made(tree));
    Some(rootfs)
}

const ASK: &str = "ping -c 1 registry.example; ping -c 1 Registry.example; ping -c 1 localhost > /dev/null; \
                   ping -c 1 other.example; exit 1";

#[test]
fn names_are_told_when_the_run_fails() {
    for room in rooms_with_namespaces() {
        let Some(rootfs) = room.busybox() else { return };
        let mut run = on_input(&ASK.replace("; ", " || true; "));
        let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
        assert_eq!(outcome.failure().tried, ["registry.example", "other.example"], "{}", outcome.stderr);
        assert!(outcome.stderr.contains("bad address 'registry.example'"), "{}", outcome.stderr);
        run = on_input("exit 1");
        assert_eq!(room.run(&run, &[rootfs_input(rootfs.clone())]).failure().tried, [""; 0]);
        run = on_input("ping -c 1 registry.example || true");
        room.run(&run, &[rootfs_input(rootfs)]).made();
    }
}

#[test]
fn servers_that_the_root_names_are_not_asked() {
    let servers = || Item::File("search example\nnameserver 192.0.2.53\n");
    let nameless = || Item::File("# none\n");
    for room in rooms_with_namespaces() {
        let ways = [
            (vec![("resolv.conf", servers())], vec![], ""),
            (vec![("resolv.conf", nameless())], vec![], "# none\n"),
            (
                vec![("resolv.conf", Item::Link("../run/resolv.conf"))],
                vec![("run", Item::Folder(vec![("resolv.conf", servers())]))],
                "",
            ),
        ];
        for (etc, more, seen) in ways {
            let Some(rootfs) = root_with(&room, etc, more) else { return };
            let run = on_input("cat /etc/resolv.conf; ping -c 1 registry.example || exit 7");
            let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
            assert_eq!(outcome.failure().tried, ["registry.example"], "{}", outcome.stderr);
            assert_eq!(outcome.stdout, seen);
            let outcome = room.run(&on_input("true"), &[rootfs_input(rootfs)]);
            assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
        }
    }
}

#[test]
fn the_machines_own_programs_ask_as_well() {
    if !Path::new("/usr/bin/getent").exists() {
        skipped("no /usr/bin/getent");
        return;
    }
    for room in rooms_with_namespaces() {
        let mut run = on_host("getent hosts registry.example");
        run.outputs = vec![output("out", "/out", memobuild::graph::op::OutputKind::Dir)];
        let outcome = room.run(&run, &[host_input()]);
        assert_eq!(outcome.failure().tried, ["registry.example"]);
        run.network = Network::Host;
        run.commands = on_host("exit 1").commands;
        assert_eq!(room.run(&run, &[host_input()]).failure().tried, [""; 0]);
    }
}
