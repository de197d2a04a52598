//! Rung F: runs on this machine's own programs that nothing isolates, where the user wants that. What they are given
//! lies in a folder, and of the rest they are kept off as far as the kernel does that for anybody.

use std::sync::Arc;

use memobuild::exec::probe::Isolation;
use memobuild::exec::zygote::Zygote;
use memobuild::graph::op::{Access, OutputKind};
use memobuild::graph::value::Value;

use crate::sandbox::room::{
    Item, Outcome, Room, host_input, input, mount, on_host, on_input, output, program, rooms,
};

/// Where nothing holds, and the user has said so.
fn room() -> Option<Room> {
    let mut room = rooms().into_iter().next()?;
    let nothing = Isolation::new(None, Vec::new(), Arc::new(Zygote::new(program())));
    room.isolation = Isolation { unsafe_host: true, ..nothing };
    Some(room)
}

fn run(room: &Room, script: &str) -> Outcome {
    let mut run = on_host(script);
    run.mounts = vec![mount(1, "/src", Access::Cow)];
    run.outputs = vec![output("out", "/out", OutputKind::Dir)];
    let tree = room.tree(vec![("main.c", Item::File("int main;\n"))]);
    room.run(&run, &[host_input(), input("mount /src", Value::Tree(tree))])
}

#[test]
fn inputs_lie_in_a_folder_and_outputs_are_taken_from_it() {
    let Some(room) = room() else { return };
    let outcome = run(&room, "cat src/main.c $MEMOBUILD_ROOT/src/main.c > out/twice; echo $HOME; pwd");
    let made = outcome.made();
    assert_eq!(room.listing(outcome.output("out"))["/twice"], "int main;\nint main;\n");
    assert_eq!(made.rung.as_deref(), Some("F"));
    assert!(!made.shareable);
    let places: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(places[0], places[1], "it starts at the top of the folder, which is its home as well");
    assert!(places[0].starts_with(room.memo.folder().to_str().unwrap()));
    assert_eq!(room.left_of_runs(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn only_runs_on_the_machines_programs_run() {
    let Some(room) = room() else { return };
    let Some(rootfs) = room.busybox() else { return };
    let outcome = room.run(&on_input("true"), &[crate::sandbox::room::rootfs_input(rootfs)]);
    assert!(outcome.error().starts_with("no command can be isolated on this machine"));
}

#[test]
fn the_rest_of_the_machine_is_kept_from_it_where_the_kernel_can() {
    let Some(room) = room() else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    let script = format!(
        "cat {0} 2>/dev/null && echo read; (echo x > {0}) 2>/dev/null && echo written; \
         ls {1} 2>/dev/null && echo listed; echo x > /dev/null && echo silent; kill -0 {2} 2>/dev/null && echo alive; true",
        secret.display(),
        room.memo.folder().display(),
        std::process::id(),
    );
    assert_eq!(run(&room, &script).stdout, "silent\n");
}

#[test]
fn nothing_of_it_lives_on() {
    let Some(room) = room() else { return };
    let seconds = format!("7706{}", std::process::id());
    let script = "setsid sleep 0 & (trap '' TERM; setsid sh -c 'sleep 0 & sleep 0 ') & /bin/sleep 0.2";
    run(&room, &script.replace("sleep 0 ", &format!("sleep {seconds} "))).made();
    assert!(!crate::sandbox::ends::is_running(&seconds));
}
