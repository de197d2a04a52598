//! Build files that ask for more than any machine has: each ends soon, in little memory, with one sentence
//! that names the cap. The real program reads them, so that a full stack or memory shows as what it is.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::space::Space;

/// Half of what a build may have.
const MANY: usize = 20_000;

/// Seconds of CPU: an unoptimised program takes twenty times as long.
const LONGEST: i64 = if cfg!(debug_assertions) { 60 } else { 6 };

/// KiB.
const LARGEST: i64 = 512 << 10;

/// What `check` must say of a text; `""` is that it may say anything, and `ok` that nothing is wrong.
fn check(what: &str, text: &str, words: &str) {
    check_files(what, &[("memobuild.kdl", text.to_owned())], words);
}

fn check_files(what: &str, files: &[(&str, String)], words: &str) {
    let space = Space::new();
    for (name, text) in files {
        space.file(name, text);
    }
    check_space(what, &space, words);
}

fn check_space(what: &str, space: &Space, words: &str) {
    let told = space.path().join("told");
    let file = std::fs::File::create(&told).unwrap();
    let mut command = space.command(&["check"]);
    #[expect(clippy::zombie_processes, reason = "`wait4` below waits for it, and tells what it cost")]
    let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
    let mut status = 0;
    // SAFETY: rusage is plain data that the kernel fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage), child.id() as i32);
        usage
    };
    let told = std::fs::read_to_string(told).unwrap();
    let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
    eprintln!("{what}: {seconds}.{:06} s, {} MiB", usage.ru_utime.tv_usec, usage.ru_maxrss >> 10);
    assert!(libc::WIFEXITED(status), "{what}: ended by signal {}\n{told}", libc::WTERMSIG(status));
    let code = libc::WEXITSTATUS(status);
    match words {
        "" => assert!(code == 0 || code == 2, "{what}: {code}\n{told}"),
        "ok" => assert_eq!(code, 0, "{what}\n{told}"),
        words => assert!(code == 2 && told.contains(words), "{what}: no `{words}` in\n{told}"),
    }
    assert!(seconds <= LONGEST, "{what} took {seconds} s");
    assert!(usage.ru_maxrss <= LARGEST, "{what} took {} KiB", usage.ru_maxrss);
}

/// A file of lines, made of their numbers.
fn lines(start: &str, count: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = format!("memobuild 1\n{start}\n");
    for number in 0..count {
        let _ = writeln!(text, "{}", line(number));
    }
    text
}

fn named(count: usize) -> String {
    (0..count).map(|number| format!(" n{number}")).collect()
}

#[test]
fn what_uses_itself_twice() {
    let twice = |number: usize| format!("template t{} {{ use t{number} a; use t{number} b; }}", number + 1);
    let leaf = "template t0 { tree x { dir \"/a\"; }; }";
    check("templates", &(lines(leaf, 30, twice) + "use t30 top\n"), "more than");
    let once = |number: usize| format!("template t{} {{ use t{number} a; }}", number + 1);
    check("templates in a chain", &(lines(leaf, 2_000, once) + "use t2000 top\n"), "levels deep");
    let twice = |number: usize| format!("fragment f{} {{ use f{number}; use f{number}; }}", number + 1);
    let leaf = "fragment f0 { env A=\"b\"; }";
    let run = "run r { from host; exec \"x\"; use f30; output o \"/o\"; }\n";
    check("fragments", &(lines(leaf, 30, twice) + run), "more than");
    let text = |number: usize| {
        format!(
            "template t{} {{ param x; use t{number} a {{ x \"${{param.x}}${{param.x}}\"; }}; }}",
            number + 1
        )
    };
    let leaf = "template t0 { param x; tree x { file \"/a\" \"${param.x}\" expand=#true; }; }";
    check("values", &(lines(leaf, 30, text) + "use t30 top { x \"ab\"; }\n"), "more than");
    let outputs =
        |number: usize| format!("template t{} {{ use t{number} a; output o a; output p a; }}", number + 1);
    let leaf = "template t0 { tree x; output o x; output p x; }";
    check("outputs", &(lines(leaf, 30, outputs) + "use t30 top\ndefault top\n"), "more than");
    check(
        "an output of its own",
        "memobuild 1\ntemplate t { param i type=tree; output o i; }\nuse t a { i a.o; }\ndefault a.o\n",
        "",
    );
}

