//! Conditions, fragments and templates.

use super::{built, built_in, check, node, shown, shown_in, space, told_in};

#[test]
fn conditions_in_bodies_and_around_nodes() {
    let space = space(
        r#"
param mode default="a" { values a b; }
param fast default=#false
when param.mode=a { tree f { file "/f" "of a"; }; }
unless param.mode=a { tree f { file "/f" "of b"; }; tree only-b { copy f to="/"; }; }
template one { param v; tree t { file "/v" "${param.v}" expand=#true; }; output t t; }
when param.mode=b { when param.fast=#true { use one deep { v "x"; }; }; }
tree t {
    merge f
    when param.mode=a build.os=linux { file "/both" "yes"; }
    unless param.mode=a build.os=linux { file "/both" "no"; }
    when param.mode=b { unless param.fast=#true { file "/nested" "slow b"; }; }
    when platform.os=linux { file "/os" "linux"; }
}
"#,
    );
    let b = ["--param", "mode=b"];
    for (file, of_a, of_b) in [("f", "of a", "of b"), ("both", "yes", "no"), ("os", "linux", "linux")] {
        assert_eq!(built_in(&space, "t", file, &[]), of_a);
        assert_eq!(built_in(&space, "t", file, &b), of_b);
    }
    assert_eq!(built_in(&space, "t", "nested", &b), "slow b");
    let has = |name: &str, arguments: &[&str]| {
        shown_in(&space, arguments).iter().any(|line| line.starts_with(name))
    };
    assert!(!has("tree only-b", &[]) && has("tree only-b", &b));
    assert!(!has("tree deep/t", &b) && has("tree deep/t", &["--param", "mode=b", "--param", "fast=true"]));
}

#[test]
fn conditions_that_cannot_be() {
    let declared = "param mode default=a { values a b; }\naxis x \"1\"\n";
    for (text, code, part) in [
        ("when param.mode=c { file \"/x\" \"\"; }", "memo::when::value", "never `c`"),
        ("when param.mod=a { file \"/x\" \"\"; }", "memo::value::unknown", "param.mod"),
        ("when git.tag=a { file \"/x\" \"\"; }", "memo::when::name", "git.tag"),
        ("when param.mode { file \"/x\" \"\"; }", "memo::slot::extra", "pairs"),
        ("when { file \"/x\" \"\"; }", "memo::slot::missing", "no condition"),
        ("when matrix.x=\"1\" { file \"/x\" \"\"; }", "memo::value::unknown", "has the axis"),
        // What stands in a block that does not count is looked through all the same.
        ("when param.mode=b { fil \"/x\" \"\"; }", "memo::unknown::slot", "fil"),
    ] {
        let text = format!("{declared}tree t {{ {text}; when param.mode=a {{ dir \"/\"; }}; }}\n");
        let told = super::told(&text);
        let fits = told.first().is_some_and(|told| told.starts_with(code) && told.contains(part));
        assert!(fits, "{text}{told:?}");
    }
    check(
        "param m default=a { values a b; }\nwhen param.m=a { tree f { dir \"/\"; }; }\ntree f { dir \"/\"; }\n",
        &[("memo::name::taken", "`f`")],
    );
}

const FRAGMENTS: &str = r#"
fragment base {
    param who default="x"
    from host
    env WHO="${param.who}" SAME="base"
    workdir "/w"
    mount "./near" at="/m"
    exec "first"
}
fragment other { workdir "/o"; env SAME="other"; }
fragment outer { use base { who "deep"; }; workdir "/outer"; env OUT="1"; }
"#;

fn run_of(body: &str) -> serde_json::Value {
    let space = space(&format!("{FRAGMENTS}run r {{ {body}; output o \"/o\"; }}\n"));
    node(&space, "r")["op"]["run"].clone()
}

fn env(run: &serde_json::Value) -> Vec<String> {
    let pairs = run["env"].as_array().unwrap().iter();
    pairs
        .map(|pair| format!("{}={}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap_or("#null")))
        .collect()
}

#[test]
fn a_bodys_own_line_wins_over_its_fragments() {
    let run = run_of("use base; workdir \"/own\"; env SAME=\"own\"; exec \"second\"");
    assert_eq!(run["workdir"], "own");
    assert_eq!(env(&run), ["WHO=x", "SAME=own"]);
    assert_eq!(
        run["commands"],
        serde_json::json!([{ "exec": ["first"] }, { "exec": ["second"] }]),
        "spliced in place"
    );
    let early = run_of("env SAME=\"own\"; use base { who \"w\"; }");
    assert_eq!(env(&early), ["SAME=own", "WHO=w"], "wherever it stands");
    let nested = run_of("use outer");
    assert_eq!(nested["workdir"], "outer", "a fragment's own line wins, too");
    assert_eq!(env(&nested), ["WHO=deep", "SAME=base", "OUT=1"]);
    let two = run_of("use base; use other; workdir \"/own\"");
    assert_eq!(env(&two), ["WHO=x", "SAME=other"], "of one key, the later");
    let turned = run_of("use other; use base; workdir \"/own\"");
    assert_eq!(env(&turned), ["WHO=x", "SAME=base"]);
}

#[test]
fn mistakes_of_fragments() {
    for (body, code, part) in [
        ("use base; use other", "memo::slot::twice", "two fragments give the line `workdir`"),
        (
            "use base; use other; workdir \"/1\"; workdir \"/2\"",
            "memo::slot::twice",
            "`workdir` is given twice",
        ),
        ("use base { nope \"x\"; }", "memo::param::unknown", "no parameter `nope`"),
        ("use bas", "memo::template::unknown", "no fragment `bas`"),
        ("use base name", "memo::slot::extra", "no name of its own"),
    ] {
        let told = super::told(&format!("{FRAGMENTS}run r {{ {body}; output o \"/o\"; }}\n"));
        assert!(told.len() == 1 && told[0].starts_with(code) && told[0].contains(part), "{body}: {told:?}");
    }
    check(
        "fragment f { use g; }\nfragment g { use f; }\nrun r { use f; from host; exec \"x\"; output o \"/o\"; }\n",
        &[("memo::template::cycle", "uses itself")],
    );
}

/// Names in a fragment are those where it is written; paths belong to the package that says `use`.
#[test]
fn fragments_of_other_files() {
    let lines = shown(
        r#"
import "//lib/f.kdl" as=lib
run r { use lib.base { src "./s"; }; exec "x"; output o "/o"; }
%% lib/f.kdl
param z default="zz"
tree mine { dir "/"; }
fragment base {
    param src type=tree
    from host
    mount mine at="/mine"
    mount src at="/src"
    mount "./near" at="/near"
    env Z="${param.z}"
}
"#,
    );
    assert_eq!(lines[1], "takes from host, mount /mine //lib/f.kdl:mine, mount /near ./near, mount /src ./s");
}

const TEMPLATES: &str = r#"
workspace w
import "//lib/t.kdl" as=lib
tree s { file "/s" "src of a"; }
tree inner { dir "/not-the-template's"; }
use lib.svc a { src s; root "./here"; port 80; tags "x" "y"; }
use lib.svc b { src "//other:f"; root a.out; port 81; }
run r { from a.img; mount b.out at="/b"; copy a.out to="/c"; exec "x"; output o "/o"; }
group g a b.img
default g
%% here/file
h
%% local/l
l
%% sub/x
x
%% other/memobuild.kdl
tree f { file "/f" "of another package"; }
%% lib/t.kdl
param p default="libp"
tree shared { file "/of-lib" "s"; }
template svc {
    param src type=tree
    param root type=tree
    param port type=int min=1
    param tags type=list { default "d"; }
    tree inner { copy src to="/src"; copy root to="/root"; copy "./local" to="/local"; merge shared; file "/p" "${param.p} ${param.port}" expand=#true; }
    files here root="sub" { include "${param.tags}"; }
    tree rootfs { from scratch; copy inner to="/"; copy here to="/h"; }
    image img { from rootfs; label port="${param.port}"; }
    output out inner
    output img img
}
"#;

#[test]
fn instances_of_templates() {
    let space = space(TEMPLATES);
    for (target, file, expected) in [
        ("a.out", "src/s", "src of a"),
        ("a.out", "root/file", "h\n"),
        ("a.out", "local/l", "l\n"),
        ("a.out", "of-lib", "s"),
        ("a.out", "p", "libp 80"),
        ("b.out", "src/f", "of another package"),
        ("b.out", "root/p", "libp 80"),
        ("b.out", "p", "libp 81"),
    ] {
        assert_eq!(built_in(&space, target, file, &[]), expected, "{target} {file}");
    }
    let lines = shown_in(&space, &[]);
    let has = |line: &str| assert!(lines.iter().any(|shown| shown == line), "{line} in {lines:#?}");
    has("takes from r/files, mount /b b/inner");
    has("takes from a/img, copy /c a/inner");
    has("reads /sub: x y");
    has("reads /sub: d");
    assert_eq!(
        shown_in(&space, &["a"]).iter().filter(|line| line.contains(" -> ")).count(),
        2,
        "both outputs"
    );
    assert_eq!(shown_in(&space, &["g"]).iter().filter(|line| line.contains(" -> ")).count(), 3);
    assert_eq!(shown_in(&space, &["b.img"])[0], "image b/img -> image");
}

#[test]
fn what_a_template_refuses() {
    for (line, code, part) in [
        ("use lib.svc c { src s; root s; port \"x\"; }", "memo::param::value", "takes an integer from 1"),
        ("use lib.svc c { src s; root s; port 0; }", "memo::param::value", "takes an integer from 1"),
        ("use lib.svc c { src s; root s; }", "memo::param::required", "`port`"),
        ("use lib.svc c { src s; root s; port 1; prot 2; }", "memo::param::unknown", "`prot`"),
        ("use lib.svcc c", "memo::template::unknown", "svcc"),
        ("use lib.svc", "memo::slot::missing", "needs a name"),
        ("use lip.svc c", "memo::template::unknown", "lip"),
        ("tree c { copy a.inner to=\"/\"; }", "memo::ref::output", "no output `inner`"),
        ("tree c { copy a to=\"/\"; }", "memo::type::slot", "several outputs"),
        ("tree c { copy a.img to=\"/\"; }", "memo::type::slot", "an image"),
        ("use lib.svc c { src a.img; root s; port 1; }", "memo::type::slot", "takes a tree"),
        ("use lib.svc s { src s; root s; port 1; }", "memo::name::taken", "`s`"),
    ] {
        let told = super::told(&TEMPLATES.replace("default g\n", &format!("default g\n{line}\n")));
        assert!(told.len() == 1 && told[0].starts_with(code) && told[0].contains(part), "{line}: {told:?}");
    }
    let ring = "template t { use t x; tree q { dir \"/\"; }; output q q; }\nuse t y\n";
    assert!(super::told(ring)[0].starts_with("memo::template::cycle"));
}

/// A parameter may hold the value of an axis, also through templates that use templates.
#[test]
fn axes_go_through_templates() {
    let text = r#"
axis a "1" "2"
template one { param v; param s type=tree; tree t { copy s to="/s"; file "/v" "${param.v}" expand=#true; }; output t t; }
template two { param w; param s type=tree; use one x { v "w${param.w}"; s s; }; output t x.t; }
tree f { matrix a; file "/f" "${matrix.a}" expand=#true; }
use two z { w "-${matrix.a}"; s f; }
tree all { copy z to="/${matrix.a}" { each a; }; }
"#;
    assert_eq!(built(text, "all", "2/v"), "w-2");
    assert_eq!(built(text, "all", "1/s/f"), "1");
}

/// A template that nothing uses is looked through all the same.
#[test]
fn unused_templates_have_no_mistakes() {
    let told = told_in(
        &space(
            "template t { param p; tree x { fil \"/x\" \"${param.p}\"; copy nope to=\"/\"; }; output x x; }\ntree y { dir \"/\"; }\n",
        ),
        &[],
    );
    assert!(told[0].starts_with("memo::unknown::slot"), "{told:?}");
}

#[test]
fn maps_are_tables() {
    let text = r#"
axis a "1" "2"
param m default="x" { values x y; }
map by-arch by=platform.arch { amd64 t="A"; arm64 t="R"; else t="E"; }
map by-axis by=matrix.a { "1" n="one"; else n="many"; }
map by-param by=param.m { x n=1; y n=2; }
map constants text="c" number=3
tree t { matrix a; file "/v" "${map.by-axis.n} ${map.by-param.n} ${map.constants.text}${map.constants.number}" expand=#true; }
tree all { copy t to="/${matrix.a}" { each a; }; }
tree arch { file "/v" "${map.by-arch.t}" expand=#true; }
image i { from scratch; platforms "linux/arm64" "linux/s390x"; copy arch to="/"; }
"#;
    let space = space(text);
    assert_eq!(built_in(&space, "all", "1/v", &[]), "one 1 c3");
    assert_eq!(built_in(&space, "all", "2/v", &["--param", "m=y"]), "many 2 c3");
    let of = |name: &str| node(&space, name)["op"]["assemble"]["layers"][0][0]["file"]["text"].clone();
    assert_eq!(
        (of("arch[platform=linux/arm64]"), of("arch[platform=linux/s390x]")),
        ("R".into(), "E".into())
    );
    let told = super::told(&text.replace(" else t=\"E\";", ""));
    assert!(
        told.len() == 1 && told[0].starts_with("memo::map::row") && told[0].contains("`s390x`"),
        "{told:?}"
    );
}
