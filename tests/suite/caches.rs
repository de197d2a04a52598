//! `cache` lines: folders that outlive builds, used by several builds at once, listed and removed; and tools that
//! keep their results in one never take a stale one from it.

mod stale;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::space::{BUSYBOX_ROOT, Ran, Space, User, busybox_root, ordinary_user};

/// A space whose build file has these nodes beside `root`.
fn space(of: User, nodes: &str) -> Option<Space> {
    let space = Space::of(of);
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{nodes}"));
        space
    })
}

fn start(space: &Space, target: &str) -> Child {
    let mut command = space.command(&["build", "--progress", "plain", target]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Folders of copies of caches.
fn copies(space: &Space) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let below = list(&space.store().join("caches/v1")).into_iter().flat_map(|cache| list(&cache));
    below.filter(|path| path.is_dir()).collect()
}

fn in_cache(space: &Space, name: &str) -> Option<PathBuf> {
    copies(space).into_iter().map(|copy| copy.join(name)).find(|path| path.exists())
}

#[test]
fn one_build_after_the_other_where_it_is_locked() {
    let run = |name: &str| {
        format!(
            "run {name} {{ from root; cache shelf at=\"/c\" sharing=locked; cache a at=\"/a\" sharing=locked;
                 sh \"echo {name} >> /c/log; sleep 0.4; echo {name} >> /c/log\"; }}\n"
        )
    };
    let nodes = ["one", "two"].map(run).concat();
    let show = "run show { from root; cache shelf at=\"/c\"; sh \"cp /c/log /log\"; output log \"/log\" type=file; }";
    let Some(space) = space(User::Current, &(nodes + show)) else { return };
    let ran = ["one", "two"].map(|target| start(&space, target)).map(end);
    assert_eq!(ran.each_ref().map(|ran| ran.code), [Some(0); 2], "{}{}", ran[0].stderr, ran[1].stderr);
    let told = "waiting for the cache `";
    assert_eq!(ran.iter().filter(|ran| ran.stderr.contains(told)).count(), 1, "{}", ran[0].stderr);
    space.ok(&["build", "show", "-o", "show.log=files:out"]);
    let log = fs::read_to_string(space.path().join("out")).unwrap();
    assert!(["one\none\ntwo\ntwo\n", "two\ntwo\none\none\n"].contains(&log.as_str()), "{log}");
}

/// Each waits for the other one: in one folder that they share, and in vain where each has its own.
#[test]
fn builds_at_once_share_it_or_have_their_own() {
    for (sharing, expected) in [("shared", [Some(0); 2]), ("private", [Some(1); 2])] {
        let run = |name: &str, other: &str| {
            format!(
                "run {name} {{ from root; cache meeting at=\"/c\" sharing={sharing};
                     sh \"echo > /c/{name}; for i in 1 2 3 4 5 6 7 8; do test -e /c/{other} && exit; sleep 0.2; done; exit 1\"; }}\n"
            )
        };
        let Some(space) = space(User::Current, &(run("one", "two") + &run("two", "one"))) else { return };
        let ran = ["one", "two"].map(|target| start(&space, target)).map(end);
        assert_eq!(ran.each_ref().map(|ran| ran.code), expected, "{sharing}\n{}", ran[0].stderr);
        assert_eq!(copies(&space).len(), if sharing == "private" { 2 } else { 1 });
        // Both are kept, and the next one finds the first again.
        space.run(&["build", "one"]);
        assert_eq!(copies(&space).len(), if sharing == "private" { 2 } else { 1 });
    }
}

const HOLDS: &str = r##"
run holds { from root; cache held at="/c" sharing=locked; sh "i=0; while true; do i=$((i+1)); echo $i > /c/count; done"; }
run next { from root; cache held at="/c" sharing=locked; sh "cp /c/count /c/seen; sleep 0.2; cmp /c/count /c/seen"; }
"##;

/// Root's and an ordinary user's, whose sandboxes have a user namespace.
fn users() -> Vec<User> {
    [Some(User::Current), ordinary_user()].into_iter().flatten().collect()
}

#[test]
fn whoever_dies_lets_go_of_it() {
    for user in users() {
        let nodes = HOLDS.replace("cmp", "busybox cmp");
        let Some(space) = space(user, &nodes) else { return };
        for signal in ["KILL", "INT"] {
            let mut holding = start(&space, "holds");
            wait_for("the run that holds", || in_cache(&space, "count").is_some());
            let waiting = start(&space, "next");
            let pid = holding.id();
            // The main process, which `setpriv` has become.
            let kill =
                std::process::Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
            assert!(kill.unwrap().success());
            holding.wait().unwrap();
            let ran = end(waiting);
            assert_eq!(ran.code, Some(0), "{signal} {user:?}\n{}", ran.stderr);
            // Another question, so that it runs again.
            space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{}", nodes.replace("sleep 0.2", "sleep 0.3")));
        }
    }
}

#[test]
fn who_waits_can_be_stopped() {
    let Some(space) = space(User::Current, HOLDS) else { return };
    let mut holding = start(&space, "holds");
    wait_for("the run that holds", || in_cache(&space, "count").is_some());
    let waiting = start(&space, "next");
    sleep(Duration::from_millis(300));
    let began = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&waiting), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(end(waiting).code, Some(130));
    assert!(began.elapsed() < Duration::from_secs(3));
    holding.kill().unwrap();
    holding.wait().unwrap();
}

