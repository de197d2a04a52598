//! `axis` and `matrix`: which nodes stand how often, and what each of them refers to.

use super::{built, check, shown, shown_in, space};

const TWO: &str = "axis a \"1\" \"2\"\naxis b x y\n";

fn names(text: &str) -> Vec<String> {
    let lines = shown(&format!("{TWO}{text}"));
    lines.iter().filter_map(|line| Some(line.split_once(" -> ")?.0.to_owned())).collect()
}

#[test]
fn a_node_stands_once_for_each_coordinate() {
    for (text, expected) in [
        ("files f { matrix a; include \"${matrix.a}\"; }", vec!["files f[a=1]", "files f[a=2]"]),
        (
            "files f { matrix a b { exclude a=1 b=x; }; include \"q\"; }",
            vec!["files f[a=1,b=y]", "files f[a=2,b=x]", "files f[a=2,b=y]"],
        ),
        (
            "files f { matrix a { exclude a=\"1\"; include a=\"9\"; }; include \"q\"; }",
            vec!["files f[a=2]", "files f[a=9]"],
        ),
        (
            "tree t { matrix b; file \"/x\" \"x\"; when matrix.b=x { dir \"/d\"; }; }",
            vec!["tree t[b=x]", "tree t[b=y]"],
        ),
    ] {
        assert_eq!(names(text), expected, "{text}");
    }
}

/// Who refers to a node stands where it stands, without a line of its own.
#[test]
fn who_refers_follows() {
    let lines = shown(&format!(
        "{TWO}tree f {{ matrix a; dir \"/\"; }}\ntree g {{ matrix a b {{ exclude a=1 b=x; }}; dir \"/\"; }}\ntree one {{ copy f to=\"/\"; }}\ntree two {{ copy one to=\"/one\"; merge g; }}\n"
    ));
    let takes: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with("tree two") || line.starts_with("takes copy /one"))
        .collect();
    assert_eq!(
        takes,
        [
            "tree two[a=1,b=y] -> tree",
            "takes copy /one one[a=1], merge g[a=1,b=y]",
            "tree two[a=2,b=x] -> tree",
            "takes copy /one one[a=2], merge g[a=2,b=x]",
            "tree two[a=2,b=y] -> tree",
            "takes copy /one one[a=2], merge g[a=2,b=y]",
        ]
    );
}

#[test]
fn pick_and_each_cross() {
    let text = |line: &str| {
        format!(
            "{TWO}tree f {{ matrix a; file \"/f\" \"${{matrix.a}}\" expand=#true; }}\ntree g {{ matrix a b; dir \"/\"; }}\n{line}\n"
        )
    };
    for (line, expected) in [
        ("tree t { copy f to=\"/\" { pick a=\"2\"; }; }", "takes copy / f[a=2]"),
        ("tree t { copy f to=\"/${matrix.a}\" { each a; }; }", "takes copy /1 f[a=1], copy /2 f[a=2]"),
        ("tree t { merge f { each a; }; }", "takes merge f[a=1], merge f[a=2]"),
        ("tree t { merge g { each a; pick b=x; }; }", "takes merge g[a=1,b=x], merge g[a=2,b=x]"),
        (
            "run t { from host; mount f at=\"/m/${matrix.a}\" { each a; }; exec \"x\"; output o \"/o\"; }",
            "takes from host, mount /m/1 f[a=1], mount /m/2 f[a=2]",
        ),
    ] {
        let lines = shown_in(&space(&text(line)), &["t"]);
        assert_eq!(lines[1], expected, "{line}");
        assert!(!lines[0].contains('['), "it does not follow: {}", lines[0]);
    }
    for (line, code, part) in [
        ("tree t { copy f to=\"/\" { pick a=\"9\"; }; }", "memo::axis::value", "no `f[a=9]`"),
        ("tree t { copy f to=\"/\" { pick b=x; }; }", "memo::axis::unknown", "`f` has no axis `b`"),
        ("tree t { merge f { each z; }; }", "memo::axis::unknown", "`f` has no axis `z`"),
        ("tree t { copy f to=\"/\" { pick a=\"1\"; each a; }; }", "memo::slot::twice", "`a`"),
        (
            "run t { from host; mount f at=\"/m\" { each a; }; exec \"x\"; output o \"/o\"; }",
            "memo::mount::twice",
            "/m",
        ),
        ("image t { from scratch; name \"r/x\" \"r/y\"; copy f to=\"/\"; }", "memo::image::name", "r/x"),
    ] {
        check(&text(line), &[(code, part)]);
    }
}

