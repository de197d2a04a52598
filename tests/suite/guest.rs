//! The long mode on another kernel: Debian's own boots in QEMU, with control groups of version 2, and this same suite
//! runs there on the real binary. What only another kernel, a delegated group or the machine's own settings can show is
//! shown there. `MEMOBUILD_LONG=1`.

mod inside;
mod machine;

use std::sync::{Mutex, MutexGuard};

use crate::guest::machine::{Guest, MODULES};
use crate::ladder::expected;
use crate::skipped::skipped;

/// One boot.
struct Scene {
    name: &'static str,
    /// More words for the kernel.
    parameters: &'static str,
    /// Of `MODULES`, what the kernel is not given.
    without: &'static [&'static str],
    /// Run by the guest's root; ends with the first command that fails. `suite FILTER…` runs tests, `as_user COMMAND…`
    /// an ordinary user's command, `finds RUNG LIMITS HELP` what `inside.rs` does.
    script: &'static str,
}

/// What scenes are written in.
const WORDS: &str = r#"
set -e
export HOME=/tmp/home TMPDIR=/tmp PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export MEMOBUILD_GUEST=1
mkdir -m 1777 $HOME
two="memory, pids, cpu by cgroup v2"
none="memory, pids, cpu watched, without a cgroup"
groups=/sys/fs/cgroup
who=
suite() { $who "$SUITE" --test-threads=2 "$@" 2>&1; }
finds() { RUNG=$1 LIMITS=$2 HELP=$3 suite --exact guest::inside::a_build_is_as_it_should_be; }
user() { setpriv --reuid 1000 --regid 1000 --clear-groups -- "$@"; }
# A group of the user's own, as systemd gives it (`Delegate=yes`).
delegate() {
    echo "+memory +pids +cpu" > $groups/cgroup.subtree_control
    mkdir $groups/$1
    (cd $groups/$1 && chown 1000:1000 . cgroup.procs cgroup.subtree_control cgroup.threads)
}
# The user's, begun in the group that `group` is.
member() {
    sh -c 'echo $$ > $0/cgroup.procs && exec setpriv --reuid 1000 --regid 1000 --clear-groups -- "$@"' $group "$@"
}
# Nobody in the group, and none below it.
is_left() { test -z "$(find $1 -mindepth 1 -type d)"; }
"#;

/// The guests take turns: each has all processors.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn play(scene: &Scene) {
    if std::env::var_os("MEMOBUILD_LONG").is_none() {
        skipped("a guest with another kernel: MEMOBUILD_LONG=1");
        return;
    }
    let (Some(image), _turn) = (expected(), turn()) else { return };
    let Some(guest) = Guest::get() else { return };
    let script = format!("{WORDS}export IMAGE={image}\n{}", scene.script);
    let modules = MODULES.iter().filter(|module| !scene.without.contains(module));
    let log = guest.play(scene.name, scene.parameters, modules, &script);
    assert!(log.contains("guest: ended with 0"), "{}: {log}", scene.name);
    assert!(!log.contains("running 0 tests"), "{}: {log}", scene.name);
    for line in log.lines() {
        if let Some((_, why)) = line.split_once("skipped ") {
            let is_meant = scene.name == "watched" || !why.contains("control group");
            assert!(is_meant && !why.contains("no isolation"), "{}: {why}", scene.name);
            skipped(&format!("in the guest: {why}"));
        }
    }
}

#[test]
fn root_has_groups_of_version_two() {
    play(&Scene {
        name: "root",
        parameters: "",
        without: &[],
        script: r#"
finds A "$two" ""
suite --exact guest::inside::groups_hold_a_run
suite sandbox::limits sandbox::ends sandbox::walls sandbox::grants ladder::
is_left $groups
"#,
    });
}

#[test]
fn a_user_has_groups_that_are_delegated() {
    play(&Scene {
        name: "delegated",
        parameters: "",
        without: &[],
        script: r#"
delegate alone
group=$groups/alone
member target/debug/memobuild --store /tmp/alone doctor | grep "limits: $two"
is_left $group
delegate several
user mkdir $groups/several/tests
group=$groups/several/tests who=member
finds C "$two" ""
suite --exact guest::inside::groups_hold_a_run
suite sandbox::limits
# What the suite moved into is left by it, as by who is killed: the next build removes that.
member target/debug/memobuild --store /tmp/alone doctor | grep "limits: $two"
test "$(find $groups/several -mindepth 1 -type d)" = $groups/several/tests
"#,
    });
}

#[test]
fn a_user_without_groups_is_watched() {
    play(&Scene {
        name: "watched",
        parameters: "",
        without: &[],
        script: r#"
who=user
finds C "$none" "systemd-run --user --scope -p Delegate=yes"
suite sandbox::limits sandbox::files sandbox::walls
is_left $groups
"#,
    });
}

#[test]
fn some_limits_are_held_by_version_one() {
    play(&Scene {
        name: "hybrid",
        parameters: "",
        without: &[],
        script: r#"
mkdir /run/memory
mount -t cgroup -o memory memory /run/memory
finds A "pids, cpu by cgroup v2; memory by cgroup v1" ""
suite sandbox::limits
is_left $groups
is_left /run/memory
"#,
    });
}

#[test]
fn a_machine_that_makes_no_user_namespaces_says_so() {
    play(&Scene {
        name: "namespaces",
        parameters: "",
        without: &[],
        script: r#"
echo 0 > /proc/sys/user/max_user_namespaces
finds A "$two" "sysctl -w user.max_user_namespaces=10000"
who=user
finds none "$none" "sysctl -w user.max_user_namespaces=10000"
echo 1000 > /proc/sys/user/max_user_namespaces
echo 0 > /proc/sys/kernel/unprivileged_userns_clone
finds none "$none" "sysctl -w kernel.unprivileged_userns_clone=1"
echo 1 > /proc/sys/kernel/unprivileged_userns_clone
finds C "$none" ""
"#,
    });
}

#[test]
fn a_kernel_without_overlays_copies() {
    play(&Scene {
        name: "overlay",
        parameters: "",
        without: &["fs/overlayfs/overlay"],
        script: r#"
finds D "$two" "use the overlay filesystem"
who=user
finds D "$none" "use the overlay filesystem"
"#,
    });
}

/// And without any device that could stand in for what is missing: `/dev/fuse` is in none of the guests.
#[test]
fn a_kernel_without_landlock_says_so() {
    play(&Scene {
        name: "landlock",
        parameters: "lsm=capability",
        without: &[],
        script: r#"
test ! -e /dev/fuse
finds A "$two" "the kernel has it, and does not use it"
echo 0 > /proc/sys/user/max_user_namespaces
who="setpriv --bounding-set=-sys_admin --inh-caps=-all --"
finds none "$two" "landlock"
"#,
    });
}