#[test]
fn they_are_listed_and_removed() {
    let nodes = r##"
run one { from root; cache npm at="/n" mode=0o700; cache target at="/t" scope=package; sh "echo 1 > /n/file; mkdir /t/d; echo > /t/d/f; chmod 0 /t/d"; }
run slow { from root; cache npm at="/n"; sh "echo > /n/slow; sleep 20"; }
"##;
    for user in users() {
        let Some(space) = space(user, nodes) else { return };
        assert_eq!(space.ok(&["cache", "folders"]).stdout, "");
        space.ok(&["build", "one"]);
        let list = || -> Vec<Value> {
            let json: Value =
                serde_json::from_str(&space.ok(&["cache", "folders", "--format", "json"]).stdout).unwrap();
            json["folders"].as_array().unwrap().clone()
        };
        let listed = list();
        let names: Vec<&Value> = listed.iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["npm", "target"]);
        assert_eq!(listed[0]["workspace"], space.workspace().to_str().unwrap());
        assert_eq!((&listed[0]["package"], &listed[1]["package"]), (&Value::Null, &Value::from("//")));
        assert!(listed[0]["disk_bytes"].as_u64() > Some(0) && listed[0]["in_use"] == false, "{}", listed[0]);
        let text = space.ok(&["cache", "folders"]).stdout;
        assert!(text.contains("npm") && text.contains("s ago"), "{text}");
        assert!(space.ok(&["cache", "du"]).stdout.contains("caches"));

        let mut slow = start(&space, "slow");
        wait_for("the run that uses it", || in_cache(&space, "slow").is_some());
        let ran = space.run(&["cache", "prune", "--all"]);
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert!(ran.stdout.contains("in use") && ran.stdout.contains("removed"), "{}", ran.stdout);
        slow.kill().unwrap();
        slow.wait().unwrap();
        assert_eq!(list().len(), 1);
        assert_eq!(space.run(&["cache", "prune"]).code, Some(2));
        assert_eq!(space.run(&["cache", "prune", "target"]).code, Some(2));
        space.ok(&["cache", "prune", "npm", "--older-than", "1h"]);
        assert_eq!(list().len(), 1);
        wait_for("its end", || space.run(&["cache", "prune", "npm", "--older-than", "0s"]).code == Some(0));
        assert_eq!(list().len(), 0);
        assert_eq!(fs::read_dir(space.store().join("caches/v1")).unwrap().count(), 0);
        // Nothing of them is left elsewhere.
        assert_eq!(fs::read_dir(space.store().join("work")).unwrap().count(), 0);
        space.file(
            "memobuild.kdl",
            format!("{BUSYBOX_ROOT}{}", nodes.replace("echo 1", "test ! -e /n/file; echo 1")),
        );
        space.ok(&["build", "one"]);
    }
}

/// Only its name and its place are known of it.
#[test]
fn its_content_goes_nowhere() {
    let nodes = r##"
run fill { from root; cache c at="/c"; sh "echo CONTENT-OF-A-CACHE > /c/file; echo done > /out"; output out "/out" type=file; }
image all { from scratch; copy fill.out to="/out"; }
"##;
    let Some(space) = space(User::Current, nodes) else { return };
    space.build(&["all", "-o", "oci:image"]);
    let mut found = Vec::new();
    let mut folders = vec![space.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if fs::read(entry.path()).unwrap().windows(18).any(|bytes| bytes == b"CONTENT-OF-A-CACHE")
            {
                found.push(entry.path().strip_prefix(space.path()).unwrap().to_owned());
            }
        }
    }
    // The script is a fact of its own record.
    let is_allowed = |path: &PathBuf| {
        path.starts_with("store/caches")
            || path.starts_with("store/records")
            || path.ends_with("memobuild.kdl")
    };
    assert_eq!(
        found.iter().filter(|path| !is_allowed(path)).collect::<Vec<_>>(),
        [""; 0].map(PathBuf::from).iter().collect::<Vec<_>>()
    );
    assert!(found.iter().any(|path| path.starts_with("store/caches")));
    // What is in it is no reason to run again.
    fs::write(in_cache(&space, "file").unwrap(), "other").unwrap();
    assert_eq!(space.build(&["all"])["fill"], "recalled");
    assert_eq!(in_cache(&space, "file").unwrap().metadata().unwrap().size(), 5);
}
