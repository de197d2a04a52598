//! What `fmt` makes of usual and odd input.

use super::format;
use crate::lang::code::Code;
use crate::lang::mistake::Mistake;
use crate::lang::table::{COMMON, KINDS, Line};

fn check(text: &str, expected: &str) {
    match format("memobuild.kdl", text) {
        Ok(found) => assert_eq!(found, expected, "{text}"),
        Err(mistakes) => panic!("{text}: {mistakes:?}"),
    }
}

#[test]
fn space_and_line_ends() {
    check("", "");
    check(" \t\r\n\n", "");
    check("\u{feff}a   1\u{a0}b =\t2  \r\n", "a 1 b=2\n");
    check("a{\n\n\n  b\n\n\n\n c\n\n}", "a {\n    b\n\n    c\n}\n");
    check("a;b ; c", "a\nb\nc\n");
    check("a {\n}\nb {}\nc { }", "a {\n}\nb {}\nc {}\n");
    check(
        "x 1_000 0o755 +1.50E3 #true \"\\u{e9}\\t\" ##\"\"#\"##",
        "x 1_000 0o755 +1.50E3 #true \"\\u{e9}\\t\" ##\"\"#\"##\n",
    );
}

#[test]
fn blocks_stay_as_they_were_written() {
    check("a {b;c 1}", "a { b; c 1; }\n");
    check("a { b { c; }; d {e}; }", "a { b { c; }; d { e; } }\n");
    check("a { b; c\n}", "a {\n    b\n    c\n}\n");
    check("a { b {c}\n}", "a {\n    b { c; }\n}\n");
    check("a { b \"\"\"\n\"\"\"; }", "a {\n    b \"\"\"\n        \"\"\"\n}\n");
}

#[test]
fn comments() {
    check("//a  \n\n\n   // b\na// c\n//d", "//a\n\n// b\na // c\n//d\n");
    check("a{ // c\n b;// d\n // e\n}//f", "a { // c\n    b // d\n    // e\n} //f\n");
    check("a /*x*/b /*y*/=/*z*/1 /*w*/{}", "a /*x*/ b /*y*/ = /*z*/ 1 /*w*/ {}\n");
    check("a { /* x */ }\nb { /* x */ c; /* y */}", "a { /* x */ }\nb { /* x */ c; /* y */ }\n");
    check("a;/* x */ b\n/* y */c", "a\n/* x */ b\n/* y */ c\n");
    check("a {\n/*\n* x\n   * y\n*/\nb\n}", "a {\n    /*\n     * x\n     * y\n     */\n    b\n}\n");
    check("a {\n/*\n  +--+ \n*/\n}", "a {\n    /*\n  +--+\n*/\n}\n");
}

#[test]
fn continuations() {
    check("exec \"a\" \\\n\"b\" \\ // why\r\n\t\"c\"\n", "exec \"a\" \\\n    \"b\" \\ // why\n    \"c\"\n");
    check("r {\n exec \"a\"\\\n\"b\"\n}", "r {\n    exec \"a\" \\\n        \"b\"\n}\n");
    check("a b \\\n=\\\n1 \\\n{ c; }\n", "a b=1 { c; }\n");
    check("a \\\n\nb \\\n// x\n\\\nc \\\n", "a\n\nb // x\n\nc\n");
    check("a \\ // x\n\nb", "a // x\n\nb\n");
}

#[test]
fn what_is_left_out() {
    check("/-  a   1 {b}\n/-\n// why\nc", "/-a 1 { b; }\n/- // why\n    c\n");
    check(
        "a /- 1 /-b = 2  /-\n{ c\n} { d; /- e }",
        "a 1 {}\n".replace("a 1 {}", "a /-1 /-b=2 /-{\n    c\n} { d; /-e }").as_str(),
    );
}

