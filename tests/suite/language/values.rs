//! Values: where each comes from, what types they have, and how they stand in texts and lists.

use std::process::Command;

use super::{built, built_in, check, node, shown_in, space, told_in};
use crate::space::{Space, have, run, tool};

const WINS: &str = r#"
workspace w { profile p { param v=profile n=7; }; }
param v default="default" env="MEMOBUILD_TEST_VALUE"
param n default=1
tree t { file "/v" "${param.v} ${param.n}" expand=#true; }
"#;

#[test]
fn a_flag_wins_over_the_environment_that_over_the_profile_that_over_the_default() {
    let space = space(WINS);
    let value = |variable: Option<&str>, arguments: &[&str]| {
        let folder = space.path().join("out");
        let output = format!("files:{}", folder.display());
        let mut command = space.command(&[&["build", "t", "-o", &output], arguments].concat());
        command.env_remove("MEMOBUILD_TEST_VALUE");
        variable.map(|value| command.env("MEMOBUILD_TEST_VALUE", value));
        let ran = run(&mut command);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let text = std::fs::read_to_string(folder.join("v")).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        text
    };
    let (profile, flag) = (["--profile", "p"], ["--param", "v=first", "--param", "v=flag"]);
    assert_eq!(value(Some("variable"), &[&profile[..], &flag].concat()), "flag 7", "the last flag");
    assert_eq!(value(Some("variable"), &profile), "variable 7");
    assert_eq!(value(None, &profile), "profile 7");
    assert_eq!(value(None, &[]), "default 1");
}

#[test]
fn another_package_is_set_by_its_label_and_shared_ones_are_seen_everywhere() {
    let space = space(
        r#"
workspace w
param v default="root" shared=#true
param private default="here"
tree t { copy "//a:t" to="/"; copy "//b:t" to="/b"; file "/here" "${param.private}" expand=#true; }
%% a/memobuild.kdl
param v default="a"
tree t { file "/a" "${param.v}" expand=#true; }
%% b/memobuild.kdl
tree t { file "/v" "${param.v}" expand=#true; }
"#,
    );
    let flags = ["--param", "//a:v=set", "--param", "v=shared"];
    assert_eq!(built_in(&space, "t", "a", &flags), "set");
    assert_eq!(built_in(&space, "t", "b/v", &flags), "shared");
    space.file("b/memobuild.kdl", "memobuild 1\ntree t { file \"/v\" \"${param.private}\" expand=#true; }\n");
    assert!(told_in(&space, &[])[0].starts_with("memo::value::unknown"), "not shared");
}

/// Of each type: its values, and what is none.
#[test]
fn types() {
    for (line, good, bad) in [
        ("type=text", vec!["x y", ""], vec![]),
        ("type=text pattern=#\"^v\\d+$\"#", vec!["v12"], vec!["12", "v"]),
        ("type=int", vec!["-3", "0"], vec!["3.1", "x", ""]),
        ("type=int min=1 max=9", vec!["1", "9"], vec!["0", "10"]),
        ("type=bool", vec!["true", "false"], vec!["yes", "1"]),
        ("type=path", vec!["/a/b", "a"], vec!["../x", "a/../b"]),
        ("type=duration", vec!["1h30m", "500ms"], vec!["10", "m"]),
        ("type=size", vec!["2GiB", "10KB"], vec!["2 gb", "-1"]),
        ("type=platform", vec!["linux/amd64", "linux/arm/v7"], vec!["arm", ""]),
        ("type=enum { values a b; }", vec!["a", "b"], vec!["c", ""]),
        ("{ values a b; }", vec!["a"], vec!["c"]),
    ] {
        let space =
            space(&format!("param v {line}\ntree t {{ file \"/v\" \"${{param.v}}\" expand=#true; }}\n"));
        for value in good {
            let flag = format!("v={value}");
            assert_eq!(built_in(&space, "t", "v", &["--param", &flag]), value, "{line}");
        }
        for value in bad {
            let told = told_in(&space, &["--param", &format!("v={value}")]);
            assert!(told.len() == 1 && told[0].starts_with("memo::param::value"), "{line} {value}: {told:?}");
        }
        let none = told_in(&space, &[]);
        assert!(none.len() == 1 && none[0].starts_with("memo::param::required"), "{line}: {none:?}");
    }
}

#[test]
fn params_that_contradict_themselves() {
    let used = "tree t { file \"/v\" \"${param.v}\" expand=#true; }\n";
    for (line, code) in [
        ("param v default=0 min=1", "memo::param::value"),
        ("param v default=x pattern=\"^y\"", "memo::param::value"),
        ("param v default=c { values a b; }", "memo::param::value"),
        ("param v type=enum default=a", "memo::slot::missing"),
        ("param v type=int default=1 { values a b; }", "memo::"),
        ("param v default=3.10", "memo::type"),
        ("param v type=tree", "memo::type::value"),
    ] {
        let told = super::told(&format!("{line}\n{used}"));
        assert!(told.first().is_some_and(|told| told.starts_with(code)), "{line}: {told:?}");
    }
}

/// A slot of another type takes a text that is exactly one value of that type.
#[test]
fn typed_slots_take_values() {
    let space = space(
        r#"
param n default=3
param yes default=#true
param size default="2GiB" type=size
param time default="10s" type=duration
param on default="linux/arm64" type=platform
param at default="/a" type=path
run r { from host; retry "${param.n}"; tmpfs "/t" size="${param.size}"; limits timeout="${param.time}"; exec "${param.n}"; output o "${param.at}" optional="${param.yes}"; }
image i { from scratch; expose "${param.n}"; platforms "${param.on}"; label yes="${param.yes}"; }
"#,
    );
    let run = &node(&space, "r")["op"]["run"];
    assert_eq!(run["retry"], 3);
    assert_eq!(run["outputs"][0]["optional"], true);
    assert_eq!(run["outputs"][0]["path"], "a");
    assert_eq!(run["commands"][0]["exec"][0], "3");
    let image = &node(&space, "i[platform=linux/arm64]")["op"]["assemble"]["result"]["image"]["config"];
    assert_eq!(image["ports"][0], "3/tcp");
    assert_eq!(image["labels"][0][1], "true");
    let wrong = |line: &str| {
        format!("param n default=3\nrun r {{ from host; exec \"x\"; output o \"/o\"; {line}; }}\n")
    };
    for line in
        ["retry \"x${param.n}\"", "output p \"/p\" optional=\"${param.n}\"", "limits timeout=\"${param.n}\""]
    {
        check(&wrong(line), &[("memo::type::value", "takes")]);
    }
}

/// In every slot that takes several values, an empty list adds nothing.
#[test]
fn lists_are_spliced() {
    let text = r#"
param l type=list { default; }
files f { include "${param.l}" "x"; exclude "${param.l}"; }
image i { from scratch; cmd "${param.l}"; entrypoint "a" "${param.l}" "b"; expose "${param.l}"; volume "${param.l}"; name "${param.l}"; }
run r { from f2; exec "${param.l}" "a" "${param.l}"; shell "sh" "${param.l}"; output o "/o" { include "${param.l}"; }; }
tree f2 { from scratch; remove "${param.l}"; dir "${param.l}"; copy f to="/" { exclude "${param.l}"; include "${param.l}"; }; }
"#;
    let empty = space(text);
    let argv = |space: &Space| node(space, "r")["op"]["run"]["commands"][0]["exec"].clone();
    assert_eq!(argv(&empty), serde_json::json!(["a"]));
    let config = &node(&empty, "i")["op"]["assemble"]["result"]["image"]["config"];
    assert_eq!(config["entrypoint"]["set"], serde_json::json!(["a", "b"]));
    assert_eq!(config["ports"], serde_json::json!([]));
    let given = space(
        &text
            .replace("{ default; }", "{ default \"1\" \"2\"; }")
            .replace("volume \"${param.l}\";", "")
            .replace("dir \"${param.l}\";", ""),
    );
    assert_eq!(argv(&given), serde_json::json!(["1", "2", "a", "1", "2"]));
    let again = space("param l type=list { default \"d\"; }\nfiles f { include \"a\" \"${param.l}\"; }\n");
    assert_eq!(shown_in(&again, &[])[1], "reads /: a d");
    assert_eq!(shown_in(&again, &["--param", "l=q", "--param", "l=r"])[1], "reads /: a q r");
    assert_eq!(shown_in(&again, &["--param", "l="])[1], "reads /: a");
    check(
        "param l { default \"a\"; }\ntree t { symlink \"/x\" target=\"${param.l}\"; symlink \"/y\" target=\"a${param.l}\"; }\n",
        &[("memo::type::value", "a list"), ("memo::value::form", "part of a text")],
    );
}

#[test]
fn texts_hold_values_and_scripts_do_not() {
    let text = r#"
param v default="x"
tree t {
    file "/data" "$${param.v} ${param.v}$ $HOME" expand=#true
    file "/script" "${HOME} $${param}"
    symlink "/link" target="a$${b}"
}
"#;
    assert_eq!(built(text, "t", "data"), "${param.v} x$ $HOME");
    assert_eq!(built(text, "t", "script"), "${HOME} $${param}");
    check(
        "param v default=x\ntree t { symlink \"/a\" target=\"${HOME}\"; file \"/b\" \"${param.v}\"; symlink \"/c\" target=\"${param.w}\"; symlink \"/d\" target=\"${param.v\"; }\n",
        &[
            ("memo::value::form", "${HOME}"),
            ("memo::script::substitution", ""),
            ("memo::value::unknown", "${param.w}"),
            ("memo::value::form", "never closed"),
        ],
    );
}

#[test]
fn platforms() {
    let space = space(
        r#"
tree t { file "/v" "${platform.os} ${platform.arch} ${platform.variant}|${build.os}" expand=#true; }
image i { from scratch; platforms "linux/arm/v7" "linux/arm64"; copy t to="/"; }
"#,
    );
    let text = |name: &str| node(&space, name)["op"]["assemble"]["layers"][0][0]["file"]["text"].clone();
    assert_eq!(text("t[platform=linux/arm]"), "linux arm v7|linux");
    assert_eq!(text("t[platform=linux/arm64]"), "linux arm64 v8|linux");
}

const GIT: &str = r#"
tree t { file "/v" "${git.tag} ${git.describe} ${git.dirty}" expand=#true; file "/c" "${git.commit}" expand=#true; }
image i { from scratch; created "${git.time}"; label commit="${git.commit}"; }
"#;

#[test]
fn values_of_git() {
    if !have(&["git"]) {
        return;
    }
    let space = space(GIT);
    assert!(told_in(&space, &[])[0].starts_with("memo::value::git"), "no repository");
    let folder = space.workspace();
    let git = |arguments: &[&str]| {
        let settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-C", folder.to_str().unwrap()];
        tool("git", &[&settings, arguments].concat()).trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "one"]);
    let commit = git(&["rev-parse", "HEAD"]);
    assert_eq!(
        built_in(&space, "t", "v", &[]),
        format!(" {} false", git(&["describe", "--always", "--tags"]))
    );
    assert_eq!(built_in(&space, "t", "c", &[]), commit);
    git(&["tag", "v1.0"]);
    assert_eq!(built_in(&space, "t", "v", &[]), "v1.0 v1.0 false");
    let created = &node(&space, "i")["op"]["assemble"]["result"]["image"]["created"];
    assert_eq!(created.to_string(), git(&["log", "-1", "--format=%ct"]));
    space.file("memobuild.kdl", format!("memobuild 1\n{GIT}// changed\n"));
    assert_eq!(built_in(&space, "t", "v", &[]), "v1.0 v1.0-dirty true");
}

/// `${from.env.X}` is known to the build only, and is a fact of the node that uses it.
#[test]
fn values_of_the_root_below() {
    let space = Space::new();
    if !crate::space::busybox_root(&space) {
        return;
    }
    let text = |path: &str, other: &str| {
        format!(
            r##"{}
image base {{ from root; env PATH="{path}" OTHER="{other}"; }}
run use {{ from base; env P="${{from.env.PATH}}:/more" N="${{from.env.NONE}}"; sh #"echo "$P|$N" > /o/p"#; output o "/o"; }}
image top {{ from base; env PATH="/top:${{from.env.PATH}}"; }}
run again {{ from top; sh #"echo "$PATH" > /o/p"#; output o "/o"; }}
tree t {{ copy use.o to="/use"; copy again.o to="/again"; }}
"##,
            crate::space::BUSYBOX_ROOT
        )
    };
    space.file("memobuild.kdl", text("/bin:/a", "1"));
    assert_eq!(built_in(&space, "t", "use/p", &[]), "/bin:/a:/more|\n");
    assert_eq!(built_in(&space, "t", "again/p", &[]), "/top:/bin:/a\n");
    space.file("memobuild.kdl", text("/bin:/b", "1"));
    assert_eq!(built_in(&space, "t", "use/p", &[]), "/bin:/b:/more|\n", "another value is another key");
    check(
        "tree base { from scratch; }\nimage i { from base; cmd \"${from.env.X}\"; }\n",
        &[("memo::value::form", "before the node in `from` is known")],
    );
}

/// A declared value of the environment is part of the keys of what uses it, and of nothing else.
#[test]
fn a_value_of_the_environment_is_in_the_keys_of_what_uses_it() {
    let space = space(
        "param v env=\"MEMOBUILD_TEST_VALUE\" default=d\ntree uses { file \"/v\" \"${param.v}\" expand=#true; }\ntree other { file \"/v\" \"x\"; }\ngroup all uses other\n",
    );
    let outcomes = |value: &str| {
        let mut command: Command = space.command(&["build", "all", "--report", "report.json"]);
        let ran = run(command.env("MEMOBUILD_TEST_VALUE", value));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        space.with_outcome("executed")
    };
    assert_eq!(outcomes("1"), ["other", "uses"]);
    assert_eq!(outcomes("2"), ["uses"]);
    assert_eq!(outcomes("1"), Vec::<String>::new());
}
