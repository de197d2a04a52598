//! Pushes to a real registry, and what is asked of it on the way.

use std::fs;

use serde_json::Value;

use crate::registry::proxy::{Fault, Proxy};
use crate::registry::server::{Kind, Registry};
use crate::space::{Space, have, tool};

/// A registry behind a proxy, and a workspace that reaches it.
struct Bench {
    registry: Registry,
    proxy: Proxy,
    space: Space,
}

impl Bench {
    fn new() -> Option<Bench> {
        let registry = Registry::start(Kind::Plain)?;
        let proxy = Proxy::start(registry.port);
        let bench = Bench { registry, proxy, space: Space::new() };
        bench.write(IMAGES);
        Some(bench)
    }

    fn write(&self, images: &str) {
        let host = self.proxy.host();
        let head = format!(
            "memobuild 1\nworkspace here {{ remote registry \"{host}\" for=\"{host}\" insecure=#true; }}\n"
        );
        self.space.file("memobuild.kdl", head + &images.replace("HOST", &host));
    }

    fn push(&self, output: &str) -> Value {
        let output = output.replace("HOST", &self.proxy.host());
        self.space.ok(&["build", "-o", &output, "--metadata-file", "metadata.json"]);
        serde_json::from_slice(&fs::read(self.space.path().join("metadata.json")).unwrap()).unwrap()
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<String> {
        let asked = self.proxy.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
        self.proxy.forget();
        asked
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self.registry.folder.path().join("storage/docker/registry/v2/repositories");
        let tags = fs::read_dir(tags.join(repository).join("_manifests/tags"));
        let mut tags: Vec<String> = tags
            .map(|tags| tags.map(|tag| tag.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        tags.sort();
        tags
    }
}

const IMAGES: &str = r#"
image app {
    name "HOST/own/app:1" "HOST/own/app:2" "HOST/other/app:3"
    from scratch
    layer one { file "/one" "1"; }
    layer two { file "/two" "2"; }
}
image dockers { format docker; from scratch; file "/x" "x"; }
image many {
    platforms "linux/amd64" "linux/arm64"
    from scratch
    layer same { file "/same" "same"; }
    file "/arch" "${platform.arch}" expand=#true
}
"#;

#[test]
fn what_is_pushed_comes_back_with_its_digest() {
    let Some(bench) = Bench::new() else { return };
    if !have(&["skopeo"]) {
        return;
    }
    for (output, reference) in [
        ("app=docker://HOST/a/app:1", "a/app:1"),
        ("dockers=docker://HOST/a/dockers", "a/dockers:latest"),
        ("many=docker://HOST/a/many:m", "a/many:m"),
    ] {
        let metadata = bench.push(output);
        let digest = metadata["outputs"][0]["image"]["digest"].as_str().unwrap().to_owned();
        let source = format!("docker://{}/{reference}", bench.registry.host());
        let copy = bench.space.path().join("copy");
        let copied = format!("dir:{}", copy.display());
        tool(
            "skopeo",
            &["copy", "-q", "--all", "--insecure-policy", "--src-tls-verify=false", &source, &copied],
        );
        let sum = tool("sha256sum", &[copy.join("manifest.json").to_str().unwrap()]);
        assert_eq!(format!("sha256:{}", sum.split(' ').next().unwrap()), digest, "{output}");
        // And into ours: the layers are those that went out.
        let name = format!("{}/{reference}", bench.proxy.host());
        let other = Space::new();
        let host = bench.proxy.host();
        other.file(
            "memobuild.kdl",
            format!(
                "memobuild 1\nworkspace here {{ remote registry \"{host}\" for=\"{host}\" insecure=#true; }}\n\
                 pull base \"{name}\" digest=\"{digest}\"\n"
            ),
        );
        other.ok(&["build", "base", "-o", "files:out"]);
        assert!(fs::read_dir(other.path().join("out")).unwrap().count() > 0);
        fs::remove_dir_all(copy).unwrap();
    }
}

#[test]
fn again_nothing_is_sent_and_little_is_asked() {
    let Some(bench) = Bench::new() else { return };
    bench.push("many=docker://HOST/a/many:m");
    let asked = bench.asked();
    let sent =
        |path: &str| asked.iter().filter(|asked| asked.starts_with("PUT") && asked.contains(path)).count();
    assert_eq!((sent("/blobs/"), sent("/manifests/")), (5, 4), "each layer once: {asked:#?}");
    assert!(asked.last().unwrap().ends_with("/manifests/m"), "the tag comes last: {asked:#?}");
    bench.push("many=docker://HOST/a/many:m");
    let again = bench.asked();
    assert!(again.len() <= 3 && again.iter().all(|asked| asked.starts_with("HEAD")), "{again:?}");
    bench.push("many=docker://HOST/a/many:n");
    let renamed = bench.asked();
    assert!(!renamed.iter().any(|asked| asked.contains("/blobs/")), "only a name is new: {renamed:?}");
}

#[test]
fn all_names_are_pushed() {
    let Some(bench) = Bench::new() else { return };
    bench.push("app=docker://");
    assert_eq!(
        (bench.tags("own/app"), bench.tags("other/app")),
        (vec!["1".into(), "2".into()], vec!["3".into()])
    );
    bench.push("app=docker://HOST/third/app");
    assert_eq!(bench.tags("third/app"), ["1", "2", "3"]);
}

#[test]
fn a_push_that_breaks_leaves_no_tag() {
    let Some(bench) = Bench::new() else { return };
    for (repository, method, path) in
        [("a", "PATCH", "/blobs/"), ("b", "PUT", "/blobs/"), ("c", "PUT", "/manifests/sha256")]
    {
        bench.proxy.spoil(1000, method, path, Fault::Answer("403 Forbidden".to_owned()));
        let output = format!("app=docker://{}/{repository}/app:1", bench.proxy.host());
        let failed = bench.space.run(&["build", "-o", &output]);
        assert_eq!(failed.code, Some(3), "{path}: {}", failed.stderr);
        assert_eq!(bench.tags(&format!("{repository}/app")), Vec::<String>::new(), "{path}");
        bench.proxy.forget_rules();
        bench.space.ok(&["build", "-o", &output]);
        assert_eq!(bench.tags(&format!("{repository}/app")), ["1"]);
    }
}

/// The base stays where it is: it is neither downloaded nor sent.
#[test]
fn layers_of_a_base_are_mounted() {
    let Some(bench) = Bench::new() else { return };
    bench.push("app=docker://HOST/bases/app:1");
    bench.asked();
    let fresh = Bench { space: Space::new(), ..bench };
    fresh.write(
        "pull base \"HOST/bases/app:1\"\ntree own { file \"/own\" \"own\"; }\nimage top { from base; copy own to=\"/\"; }\n",
    );
    fresh.push("top=docker://HOST/tops/top:1");
    let asked = fresh.asked();
    let of = |method: &str, path: &str| {
        asked.iter().filter(|asked| asked.starts_with(method) && asked.contains(path)).count()
    };
    // The configuration of the base is read; its two layers are mounted.
    assert_eq!(of("GET", "/blobs/"), 1, "{asked:#?}");
    assert_eq!(of("POST", "?mount=sha256"), 2, "{asked:#?}");
    assert_eq!(of("PUT", "/blobs/"), 2, "the new layer and the configuration: {asked:#?}");
    assert_eq!(fresh.tags("tops/top"), ["1"]);
}

#[test]
fn push_runs_nothing() {
    let Some(bench) = Bench::new() else { return };
    if !crate::space::busybox_root(&bench.space) {
        return;
    }
    let root = crate::space::BUSYBOX_ROOT.strip_prefix("memobuild 1\n").unwrap();
    let text = "run made { from root; sh \"echo WORD > /made\"; }\nimage app { from made; }\n";
    bench.write(&format!("{root}{}", text.replace("WORD", "one")));
    let there = format!("{}/pushed/app:1", bench.proxy.host());
    let refused = bench.space.run(&["push", "app", &there]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("`made` did not run on what it is given now"), "{}", refused.stderr);
    assert!(refused.stderr.contains("memobuild build app"), "{}", refused.stderr);
    assert_eq!(bench.tags("pushed/app"), Vec::<String>::new());
    bench.space.ok(&["build", "app"]);
    bench.space.ok(&["push", "app", &there, "--metadata-file", "metadata.json"]);
    assert_eq!(bench.tags("pushed/app"), ["1"]);
    bench.write(&format!("{root}{}", text.replace("WORD", "two")));
    assert_eq!(bench.space.run(&["push", "app", &there]).code, Some(2), "it is not built as it is now");
    let refused = bench.space.run(&["push", "app", "oci:layout"]);
    assert!(refused.stderr.contains("no place for this command"), "{}", refused.stderr);
}