#[test]
fn texts_move_with_their_block() {
    let text = "run a{\nsh #\"\"\"\n  if x; then\n    \\y \n\n \t \n  fi\n  \"\"\"#\n}\n";
    let expected =
        "run a {\n    sh #\"\"\"\n        if x; then\n          \\y \n\n\n        fi\n        \"\"\"#\n}\n";
    check(text, expected);
    check("a \"\"\"\r\nx \\\r\n\r\n y\r\n\"\"\"", "a \"\"\"\n    x \\\n\n     y\n    \"\"\"\n");
    check("a \"\"\"\n  x\n  \\  \"\"\"", "a \"\"\"\n  x\n  \\  \"\"\"\n");
    check("a \\\n\"\"\"\nx\n\"\"\"", "a \\\n    \"\"\"\n        x\n        \"\"\"\n");
}

#[test]
fn names_are_bare_and_data_is_quoted() {
    check("run \"a\" {\nfrom \"node\"\nuser node\n}", "run a {\n    from node\n    user \"node\"\n}\n");
    check("files x root=sub { include Cargo.toml; }", "files x root=\"sub\" { include \"Cargo.toml\"; }\n");
    check("\"image\" #\"i\"# { copy \"a.b\" \"to\"=x; }", "image i { copy a.b to=\"x\"; }\n");
    check(
        "run a { mount \"./x\" at=\"/x\" access=\"ro\"; }",
        "run a { mount \"./x\" at=\"/x\" access=ro; }\n",
    );
    check(
        "run a { env A=b C=1 D=#null; exec x y /-z; }",
        "run a { env A=\"b\" C=1 D=#null; exec \"x\" \"y\" /-z; }\n",
    );
    check("run a { output \"x\" y type=\"file\"; }", "run a { output x \"y\" type=file; }\n");
    check("image a { created \"epoch\"; from \"true\"; }", "image a { created epoch; from \"true\"; }\n");
    check("image a { from \"a\\u{62}\"; }", "image a { from \"a\\u{62}\"; }\n");
    check("param m default=x { values a \"b\"; }", "param m default=x { values a \"b\"; }\n");
    check("/-run \"a\" { user \"b\" { user c; }; }", "/-run a { user \"b\" { user c; } }\n");
    check("unknown \"a\" b { from \"c\"; }", "unknown \"a\" b { from \"c\"; }\n");
    check("pull x ${y}", "pull x ${ y; }\n");
}

#[test]
fn mistakes_have_their_places() {
    let refused = |text: &str| -> Vec<(Code, String)> {
        let mistakes = format("memobuild.kdl", text).unwrap_err();
        let place = |mistake: &Mistake| text[mistake.labels[0].span.clone()].to_owned();
        mistakes.shown.iter().map(|mistake| (mistake.code, place(mistake))).collect()
    };
    assert_eq!(refused("a {"), [(Code::KdlBraces, "{".to_owned())]);
    assert_eq!(refused("é b=\"\"\"\n  x\n y\n  \"\"\"\n"), [(Code::KdlString, "\"\"\"".to_owned())]);
    assert_eq!(refused("é #\"\u{202e}\"#").len(), 1);
    assert_eq!(refused("a \"\"\"\nx\n y \\\n\"\"\"").len(), 1);
}

/// What the reference shows is what `fmt` writes.
#[test]
fn the_examples_of_the_table_are_formatted() {
    fn each(lines: &[&'static Line], around: &dyn Fn(&str) -> String, odd: &mut Vec<String>) {
        for line in lines {
            let text = around(line.example);
            let found = format("memobuild.kdl", &text).expect("bug: an example is valid");
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            if words(&found) != words(&text) {
                odd.push(found);
            }
            each(line.body, &|inner| around(&format!("{} x {{\n{inner}\n}}", line.word)), odd);
        }
    }
    let mut odd = Vec::new();
    each(KINDS, &|inner| inner.to_owned(), &mut odd);
    each(COMMON, &|inner| format!("run x {{\n{inner}\n}}"), &mut odd);
    assert_eq!(odd, Vec::<String>::new());
}
