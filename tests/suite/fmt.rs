//! `memobuild fmt` as it is called: what it writes, what it leaves alone, what it says.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;

use crate::space::{Ran, Space};

const ROUGH: &str = "memobuild   1\nfiles \"src\" {include x }  // all\n";
const FINE: &str = "memobuild 1\nfiles src { include \"x\"; } // all\n";

fn rough() -> Space {
    let space = Space::new();
    space.file("memobuild.kdl", ROUGH);
    space
}

fn content(space: &Space, name: &str) -> String {
    fs::read_to_string(space.workspace().join(name)).unwrap()
}

/// In the workspace, as people call it.
fn run(space: &Space, arguments: &[&str]) -> Ran {
    crate::space::run(space.command(arguments).current_dir(space.workspace()))
}

fn refuse(space: &Space, arguments: &[&str], words: &[&str]) {
    let ran = run(space, arguments);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in:\n{}", ran.stderr);
    }
}

#[test]
fn the_file_of_the_workspace_is_replaced_and_keeps_its_mode() {
    let space = rough();
    let path = space.workspace().join("memobuild.kdl");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = space.ok(&["fmt"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "formatted memobuild.kdl\n"));
    assert_eq!(content(&space, "memobuild.kdl"), FINE);
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(space.workspace()).unwrap().count(), 1, "no drafts stay");
    let before = path.metadata().unwrap();
    assert_eq!(space.ok(&["fmt"]).stderr, "");
    assert_eq!(path.metadata().unwrap().ino(), before.ino(), "a formatted file is not touched");
}

#[test]
fn check_names_what_would_change_and_writes_nothing() {
    let space = rough();
    space.file("services/api/memobuild.kdl", "memobuild 1\r\n");
    space.file("fine/memobuild.kdl", FINE);
    refuse(
        &space,
        &["fmt", "--check"],
        &["would reformat memobuild.kdl\n", "one file is not formatted", "help:"],
    );
    let ran = run(&space, &["fmt", "--check", "."]);
    assert_eq!(ran.code, Some(2));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines[..2], ["would reformat memobuild.kdl", "would reformat services/api/memobuild.kdl"]);
    assert_eq!(lines[2], "memobuild: 2 files are not formatted");
    assert!(lines.len() == 4 && lines[3].starts_with("  help: "), "{lines:?}");
    assert_eq!(content(&space, "memobuild.kdl"), ROUGH);
    assert_eq!(run(&space, &["fmt", "--check", "fine"]).code, Some(0));
}

#[test]
fn a_folder_is_searched_for_build_files() {
    let space = Space::new();
    let rough = ["a/memobuild.kdl", "a/b/part.kdl", "link-target.kdl"];
    let other = [".hidden/memobuild.kdl", "ignored/memobuild.kdl", "a/target/memobuild.kdl", "a/text.txt"];
    for name in rough.iter().chain(&other) {
        space.file(name, ROUGH);
    }
    space.file("a/other.kdl", "settings   1\n");
    space.file("a/noise.kdl", b"\xff\xfe");
    space.file(".gitignore", "ignored/\n");
    symlink("/nowhere", space.workspace().join("dangling.kdl")).unwrap();
    symlink("../link-target.kdl", space.workspace().join("a/link.kdl")).unwrap();
    space.ok(&["fmt", space.workspace().to_str().unwrap()]);
    for name in rough {
        assert_eq!(content(&space, name), FINE, "{name}");
    }
    for name in other {
        assert_eq!(content(&space, name), ROUGH, "{name}");
    }
    assert_eq!(content(&space, "a/other.kdl"), "settings   1\n");
    assert!(space.workspace().join("a/link.kdl").is_symlink());
    assert_eq!(run(&space, &["fmt", ".hidden"]).code, Some(0), "named itself");
    assert_eq!(content(&space, ".hidden/memobuild.kdl"), FINE);
}

#[test]
fn links_are_followed_within_the_workspace_only() {
    let space = Space::new();
    let outside = space.path().join("outside.kdl");
    fs::write(&outside, ROUGH).unwrap();
    space.file("real/build.kdl", ROUGH);
    symlink("real/build.kdl", space.workspace().join("memobuild.kdl")).unwrap();
    symlink(&outside, space.workspace().join("out.kdl")).unwrap();
    space.ok(&["fmt"]);
    assert_eq!(content(&space, "real/build.kdl"), FINE);
    assert!(space.workspace().join("memobuild.kdl").is_symlink());
    refuse(&space, &["fmt", "out.kdl"], &["outside the workspace", "help:"]);
    assert_eq!(run(&space, &["fmt", "."]).code, Some(0));
    assert_eq!(fs::read_to_string(&outside).unwrap(), ROUGH);
    assert_eq!(run(&space, &["fmt", outside.to_str().unwrap()]).code, Some(0), "named itself");
    assert_eq!(fs::read_to_string(&outside).unwrap(), FINE);
}

#[test]
fn a_file_with_mistakes_stays_and_the_others_are_formatted() {
    let space = rough();
    let bad = "memobuild 1\nfiles x { include src/**; }\n";
    space.file("bad/memobuild.kdl", bad);
    space.file("worse/memobuild.kdl", "memobuild 1\na \"\"\"\n  x\n y\n  \"\"\"\n");
    refuse(
        &space,
        &["fmt", "."],
        &[
            "memo::kdl::quote",
            "bad/memobuild.kdl:2",
            "memo::kdl::string",
            "2 files have mistakes",
            "formatted memobuild.kdl",
        ],
    );
    assert_eq!(content(&space, "bad/memobuild.kdl"), bad);
    assert_eq!(content(&space, "memobuild.kdl"), FINE);
}

#[test]
fn what_cannot_be_formatted_is_named() {
    let space = Space::new();
    refuse(&space, &["fmt"], &["there is no memobuild.kdl", "help:"]);
    refuse(&space, &["fmt", "no.kdl"], &["there is no `no.kdl`", "help:"]);
    refuse(&space, &["fmt", "."], &["no build file below `.`", "help:"]);
    space.file("bytes.kdl", b"memobuild 1\n\xff");
    refuse(&space, &["fmt", "bytes.kdl"], &["bytes.kdl is not UTF-8", "help:"]);
    space.file("large.kdl", vec![b' '; (4 << 20) + 1]);
    refuse(&space, &["fmt", "large.kdl"], &["large.kdl is larger than 4 MiB", "help:"]);
    refuse(&space, &["fmt", "-", "bytes.kdl"], &["stands alone", "help:"]);
}

/// Editors send the text and show what comes back.
fn filter(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let space = Space::new();
    let mut command = space.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_standard_input_is_formatted_to_the_standard_output() {
    assert_eq!(filter(&["fmt", "-"], ROUGH), (Some(0), FINE.to_owned(), String::new()));
    assert_eq!(filter(&["fmt", "-"], "\u{feff}a\r\n"), (Some(0), "a\n".to_owned(), String::new()));
    let (code, stdout, stderr) = filter(&["fmt", "-"], "a {\n");
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("memo::kdl::braces"), "{stderr}");
    assert_eq!(filter(&["fmt", "--check", "-"], FINE), (Some(0), String::new(), String::new()));
    let (code, stdout, stderr) = filter(&["fmt", "--check", "-"], ROUGH);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("would reformat standard input"), "{stderr}");
}

#[test]
fn our_own_files_are_formatted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files =
        [root.join("memobuild.kdl"), root.join("examples")].map(|path| path.to_str().unwrap().to_owned());
    let ran = Space::new().run(&["fmt", "--check", &files[0], &files[1]]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
