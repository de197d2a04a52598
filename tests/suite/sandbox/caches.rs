//! Folders that outlive runs: what is seen in them, whose they are, and that nothing of them goes anywhere else.

use memobuild::graph::action::ActionInput;
use memobuild::graph::op::{Access, CacheMount, OutputKind, Owner, Run, Sharing, Tmpfs};
use memobuild::graph::value::Value;

use crate::sandbox::room::{
    Item, Outcome, Room, input, mount, on_input, output, path, rooms, rooms_with_namespaces, rootfs_input,
};

pub(crate) fn cache(name: &str, at: &str) -> CacheMount {
    CacheMount {
        name: name.to_owned(),
        at: path(at),
        sharing: Sharing::Shared,
        package: None,
        per: None,
        owner: None,
        mode: None,
        seed: None,
    }
}

/// Inputs: the root, and a tree with `a` and `sub/b`, and one with `seed/old`.
fn inputs(room: &Room) -> Option<Vec<ActionInput>> {
    let source =
        room.tree(vec![("a", Item::File("a\n")), ("sub", Item::Folder(vec![("b", Item::File("b\n"))]))]);
    let seed = room.tree(vec![("seed", Item::Folder(vec![("old", Item::File("old\n"))]))]);
    Some(vec![
        rootfs_input(room.busybox()?),
        input("mount", Value::Tree(source)),
        input("seed", Value::Tree(seed)),
    ])
}

fn run_with(room: &Room, script: &str, change: impl FnOnce(&mut Run)) -> Option<Outcome> {
    let mut run = on_input(script);
    change(&mut run);
    Some(room.run(&run, &inputs(room)?))
}

#[test]
fn it_outlives_runs_and_leaves_nothing_behind() {
    for room in rooms() {
        let script =
            "cat /cache/file 2>/dev/null || echo none; echo kept > /cache/file; mkdir -p /cache/below";
        for expected in ["none\n", "kept\n"] {
            let change = |run: &mut Run| run.caches = vec![cache("one", "/cache")];
            let Some(outcome) = run_with(&room, script, change) else { return };
            assert_eq!(outcome.stdout, expected, "{}", outcome.stderr);
            assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
        }
        let other = |run: &mut Run| run.caches = vec![cache("other", "/cache")];
        assert_eq!(run_with(&room, script, other).unwrap().stdout, "none\n");
    }
}

/// A cache below a mount, a mount below a cache, memory below that, outputs beside and around them.
#[test]
fn mounts_nest_in_any_order() {
    let script = "cat /src/cache/sub/b 2>/dev/null || echo fresh; cp /in/a /src/cache/x; \
                  ls /src /src/cache; echo m > /src/cache/tmp/m; echo w > /src/cache/in/w; cat /src/cache/in/a; \
                  echo o > /src/cache-not/o; echo deep > /src/cache/in/deep/d; echo top > /out/top; \
                  echo c > /out/cached/c; (echo r > /ro/r) 2>/dev/null || echo sealed; echo y > /ro/c/y";
    for room in rooms_with_namespaces() {
        for round in 0..2 {
            let change = |run: &mut Run| {
                run.mounts = vec![
                    mount(1, "/src", Access::Cow),
                    mount(1, "/src/cache/in", Access::Cow),
                    mount(1, "/in", Access::Ro),
                    mount(1, "/ro", Access::Ro),
                ];
                run.caches = vec![
                    cache("one", "/src/cache"),
                    cache("deep", "/src/cache/in/deep"),
                    cache("out", "/out/cached"),
                    cache("below", "/ro/c"),
                ];
                run.tmpfs = vec![Tmpfs { at: path("/src/cache/tmp"), size: Some(1 << 20) }];
                run.outputs = vec![
                    output("beside", "/src/cache-not", OutputKind::Dir),
                    output("around", "/out", OutputKind::Dir),
                ];
            };
            let Some(outcome) = run_with(&room, script, change) else { return };
            let expected = "fresh\n/src:\na\ncache\ncache-not\nsub\n\n/src/cache:\nin\ntmp\nx\na\nsealed\n";
            assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""), "round {round}");
            let kept = |name: &str| room.listing(outcome.output(name)).into_keys().collect::<Vec<_>>();
            assert_eq!(kept("beside"), ["/", "/o"]);
            assert_eq!(kept("around"), ["/", "/top"]);
            assert_eq!(kept("diff"), ["/", "/out", "/out/top"]);
        }
        // What was written into the mounts and the memory did not stay.
        let look = |run: &mut Run| {
            run.caches =
                vec![cache("one", "/c"), cache("deep", "/d"), cache("out", "/o"), cache("below", "/b")];
        };
        let seen = run_with(&room, "cd /; find c d o b | sort", look).unwrap().stdout;
        assert_eq!(seen, "b\nb/y\nc\nc/in\nc/tmp\nc/x\nd\nd/d\no\no/c\n", "{}", room.rung());
    }
}

