//! Every mistake as a person sees it: `cases/NAME.kdl` with `NAME.snap` beside it.
//! `INSTA_UPDATE=always cargo test --lib lang::` rewrites what is expected.

use std::path::{Path, PathBuf};

use miette::GraphicalTheme;
use proptest::prelude::*;

use super::*;
use crate::graph::graph::OutputRef;
use crate::graph::op::Op;
use crate::graph::render;
use crate::lang::mistake::Mistake;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn platform() -> Platform {
    Platform { os: "linux".into(), architecture: "amd64".into(), variant: None }
}

fn draw(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| mistake::draw(mistake, GraphicalTheme::unicode_nocolor(), 100)).collect()
}

fn page(result: &Result<Loaded, Mistakes>) -> String {
    match result {
        Ok(loaded) => format!("{}{}", draw(&loaded.warnings.shown), render::text(&loaded.graph)),
        Err(mistakes) if mistakes.more > 0 => {
            format!("{}and {} more\n", draw(&mistakes.shown), mistakes.more)
        }
        Err(mistakes) => draw(&mistakes.shown),
    }
}

/// `// --param a=b --param c=d` in the first line; `// --profile a` is read there, too.
fn params(text: &str) -> Vec<Flag> {
    let first = text.lines().next().unwrap_or_default();
    let flags = first.strip_prefix("// ").into_iter().flat_map(|flags| flags.split("--param "));
    flags
        .filter_map(|flag| flag.trim().split_once('='))
        .map(|(name, value)| Flag { package: TreePath::root(), name: name.into(), value: value.into() })
        .collect()
}

/// Several files stand in one text, each behind a line `%% path`.
pub(super) fn files(text: &str) -> Vec<(&str, String)> {
    let mut files: Vec<(&str, String)> = vec![(FILE_NAME, String::new())];
    for line in text.split_inclusive('\n') {
        // A mutated path may be none: then the line is text.
        let path = line.strip_prefix("%% ").filter(|path| TreePath::parse(path.trim()).is_ok());
        match path {
            Some(path) => files.push((path.trim(), String::new())),
            None => files.last_mut().unwrap().1.push_str(line),
        }
    }
    files
}

fn load_case(text: &str) -> Result<Loaded, Mistakes> {
    let files = files(text);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let params = params(text);
    let profile = text.lines().next().and_then(|first| first.strip_prefix("// --profile "));
    load_texts(&files, &Request { params: &params, profile, platform: platform(), ..Request::root() })
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(HERE).join("src/lang/cases");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "kdl"));
    files.sort();
    files
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "cases", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn every_case_looks_as_expected() {
    for file in case_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        snapshot(name, &page(&load_case(&text)));
    }
}

#[test]
fn a_full_file_lowers_to_these_ops() {
    let text = std::fs::read_to_string(Path::new(HERE).join("src/lang/cases/full.kdl")).unwrap();
    let graph = load_case(&text).unwrap().graph;
    let ops: Vec<String> =
        graph.nodes.iter().map(|node| format!("{}: {:#?}\n", node.name, node.op)).collect();
    snapshot("full-ops", &ops.concat());
    snapshot("full-json", &render::json(&graph));
    snapshot("full-dot", &render::dot(&graph));
}

#[test]
fn targets_and_defaults() {
    let text = "memobuild 1\nimage a { from scratch; }\nimage b { from scratch; }\n\
        run r {\n from host\n exec \"x\"\n output o \"/o\"\n output p \"/p\"\n}\n\
        group inner a r.o\ngroup outer b inner a\n";
    let graph = load_case(text).unwrap().graph;
    let shown = |outputs: &[OutputRef]| -> Vec<String> {
        outputs.iter().map(|output| format!("{}.{}", graph.node(output.node).name, output.output)).collect()
    };
    assert_eq!(shown(&graph.default), ["a.image", "b.image"], "without a default: every image");
    assert_eq!(shown(&graph.targets["outer"]), ["b.image", "a.image", "r.o"], "each once, in order");
    assert_eq!(shown(&graph.targets["r"]), ["r.o", "r.p"], "a run on `host` gives its outputs");
    assert_eq!(shown(&graph.targets["r.p"]), ["r.p"]);
    assert!(!graph.targets.contains_key("host"));
}

#[test]
fn instances_can_be_asked_for() {
    let text = "memobuild 1\ntemplate t { image a { from scratch; }; test b { from a; exec \"/x\"; }; output image a; output ok b; }\n\
        use t svc\n";
    let graph = load_case(text).unwrap().graph;
    let count = |name: &str| graph.targets.get(name).map(Vec::len);
    assert_eq!(
        ["svc", "svc.image", "svc.ok", "svc.c", "svc/a"].map(count),
        [Some(2), Some(1), Some(1), None, Some(1)]
    );
}

