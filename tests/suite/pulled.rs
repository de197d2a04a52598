//! The whole program on images of real registries: nothing is fetched before it is wanted, nothing twice, and nothing
//! that is not what its digest says.

use std::fs;

use crate::registry::proxy::{Fault, Proxy};
use crate::registry::server::{Kind, PASSWORD, Registry, USER, login};
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, run, tool};

/// A registry that has a small base of two layers, and the way to it.
struct Bench {
    registry: Registry,
    proxy: Proxy,
    space: Space,
}

impl Bench {
    fn new(kind: Kind) -> Option<Bench> {
        let space = Space::new();
        if !busybox_root(&space) {
            return None;
        }
        let registry = Registry::start(kind)?;
        let image = "\nimage base { from root; layer more { file \"/etc/more\" \"more\"; }; env PATH=\"/bin\" A=\"1\"; }\n";
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{image}"));
        space.ok(&["build", "base", "-o", "oci:layout:v1"]);
        let layout = format!("oci:{}:v1", space.path().join("layout").display());
        let there = format!("docker://{}/team/base:v1", registry.host());
        let mut copy = vec!["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"];
        let login = format!("{USER}:{PASSWORD}");
        if matches!(kind, Kind::Basic | Kind::Token) {
            copy.extend(["--dest-creds", &login]);
        }
        copy.extend([layout.as_str(), there.as_str()]);
        tool("skopeo", &copy);
        let proxy = Proxy::start(registry.port);
        let bench = Bench { registry, proxy, space: Space::new() };
        bench.write("");
        Some(bench)
    }

    /// A workspace that pulls the base through the proxy.
    fn write(&self, more: &str) {
        let host = self.proxy.host();
        self.space.file(
            "memobuild.kdl",
            format!(
                "memobuild 1\nworkspace here {{ remote registry \"{host}\" for=\"{host}\" insecure=#true; }}\n\
                 pull base \"{host}/team/base:v1\"\n{more}"
            ),
        );
    }

    /// Paths of what was asked for since the last time, with what became of it.
    fn asked(&self) -> Vec<String> {
        let asked = self.proxy.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
        self.proxy.forget();
        asked
    }

    fn blobs(&self) -> usize {
        self.asked().iter().filter(|asked| asked.contains("/blobs/")).count()
    }
}

const RUN: &str = "run more { from base; sh \"echo $A > /made\"; }\nimage app { from more; }\n";

#[test]
fn what_is_wanted_is_fetched_once() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.write(RUN);
    bench.space.ok(&["plan", "app"]);
    assert_eq!(bench.blobs(), 0, "a plan fetches nothing");
    bench.space.ok(&["build", "app"]);
    // The configuration, and each layer.
    assert_eq!(bench.blobs(), 3);
    bench.space.ok(&["build", "app", "-o", "files:out"]);
    assert_eq!(fs::read_to_string(bench.space.path().join("out/made")).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(bench.space.path().join("out/etc/more")).unwrap(), "more");
    let asked = bench.asked();
    assert!(asked.len() <= 2 && asked.iter().all(|asked| asked.starts_with("HEAD")), "{asked:?}");
    bench.space.ok(&["build", "app", "-o", "oci:layout"]);
    assert_eq!(bench.blobs(), 0, "its layers go out as they came in");
    let own = bench.space.path().join("layout");
    let listed = fs::read_dir(own.join("blobs/sha256")).unwrap().count();
    // Three layers, a configuration and a manifest.
    assert_eq!(listed, 5);
}

/// An image that adds to `/` looks at nothing of its base.
#[test]
fn a_base_that_nobody_looks_at_is_not_fetched() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.write("tree own { file \"/srv/own\" \"own\"; }\nimage app { from base; copy own to=\"/\"; cmd \"/srv/own\"; }\n");
    bench.space.ok(&["build", "app"]);
    assert_eq!(bench.blobs(), 1, "the configuration alone");
    bench.space.ok(&["build", "app", "-o", "oci:layout"]);
    assert_eq!(bench.blobs(), 2, "the layout has none of its layers");
    bench.space.ok(&["build", "app", "-o", "oci:layout"]);
    assert_eq!(bench.blobs(), 0);
    bench.write("tree own { file \"/srv/own\" \"own\"; }\nimage app { from base; copy own to=\"/srv\"; }\n");
    bench.space.ok(&["build", "app", "-o", "files:out"]);
    assert_eq!(fs::read_to_string(bench.space.path().join("out/srv/srv/own")).unwrap(), "own");
}

#[test]
fn a_locked_build_needs_no_registry_any_more() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.write(RUN);
    bench.space.ok(&["lock"]);
    let lock = fs::read_to_string(bench.space.workspace().join("memobuild.lock")).unwrap();
    assert!(lock.contains("/team/base:v1\" digest=\"sha256:"), "{lock}");
    bench.space.ok(&["build", "app"]);
    bench.asked();
    drop(bench.registry);
    bench.space.ok(&["build", "app", "-o", "oci:layout"]);
    bench.space.ok(&["lock", "--check"]);
    // Other commands on the same base: its files are there.
    let more = RUN.replace("$A", "other");
    let host = bench.proxy.host();
    let text = fs::read_to_string(bench.space.workspace().join("memobuild.kdl")).unwrap();
    bench.space.file("memobuild.kdl", text.replace(RUN, &more));
    bench.space.ok(&["build", "app"]);
    assert_eq!(bench.proxy.seen().len(), 0, "{host} is not asked");
}

