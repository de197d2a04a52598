//! `memobuild export`: results among the sources, `list` and `show` of what examples declare.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::Value;

use crate::space::Space;

const FILE: &str = "memobuild 1\n\
    param word default=\"one\"\n\
    tree made { file \"/a.txt\" \"${param.word}\" expand=#true; file \"/sub/b.sh\" \"b\" mode=0o700; }\n\
    export generated made to=\"gen\"\n\
    export more made path=\"sub\" to=\"src/more\" mode=merge\n";

fn space() -> Space {
    let space = Space::new();
    space.file("memobuild.kdl", FILE);
    space
}

fn read(space: &Space, path: &str) -> String {
    fs::read_to_string(space.workspace().join(path)).unwrap()
}

#[test]
fn results_land_and_are_current_then() {
    let space = space();
    space.file("src/more/mine", "kept");
    let ran = space.run(&["export", "--check"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 exports are not what the workspace holds"), "{}", ran.stderr);
    assert!(!space.workspace().join("gen").exists(), "--check writes nothing");
    let ran = space.ok(&["export"]);
    let expected = "added    gen/a.txt\nadded    gen/sub/b.sh\ngenerated: 2 added, 0 changed, 0 removed\n\
                    added    src/more/b.sh\nmore: 1 added, 0 changed, 0 removed\n";
    assert_eq!(ran.stdout, expected);
    assert_eq!(read(&space, "gen/a.txt"), "one");
    assert_eq!(read(&space, "src/more/mine"), "kept");
    let mode = |path: &str| fs::metadata(space.workspace().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("gen/a.txt"), mode("gen/sub/b.sh"), mode("gen")], [0o644, 0o755, 0o755]);
    assert_eq!(space.ok(&["export", "--check"]).stdout, "generated: current\nmore: current\n");
}

#[test]
fn what_changed_is_told_and_only_what_is_named_is_written() {
    let space = space();
    space.ok(&["export"]);
    space.file("gen/stray", "x");
    fs::remove_file(space.workspace().join("src/more/b.sh")).unwrap();
    let ran = space.ok(&["export", "generated", "--param", "word=two", "--format", "json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["exports"][0]["changed"], serde_json::json!(["gen/a.txt"]));
    assert_eq!(json["exports"][0]["removed"], serde_json::json!(["gen/stray"]));
    assert_eq!(json["exports"].as_array().unwrap().len(), 1);
    assert_eq!(read(&space, "gen/a.txt"), "two");
    assert!(!space.workspace().join("src/more/b.sh").exists());
    let ran = space.run(&["export", "generatd"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("did you mean `generated`?"), "{}", ran.stderr);
}

#[test]
fn no_link_leads_out_of_the_package() {
    let space = space();
    let outside = space.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "kept").unwrap();
    symlink(&outside, space.workspace().join("gen")).unwrap();
    let ran = space.run(&["export", "generated"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("a symbolic link leads out of the package there"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    space.file(
        "memobuild.kdl",
        "memobuild 1\ntree made { symlink \"/l\" target=\"../../x\"; }\nexport e made to=\"e\"\n",
    );
    let ran = space.run(&["export"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("out of the workspace"), "{}", ran.stderr);
}

/// Neither by the file's word nor by what is really there.
#[test]
fn what_is_not_its_own_is_spared() {
    let space = space();
    space.file("gen/deep/memobuild.kdl", "memobuild 1\n");
    let ran = space.run(&["export", "generated"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`generated` would remove gen/deep/memobuild.kdl"), "{}", ran.stderr);
    for (line, words) in [
        ("export e made to=\".git/hooks\"", "nothing is exported into `.git`"),
        ("export e made to=\".\"", "would remove the whole package"),
        ("export e made to=\"../x\"", "memo::path::form"),
        ("export e made to=\"x\"\nexport f made to=\"x/y\"", "`e` would remove what `f` wrote"),
        ("export e mada to=\"x\"", "did you mean `made`"),
        ("export e made.x to=\"x\"", "has no output `x`"),
        ("image i { from scratch; }\nexport e i to=\"x\"", "memo::type::slot"),
    ] {
        space.file("memobuild.kdl", format!("{FILE}{line}\n"));
        let ran = space.run(&["export"]);
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{line}: {}", ran.stderr);
    }
}

#[test]
fn a_file_lands_as_the_place_or_in_it() {
    let space = Space::new();
    space.file("word", "w");
    space.file(
        "memobuild.kdl",
        "memobuild 1\nexport as \"./word\" to=\"copies/one\"\nexport into \"./word\" to=\"folder/\"\n",
    );
    space.ok(&["export"]);
    assert_eq!((read(&space, "copies/one"), read(&space, "folder/word")), ("w".to_owned(), "w".to_owned()));
}

#[test]
fn packages_are_listed_and_shown() {
    let space = Space::example("monorepo");
    let names = |arguments: &[&str], of: &str| -> Vec<String> {
        let json: Value = serde_json::from_str(&space.ok(arguments).stdout).unwrap();
        json[of].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names(&["list", "--format", "json"], "groups");
    assert_eq!(all, ["images", "tests"]);
    assert!(names(&["list", "--format", "json"], "params").contains(&"version".to_owned()));
    let services = names(&["list", "//services/...", "--format", "json"], "targets");
    assert!(services.iter().all(|name| name.starts_with("//services/")), "{services:?}");
    assert!(services.contains(&"//services/web:unit".to_owned()), "{services:?}");
}

#[test]
fn coordinates_are_listed_and_shown() {
    let space = Space::example("variants");
    if !space.workspace().join("lib").is_dir() {
        panic!("the example lacks its package lib");
    }
    let list = space.ok(&["list"]).stdout;
    for line in ["card[lang,size]", "lang  en de fr", "cards", "from $CARD_FROM", "(plain, lined)"] {
        assert!(list.contains(line), "{line}:\n{list}");
    }
    let shown = space.ok(&["show", "card[lang=de,size=small]", "--format", "json"]).stdout;
    let json: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(json["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(json["nodes"][0]["coordinate"], serde_json::json!({ "lang": "de", "size": "small" }));
    assert_eq!(space.ok(&["show", "card", "--types"]).stdout.lines().count(), 4);
    let ran = space.run(&["show", "card[lang=it]"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("[lang=de,size=small]"), "{}", ran.stderr);
}
