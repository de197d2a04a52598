//! Stores that several workspaces use, and what a node depends on: the part that it takes, by content alone.

use std::fs;

use crate::space::{BUSYBOX_ROOT, Space, busybox_root, run};

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
    let copied = run(std::process::Command::new("cp").args(["-r"]).arg(one.workspace()).arg(&other));
    assert_eq!(copied.code, Some(0), "{}", copied.stderr);
    let text = fs::read_to_string(other.join("memobuild.kdl")).unwrap();
    fs::write(
        other.join("memobuild.kdl"),
        text.replace("run narrowed", "run other-name").replace("narrowed.all", "other-name.all"),
    )
    .unwrap();
    let mut command = std::process::Command::new(crate::space::BINARY);
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
