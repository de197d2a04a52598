//! Rung E: a room without namespaces. What it lacks is listed here, as `doctor` lists it; what it must not let through
//! is tried by a program of its own.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use memobuild::graph::op::{Access, Network, OutputKind, Tmpfs};
use memobuild::graph::value::Value;

use crate::sandbox::caches::cache;
use crate::sandbox::room::{Item, Room, input, mount, on_input, output, path, rooms, rootfs_input};
use crate::space::have;

/// `None` where root is not there for it.
fn room() -> Option<Room> {
    rooms().into_iter().find(|room| room.rung() == "E")
}

#[test]
fn what_it_lacks_is_listed() {
    let Some(room) = room() else { return };
    let script = "hostname; ls /proc | wc -l; ls /dev; cat /dev/null; echo x > /dev/null; head -c 3 /dev/zero | wc -c; \
                  ls -d /sys /home /run 2>/dev/null || true; echo $PPID; ls /etc; cat /etc/hosts; id -u; umask";
    let Some(outcome) = room.script(script) else { return };
    outcome.made();
    let machine = rustix::system::uname();
    let name = machine.nodename().to_string_lossy();
    let devices = "fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero";
    let expected = format!("{name}\n0\n{devices}\n3\n");
    assert!(outcome.stdout.starts_with(&expected), "{}", outcome.stdout);
    let hosts = "hosts\npasswd\n127.0.0.1\tlocalhost\n::1\tlocalhost\n0\n0022\n";
    assert!(outcome.stdout.ends_with(hosts), "{}", outcome.stdout);
    assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
}

const ESCAPES: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *name, long result) { printf("%s %d\n", name, result < 0 ? errno : 0); }

int main(int argc, char **argv) {
    pid_t outsider = atoi(argv[1]);
    struct rlimit limit = {100, 100};
    struct sockaddr_un address = {AF_UNIX, {0}};
    strcpy(address.sun_path + 1, argv[2]);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[2]);
    say("chroot", chroot("/data"));
    say("mknod", mknod("/data/disk", S_IFBLK | 0600, makedev(8, 0)));
    say("mount", mount("none", "/data", "tmpfs", 0, 0));
    say("unshare", unshare(CLONE_NEWNS));
    say("unshare-user", unshare(CLONE_NEWUSER));
    say("inet", socket(AF_INET, SOCK_STREAM, 0));
    say("inet6", socket(AF_INET6, SOCK_DGRAM, 0));
    say("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    say("packet", socket(AF_PACKET, SOCK_RAW, 0));
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    say("unix", local);
    say("abstract", connect(local, (struct sockaddr *)&address, length));
    say("kill", kill(outsider, 0));
    say("kill-1", kill(1, 0));
    say("ptrace", ptrace(PTRACE_SEIZE, outsider, 0, 0));
    say("prlimit", prlimit(outsider, RLIMIT_NOFILE, 0, &limit));
    say("shmget", shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT));
    say("own-limit", prlimit(0, RLIMIT_NOFILE, 0, &limit));
    say("up", open("/../../../etc/shadow", O_RDONLY));
    say("own-child", fork() == 0 ? (pause(), 0) : kill(0, SIGURG));
    return 0;
}
"#;

#[test]
fn nothing_leads_out_of_it() {
    let Some(room) = room() else { return };
    if !have(&["cc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("escapes.c"), ESCAPES).unwrap();
    let mut cc = Command::new("cc");
    let built =
        cc.args(["-static", "-o", "escapes", "escapes.c"]).current_dir(folder.path()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let name = format!("memobuild-test-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let program = fs::read(folder.path().join("escapes")).unwrap();
    let tree = room.tree(vec![("escapes", Item::Program(program))]);
    let mut run = on_input(&format!("/tools/escapes {} {name}", std::process::id()));
    run.mounts = vec![mount(1, "/tools", Access::Ro)];
    let Some(rootfs) = room.busybox() else { return };
    let outcome = room.run(&run, &[rootfs_input(rootfs), input("mount", Value::Tree(tree))]);
    let (no, denied, nothing) = (libc::EPERM, libc::EACCES, libc::ENOENT);
    let expected = [
        ("chroot", no),
        ("mknod", no),
        ("mount", no),
        ("unshare", no),
        ("unshare-user", no),
        ("inet", denied),
        ("inet6", denied),
        ("netlink", denied),
        ("packet", denied),
        ("unix", 0),
        ("abstract", no),
        ("kill", no),
        ("kill-1", no),
        ("ptrace", no),
        ("prlimit", denied),
        ("shmget", denied),
        ("own-limit", 0),
        ("up", nothing),
        ("own-child", 0),
    ];
    let expected: String = expected.map(|(name, error)| format!("{name} {error}\n")).concat();
    assert_eq!(outcome.stdout, expected, "{}", outcome.stderr);
    outcome.made();
}

#[test]
fn the_machines_network_is_there_for_who_may_use_it() {
    let Some(room) = room() else { return };
    let Some(rootfs) = room.busybox() else { return };
    let mut run = on_input("nc -z -w 1 127.0.0.1 1 2>&1 || true; ls /etc");
    run.network = Network::Host;
    let outcome = room.run(&run, &[rootfs_input(rootfs)]);
    assert!(!outcome.made().shareable);
    assert!(!outcome.stdout.contains("denied") && outcome.stdout.contains("hosts"), "{}", outcome.stdout);
    assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
}

/// Where the root has something already, it is not seen, and still there afterwards.
#[test]
fn what_lies_under_a_mount_is_hidden_and_kept() {
    let Some(room) = room() else { return };
    let Some(rootfs) = room.busybox() else { return };
    let tree = Value::Tree(room.tree(vec![("in", Item::File("in\n"))]));
    let mut run =
        on_input("ls /data; echo x > /data/new; rm /data/in; echo y > /data/out/made; mkdir /dev/mine");
    run.mounts = vec![mount(1, "/data", Access::Cow)];
    run.outputs = vec![output("out", "/data/out", OutputKind::Dir)];
    let outcome = room.run(&run, &[rootfs_input(rootfs), input("mount", tree)]);
    assert_eq!(outcome.made().lost.paths, ["/data/new"]);
    assert_eq!(outcome.stdout, "in\nout\n");
    assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
    assert_eq!(room.listing(outcome.output("out"))["/made"], "y\n");
}

/// It says so, instead of doing without.
#[test]
fn what_takes_namespaces_is_refused() {
    let Some(room) = room() else { return };
    let Some(rootfs) = room.busybox() else { return };
    let mut run = on_input("true");
    run.caches = vec![cache("kept", "/cache")];
    run.tmpfs = vec![Tmpfs { at: path("/cache/in"), size: None }];
    let outcome = room.run(&run, &[rootfs_input(rootfs)]);
    let error = outcome.error();
    assert!(error.starts_with("something is mounted in a cache"), "{error}");
    assert!(error.contains("which takes a sandbox with namespaces"), "{error}");
}
