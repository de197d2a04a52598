//! Tools that look at times keep their results in a cache, and are given other sources: what they make is always
//! what a clean build makes; and what did not change is not made again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::programs::{MACHINE_ROOT, machine_root};
use crate::space::Space;
use crate::times::{add_python, add_rust};

/// How a run gets `source`, with what it kept in the cache `kept`. Its command is `/tool`, which reads `/src/word`.
const WAYS: [(&str, &str); 6] = [
    ("mounted", r#"run seen { from root; mount source at="/src"; cache kept at="/kept"; TOOL; }"#),
    ("copied", r#"run seen { from root; copy source to="/src"; cache kept at="/kept"; TOOL; }"#),
    (
        "copied by a node below a run",
        r#"tree onto { from root; copy source to="/src"; }
           run between { from onto; sh "echo > /between"; }
           run seen { from between; cache kept at="/kept"; TOOL; }"#,
    ),
    (
        "made by a run, and mounted",
        r#"run made { from root; mount source at="/in"; sh "cp -r /in/. /out/"; output out "/out"; }
           run seen { from root; mount made.out at="/src"; cache kept at="/kept"; TOOL; }"#,
    ),
    (
        "in another mount, with the cache in it",
        r#"run seen { from root; mount steady at="/work"; mount source at="/src"; cache kept at="/work/kept"; TOOL; }"#,
    ),
    (
        "beside another cache",
        r#"run seen { from root; mount source at="/src"; cache kept at="/kept" sharing=locked; cache other at="/other"; TOOL; }"#,
    ),
];

/// The word of the sources, and what else the tool is told, build by build.
type Story<'a> = &'a [(&'a str, &'a str)];

/// There and back, one part at a time, and the same again.
const STORY: Story<'_> = &[
    ("old", "all"),
    ("new", "all"),
    ("old", "all"),
    ("new", "one"),
    ("new", "two"),
    ("old", "one"),
    ("old", "all"),
];

fn is_long() -> bool {
    std::env::var_os("MEMOBUILD_LONG").is_some()
}

/// `source` is what the sources are when the word is that, as name and content. The tool prints the word that its
/// result is of, and says in `/kept` how often it made it.
fn tell(space: &Space, tool: &str, ways: &[(&str, &str)], source: impl Fn(&str) -> Vec<(String, String)>) {
    let file = space.file("machine/tool", format!("#!/bin/sh -e\n{tool}\n"));
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    space.file("steady/file", "steady");
    for (number, (way, nodes)) in ways.iter().enumerate() {
        let builds = if is_long() { STORY.len() } else { 5 };
        for (build, (word, goal)) in STORY[..builds].iter().enumerate() {
            for (name, content) in source(word) {
                space.file(&format!("source/{name}"), content);
            }
            let kept = if nodes.contains("/work/kept") { "/work/kept" } else { "/kept" };
            // The salt lets it run again on the same sources.
            let line = format!(
                "env KEPT=\"{kept}\" GOAL=\"{goal}\"; salt \"{build}\"; sh \"/tool > /seen\"; output seen \"/seen\" type=file"
            );
            let nodes = nodes.replace("TOOL", &line).replace("cache kept", &format!("cache kept{number}"));
            let files = "files source root=\"source\"\nfiles steady root=\"steady\"\n";
            let out = "tree out { copy seen.seen to=\"/seen\"; }\ndefault out\n";
            space.file("memobuild.kdl", format!("{MACHINE_ROOT}{files}{nodes}\n{out}"));
            space.ok(&["build", "-o", "files:out"]);
            let seen = fs::read_to_string(space.path().join("out/seen")).unwrap();
            assert_eq!(seen.trim(), *word, "{way}: build {build}, {goal}");
        }
    }
}

#[test]
fn make_makes_again() {
    let space = Space::new();
    if !machine_root(&space, &["make"]) {
        return;
    }
    // Of one size each, so that nothing but times can tell.
    let source = |word: &str| {
        let rule = "$(KEPT)/one $(KEPT)/two: /src/word\n\t@cat /src/word > $@; echo $@ >> $(KEPT)/made\n";
        let makefile = format!("all: $(KEPT)/one $(KEPT)/two\none: $(KEPT)/one\ntwo: $(KEPT)/two\n{rule}");
        vec![("Makefile".to_owned(), makefile), ("word".to_owned(), format!("{word:8}\n"))]
    };
    let tool = "make -s -f /src/Makefile $GOAL\n\
                if [ $GOAL = two ]; then cat $KEPT/two; else cat $KEPT/one; fi";
    tell(&space, tool, &WAYS, source);
}

#[test]
fn python_compiles_again() {
    let space = Space::new();
    if !machine_root(&space, &[]) {
        return;
    }
    let Some(python) = add_python(&space) else { return };
    let source = |word: &str| vec![("word.py".to_owned(), format!("word = '{word:8}'\n"))];
    let script = "import sys; sys.path.insert(0, \"/src\"); import word; print(word.word)";
    let tool = format!("export PYTHONPYCACHEPREFIX=$KEPT; {python} -S -c '{script}'; test -e $KEPT/src");
    tell(&space, &tool, if is_long() { &WAYS } else { &WAYS[..2] }, source);
}

/// The slowest of the tools is told the story that is about it most.
#[test]
fn cargo_compiles_again() {
    let space = Space::new();
    if !machine_root(&space, &[]) {
        return;
    }
    let Some(bin) = add_rust(&space) else { return };
    let source = |word: &str| {
        let manifest = "[package]\nname = \"word\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[workspace]\n";
        let lib = format!("#![no_std]\n#[no_mangle]\npub static WORD: [u8; 13] = *b\"says-{word:8}\";\n");
        vec![("Cargo.toml".to_owned(), manifest.to_owned()), ("src/lib.rs".to_owned(), lib)]
    };
    let lines = [
        format!("export PATH={bin}:/bin CARGO_HOME=/tmp/cargo CARGO_TARGET_DIR=$KEPT RUSTC={bin}/rustc"),
        "cd /src; cargo build -q --offline".to_owned(),
        "busybox strings $KEPT/debug/libword.rlib > /tmp/words".to_owned(),
        "busybox sed -n 's/.*says-\\([a-z]*\\).*/\\1/p' /tmp/words | busybox head -n 1".to_owned(),
    ];
    tell(&space, &lines.join("\n"), &WAYS[..1], source);
}

/// A cache would be of no use if all that it holds were made again.
#[test]
fn what_did_not_change_is_not_made_again() {
    let space = Space::new();
    if !machine_root(&space, &["make"]) {
        return;
    }
    space.file("rules/Makefile", "/kept/one: /src/word\n\t@cat /src/word > $@; echo made >> /kept/log\n");
    let build = |word: &str, salt: usize| {
        space.file("source/word", word);
        let nodes = format!(
            "files source root=\"source\"\nfiles rules root=\"rules\"
             run seen {{ from root; mount source at=\"/src\"; mount rules at=\"/rules\"; cache kept at=\"/kept\"; salt \"{salt}\"
                 sh \"make -s -f /rules/Makefile; busybox wc -l < /kept/log > /seen\"; output seen \"/seen\" type=file; }}
             tree out {{ copy seen.seen to=\"/seen\"; }}\ndefault out\n"
        );
        space.file("memobuild.kdl", format!("{MACHINE_ROOT}{nodes}"));
        space.ok(&["build", "-o", "files:out"]);
        fs::read_to_string(space.path().join("out/seen")).unwrap().trim().parse::<u32>().unwrap()
    };
    let words = ["a", "a", "b", "b", "b", "a", "a"];
    let made: Vec<u32> = words.iter().enumerate().map(|(salt, word)| build(word, salt)).collect();
    assert_eq!(made, [1, 1, 2, 2, 2, 3, 3]);
}

/// Large layers of the root are not shown with other times, but all that lies on them is.
#[test]
fn another_root_makes_all_again() {
    let space = Space::new();
    if !machine_root(&space, &["make"]) {
        return;
    }
    space.file("rules/Makefile", "/kept/one: /rules/Makefile /word\n\t@cat /word > $@\n");
    for word in ["old", "new", "old"] {
        space.file("in/word", format!("{word:8}\n"));
        let nodes = "files in root=\"in\"\nfiles rules root=\"rules\"
             run base { from root; mount in at=\"/in\"; sh \"cp /in/word /word; busybox dd if=/dev/zero of=/large bs=1M count=70\"; }
             run seen { from base; mount rules at=\"/rules\"; cache kept at=\"/kept\"
                 sh \"make -s -f /rules/Makefile; cp /kept/one /seen\"; output seen \"/seen\" type=file; }
             tree out { copy seen.seen to=\"/seen\"; }\ndefault out\n";
        space.file("memobuild.kdl", format!("{MACHINE_ROOT}{nodes}"));
        space.ok(&["build", "-o", "files:out"]);
        assert_eq!(fs::read_to_string(space.path().join("out/seen")).unwrap().trim(), word);
    }
}