#[test]
fn files_are_looked_for_in_their_package() {
    let text = "memobuild 1\nfiles top\n%% a/b/memobuild.kdl\nmemobuild 1\nfiles here\nfiles below root=\"c\"\ntree t { copy \"./d\" to=\"/\"; }\n";
    let request = Request { others: &[TreePath::parse("a/b").unwrap()], ..Request::root() };
    let files = [
        ("memobuild.kdl", "memobuild 1\nfiles top\n"),
        ("a/b/memobuild.kdl", text.split_once("%% a/b/memobuild.kdl\n").unwrap().1),
    ];
    let graph = load_texts(&files, &request).unwrap().graph;
    let roots = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Scan(scan) => Some(scan.root.to_string()),
        _ => None,
    });
    assert_eq!(roots.collect::<Vec<_>>(), ["/", "/a/b", "/a/b/c", "/a/b/d"]);
}

/// What leads to nothing is told where it is named, and never met while the graph is made.
#[test]
fn outputs_of_templates_name_what_is_there() {
    let text = "memobuild 1\ntemplate t { tree a { dir \"/\"; }; output a nope; }\nuse t x\ntree y { copy x.a to=\"/\"; }\n";
    let mistakes = load_case(text).unwrap_err();
    assert_eq!(mistakes.shown[0].message, "there is no node `nope`");
}

#[test]
fn conditions_hold_for_instances_and_defaults() {
    let text = "memobuild 1\nparam mode default=release { values debug release; }\n\
        template t { param mode type=int; image a { from scratch; label mode=\"${param.mode}\"; }; output image a; }\n\
        when param.mode=debug {\n use t x { mode 1; }\n default x\n}\n\
        when param.mode=release {\n use t y { mode 2; }\n default y\n}\n";
    let names = |text: &str| -> Vec<String> {
        load_case(text).unwrap().graph.nodes.into_iter().map(|node| node.name).collect()
    };
    assert_eq!(names(text), ["y/a"]);
    assert_eq!(names(&format!("// --param mode=debug\n{text}")), ["x/a"]);
}

#[test]
fn mistakes_have_a_json_form() {
    let mistakes = load_case("memobuild 1\nimage app {\n    from bas\n}\npull base \"oci:x\"\n").unwrap_err();
    let json = serde_json::to_string_pretty(&mistakes.records()).unwrap();
    snapshot("json-form", &json);
}

/// What is too large or no text, with the file itself in the message.
#[test]
fn hostile_files_are_refused_in_words() {
    let check = |name: &str, bytes: &[u8]| {
        let workspace = tempfile::tempdir().unwrap();
        std::fs::write(workspace.path().join(FILE_NAME), bytes).unwrap();
        snapshot(name, &page(&load(workspace.path(), &Request::root())));
    };
    check("hostile-blocks", format!("memobuild 1\n{}", "a {\n".repeat(100_000)).as_bytes());
    check("hostile-one-line", format!("memobuild 1;{}", "a{".repeat(100_000)).as_bytes());
    check("hostile-comments", format!("memobuild 1\n{}", "/*".repeat(100_000)).as_bytes());
    check("hostile-parentheses", format!("memobuild 1\n{}", "(".repeat(100_000)).as_bytes());
    check("hostile-noise", &noise(50 << 20));
    check("hostile-bytes", b"memobuild 1\nfiles src\nimage \xff\xfe { }\n");
}

#[test]
fn a_workspace_without_a_build_file() {
    let workspace = tempfile::tempdir().unwrap();
    let mistakes = load(workspace.path(), &Request::root()).unwrap_err();
    assert_eq!(mistakes.records()[0].code, "memo::file::missing");
}

