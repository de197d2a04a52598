//! What is told of a run beside its outputs: what it wrote where nothing is kept, and what a failed test left.

use memobuild::exec::executor::ExecError;
use memobuild::graph::op::{Access, Expect, Output, OutputKind, Run};
use memobuild::graph::value::Value;
use memobuild::store::record::Lost;

use crate::sandbox::room::{
    Item, Outcome, Room, host_input, input, mount, on_host, on_input, output, path, rooms,
    rooms_with_namespaces, rootfs_input,
};

/// A run with a folder at `/src` that holds `old/file`, and a file at `/src/one`.
fn run_on_mounts(room: &Room, script: &str, access: Access, outputs: Vec<Output>) -> Option<Outcome> {
    let rootfs = room.busybox()?;
    let folder = room.tree(vec![("old", Item::Folder(vec![("file", Item::File("old\n"))]))]);
    let file = room.entry(Item::File("one\n"));
    let mounts = vec![mount(1, "/src", access), mount(2, "/src/one", access)];
    let run = Run { mounts, outputs, ..on_input(script) };
    let inputs =
        [rootfs_input(rootfs), input("mount", Value::Tree(folder)), input("mount", Value::Tree(file))];
    Some(room.run(&run, &inputs))
}

fn lost(outcome: &Outcome) -> (Vec<&str>, u64) {
    let Lost { paths, count } = &outcome.made().lost;
    (paths.iter().map(String::as_str).collect(), *count)
}

#[test]
fn writes_below_a_mount_are_told() {
    let dir = |at| vec![output("out", at, OutputKind::Dir)];
    for room in rooms() {
        let table = [
            ("true", vec![], vec![], 0),
            ("cat /src/old/file /src/one > /data/copy", vec![], vec![], 0),
            ("mkdir /src/empty; rm /src/old/file", vec![], vec![], 0),
            (
                "echo x > /src/b; mkdir -p /src/a/a; echo x > /src/a/a/z; ln -s x /src/a/link",
                vec![],
                vec!["/src/b", "/src/a/link", "/src/a/a/z"],
                3,
            ),
            ("echo new >> /src/old/file", vec![], vec!["/src/old/file"], 1),
            ("echo new > /src/one", vec![], vec!["/src/one"], 1),
            (
                "for n in 1 2 3 4 5 6 7; do echo > /src/n$n; done",
                vec![],
                vec!["/src/n1", "/src/n2", "/src/n3", "/src/n4", "/src/n5"],
                7,
            ),
            ("echo x > /src/out/x; echo x > /src/other", dir("/src/out"), vec!["/src/other"], 1),
        ];
        for (script, outputs, paths, count) in table {
            let Some(outcome) = run_on_mounts(&room, script, Access::Cow, outputs) else { return };
            assert_eq!(lost(&outcome), (paths, count), "{script}");
        }
        let outcome = run_on_mounts(&room, "echo x > /src/x || true", Access::Ro, vec![]).unwrap();
        assert_eq!(lost(&outcome), (vec![], 0));
    }
}

#[test]
fn nobody_stands_on_a_test_or_on_the_machine() {
    for room in rooms_with_namespaces() {
        let Some(rootfs) = room.busybox() else { return };
        let tree = Value::Tree(room.tree(vec![("a", Item::File("a"))]));
        let mounts = vec![mount(1, "/src", Access::Cow)];
        let script = "echo x > /src/x";
        let test = Run { mounts: mounts.clone(), expect: Some(Expect::default()), ..on_input(script) };
        let outcome = room.run(&test, &[rootfs_input(rootfs), input("mount", tree.clone())]);
        assert_eq!(lost(&outcome), (vec![], 0));
        let outputs = vec![output("out", "/out", OutputKind::Dir)];
        let outcome =
            room.run(&Run { mounts, outputs, ..on_host(script) }, &[host_input(), input("mount", tree)]);
        assert_eq!(lost(&outcome), (vec![], 0));
    }
}

