//! Stores that several workspaces use, and what a node depends on: the part that it takes, by content alone.

use std::fs;
use std::process::Command;

use crate::skipped::skipped;
use crate::space::{BINARY, BUSYBOX_ROOT, Space, busybox_root, ordinary_user, run};

const PARTS: &str = r##"
files source { include "in/**"; }
files headers { include "in/**/*.h"; }
run globbed {
    from root
    mount headers at="/src"
    sh "cat /src/in/a/one.h > /all; ls /src/in/a >> /all"
    output all "/all" type=file
}
run narrowed {
    from root
    mount source path="in/b" at="/src"
    sh "cat /src/* > /all"
    output all "/all" type=file
}
tree picked { copy source path="in/b" to="/b" { include "*.c"; exclude "not.c"; }; }
run on-picked { from root; mount picked at="/src"; sh "cat /src/b/* > /all"; output all "/all" type=file; }
run whole { from root; mount source at="/src"; sh "ls -R /src > /list; cat /list > /all"; output all "/all" type=file; }
image all {
    from scratch
    copy globbed.all to="/globbed"
    copy narrowed.all to="/narrowed"
    copy on-picked.all to="/picked"
    copy whole.all to="/whole"
}
"##;

fn parts() -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{PARTS}"));
        for name in ["a/one.h", "a/two.c", "b/three.c", "b/not.c"] {
            space.file(&format!("in/{name}"), format!("{name}\n"));
        }
        space
    })
}

#[test]
fn a_node_depends_on_the_part_it_takes() {
    let Some(space) = parts() else { return };
    space.build(&[]);
    let runs = |space: &Space| -> Vec<String> {
        let executed = space.with_outcome("executed");
        executed.into_iter().filter(|name| name != "all" && name != "picked").collect()
    };
    let table: [(&str, &[&str]); 5] = [
        ("a/two.c", &["whole"]),
        ("a/one.h", &["globbed", "whole"]),
        ("b/three.c", &["narrowed", "on-picked", "whole"]),
        ("b/not.c", &["narrowed", "whole"]),
        ("b/new.txt", &["narrowed", "whole"]),
    ];
    for (name, executed) in table {
        space.file(&format!("in/{name}"), format!("{name} edited\n"));
        space.build(&[]);
        assert_eq!(runs(&space), executed, "after an edit of {name}");
    }
    fs::rename(space.workspace().join("in/a/two.c"), space.workspace().join("in/a/renamed.c")).unwrap();
    space.build(&[]);
    assert_eq!(runs(&space), ["whole"], "after a rename");
    fs::write(space.workspace().join("unread"), "x").unwrap();
    space.build(&[]);
    assert_eq!(runs(&space), [""; 0], "after a new file that nothing includes");
}

/// Names of nodes and folders are no part of what is remembered.
#[test]
fn another_workspace_on_the_store_executes_nothing() {
    let Some(one) = parts() else { return };
    let first = one.build(&["-o", "oci:image"]);
    assert!(first.values().any(|outcome| outcome == "executed"));
    let other = one.path().join("elsewhere");
    let copied = run(Command::new("cp").args(["-r"]).arg(one.workspace()).arg(&other));
    assert_eq!(copied.code, Some(0), "{}", copied.stderr);
    let text = fs::read_to_string(other.join("memobuild.kdl")).unwrap();
    fs::write(
        other.join("memobuild.kdl"),
        text.replace("run narrowed", "run other-name").replace("narrowed.all", "other-name.all"),
    )
    .unwrap();
    let mut command = Command::new(BINARY);
    command.arg("-C").arg(&other).arg("--store").arg(one.store());
    command.args(["build", "--report", "report.json", "-o", "oci:second"]).current_dir(one.path());
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sources = ["source", "headers", "./busybox"];
    let executed: Vec<_> =
        one.with_outcome("executed").into_iter().filter(|name| !sources.contains(&name.as_str())).collect();
    assert_eq!(executed, [""; 0]);
    assert_eq!(one.outcomes()["other-name"], "recalled");
    let digest = |name: &str| fs::read_to_string(one.path().join(name).join("index.json")).unwrap();
    assert_eq!(digest("image"), digest("second"));
}

const SHUT: &str = r##"
tree shut { from root; dir "/shut" mode=0o700; dir "/open" mode=0o777; }
run look {
    from shut
    user "9:9"
    sh "if ls /shut 2>/dev/null; then echo open; else echo shut; fi > /open/seen"
    output seen "/open/seen" type=file
}
run expected { from root; sh "echo shut > /seen"; output seen "/seen" type=file; }
test same { from root; mount look.seen at="/a"; mount expected.seen at="/b"; sh "cat /a /b; grep -qf /a /b"; }
"##;

/// Where a user has one id, commands may do what root may; root, on the same store, has to see who may what.
#[test]
fn what_one_id_could_not_see_is_looked_at_again() {
    let Some(user) = ordinary_user() else { return };
    let space = Space::of(user);
    if !busybox_root(&space) {
        return;
    }
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{SHUT}"));
    let rung = |space: &Space| {
        let doctor = space.run(&["doctor", "--format", "json"]).stdout;
        serde_json::from_str::<serde_json::Value>(&doctor).unwrap()["rung"].clone()
    };
    if (rung(&Space::new()), rung(&space)) != ("A".into(), "C".into()) {
        skipped("it takes one user with all ids and one with one");
        return;
    }
    space.build(&["look", "expected"]);
    assert_eq!(space.build(&["look"])["look"], "recalled");
    let as_root = run(Command::new(BINARY)
        .arg("-C")
        .arg(space.workspace())
        .arg("--store")
        .arg(space.store())
        .args(["build", "same"]));
    assert_eq!(as_root.code, Some(0), "{}{}", as_root.stdout, as_root.stderr);
    assert_eq!(space.build(&["look", "same"])["look"], "recalled", "a result from above is right everywhere");
}
