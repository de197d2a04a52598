//! Descriptors that a run hands to somebody who outlives it (CVE-2024-27297): to a run beside it that shares a cache,
//! over a socket in there, and to this machine, over abstract sockets. Whoever holds one may write for as long as
//! they want: the bytes under a digest stay as they are.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memobuild::base::cancel::Cancel;
use memobuild::graph::action::ActionInput;
use memobuild::graph::op::{Access, Network, OutputKind, Run};
use memobuild::graph::value::Value;
use memobuild::store::memo::Memo;
use memobuild::store::object::Object;
use memobuild::tree::encode;
use memobuild::tree::tree::{Content, Entry};

use crate::sandbox::caches::cache;
use crate::sandbox::room::{
    Item, Outcome, Room, input, mount, on_input, output, rooms_with_namespaces, rootfs_input,
};
use crate::sandbox::vandals::census_of;
use crate::space::have;

/// `give OUTSIDE INSIDE`: hands descriptors of all that it makes, and of what it was given, to whoever listens there.
/// `take NAME PLACE`: listens at both, and writes to all that it is handed, by every way that there is, for ever.
/// Names that begin with `@` are abstract.
const SMUGGLER: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FILES 20
static char block[65536];

static int meet(const char *name, int listens) {
    struct sockaddr_un address = {AF_UNIX, {0}};
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(name);
    if (name[0] == '@') address.sun_path[0] = 0; else length++;
    int end = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!listens) return connect(end, (struct sockaddr *)&address, length) ? -1 : end;
    if (bind(end, (struct sockaddr *)&address, length) || listen(end, 9)) return -1;
    if (name[0] != '@') chmod(name, 0777);
    return end;
}

static void give(const char *name, const char *what, int *files, int tries) {
    int end = meet(name, 0);
    while (end < 0 && --tries > 0) {
        usleep(20000);
        end = meet(name, 0);
    }
    char control[CMSG_SPACE(sizeof(int) * (FILES + 1))] = {0}, byte = 0;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    *rights = (struct cmsghdr){CMSG_LEN(sizeof(int) * (FILES + 1)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(rights), files, sizeof(int) * (FILES + 1));
    /* Its word back says that it writes already. */
    int given = end >= 0 && sendmsg(end, &message, 0) == 1 && read(end, &byte, 1) == 1;
    printf("%s: %s\n", what, given ? "given" : "out of reach");
}

static void take(int end) {
    int count = 0;
    signal(SIGPIPE, SIG_IGN);
    char control[CMSG_SPACE(sizeof(int) * (FILES + 1))], byte;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(end, &message, 0) != 1 || !CMSG_FIRSTHDR(&message)) _exit(1);
    int *files = (int *)CMSG_DATA(CMSG_FIRSTHDR(&message));
    char *seen[FILES + 1];
    for (int i = 0; i <= FILES; i++) {
        char name[40];
        snprintf(name, sizeof name, "/proc/self/fd/%d", files[i]);
        int again = open(name, O_RDWR);
        if (again >= 0) files[i] = again;
        seen[i] = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, files[i], 0);
    }
    for (;;) {
        for (int i = 0; i <= FILES; i++) {
            pwrite(files[i], "evil", 4, 0);
            if (seen[i] != MAP_FAILED) memcpy(seen[i] + 8, "evil", 4);
            if (count % 7 == 6) { ftruncate(files[i], 60000); ftruncate(files[i], 65536); }
            fchmod(files[i], count % 2 ? 0644 : 0600);
        }
        if (count++ == 3) write(end, "x", 1);
        /* A run that is read in between sees no change; one that is read meanwhile is told so. */
        usleep(count % 8 ? 500 : 400000);
    }
}

int main(int argc, char **argv) {
    if (!strcmp(argv[1], "give")) {
        int files[FILES + 1];
        memset(block, 'm', sizeof block);
        for (int i = 0; i < FILES; i++) {
            char name[40];
            snprintf(name, sizeof name, "/out/%d", i);
            files[i] = open(name, O_RDWR | O_CREAT, 0644);
            write(files[i], block, sizeof block);
        }
        files[FILES] = open("/ro/file", O_RDONLY);
        signal(SIGPIPE, SIG_IGN);
        /* When that one listens, all do. */
        give("/cache/inside", "in the cache, to the other run", files, 1000);
        give(argv[2], "abstract, to the machine", files, 1);
        give("@inside", "abstract, to the other run", files, 1);
        give(argv[3], "in the cache, to the machine", files, 1);
        return 0;
    }
    for (int i = 2; i < argc; i++) {
        int listener = meet(argv[i], 1);
        if (listener < 0 || fork()) continue;
        for (;;) {
            int end = accept(listener, 0, 0);
            if (!fork()) take(end);
            close(end);
        }
    }
    puts("listens");
    fflush(stdout);
    pause();
}
"#;

