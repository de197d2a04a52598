//! One workspace, built on every rung of the ladder: each place finds the rung that it should, all of them make the same
//! image, and what fails, fails alike.

use std::sync::OnceLock;

use serde_json::Value;

use crate::places::{Disk, PLACES, Place, Rights, can_be_made, digest_of};
use crate::skipped::skipped;
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, run};

/// Everything that a run can do to its root, and what it can be given.
pub(crate) const WORKSPACE: &str = r##"
tree base {
    from root
    symlink "/bin/rm" target="busybox"
    symlink "/bin/ln" target="busybox"
    symlink "/bin/mv" target="busybox"
    symlink "/bin/touch" target="busybox"
    file "/etc/kept" "kept"
    file "/etc/gone" "gone"
    file "/old/a" "a"
    file "/old/b" "b"
    file "/away/c" "c"
}
tree source { file "/main.c" "int main;"; file "/sub/deep" "deep"; }
tree lib { file "/lib.c" "lib"; }
run writes {
    from base
    sh """
    echo new > /etc/new; rm /etc/gone; echo more >> /etc/kept; chmod 600 /etc/kept; touch /old/a
    rm -r /old; mkdir /old; echo b > /old/b; rm -r /away; echo file > /away
    busybox chown 7:8 /etc/kept; busybox chown 9 /old/b
    mkdir -p /deep/er; ln /etc/new /deep/er/hard; ln -s /etc /deep/link; chmod 750 /deep; mv /deep/er /deep/moved
    echo x > /tmp/kept
    """
}
run mounts {
    from writes
    mount source at="/src"
    mount lib at="/src/lib"
    mount source at="/ro" access=ro
    mount "./one" at="/etc/one"
    tmpfs "/memory"
    env GREETING="hello"
    workdir "/work/deep"
    sh """
    cat /src/main.c /src/sub/deep /src/lib/lib.c /ro/main.c /etc/one > /out/seen
    echo "$GREETING $PWD $HOME $(stat -c %a /memory)" >> /out/seen
    stat -c '%n %u:%g' /etc/kept /old/b /away >> /out/seen
    cat /etc/kept /old/b /away /deep/moved/hard >> /out/seen; ls -A / /etc /old /tmp >> /out/seen
    echo changed > /src/main.c; rm -r /src/sub; echo x > /memory/x; echo y > /src/lib/new
    echo one > /made; echo kept > kept
    """
    output out "/out"
    output one "/made" type=file
}
tree results { from mounts; copy mounts.out to="/results"; copy mounts.one to="/results/one"; }
image all { from results; cmd "/bin/sh"; }
run fails { from base; sh "echo told; exit 7"; }
run slow { from base; limits timeout="1s"; exec "/bin/sleep" "60"; }
run hosts { from host; mount source at="/src"; sh "cat src/main.c > out/copy || cat /src/main.c > /out/copy"; output out "/out"; }
default all
"##;

pub(crate) fn filled(space: Space) -> Option<Space> {
    if !busybox_root(&space) {
        return None;
    }
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{WORKSPACE}"));
    space.file("one", "single\n");
    Some(space)
}

/// What a build comes to where the tests themselves run.
pub(crate) fn expected() -> Option<&'static str> {
    static EXPECTED: OnceLock<Option<String>> = OnceLock::new();
    let build = || {
        let space = filled(Space::new())?;
        space.ok(&["build", "-o", "oci:image"]);
        Some(digest_of(&space.path().join("image")))
    };
    EXPECTED.get_or_init(build).as_deref()
}