#[test]
fn packages_that_name_each_other_twice() {
    let names: Vec<String> = (0..60).map(|number| format!("p{number}/memobuild.kdl")).collect();
    let mut files = vec![("memobuild.kdl", "memobuild 1\ndefault \"//p0\"\n".to_owned())];
    for (number, name) in names.iter().enumerate() {
        let next = if number == 59 {
            "tree t\ndefault t".into()
        } else {
            format!("default \"//p{0}\" \"//p{0}\"", number + 1)
        };
        files.push((name, format!("memobuild 1\n{next}\n")));
    }
    check_files("defaults", &files, "more than");
    let ring = |other: &str| {
        format!("memobuild 1\nimport \"//{other}/memobuild.kdl\" as=x\ntree t\ndefault \"//{other}\"\n")
    };
    check_files(
        "imports in a ring",
        &[("memobuild.kdl", ring("a")), ("a/memobuild.kdl", ring("b")), ("b/memobuild.kdl", ring("a"))],
        "",
    );
}

#[test]
fn matrices() {
    let axes = |count: usize, values: usize| -> String {
        let value = |number: usize| format!(" \"v{number}\"");
        let values: String = (0..values).map(value).collect();
        (0..count).map(|number| format!("axis a{number}{values}\n")).collect()
    };
    let ten: String = (0..10).map(|number| format!(" a{number}")).collect();
    check(
        "ten axes",
        &format!("memobuild 1\n{}tree t {{ matrix{ten}; }}\n", axes(10, 10)),
        "more than 10000 coordinates",
    );
    let each = |number: usize| match number {
        0 => "tree n0 { matrix a0 a1 a2 a3; }".to_owned(),
        _ => format!("tree n{number} {{ merge n{}; }}", number - 1),
    };
    check("ten thousand coordinates, passed on", &lines(&axes(4, 10), 1_000, each), "more than");
    check(
        "a chain with an axis",
        &lines("axis a0 \"x\"\ntree n { matrix a0; }", MANY, |number| match number {
            0 => "tree n0 { merge n; }".to_owned(),
            _ => format!("tree n{number} {{ merge n{}; }}", number - 1),
        }),
        "",
    );
    let all = "tree t { matrix a0 a1 a2 a3; }\ntree u { merge t { each a0 a1 a2 a3; }; }\ntree w { copy t to=\"/x\" { each a0 a1 a2 a3; }; }\n";
    check("each of ten thousand", &format!("memobuild 1\n{}{all}", axes(4, 10)), "");
    let lines_of_one: String = (0..20_000).map(|number| format!("file \"/{number}\" \"x\"\n")).collect();
    check(
        "a long body, ten thousand times",
        &format!("memobuild 1\n{}tree t {{ matrix a0 a1 a2 a3\n{lines_of_one}}}\n", axes(4, 10)),
        "more than",
    );
    let long = format!(
        "memobuild 1\naxis b \"{}\"\n{}tree t {{ matrix b a0 a1 a2 a3; }}\n",
        "x".repeat(1 << 20),
        axes(4, 10)
    );
    check("a value of a megabyte", &long, "more than");
}

#[test]
fn many_of_each() {
    check("nodes", &lines("", MANY, |number| format!("tree n{number} {{ dir \"/a\"; }}")), "ok");
    check(
        "too many nodes",
        &lines("", 5 * MANY, |number| format!("tree n{number}")),
        "more than 40000 nodes",
    );
    let chain = |word: &'static str| {
        move |number: usize| match number {
            0 => "tree n0 { dir \"/a\"; }".to_owned(),
            _ => format!("tree n{number} {{ {word} n{}; }}", number - 1),
        }
    };
    check("a chain", &lines("", MANY, chain("merge")), "ok");
    check(
        "a chain of roots",
        &lines("tree n { from scratch; }", MANY, chain("from")).replacen("dir \"/a\"", "from n", 1),
        "ok",
    );
    check("parameters", &lines("", MANY, |number| format!("param p{number} default=1")), "ok");
    check("uses", &lines("template t { tree x; }", MANY, |number| format!("use t u{number}")), "ok");
    let default = format!("default{}\n", named(MANY));
    check("a default", &(lines("", MANY, |number| format!("tree n{number}")) + &default), "ok");
    check("a default of nothing", &format!("memobuild 1\n{default}"), "there is no node");
    let packages: String = (0..MANY).map(|number| format!(" \"//p{number}\"")).collect();
    check("packages that are not there", &format!("memobuild 1\ndefault{packages}\n"), "there is no package");
    let groups = lines(&format!("group g{}", named(1_000)), 2_000, |number| {
        format!("group h{number} g\ntree n{number}")
    });
    check("groups", &groups, "more than a million");
    check(
        "groups in a chain",
        &lines("tree n\ngroup g0 n", MANY, |number| format!("group g{} g{number}", number + 1)),
        "ok",
    );
}