fn smuggler(folder: &Path) -> PathBuf {
    let source = folder.join("smuggler.c");
    std::fs::write(&source, SMUGGLER).unwrap();
    let program = folder.join("smuggler");
    let built = Command::new("cc").args(["-static", "-w", "-o"]).arg(&program).arg(source).output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// Somebody of this machine; ended when dropped.
struct Outsider(Child);

impl Drop for Outsider {
    fn drop(&mut self) {
        // Its children are in its process group.
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

/// The run `with a cache`, with the smuggler at `/tools` and a file at `/ro`.
fn run(room: &Room, inputs: &[ActionInput], network: Network, script: &str, cancel: &Cancel) -> Outcome {
    let mut run = Run { network, ..on_input(script) };
    run.caches = vec![cache("shared", "/cache")];
    run.mounts = vec![mount(1, "/tools", Access::Ro), mount(2, "/ro", Access::Ro)];
    run.outputs = vec![output("out", "/out", OutputKind::Dir)];
    room.run_until(&run, inputs, cancel)
}

/// Where the cache lies in the store: where this file is.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| match entry.file_name() == name {
        true => Some(folder.to_owned()),
        false => find(&entry.path(), name),
    })
}

fn bytes_of(memo: &Memo, entry: &Entry) -> Vec<Vec<u8>> {
    let entries = encode::load(memo, entry.tree().unwrap()).unwrap().entries;
    let files = entries.into_values().map(|entry| match entry.content {
        Content::File { blob, size, .. } => {
            // Verified against its digest.
            let bytes = memo.read(Object::Blob(blob)).unwrap();
            assert_eq!(bytes.len() as u64, size);
            bytes.to_vec()
        }
        other => panic!("{other:?}"),
    });
    files.collect()
}

/// CVE class: build escape via cooperating builds.
#[test]
fn who_holds_a_descriptor_changes_nothing_under_a_digest() {
    if !have(&["cc"]) {
        return;
    }
    use std::os::unix::process::CommandExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = smuggler(folder.path());
    let long = std::env::var_os("MEMOBUILD_LONG").is_some();
    let patience = Duration::from_millis(if long { 5_000 } else { 300 });
    for room in rooms_with_namespaces() {
        let Some(rootfs) = room.busybox() else { return };
        let tools = room.tree(vec![("smuggler", Item::Program(std::fs::read(&program).unwrap()))]);
        let file = room.tree(vec![("file", Item::File("given\n"))]);
        let inputs =
            [rootfs_input(rootfs), input("mount", Value::Tree(tools)), input("mount", Value::Tree(file))];
        for network in [Network::Host, Network::Proxy] {
            let name = format!("@memobuild-{}-{}-{network:?}", std::process::id(), room.rung());
            run(&room, &inputs, network, "echo > /cache/here", &Cancel::default()).made();
            let place = find(&room.memo.folder().join("caches"), "here").unwrap().join("outside");
            let _ = std::fs::remove_file(&place);
            let mut outsider = Command::new(&program);
            outsider.args(["take", &name]).arg(&place).process_group(0).stdout(Stdio::piped());
            let mut outsider = Outsider(outsider.spawn().unwrap());
            outsider.0.stdout.take().unwrap().read_exact(&mut [0; 7]).unwrap();
            let kept = ["blobs", "trees", "snapshots"].map(|name| room.memo.folder().join(name));
            let before = census_of(&kept);
            let cancel = Cancel::default();
            std::thread::scope(|scope| {
                let (room, inputs, cancel) = (&room, &inputs, &cancel);
                let taking = "rm -f /cache/inside; exec /tools/smuggler take @inside /cache/inside";
                scope.spawn(move || run(room, inputs, network, taking, cancel));
                let giving = format!("/tools/smuggler give {name} /cache/outside");
                let stays = || {
                    let outcome = run(room, inputs, network, &giving, &Cancel::default());
                    stays_as_it_is(room, &outcome, patience)
                };
                let was_made = (0..20).any(|_| stays());
                cancel.raise();
                cancel.raise();
                assert!(was_made, "{} {network:?}", room.rung());
            });
            let mut after = census_of(&kept);
            after.retain(|path, _| before.contains_key(path));
            assert!(before == after, "{} {network:?}", room.rung());
        }
    }
}

/// While the others write. `false` where they wrote while it was read, which is told.
fn stays_as_it_is(room: &Room, outcome: &Outcome, patience: Duration) -> bool {
    let told = |words: &str| outcome.stdout.lines().any(|line| line == words);
    assert!(told("abstract, to the machine: out of reach"), "{}: {}", room.rung(), outcome.stdout);
    assert!(told("abstract, to the other run: out of reach"), "{}: {}", room.rung(), outcome.stdout);
    // What two runs share they may meet in.
    assert!(told("in the cache, to the other run: given"), "{}: {}", room.rung(), outcome.stdout);
    match &outcome.result {
        Ok(_) => {
            // Nothing that is in memory answers for the disk.
            let began = Instant::now();
            let first = bytes_of(&Memo::open(room.memo.folder()).unwrap(), outcome.output("out"));
            while began.elapsed() < patience {
                let memo = Memo::open(room.memo.folder()).unwrap();
                assert!(bytes_of(&memo, outcome.output("out")) == first);
            }
        }
        Err(error) => assert!(error.to_string().contains("changed while"), "{error}"),
    }
    outcome.result.is_ok()
}