fn test(room: &Room, script: &str, expect: Expect) -> Option<Outcome> {
    let mut report = output("report", "/report", OutputKind::File);
    report.include = Vec::new();
    let outputs = vec![output("cover", "/cover", OutputKind::Dir), report];
    let run = Run { outputs, expect: Some(expect), ..on_input(script) };
    Some(room.run(&run, &[rootfs_input(room.busybox()?)]))
}

#[test]
fn a_failed_test_keeps_what_it_made() {
    let write = "echo c > /cover/c; echo r > /report; ";
    for room in rooms() {
        let text = Expect { stdout: Some("x".to_owned()), ..Expect::default() };
        for (script, expect, kept) in [
            (format!("{write} exit 3"), Expect::default(), vec!["cover", "report"]),
            (format!("{write} kill -9 $$"), Expect::default(), vec!["cover", "report"]),
            (write.to_owned(), text.clone(), vec!["cover", "report"]),
            ("echo c > /cover/c; exit 3".to_owned(), Expect::default(), vec!["cover"]),
            // What keeps a test from passing is told before what it did not make.
            ("echo c > /cover/c".to_owned(), text, vec!["cover"]),
            ("mkdir /report; exit 3".to_owned(), Expect::default(), vec!["cover"]),
        ] {
            let Some(outcome) = test(&room, &script, expect) else { return };
            let failure = outcome.failure();
            assert_eq!(failure.kept.keys().collect::<Vec<_>>(), kept, "{script}");
            let Value::Tree(cover) = &failure.kept["cover"] else { panic!() };
            if script.contains("/cover/c") {
                assert_eq!(room.listing(cover)["/c"], "c\n", "{script}");
            }
            assert_eq!(room.left_of_runs(), Vec::<std::path::PathBuf>::new());
        }
        let outcome = test(&room, "echo c > /cover/c", Expect::default()).unwrap();
        assert!(matches!(outcome.result, Err(ExecError::Input { .. })), "{:?}", outcome.result);
        let run = Run {
            outputs: vec![output("out", "/out", OutputKind::Dir)],
            ..on_input("echo > /out/x; exit 3")
        };
        let outcome = room.run(&run, &[rootfs_input(room.busybox().unwrap())]);
        assert!(outcome.failure().kept.is_empty(), "only tests keep");
    }
}

#[test]
fn files_and_expressions_are_expected() {
    let files =
        |paths: &[&str]| Expect { files: paths.iter().map(|at| path(at)).collect(), ..Expect::default() };
    let pattern = |text: &str| Expect { stdout_match: Some(text.to_owned()), ..Expect::default() };
    let shell = |script: &str| format!("`/bin/sh -e -c '{script}'`");
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let make = "mkdir /made; echo > /made/file; ln -s /made/file /made/link; ln -s nowhere /made/broken";
        let tree = Value::Tree(room.tree(vec![("in", Item::File("x"))]));
        for (script, expect, words) in [
            (make, files(&["/made/file", "/made/link", "/made", "/mounted/in", "/data/old"]), None),
            (make, files(&["/made/file", "/made/none"]), Some("left no `/made/none`, which is expected")),
            (make, files(&["/made/broken"]), Some("left no `/made/broken`, which is expected")),
            ("rm /mounted/in", files(&["/mounted/in"]), Some("left no `/mounted/in`, which is expected")),
            ("echo 12 passed", pattern("^[0-9]+ passed\n$"), None),
            ("echo none", pattern("[0-9]"), Some("wrote nothing to stdout that matches `[0-9]`")),
            ("echo 1 >&2", pattern("[0-9]"), Some("wrote nothing to stdout that matches `[0-9]`")),
        ] {
            let mounts = vec![mount(1, "/mounted", Access::Cow)];
            let run = Run { mounts, expect: Some(expect), ..on_input(script) };
            let outcome = room.run(&run, &[rootfs_input(rootfs.clone()), input("mount", tree.clone())]);
            match words {
                None => drop(outcome.made()),
                Some(words) => assert_eq!(outcome.error(), format!("{} {words}", shell(script))),
            }
        }
    }
}
