//! Mistakes that only a build or a policy can see, whole, as the program tells them; and in which files.

use serde_json::Value;

use crate::space::Space;
use crate::telling::words;

fn space(text: &str) -> Space {
    let space = Space::new();
    space.file("memobuild.kdl", text);
    space
}

#[test]
fn a_glob_that_matches_nothing_names_what_left_the_files_out() {
    let space =
        space("memobuild 1\nfiles site {\n    include \"dist/**\"\n}\ntree all { copy site to=\"/\"; }\n");
    let ran = space.run(&["build", "all", "--progress", "plain"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    insta::assert_snapshot!("glob-without-files", words(&ran.stderr));
    space.file(".gitignore", "# made\n*.o\ndist/\n");
    space.file("dist/a.html", "a");
    space.file("dist/b.html", "b");
    let ran = space.run(&["build", "all", "--progress", "plain"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    insta::assert_snapshot!("glob-left-out", words(&ran.stderr));
}

#[test]
fn a_tag_without_an_entry_in_the_lock_file() {
    let space = space("memobuild 1\npull node \"docker.io/library/node:22-alpine\"\ndefault node\n");
    let ran = space.run(&["build", "--profile", "ci", "--progress", "plain"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    insta::assert_snapshot!("tag-without-lock", words(&ran.stderr));
}

/// Both forms for programs name the file of each label.
#[test]
fn mistakes_in_several_files_say_in_which() {
    let space = space("memobuild 1\nimage app { from scratch; copy \"//lib:parts\" to=\"/\"; }\n");
    space.file("lib/memobuild.kdl", "memobuild 1\nfiles parts private=#true\nfils more\n");
    let told = |format: &str| -> Value {
        let ran = space.run(&["check", "--format", format]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let json = told("json");
    let mistakes = json["mistakes"].as_array().unwrap();
    assert_eq!(mistakes[0]["code"], "memo::ref::private");
    assert_eq!(mistakes[0]["file"], "memobuild.kdl");
    assert_eq!(mistakes[0]["labels"][1]["file"], "lib/memobuild.kdl");
    assert_eq!(mistakes[1]["code"], "memo::unknown::kind");
    assert_eq!(mistakes[1]["file"], "lib/memobuild.kdl");
    let sarif = told("sarif");
    let results = &sarif["runs"][0]["results"];
    let uri = |place: &Value| place["physicalLocation"]["artifactLocation"]["uri"].clone();
    assert_eq!(uri(&results[0]["locations"][0]), "memobuild.kdl");
    assert_eq!(uri(&results[0]["relatedLocations"][0]), "lib/memobuild.kdl");
    assert_eq!(uri(&results[1]["locations"][0]), "lib/memobuild.kdl");
}

#[test]
fn a_mistyped_code_is_answered() {
    let space = Space::new();
    let ran = space.run(&["explain", "memo::kdl::qoute"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `memobuild explain memo::kdl::quote`?"), "{}", ran.stderr);
}