#[test]
fn what_is_looked_up_again_and_again() {
    let rows = lines("", MANY, |number| match number {
        0 => "map m by=param.p {".to_owned(),
        _ => format!("k{number} v=x"),
    });
    let uses: String = (0..10_000).map(|_| " \"${map.m.v}\"").collect();
    let run =
        format!("else v=x\n}}\nparam p default=none\nrun r {{ from host; exec{uses}; output o \"/o\"; }}\n");
    check("rows of a map", &(rows + &run), "more than");
    let text = format!(
        "param p default=\"{}\"\nrun r {{ from host; exec{}; output o \"/o\"; }}\n",
        "x".repeat(1 << 20),
        " \"${param.p}\"".repeat(10_000)
    );
    check("a long value", &format!("memobuild 1\n{text}"), "more than");
    let same = lines("param p default=none", MANY, |_| "when param.p=x { tree n; }".to_owned());
    let names = " n".repeat(MANY);
    check("one name under many conditions", &format!("{same}tree m {{ merge{names}; }}\n"), "");
    let nested = format!(
        "memobuild 1\nparam p default=a\n{}{}{}\n",
        "when param.p=a {\n".repeat(60),
        "tree n\n",
        "}".repeat(60)
    );
    check("conditions in conditions", &format!("{nested}tree m {{ merge{names}; }}\n"), "");
    let deep = |number: usize| {
        let (open, close) = ("when platform.os=linux {\n".repeat(60), "}\n".repeat(60));
        format!("fragment f{} {{\n{open}use f{number}\n{close}}}", number + 1)
    };
    let run = "run r { from host; exec \"x\"; use f31; output o \"/o\"; }\n";
    check("fragments in conditions", &(lines("fragment f0 { env A=\"b\"; }", 31, deep) + run), "");
    let keys: String = (0..MANY).map(|number| format!(" K{number}=a")).collect();
    let run = format!("run r {{ from host; exec \"x\"; use f; env{keys}; output o \"/o\"; }}");
    check("keys of a fragment", &format!("memobuild 1\nfragment f {{ env{keys}; }}\n{run}\n"), "ok");
    check("short words", &format!("memobuild 1\n{}", "a;".repeat((2 << 20) - 20)), "");
    check(
        "one long line",
        &format!("memobuild 1\ndefault {}", "a ".repeat((2 << 20) - 20)),
        "more than 500000 words",
    );
    check("empty lines", &format!("memobuild 1\ntree t\n{}", "\n".repeat((4 << 20) - 20)), "ok");
    check("a long name", &lines("", 10, |number| format!("tree {}{number}", "n".repeat(300_000))), "");
}

#[test]
fn words_of_any_kind() {
    for name in ["é", "名", "a\u{300}", "a\u{2060}b", "\u{1f600}"] {
        check("a name", &format!("memobuild 1\ntree {name}\n"), "not a name");
    }
    check("line ends and a mark", "\u{feff}memobuild 1\r\ntree t {\r\n    dir \"/a\"\r\n}\r\n", "ok");
    check("KDL 1", "memobuild 1\nfiles f gitignore=false\n", "#false");
}

#[test]
fn what_is_no_file() {
    let space = Space::new();
    let names = ["fifo", "device", "outside", "loop", "folder", "large"];
    for name in names {
        space.file(&format!("{name}/here"), "");
    }
    let place = |name: &str| space.workspace().join(name).join("memobuild.kdl");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, place("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    symlink("/dev/zero", place("device")).unwrap();
    symlink("/etc/passwd", place("outside")).unwrap();
    symlink("memobuild.kdl", place("loop")).unwrap();
    std::fs::create_dir(place("folder")).unwrap();
    std::fs::write(place("large"), vec![b' '; 50 << 20]).unwrap();
    for (name, words) in
        names.iter().zip(["not a file", "lead out", "lead out", "cannot be opened", "not a file", "4 MiB"])
    {
        for text in [format!("default \"//{name}\""), format!("import \"//{name}\" as=x")] {
            space.file("memobuild.kdl", format!("memobuild 1\n{text}\n"));
            check_space(name, &space, words);
        }
    }
    std::fs::remove_file(space.workspace().join("memobuild.kdl")).unwrap();
    symlink("/dev/zero", space.workspace().join("memobuild.kdl")).unwrap();
    check_space("the root's", &space, "lead out");
}