#[test]
fn a_tag_that_moved_is_another_image() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.write(RUN);
    bench.space.ok(&["lock"]);
    bench.space.ok(&["build", "app", "-o", "oci:layout"]);
    let index = fs::read(bench.space.path().join("layout/index.json")).unwrap();
    // The tag now names what was built.
    let (from, to) = (bench.space.path().join("layout"), bench.registry.host());
    let (from, to) = (format!("oci:{}", from.display()), format!("docker://{to}/team/base:v1"));
    tool("skopeo", &["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", &from, &to]);
    bench.space.ok(&["build", "app", "-o", "oci:layout"]);
    assert!(
        fs::read(bench.space.path().join("layout/index.json")).unwrap() == index,
        "the lock holds the old one"
    );
    let locked = || fs::read_to_string(bench.space.workspace().join("memobuild.lock")).unwrap();
    let before = locked();
    bench.space.ok(&["lock"]);
    assert_eq!(locked(), before, "what is locked stays");
    bench.space.ok(&["lock", "--update", "base"]);
    assert_ne!(locked(), before);
    let outcomes = bench.space.build(&["app"]);
    assert_eq!((outcomes["base"].as_str(), outcomes["more"].as_str()), ("executed", "executed"));
}

#[test]
fn who_may_not_is_told_in_one_sentence() {
    for kind in [Kind::Basic, Kind::Token] {
        let Some(bench) = Bench::new(kind) else { return };
        bench.write(RUN);
        let host = bench.proxy.host();
        let file = bench.space.path().join("wrong.json");
        fs::write(&file, login(&host, USER, "wrong")).unwrap();
        let refused = run(bench.space.command(&["build", "app"]).env("REGISTRY_AUTH_FILE", &file));
        assert_eq!(refused.code, Some(3), "{}", refused.stderr);
        let told =
            refused.stderr.contains(&format!("{host} refuses")) && refused.stderr.contains("wrong.json");
        assert!(told && refused.stderr.contains("docker login"), "{}", refused.stderr);
        let file = bench.space.path().join("auth.json");
        fs::write(&file, login(&host, USER, PASSWORD)).unwrap();
        let ran = run(bench.space.command(&["build", "app"]).env("REGISTRY_AUTH_FILE", &file));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!ran.stderr.contains(PASSWORD));
    }
}

/// Whatever happens on the way, the result is right or there is one sentence.
#[test]
fn a_bad_network_never_makes_a_wrong_image() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.write(RUN);
    let faults = [
        ("/blobs/", Fault::Reset(1000), Some(0)),
        ("/blobs/", Fault::Truncate(1000), Some(0)),
        ("/manifests/", Fault::Answer("500 Internal Server Error\r\n".to_owned()), Some(0)),
        ("/blobs/", Fault::Answer("429 Too Many Requests\r\nRetry-After: 0\r\n".to_owned()), Some(0)),
        ("/manifests/", Fault::Flip(20), Some(2)),
        ("/blobs/", Fault::Flip(20), Some(2)),
    ];
    let mut right = None;
    for (path, fault, expected) in faults {
        fs::remove_dir_all(bench.space.store()).ok();
        fs::remove_dir_all(bench.space.path().join("layout")).ok();
        let times = if expected == Some(0) { 1 } else { 100 };
        bench.proxy.spoil(times, "GET", path, fault.clone());
        let ran = bench.space.run(&["build", "app", "-o", "oci:layout"]);
        bench.proxy.forget_rules();
        assert_eq!(ran.code, expected, "{fault:?}: {}", ran.stderr);
        let index = fs::read(bench.space.path().join("layout/index.json"));
        match expected {
            Some(0) => {
                assert_eq!(*right.get_or_insert_with(|| index.as_ref().unwrap().clone()), index.unwrap());
            }
            _ => {
                assert!(index.is_err(), "{fault:?} left an image");
                assert!(ran.stderr.contains("other bytes"), "{fault:?}: {}", ran.stderr);
                // What was spoiled is not kept.
                bench.space.ok(&["build", "app", "-o", "oci:layout"]);
                let index = fs::read(bench.space.path().join("layout/index.json")).unwrap();
                assert!(right.as_ref() == Some(&index), "{fault:?}");
            }
        }
    }
}

/// The first of a workspace's own words for it; the registry itself is not asked where the mirror has it.
#[test]
fn a_mirror_stands_for_its_registry() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    let host = bench.proxy.host();
    bench.space.file(
        "memobuild.kdl",
        format!(
            "memobuild 1\nworkspace here {{ remote registry \"{host}\" for=\"registry.invalid\" insecure=#true; }}\n\
             pull base \"registry.invalid/team/base:v1\"\n{RUN}"
        ),
    );
    bench.space.ok(&["build", "app"]);
    let missing = "memobuild 1\npull gone \"registry.invalid/team/gone:v1\"\ndefault gone\n";
    bench.space.file("memobuild.kdl", missing);
    let ran = bench.space.run(&["build"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("registry.invalid cannot be reached"), "{}", ran.stderr);
}
