//! Bad input and a bad environment: one clear sentence, the right exit code, nothing half-written.

use crate::skipped::skipped;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::space::{BUSYBOX_ROOT, Ran, Space, busybox_root, can_run, have, is_root, ordinary_user, run};

fn refuse(space: &Space, arguments: &[&str], code: i32, words: &[&str]) -> Ran {
    let ran = space.run(arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in:\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

fn workspace(text: &str) -> Space {
    let space = Space::new();
    space.file("memobuild.kdl", text);
    space
}

#[test]
fn mistakes_in_the_file_have_a_place_and_a_help() {
    let table = [
        ("memobuild 1\nrnu x { from host; }\n", "did you mean `run`"),
        ("memobuild 1\nimage x { from scrath; }\n", "did you mean `scratch`"),
        ("memobuild 1\nfiles a { include \"x\"; }\nimage x { from a; }\n", "memo::type::slot"),
        ("memobuild 1\ntree a { copy b to=\"/\"; }\ntree b { copy a to=\"/\"; }\n", "memo::graph::cycle"),
        ("memobuild 1\ntree a { symlink \"/x\" target=\"\"; }\n", "memo::type::value"),
        ("image x { from scratch; }\n", "memobuild 1"),
    ];
    for (text, words) in table {
        let space = workspace(text);
        let ran = refuse(&space, &["build"], 2, &[words, "help:", "memobuild.kdl:"]);
        assert_eq!(refuse(&space, &["check"], 2, &[words]).stderr, ran.stderr);
        assert!(!space.store().exists(), "nothing written");
    }
}

#[test]
fn hostile_files_are_refused_quickly() {
    let deep = format!("memobuild 1\n{}", "a {\n".repeat(100_000));
    let comments = format!("memobuild 1\n{}", "/*".repeat(100_000));
    let noise: Vec<u8> =
        (0..50_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cases: [(&str, &[u8]); 4] = [
        ("deep", deep.as_bytes()),
        ("comments", comments.as_bytes()),
        ("noise", &noise),
        ("not UTF-8", b"memobuild 1\nimage \xff {}\n"),
    ];
    for (name, bytes) in cases {
        let space = Space::new();
        space.file("memobuild.kdl", bytes);
        let ran = refuse(&space, &["check"], 2, &["help:"]);
        assert!(ran.stderr.len() < 100_000, "{name}: a message, not a flood");
    }
}

#[test]
fn a_missing_workspace_or_file_is_named() {
    let space = Space::new();
    refuse(&space, &["build"], 2, &["memobuild.kdl", "help:"]);
    let ran = run(Command::new(crate::space::BINARY).args(["-C", "/nowhere/at/all", "build"]));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("/nowhere/at/all"));
}

#[test]
fn globs_and_inputs_that_do_not_fit() {
    let image = "image x { from scratch; copy a to=\"/\"; }\n";
    let space = workspace(&format!("memobuild 1\nfiles a {{ include \"dist/**\"; }}\n{image}"));
    refuse(&space, &["build"], 2, &["matches no file", "memobuild.kdl:2:20", "memo::files::empty", "help:"]);
    space.file(".gitignore", "dist/\n");
    space.file("dist/x", "x");
    refuse(&space, &["build"], 2, &["dist/**", ".gitignore", "help:"]);
    let space = workspace(&format!("memobuild 1\nfiles a\n{image}"));
    run(Command::new("mkfifo").arg(space.workspace().join("pipe")));
    refuse(&space, &["build"], 2, &["pipe", "help:"]);
    let space = workspace("memobuild 1\nimage x { from scratch; copy \"./missing\" to=\"/\"; }\n");
    refuse(&space, &["build"], 2, &["missing does not exist", "memobuild.kdl:2:30", "help:"]);
    let text = "memobuild 1\ntree a { file \"/x\" \"x\"; }\nimage i { from scratch; copy a path=\"nope\" to=\"/\"; }\n";
    refuse(&workspace(text), &["build"], 2, &["no `/nope`", "memobuild.kdl:3:38", "help:"]);
}

#[test]
fn an_unreadable_file_is_an_environment_failure() {
    let Some(space) = Space::of_ordinary_user() else { return };
    space.file("memobuild.kdl", "memobuild 1\nfiles a\nimage x { from scratch; copy a to=\"/\"; }\n");
    let file = space.file("secret", "x");
    fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
    refuse(&space, &["build"], 3, &["secret", "help:"]);
}

#[test]
fn outputs_are_checked_before_anything_is_built() {
    let space = workspace(
        "memobuild 1\ntree a { file \"/x\" \"x\"; }\ntree b { file \"/y\" \"y\"; }\ngroup all a b\ndefault all\n",
    );
    refuse(&space, &["build", "-o", "files:out"], 2, &["several", "a (tree)", "b (tree)", "help:"]);
    refuse(&space, &["build", "a", "-o", "oci:out"], 2, &["none is one", "help:"]);
    refuse(&space, &["build", "a", "-o", "nowhere:out"], 2, &["transport", "help:"]);
    refuse(&space, &["build", "a", "-o", "files:no/such/out"], 2, &["no folder", "help:"]);
    refuse(&space, &["build", "nothing"], 2, &["nothing", "help:"]);
    let foreign = space.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("mine"), "keep").unwrap();
    refuse(&space, &["build", "a", "-o", "files:foreign"], 2, &["foreign", "help:"]);
    refuse(&space, &["build", "-o", "oci:foreign"], 2, &["help:"]);
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
    space.ok(&["build", "a", "-o", "files:out"]);
    space.ok(&["build", "b", "-o", "files:out"]);
    let names: Vec<_> =
        fs::read_dir(space.path().join("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["y"], "ours is replaced as a whole");
}

#[test]
fn a_link_that_leads_to_nothing_is_not_replaced() {
    let space = workspace("memobuild 1\ntree a { file \"/x\" \"x\"; }\n");
    let link = space.path().join("link");
    for target in ["nowhere", "empty"] {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        refuse(&space, &["build", "a", "-o", "files:link"], 2, &["link", "help:"]);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        fs::create_dir_all(space.path().join("empty")).unwrap();
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_named_before_anything_is_built() {
    let Some(user) = ordinary_user() else { return };
    let space = Space::of(user);
    space.file("memobuild.kdl", "memobuild 1\nimage a { from scratch; }\n");
    let closed = space.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    for transport in ["files", "oci", "oci-archive"] {
        let to = format!("{transport}:closed/x");
        let ran = refuse(&space, &["build", "a", "-o", &to], 3, &["closed`: Permission denied", "help:"]);
        assert!(!ran.stderr.contains("started"), "{}", ran.stderr);
    }
}

#[test]
fn an_export_to_a_path_that_is_not_utf8_is_remembered() {
    let space = workspace("memobuild 1\ntree a { file \"/x\" \"x\"; }\n");
    let folder = space.path().join(OsStr::from_bytes(b"non\xffutf"));
    fs::create_dir(&folder).unwrap();
    for _ in 0..2 {
        let ran = run(space.command(&["build", "a", "-o", "files:out"]).current_dir(&folder));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
}

#[test]
fn what_stands_in_the_place_of_an_export_is_an_input() {
    let space = workspace("memobuild 1\nfiles all { exclude \"*.kdl\"; }\ntree a { file \"/x\" \"x\"; }\n");
    space.ok(&["build", "a", "-o", "files:workspace/out"]);
    fs::rename(space.workspace().join("out"), space.path().join("moved")).unwrap();
    space.file("out/mine", "mine");
    space.ok(&["build", "all", "-o", "files:all"]);
    assert!(space.path().join("all/out/mine").exists());
}

#[test]
fn a_layout_that_does_not_exist_is_named() {
    let space = workspace("memobuild 1\npull base \"oci:nope\"\n");
    refuse(&space, &["build", "base"], 2, &["nope is not an image layout: it does not exist", "help:"]);
}

#[test]
fn the_log_of_a_command_that_wrote_nothing_is_empty() {
    if !can_run() {
        return;
    }
    let space = workspace("memobuild 1\ntest silent { from host; exec \"/bin/false\"; }\n");
    refuse(&space, &["build", "silent"], 1, &["exit code 1"]);
    assert_eq!(space.ok(&["log", "silent"]).stdout, "");
    refuse(&space, &["log", "nosuch"], 2, &["no node `nosuch` has run", "help:"]);
}

#[test]
fn a_failing_command_ends_with_one_and_its_own_code() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    space.file(
        "memobuild.kdl",
        format!(
            "{BUSYBOX_ROOT}
run bad {{ from root; sh \"echo the last words; exit 7\"; output x \"/x\"; }}
run slow {{ from root; sh \"sleep 0.5; cat /proc/uptime > /x\"; output x \"/x\" type=file; }}
tree after {{ copy bad.x to=\"/\"; }}
group all after slow.x
default all
"
        ),
    );
    let ran = refuse(
        &space,
        &["build", "--report", "report.json", "--jobs", "1"],
        1,
        &["exit code 7", "the last words", "memobuild.kdl:", "memobuild log bad"],
    );
    assert!(!ran.stderr.contains("wrote"));
    assert_eq!(space.outcomes()["after"], "skipped");
    assert_eq!(space.outcomes()["slow"], "skipped");
    assert_eq!(space.run(&["log", "bad"]).stdout, "the last words\n");
    refuse(&space, &["build", "--keep-going", "--report", "report.json"], 1, &["exit code 7"]);
    assert_eq!(space.outcomes()["slow"], "executed");
    assert_eq!(space.outcomes()["bad"], "failed");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let space = workspace("memobuild 1\nrun x { from scratch; exec \"/no/such\"; }\ndefault x\n");
    if can_run() {
        refuse(&space, &["build"], 1, &["`/no/such`", "no such program", "help: correct its name"]);
    }
}

#[test]
fn outputs_that_were_not_made_are_named() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    let table = [
        ("true", "file", "/made"),
        ("cat /bin/busybox > /dev/null; mkdir /made", "file", "/made"),
        ("/bin/busybox ln -s /bin/busybox /made", "file", "/made"),
        ("/bin/busybox rm -r /made; /bin/busybox ln -s / /made", "dir", "/made"),
    ];
    for (script, kind, path) in table {
        space.file(
            "memobuild.kdl",
            format!("{BUSYBOX_ROOT}run x {{ from root; sh \"{script}\"; output o \"{path}\" type={kind}; }}\ndefault x.o\n"),
        );
        let ran = space.run(&["build"]);
        assert!(matches!(ran.code, Some(1 | 2)), "{script}: {}", ran.stderr);
        assert!(ran.stderr.contains("`/made`") && ran.stderr.contains("help:"), "{script}: {}", ran.stderr);
    }
}

#[test]
fn a_full_disk_and_an_unwritable_store_lose_nothing() {
    let space = workspace(
        "memobuild 1\nfiles a\nimage x { from scratch; copy a to=\"/\"; compress gzip level=1; }\n",
    );
    // Half of it is noise: what is packed is kept, and still more than there is room for.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    });
    space.file("big", noise.take(4 << 20).collect::<Vec<u8>>());
    if is_root() && have(&["mount"]) {
        let small = space.path().join("small");
        fs::create_dir(&small).unwrap();
        let small = small.to_str().unwrap();
        if run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", small])).code == Some(0) {
            let store = format!("{small}/store");
            let mut full = Command::new(crate::space::BINARY);
            full.args(["-C", space.workspace().to_str().unwrap(), "--store", &store, "build", "-o"]);
            full.arg(format!("oci:{}", space.path().join("image").display()));
            let ran = run(&mut full);
            run(Command::new("umount").arg(small));
            assert_eq!(ran.code, Some(3), "{}", ran.stderr);
            assert!(ran.stderr.contains("help:"), "{}", ran.stderr);
        }
    } else {
        skipped("only root can mount a small disk");
    }
    let Some(space) = Space::of_ordinary_user() else { return };
    space.file("memobuild.kdl", "memobuild 1\ntree a { file \"/x\" \"x\"; }\ndefault a\n");
    let store = space.path().join("readonly");
    fs::create_dir(&store).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = space.command(&["build"]);
    command.args(["--store", store.to_str().unwrap()]);
    let mut plain = Command::new(command.get_program());
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let own = space.store();
    plain.args(
        arguments.iter().filter(|argument| *argument != "--store" && argument.as_os_str() != own.as_os_str()),
    );
    let mut with_store = Command::new(plain.get_program());
    with_store.args(plain.get_args().filter(|argument| *argument != store.as_os_str()));
    with_store.args(["--store", store.to_str().unwrap()]);
    let ran = run(&mut with_store);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("help:"), "{}", ran.stderr);
}

#[test]
fn a_store_of_another_format_is_refused() {
    let space = workspace("memobuild 1\ntree a { file \"/x\" \"x\"; }\ndefault a\n");
    space.ok(&["build"]);
    fs::set_permissions(space.store().join("format"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(space.store().join("format"), "99\n").unwrap();
    refuse(&space, &["build"], 3, &["format 99", "help:"]);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let space = workspace("memobuild 1\ntree a { file \"/x\" \"x\"; }\ndefault a\n");
    let command = space.command(&["graph", "--format", "json"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "(sleep 0.2; exec \"$@\") | true; echo ${PIPESTATUS:-}", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    let ran = run(&mut shell);
    assert_eq!(ran.stderr, "");
}

#[test]
fn where_nothing_isolates_the_refusal_is_clear() {
    if !is_root() || !have(&["setpriv", "unshare"]) || !can_run() {
        return;
    }
    let space = Space::new();
    space.file("memobuild.kdl", "memobuild 1\nrun a { from scratch; exec \"/x\"; }\ndefault a\n");
    let plain = space.command(&["build"]);
    // In a user namespace that allows no further ones, and without rights of its own.
    let mut caged = Command::new("unshare");
    caged.args(["--user", "--map-root-user", "--", "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- \"$@\"", "sh"]);
    caged.arg(crate::space::BINARY).args(plain.get_args().skip_while(|argument| *argument != "-C"));
    let ran = run(&mut caged);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("memobuild doctor"), "{}", ran.stderr);
}