#[test]
fn a_new_one_belongs_to_the_runs_user() {
    for room in rooms_with_namespaces() {
        let script = "stat -c '%u:%g %a' /a /b /c; touch /a/mine; stat -c %u /a/mine";
        let change = |run: &mut Run| {
            run.user = Some("bob".to_owned());
            run.caches = vec![cache("a", "/a"), cache("b", "/b"), cache("c", "/c")];
            run.caches[1].mode = Some(0o1777);
            run.caches[2].owner = Some(Owner("12".to_owned()));
        };
        let Some(outcome) = run_with(&room, script, change) else { return };
        let expected = "7:8 755\n7:8 1777\n12:12 755\n7\n";
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""), "{}", room.rung());
        // It is not new any more.
        let other = |run: &mut Run| {
            run.caches = vec![cache("a", "/a")];
            run.caches[0].mode = Some(0o700);
        };
        let again = run_with(&room, "stat -c '%u %a' /a", other).unwrap().stdout;
        // Where there is one id, nothing tells the next run whose it was.
        assert_eq!(again, if room.has_one_id() { "0 755\n" } else { "7 755\n" });
    }
}

#[test]
fn a_new_one_begins_with_its_seed() {
    for room in rooms() {
        let script = "cat /c/seed/old; stat -c '%a %Y' /c; echo new > /c/seed/old";
        for expected in ["old\n755 315532800\n", "new\n755 315532800\n"] {
            let change = |run: &mut Run| {
                run.caches = vec![CacheMount { seed: Some(2), ..cache("seeded", "/c") }];
            };
            let Some(outcome) = run_with(&room, script, change) else { return };
            assert_eq!(outcome.stdout, expected, "{}", outcome.stderr);
        }
        let plain = |run: &mut Run| {
            run.mounts = vec![mount(2, "/seed", Access::Cow)];
        };
        assert_eq!(
            run_with(&room, "cat /seed/seed/old", plain).unwrap().stdout,
            "old\n",
            "the seed is as it was"
        );
    }
}

/// CVE class: races for the paths of mounts in caches (CVE-2024-23651). Two runs at once, one of which swaps a folder for
/// a link to where the other one must not get to, while places are made below it.
#[test]
fn links_in_a_shared_cache_lead_nowhere() {
    let rooms = rooms_with_namespaces();
    let rounds = match std::env::var_os("MEMOBUILD_LONG") {
        Some(_) => 10_000 / rooms.len().max(1),
        None => 40,
    };
    for room in rooms {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let target = outside.path().display();
        let Some(inputs) = inputs(&room) else { return };
        let cancel = memobuild::base::cancel::Cancel::default();
        std::thread::scope(|scope| {
            let swapping = format!(
                "cd /c; while true; do mkdir -p way; rm -rf way; ln -s {target} way; rm way; \
                 ln -s /etc way; rm way; done"
            );
            let (inputs, room, cancel) = (&inputs, &room, &cancel);
            scope.spawn(move || {
                let mut run = on_input(&swapping);
                run.caches = vec![cache("shared", "/c")];
                room.run_until(&run, inputs, cancel)
            });
            for _ in 0..rounds {
                let mut run = on_input("cat /c/way/in/a; cat /c/way/secret /c/way/passwd 2>/dev/null; true");
                run.caches = vec![cache("shared", "/c")];
                run.mounts = vec![mount(1, "/c/way/in", Access::Ro)];
                let outcome = room.run(&run, inputs);
                match &outcome.result {
                    // What another run has swapped away is not there; what is, is what was mounted.
                    Ok(_) => assert!(["a\n", ""].contains(&outcome.stdout.as_str()), "{}", outcome.stdout),
                    Err(error) => assert!(error.to_string().contains("/c/way"), "{error}"),
                }
                assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
            }
            cancel.raise();
            cancel.raise();
        });
    }
}