#[test]
fn no_import_leads_out_of_the_workspace() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("go.kdl"), "memobuild 1\nfiles a\n").unwrap();
    let workspace = tempfile::tempdir().unwrap();
    let text = "memobuild 1\nimport \"//go.kdl\" as=go\nuse go.program one\n";
    std::fs::write(workspace.path().join(FILE_NAME), text).unwrap();
    std::os::unix::fs::symlink(outside.path().join("go.kdl"), workspace.path().join("go.kdl")).unwrap();
    let records = load(workspace.path(), &Request::root()).unwrap_err().records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((records[0].code, records[0].line), ("memo::file::read", Some(2)));
    assert!(records[0].help.contains("no link may lead out"), "{records:?}");
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Nothing may take more than a little time for each byte, nor a level of the stack for each word:
/// a file of the full 4 MiB takes 64 times as long.
#[test]
fn monotonous_texts_end_soon() {
    const LENGTH: usize = 64 << 10;
    let printable: String = noise(LENGTH).iter().map(|byte| char::from(byte % 95 + 32)).collect();
    let mut texts = vec![printable];
    for piece in [
        "a\n",
        "a;",
        "a {}\n",
        "\"",
        "\"\\",
        "#\"",
        "/- a\n",
        "\\\n",
        "=",
        "a=1 ",
        "\u{a0}",
        "//",
        "/**/",
        "é",
        "0x1 ",
        "files a\n",
        "default a\n",
        "group a b\n",
        "param a\n",
        "${param.x} ",
        "\"${a.b}\" ",
        "}",
        "\"\"\"\n",
        "-",
        "{}",
        "a={",
        "a {x} {y} ",
        "=1",
        "/-{}",
        "a /-{} ",
        "a { b c=1; }\n",
        "run x { from host; exec \"a\"; output o \"/o\"; }\n",
    ] {
        for start in ["memobuild 1\n", "memobuild 1\nfiles "] {
            texts.push(format!("{start}{}", piece.repeat(LENGTH / piece.len())));
        }
    }
    for text in texts {
        let start = std::time::Instant::now();
        let _ = page(&load_case(&text));
        let beginning: String = text.chars().skip(12).take(24).collect();
        assert!(start.elapsed().as_secs() < 20, "{beginning:?} took {:?}", start.elapsed());
    }
}

#[test]
fn the_reference_is_current() {
    let file = Path::new(HERE).join("schema/reference.md");
    let current = reference::reference();
    if std::fs::read_to_string(&file).unwrap_or_default() != current {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, current).unwrap();
        panic!("schema/reference.md was stale and is written anew: look at it and commit it");
    }
}

#[test]
fn examples_and_our_own_build_load() {
    for folder in ["", "examples/hello", "examples/parallel"] {
        let loaded = load(&Path::new(HERE).join(folder), &Request::root());
        let loaded = loaded.unwrap_or_else(|mistakes| panic!("{folder}: {}", draw(&mistakes.shown)));
        assert!(loaded.warnings.shown.is_empty(), "{folder}: {}", draw(&loaded.warnings.shown));
        assert!(!loaded.graph.default.is_empty(), "{folder}");
    }
}

/// What an example names is not there when it stands alone.
const NOT_THERE: [&str; 3] = ["memo::ref::unknown", "memo::template::unknown", "memo::file::missing"];

/// Every kind's example is a line that the reader takes.
#[test]
fn every_example_of_the_table_reads() {
    for line in table::KINDS.iter().filter(|line| line.word != "memobuild") {
        let text = format!("memobuild 1\n{}\n", line.example);
        if let Err(mistakes) = load_case(&text) {
            let unexpected: Vec<&str> = mistakes
                .shown
                .iter()
                .map(|mistake| mistake.code.as_str())
                .filter(|code| !NOT_THERE.contains(code))
                .collect();
            assert!(unexpected.is_empty(), "{text}: {unexpected:?}");
        }
    }
}

/// Every case, and every example with all of its build files in one text, as `load_case` splits them.
fn valid_files() -> Vec<String> {
    let examples = Path::new(HERE).join("examples");
    let folders = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
    let examples = folders.filter(|folder| folder.join(FILE_NAME).is_file()).map(|folder| {
        let mut text = std::fs::read_to_string(folder.join(FILE_NAME)).unwrap();
        add_inner(&folder, &folder, &mut text);
        text
    });
    let cases = case_files().into_iter().map(|file| std::fs::read_to_string(file).unwrap());
    cases.chain(examples).collect()
}

/// The build files below a folder, but for the first.
fn add_inner(folder: &Path, top: &Path, text: &mut String) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            add_inner(&path, top, text);
        } else if path.extension().is_some_and(|extension| extension == "kdl") && path != top.join(FILE_NAME)
        {
            let name = path.strip_prefix(top).unwrap().display();
            text.push_str(&format!("\n%% {name}\n{}", std::fs::read_to_string(&path).unwrap()));
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = page(&load_case(&format!("memobuild 1\n{text}")));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let workspace = tempfile::tempdir().unwrap();
        std::fs::write(workspace.path().join(FILE_NAME), bytes).unwrap();
        let _ = page(&load(workspace.path(), &Request::root()));
    }

    /// Words and signs of the language, cut out, doubled and moved about.
    #[test]
    fn no_mutation_of_a_file_makes_it_panic(
        place in 0..1000usize,
        cuts in proptest::collection::vec((0.0..1.0f64, 0.0..1.0f64, "[\\PC]{0,3}|[{}\"#/*\\\\$= \\n;.é]{0,4}"), 1..6),
    ) {
        static FILES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(valid_files);
        let files = &*FILES;
        let mut text: Vec<char> = files[place % files.len()].chars().collect();
        for (start, length, insert) in cuts {
            let start = (start * text.len() as f64) as usize;
            let end = (start + (length * 12.0) as usize).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        let _ = page(&load_case(&text));
    }
}