#[test]
fn each_takes_no_path_with_two_contents() {
    let text = "tree f { matrix a; file \"/same\" \"s\"; file \"/of/x\" \"${matrix.a}\" expand=#true; }\n\
        tree apart { copy f to=\"/${matrix.a}\" { each a; }; }\n\
        tree equal { copy f path=\"same\" to=\"/same\" { each a; }; }\n\
        tree clash { copy f to=\"/\" { each a; }; }\n\
        tree laid { merge f { each a; }; }\n\
        tree last { merge f conflicts=last { each a; }; }\n\
        image in-layers { from scratch; layer one { copy f to=\"/\" { each a; }; }; }\n";
    let space = space(&format!("{TWO}{text}"));
    assert_eq!(super::built_in(&space, "apart", "2/of/x", &[]), "2");
    assert_eq!(super::built_in(&space, "equal", "same", &[]), "s");
    assert_eq!(super::built_in(&space, "last", "of/x", &[]), "2", "in the order of the axis");
    for target in ["clash", "laid", "in-layers"] {
        let ran = space.run(&["build", target]);
        assert_eq!(ran.code, Some(2), "{target}: {}", ran.stderr);
        assert!(ran.stderr.contains("`/of/x`"), "{target}: {}", ran.stderr);
    }
}

#[test]
fn groups_and_the_command_line_take_all_or_one() {
    let space = space(&format!(
        "{TWO}tree f {{ matrix a b; file \"/f\" \"${{matrix.a}}${{matrix.b}}\" expand=#true; }}\nrun r {{ from host; mount f at=\"/f\"; exec \"true\"; output o \"/o\"; }}\ngroup g r.o\ndefault f\n"
    ));
    let planned = |arguments: &[&str]| -> Vec<String> {
        let ran = space.ok(&[&["plan"], arguments].concat());
        let lines = ran.stdout.lines().filter(|line| line.contains("tree") || line.contains("run  "));
        lines
            .filter_map(|line| line.split_whitespace().find(|word| word.contains('[')).map(str::to_owned))
            .collect()
    };
    assert_eq!(planned(&[]).len(), 4, "the default");
    assert_eq!(planned(&["f[a=1]"]), ["f[a=1,b=x]", "f[a=1,b=y]"]);
    assert_eq!(planned(&["f[b=y,a=2]"]), ["f[a=2,b=y]"]);
    assert_eq!(planned(&["r.o[a=2,b=x]"]), ["f[a=2,b=x]", "r[a=2,b=x]"]);
    assert_eq!(planned(&["g"]).len(), 8);
    let ran = space.run(&["plan", "f[a=3]"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("not at that coordinate"), "{}", ran.stderr);
}

#[test]
fn mistakes_of_axes() {
    let one = "axis a \"1\" \"2\"\n";
    for (text, code, part) in [
        ("axis c 3.10 3.11\n", "memo::type::number-for-text", "3.1"),
        ("axis c x x\n", "memo::axis::value", "twice"),
        ("axis a \"1\" \"3\"\n", "memo::axis::value", "other values elsewhere"),
        ("tree t { matrix z; dir \"/\"; }\n", "memo::axis::unknown", "`z`"),
        ("tree t { matrix a { exclude a=\"7\"; }; dir \"/\"; }\n", "memo::axis::value", "excludes nothing"),
        ("tree t { matrix a { exclude b=\"7\"; }; dir \"/\"; }\n", "memo::axis::unknown", "no axis `b`"),
        ("tree t { symlink \"/x\" target=\"${matrix.a}\"; }\n", "memo::value::unknown", "has the axis `a`"),
        (
            "tree f { matrix a { exclude a=\"1\"; }; dir \"/\"; }\ntree t { matrix a; copy f to=\"/\"; }\n",
            "memo::axis::value",
            "`t` stands at [a=1]",
        ),
    ] {
        let told = super::told(&format!("{one}{text}"));
        assert!(
            told.first().is_some_and(|told| told.starts_with(code) && told.contains(part)),
            "{text}{told:?}"
        );
    }
    assert!(super::told("axis a \"1\"\ntree t { copy \"//b:g\" to=\"/\"; }\n%% b/memobuild.kdl\naxis a \"1\"\ntree g { matrix a; dir \"/\"; }\n").is_empty());
}

/// A name of an image may be said by the platforms of one index, and by two nodes of different names.
#[test]
fn names_of_images() {
    let ok = "image i { matrix a; from scratch; name \"r/x:${matrix.a}\"; }\nimage j { from scratch; name \"r/x\"; platforms \"linux/amd64\" \"linux/arm64\"; }\n";
    assert_eq!(super::told(&format!("{TWO}{ok}")), Vec::<String>::new());
}

#[test]
fn conditions_on_axes_stand_around_nodes() {
    let text = "when matrix.a=\"1\" { tree k { matrix a; file \"/k\" \"one\"; }; }\n\
        when matrix.a=\"2\" { tree k { matrix a; file \"/k\" \"two\"; }; }\n\
        tree l { merge k; }\n\
        tree all { copy l to=\"/${matrix.a}\" { each a; }; }\n";
    let text = format!("{TWO}{text}");
    assert_eq!(built(&text, "all", "1/k"), "one");
    assert_eq!(built(&text, "all", "2/k"), "two");
    check(
        &format!("{TWO}when matrix.a=\"1\" {{ tree k {{ dir \"/\"; }}; }}\n"),
        &[("memo::value::unknown", "has the axis `a`")],
    );
}
