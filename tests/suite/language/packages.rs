//! Packages: labels across files, what is private, and that nothing is read outside of the workspace.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::{space, told_in};
use crate::space::{BINARY, Space, have, run};

const TEXT: &str = r#"
workspace w
tree r private=#true { file "/r" "r"; }
tree q { merge r; }
default "//services/api"
%% services/api/memobuild.kdl
tree f { file "/f" "f"; }
run c { from host; mount "//b:z" at="/z"; exec "true"; output o "/o"; }
tree t { copy f to="/"; copy "//b:app.o" to="/app"; copy "//:q" to="/q"; copy "./src" to="/src"; }
default t
%% services/api/src/file
source
%% b/memobuild.kdl
tree z { file "/z" "z"; }
run app { from host; mount "//services/api:c.o" at="/z"; exec "true"; output o "/o"; }
group both app.o z
"#;

/// The command in a folder of the workspace.
fn shown_from(space: &Space, folder: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(BINARY);
    command.arg("-C").arg(space.workspace().join(folder)).args(arguments);
    let ran = run(command.env("HOME", space.path()));
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    ran.stdout.lines().map(|line| line.split("  (").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn labels_name_nodes_of_other_packages() {
    let space = space(TEXT);
    let takes = "takes copy / //services/api:f, copy /app //b:app.o, copy /q q, copy /src ./services/api/src";
    for (folder, target) in [
        ("", "//services/api:t"),
        ("services/api", "t"),
        ("services/api/src", "t"),
        ("services/api", "//services/api"),
        ("b", "//services/api"),
        ("b", "//services/api:t"),
    ] {
        let lines = shown_from(&space, folder, &["show", target]);
        assert_eq!(lines[..2], ["tree //services/api:t -> tree", takes], "{folder} {target}");
    }
    assert_eq!(shown_from(&space, "b", &["show", "app.o"])[0], "run //b:app -> o: tree");
    assert_eq!(
        shown_from(&space, "", &["show", "//b:both"]).iter().filter(|line| line.contains(" -> ")).count(),
        2
    );
    assert_eq!(told_in(&space, &[]), Vec::<String>::new(), "packages may need each other");
    let ran = space.ok(&["build", "--report", "report.json"]);
    assert!(space.outcomes().contains_key("//services/api:t"), "the default of a default: {}", ran.stderr);
}

#[test]
fn mistakes_of_labels() {
    for (line, code, part) in [
        ("copy \"//:r\" to=\"/\"", "memo::ref::private", "`r`"),
        ("copy \"//nope:x\" to=\"/\"", "memo::ref::package", "//nope"),
        ("copy \"//b:nope\" to=\"/\"", "memo::ref::unknown", "`nope` in //b"),
        ("copy \"//b:app\" to=\"/\"", "memo::type::slot", "takes a tree"),
        ("copy \"//b:app.p\" to=\"/\"", "memo::ref::output", "no output `p`"),
        ("copy \"//b:both\" to=\"/\"", "memo::type::slot", "a group"),
        ("copy \"//b\" to=\"/\"", "memo::ref::unknown", "no `default`"),
        ("copy \"../b\" to=\"/\"", "memo::ref::form", "../b"),
        ("copy \"./../b\" to=\"/\"", "memo::", ".."),
    ] {
        let text = format!("{TEXT}%% c/memobuild.kdl\ntree t {{ {line}; }}\n");
        let space = space(&text.replacen("default \"//services/api\"", "default \"//c:t\"", 1));
        let told = told_in(&space, &[]);
        assert!(told.len() == 1 && told[0].starts_with(code) && told[0].contains(part), "{line}: {told:?}");
    }
    let ring = "workspace w\ntree t { copy \"//b:t\" to=\"/\"; }\n%% b/memobuild.kdl\ntree t { copy \"//:t\" to=\"/\"; }\n";
    assert!(super::told(ring)[0].starts_with("memo::graph::cycle"));
}

/// Links that lead out of the workspace: as a build file, as a package's folder, and as files.
#[test]
fn nothing_outside_of_the_workspace_is_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("d")).unwrap();
    for file in ["memobuild.kdl", "d/memobuild.kdl"] {
        fs::write(outside.path().join(file), "memobuild 1\ntree t { file \"/secret\" \"\"; }\n").unwrap();
    }
    let space = space("workspace w\ntree t { copy \"//b:t\" to=\"/\"; }\n");
    for (target, link) in
        [(outside.path().join("memobuild.kdl"), "b/memobuild.kdl"), (outside.path().join("d"), "b")]
    {
        let place = space.workspace().join(link);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(target, &place).unwrap();
        let told = told_in(&space, &[]);
        assert!(told.len() == 1 && told[0].starts_with("memo::file::read"), "{link}: {told:?}");
        fs::remove_file(&place).unwrap();
        let _ = fs::remove_dir(space.workspace().join("b"));
    }
    symlink(outside.path().join("d"), space.workspace().join("folder")).unwrap();
    symlink(outside.path().join("memobuild.kdl"), space.workspace().join("file")).unwrap();
    for (line, is_refused) in [
        ("tree t { copy \"./folder/memobuild.kdl\" to=\"/x\"; }", true),
        ("files t root=\"folder\"", true),
        ("tree t { copy \"./file\" to=\"/x\"; }", false),
        ("files t { include \"file\"; }", false),
    ] {
        space.file("memobuild.kdl", format!("memobuild 1\nworkspace w\n{line}\n"));
        let ran = space.run(&["build", "t", "-o", "files:out"]);
        assert_eq!(ran.code == Some(0), !is_refused, "{line}: {}", ran.stderr);
        for name in ["x", "file"] {
            // The link itself is what is there.
            let link = space.path().join("out").join(name);
            assert!(
                fs::metadata(&link).is_err() || fs::symlink_metadata(&link).unwrap().is_symlink(),
                "{line}"
            );
        }
        let _ = fs::remove_dir_all(space.path().join("out"));
    }
}

#[test]
fn each_file_is_read_once() {
    if !have(&["strace"]) {
        return;
    }
    let space = space(TEXT);
    let log = space.path().join("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=openat,openat2", "-o"]).arg(&log).arg(BINARY).arg("-C");
    command.arg(space.workspace().join("b")).args(["list"]).env("HOME", space.path());
    let ran = run(&mut command);
    if ran.code != Some(0) && ran.stderr.contains("ptrace") {
        return crate::skipped::skipped("nothing may be traced here");
    }
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let opened = fs::read_to_string(log).unwrap();
    let of = |folder: &str| {
        let opened = opened.lines().filter(|line| {
            // The way to a file is looked at first, without reading it.
            line.contains("memobuild.kdl\"") && !line.contains("ENOENT") && !line.contains("O_PATH")
        });
        opened.filter(|line| line.contains(folder)).count()
    };
    assert_eq!(of("services/api/memobuild.kdl"), 1, "{opened}");
}