fn check(place: &Place) {
    let (true, Some(expected)) = (can_be_made(), expected()) else { return };
    if place.disk == Disk::Tmpfs && place.rights != Rights::Own && !memory_keeps_attributes() {
        skipped("a tmpfs keeps no attributes before Linux 6.6");
        return;
    }
    let Some(space) = filled(place.space()) else { return };
    let run = |arguments: &[&str]| run(&mut place.command(&space, arguments));
    let doctor = run(&["doctor", "--format", "json"]);
    let found: Value = serde_json::from_str(&doctor.stdout).unwrap_or_default();
    assert_eq!(found["rung"].as_str(), place.rung, "{place:?}: {}{}", doctor.stdout, doctor.stderr);
    let text = run(&["doctor"]).stdout;
    let first = place.rung.map_or("isolation: none".to_owned(), |rung| format!("isolation: rung {rung}"));
    assert!(text.starts_with(&first), "{place:?}: {text}");
    let Some(rung) = place.rung else { return check_refusal(place, &space) };
    let built = run(&["build", "-o", "oci:image", "--report", "report.json"]);
    assert_eq!(built.code, Some(0), "{place:?}: {}", built.stderr);
    assert_eq!(digest_of(&space.path().join("image")), expected, "{place:?}");
    for node in space.report()["nodes"].as_array().unwrap() {
        let is_run = node["kind"] == "run";
        assert_eq!(node["rung"].as_str(), is_run.then_some(rung), "{place:?}: {node}");
    }
    for (node, words) in [("fails", "ended with exit code 7"), ("slow", "did not end within 1 s")] {
        let ran = run(&["build", node]);
        assert_eq!(ran.code, Some(1), "{place:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{place:?}: {}", ran.stderr);
    }
    // What is on a filesystem in memory is gone with the command.
    if place.disk != Disk::Tmpfs {
        let again = run(&["build", "--report", "report.json"]);
        assert_eq!(again.code, Some(0), "{place:?}: {}", again.stderr);
        assert_eq!(space.with_outcome("executed"), [""; 0], "{place:?}");
    }
    if place.rights == Rights::Container {
        check_host(place, &space);
    }
}

fn memory_keeps_attributes() -> bool {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    rustix::fs::fsetxattr(&file, "user.memobuild", b"x", rustix::fs::XattrFlags::empty()).is_ok()
}

/// Nothing is run, unless the user says so, and then only what stands on the machine's own programs.
fn check_refusal(place: &Place, space: &Space) {
    let refused = run(&mut place.command(space, &["build"]));
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("memobuild doctor"), "{}", refused.stderr);
    let refused = run(&mut place.command(space, &["build", "--unsafe-host"]));
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    check_host(place, space);
}

fn check_host(place: &Place, space: &Space) {
    let build = |more: &[&str]| {
        let arguments = [&["build", "hosts.out", "--report", "report.json"], more].concat();
        run(&mut place.command(space, &arguments))
    };
    let refused = build(&[]);
    assert_eq!(refused.code, Some(3), "{place:?}: {}", refused.stderr);
    let built = build(&["--unsafe-host", "-o", "files:made"]);
    assert_eq!(built.code, Some(0), "{place:?}: {}", built.stderr);
    assert_eq!(std::fs::read_to_string(space.path().join("made/copy")).unwrap(), "int main;");
    let warned = built.stderr.lines().filter(|line| line.contains("nothing isolated hosts")).count();
    assert_eq!(warned, 1, "{}", built.stderr);
    let is_hosts = |node: &&Value| node["name"] == "hosts";
    let report = space.report();
    assert_eq!(report["nodes"].as_array().unwrap().iter().find(is_hosts).unwrap()["rung"], "F");
    // What was made so is nothing for those who do not ask for it, nor for a policy.
    for more in [&[][..], &["--unsafe-host", "--min-isolation", "E"]] {
        let refused = build(more);
        assert_eq!(refused.code, Some(3), "{place:?} {more:?}: {}", refused.stderr);
    }
}

#[test]
fn as_root() {
    PLACES[..3].iter().for_each(check);
}

#[test]
fn as_an_ordinary_user() {
    PLACES[3..6].iter().for_each(check);
}

#[test]
fn in_a_container() {
    PLACES[6..9].iter().for_each(check);
}

#[test]
fn where_nothing_holds() {
    check(&PLACES[9]);
}
