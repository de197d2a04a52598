//! Tools that look at times never keep a stale result, though every file's time is made up.

use crate::skipped::skipped;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{MACHINE_ROOT, add_file, add_folder, add_program, machine_root};
use crate::space::{Space, have, run};

/// The node `second` of each story must have made anew what `first` made of other sources. `/tool`
/// reads `/src`, keeps what it makes in the folder `KEPT`, and prints what it made.
const STORIES: [(&str, &str); 10] = [
    (
        "kept on the root, newer sources mounted",
        r##"run first { from root; mount old at="/src"; env KEPT="/kept"; sh "/tool"; }
            run second { from first; mount new at="/src"; env KEPT="/kept"; sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "kept on the root, newer sources copied over",
        r##"tree sources { from root; copy old to="/src"; }
            run first { from sources; env KEPT="/src/kept"; sh "/tool"; }
            tree newer { from first; copy new to="/src"; }
            run second { from newer; env KEPT="/src/kept"; sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "an output, mounted beside newer sources",
        r##"run first { from root; mount old at="/src"; env KEPT="/kept"; sh "/tool"; output kept "/kept"; }
            run second { from root; mount new at="/src"; mount first.kept at="/kept"; env KEPT="/kept";
                         sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "an output, mounted inside of newer sources",
        r##"run first { from root; mount old at="/src"; env KEPT="/src/kept"; sh "/tool"; output kept "/src/kept"; }
            run second { from root; mount new at="/src"; mount first.kept at="/src/kept"; env KEPT="/src/kept";
                         sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "an output that stood on another one",
        r##"run zeroth { from root; mount older at="/src"; env KEPT="/kept"; sh "/tool"; output kept "/kept"; }
            run first { from root; mount old at="/src"; mount zeroth.kept at="/kept"; env KEPT="/kept";
                        sh "/tool; cp -a /kept/. /again/"; output kept "/again"; }
            run second { from root; mount new at="/src"; mount first.kept at="/kept"; env KEPT="/kept";
                         sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "an output, mounted onto a root with newer sources",
        r##"tree one { from root; copy old to="/src"; }
            tree two { from root; copy new to="/src"; }
            run first { from one; env KEPT="/kept"; sh "/tool"; output kept "/kept"; }
            run second { from two; mount first.kept at="/kept"; env KEPT="/kept"; sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "an output, mounted onto a root with newer sources that a run stood on before",
        r##"tree one { from root; copy old to="/src"; }
            run between { from root; sh "echo x > /between"; }
            tree two { from between; copy new to="/src"; }
            run first { from one; env KEPT="/kept"; sh "/tool"; output kept "/kept"; }
            tree only-kept { copy first.kept to="/"; }
            run second { from two; mount only-kept at="/kept"; env KEPT="/kept"; sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "kept on the root, newer generated sources mounted",
        r##"run one { from root; mount old at="/old"; sh "cp -r /old/. /made/"; output made "/made"; }
            run two { from root; mount new at="/new"; sh "cp -r /new/. /made/"; output made "/made"; }
            run first { from root; mount one.made at="/src"; env KEPT="/kept"; sh "/tool"; }
            run second { from first; mount two.made at="/src"; env KEPT="/kept"; sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "an output, newer sources copied onto the root that a run kept results on",
        r##"tree sources { from root; copy old to="/src"; }
            run first { from sources; env KEPT="/kept"; sh "/tool; cp -a /kept/. /again/"; output kept "/again"; }
            tree newer { from first; copy new to="/src"; }
            run second { from newer; mount first.kept at="/kept"; env KEPT="/kept"; sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
    (
        "more layers than are stacked",
        r##"tree sources { from root; copy old to="/src"; }
            run first { from sources; env KEPT="/kept"; sh "/tool"; }
            tree l4 { from first; copy new to="/src"; }
            tree l5 { from l4; file "/5" "5"; }
            tree l6 { from l5; file "/6" "6"; }
            tree l7 { from l6; file "/7" "7"; }
            tree l8 { from l7; file "/8" "8"; }
            tree l9 { from l8; file "/9" "9"; }
            tree l10 { from l9; file "/10" "10"; }
            tree l11 { from l10; file "/11" "11"; }
            run second { from l11; env KEPT="/kept"; sh "/tool > /seen"; output seen "/seen" type=file; }"##,
    ),
];

/// Tells stories; all must end with the tool having seen `new`.
fn tell(space: &Space, tool: &str, stories: &[(&str, &str)]) {
    let file = space.file("machine/tool", format!("#!/bin/sh -e\n{tool}\n"));
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    let mut stale = Vec::new();
    for (name, story) in stories {
        let sources = ["older", "old", "new"].map(|name| format!("files {name} root=\"{name}\"\n")).concat();
        let out = "tree out { copy second.seen to=\"/seen\"; }\ndefault out\n";
        space.file("memobuild.kdl", format!("{MACHINE_ROOT}{sources}{story}\n{out}"));
        space.ok(&["build", "-o", "files:out"]);
        let seen = fs::read_to_string(space.path().join("out/seen")).unwrap();
        if seen.trim() != "new" {
            stale.push(format!("{name}: {seen:?}"));
        }
    }
    assert!(stale.is_empty(), "stale:\n{}", stale.join("\n"));
}

#[test]
fn make_makes_again() {
    let space = Space::new();
    if !machine_root(&space, &["make"]) {
        return;
    }
    for word in ["older", "old", "new"] {
        space.file(&format!("{word}/Makefile"), "$(KEPT)/made: /src/word\n\t@cat /src/word > $(KEPT)/made\n");
        // Of one size each, so that nothing but times can tell.
        space.file(&format!("{word}/word"), format!("{word:8}\n"));
    }
    tell(&space, "mkdir -p $KEPT; make -s -f /src/Makefile; cat $KEPT/made", &STORIES);
}

#[test]
fn python_compiles_again() {
    let space = Space::new();
    if !machine_root(&space, &[]) {
        return;
    }
    let Some(python) = add_python(&space) else { return };
    for word in ["older", "old", "new"] {
        space.file(&format!("{word}/word.py"), format!("word = '{word:8}'\n"));
    }
    let script = "import sys; sys.path.insert(0, \"/src\"); import word; print(word.word)";
    tell(
        &space,
        &format!("export PYTHONPYCACHEPREFIX=$KEPT; {python} -S -c '{script}'; test -e $KEPT/src"),
        &STORIES,
    );
}

/// The slowest of the tools is told the stories that are about it most.
#[test]
fn cargo_compiles_again() {
    let space = Space::new();
    if !machine_root(&space, &[]) {
        return;
    }
    let Some(bin) = add_rust(&space) else { return };
    for word in ["older", "old", "new"] {
        let manifest = "[package]\nname = \"word\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[workspace]\n";
        space.file(&format!("{word}/Cargo.toml"), manifest);
        let lib = format!("#![no_std]\n#[no_mangle]\npub static WORD: [u8; 13] = *b\"says-{word:8}\";\n");
        space.file(&format!("{word}/src/lib.rs"), lib);
    }
    let lines = [
        format!("export PATH={bin}:/bin CARGO_HOME=/tmp/cargo CARGO_TARGET_DIR=$KEPT RUSTC={bin}/rustc"),
        "cd /src; cargo build -q --offline".to_owned(),
        "busybox strings $KEPT/debug/libword.rlib > /tmp/words".to_owned(),
        "busybox sed -n 's/.*says-\\([a-z]*\\).*/\\1/p' /tmp/words | busybox head -n 1".to_owned(),
    ];
    tell(&space, &lines.join("\n"), &[STORIES[0], STORIES[1], STORIES[3]]);
}

/// The folder of the compiler that these tests were built with, and as much of it as a crate without `std` takes.
pub(crate) fn add_rust(space: &Space) -> Option<String> {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from);
    let bin = cargo.as_ref().and_then(|cargo| cargo.parent()).filter(|bin| bin.join("rustc").is_file());
    let Some(bin) = bin else {
        skipped("no rustc beside the cargo that runs the tests");
        return None;
    };
    for program in ["rustc", "cargo"] {
        let path = bin.join(program);
        add_program(space, &path, path.strip_prefix("/").unwrap());
    }
    for folder in glob_libraries(&bin.parent().unwrap().join("lib/rustlib")) {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            if name.starts_with("libcore-") || name.starts_with("libcompiler_builtins-") {
                add_file(space, &entry, entry.strip_prefix("/").unwrap());
            }
        }
    }
    Some(bin.to_str().unwrap().to_owned())
}

/// `lib` of each target that the compiler has libraries for.
fn glob_libraries(rustlib: &Path) -> Vec<PathBuf> {
    let targets = fs::read_dir(rustlib).unwrap().map(|entry| entry.unwrap().path().join("lib"));
    targets.filter(|folder| folder.is_dir()).collect()
}

/// Where it lies in the root.
pub(crate) fn add_python(space: &Space) -> Option<String> {
    if !have(&["python3"]) {
        return None;
    }
    let script =
        "import sys, os; print(os.path.realpath(sys.executable)); print(os.path.dirname(os.__file__))";
    let told = run(Command::new("python3").args(["-S", "-c", script]));
    let Some((program, library)) = told.stdout.trim().split_once('\n') else {
        skipped("python3 does not work");
        return None;
    };
    let below = |path: &str| PathBuf::from(path.trim_start_matches('/'));
    add_program(space, Path::new(program), &below(program));
    add_folder(space, Path::new(library), &below(library));
    add_folder(space, &Path::new(library).join("encodings"), &below(library).join("encodings"));
    add_folder(space, &Path::new(library).join("importlib"), &below(library).join("importlib"));
    Some(program.to_owned())
}
