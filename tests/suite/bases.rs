//! The examples that stand on busybox and on Debian are built, on images made of this machine's Debian packages and served
//! by a registry of the test's own, which stands for Docker Hub by the user's settings.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::registry::server::{Kind, Registry};
use crate::skipped::skipped;
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, have, is_root, tool};

/// A registry, and who pushes to it.
struct Bench {
    registry: Registry,
}

impl Bench {
    fn new() -> Option<Bench> {
        Some(Bench { registry: Registry::start(Kind::Plain)? })
    }

    /// The image `base` of the space's workspace under a name of Docker Hub.
    fn push(&self, space: &Space, name: &str) {
        self.stand_for_docker_hub(space);
        let destination = format!("docker://{}/{name}", self.registry.host());
        space.ok(&["build", "base", "-o", &destination]);
    }

    fn stand_for_docker_hub(&self, space: &Space) {
        let settings = space.path().join(".config/memobuild/config.kdl");
        fs::create_dir_all(settings.parent().unwrap()).unwrap();
        let host = self.registry.host();
        fs::write(settings, format!("remote \"registry\" \"{host}\" for=\"docker.io\" insecure=#true\n"))
            .unwrap();
    }

    fn example(&self, name: &str) -> Space {
        let space = Space::example(name);
        self.stand_for_docker_hub(&space);
        space
    }
}

/// With all that it can be called as.
fn busybox() -> Option<Space> {
    let space = Space::new();
    if !busybox_root(&space) {
        return None;
    }
    let known = |name: &str| BUSYBOX_ROOT.contains(&format!("\"/bin/{name}\""));
    let names = tool("busybox", &["--list"]);
    let links = names.lines().filter(|name| !known(name) && *name != "busybox");
    let links: String =
        links.map(|name| format!("    symlink \"/bin/{name}\" target=\"busybox\"\n")).collect();
    let root =
        BUSYBOX_ROOT.replacen("    dir \"/tmp\"\n", &format!("{links}    dir \"/tmp\" mode=0o1777\n"), 1);
    space.file("memobuild.kdl", format!("{root}image base {{ from root; cmd \"sh\"; }}\n"));
    Some(space)
}

/// The smallest Debian, kept beside what cargo builds. `None`, aloud, where it cannot be made.
pub(crate) fn debian() -> Option<PathBuf> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-bookworm.tar");
    if kept.exists() {
        return Some(kept);
    }
    if !is_root() {
        skipped("only root makes a Debian");
        return None;
    }
    if !have(&["debootstrap", "tar"]) {
        return None;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = folder.path().join("root");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "bookworm"]).arg(&root).args(mirror());
    let made = debootstrap.output().unwrap();
    if !made.status.success() {
        skipped(&format!(
            "debootstrap failed: {}",
            String::from_utf8_lossy(&made.stdout).lines().last().unwrap_or("")
        ));
        return None;
    }
    // What is made beside the packages is no part of an image.
    for made in ["var/cache/apt/archives", "var/lib/apt/lists", "dev"] {
        fs::remove_dir_all(root.join(made)).unwrap();
        fs::create_dir(root.join(made)).unwrap();
    }
    let draft = folder.path().join("tar");
    tool("tar", &["--numeric-owner", "-C", root.to_str().unwrap(), "-cf", draft.to_str().unwrap(), "."]);
    fs::rename(draft, &kept).unwrap();
    Some(kept)
}

/// Where this machine has its own packages from.
fn mirror() -> Option<String> {
    debian_sources().into_iter().map(|source| source.site).find(|site| site.ends_with("/debian"))
}

/// A line of this machine's list of sources.
pub(crate) struct Source {
    pub(crate) site: String,
    /// As in the list of another machine.
    pub(crate) line: String,
}

/// Those of this machine's sources that are Debian's own, as its apt is set up.
pub(crate) fn debian_sources() -> Vec<Source> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(ORIGIN)|$(SITE)|$(RELEASE) $(COMPONENT)"]);
    let listed = apt.output().map(|output| output.stdout).unwrap_or_default();
    let listed = String::from_utf8(listed).unwrap();
    let lines: BTreeSet<&str> = listed.lines().collect();
    let sources = lines.into_iter().filter_map(|line| {
        let (site, rest) = line.strip_prefix("Debian|")?.split_once('|')?;
        let site = site.trim_end_matches('/').to_owned();
        Some(Source { line: format!("deb {site} {rest}"), site })
    });
    sources.collect()
}

#[test]
fn pages_on_busybox() {
    let (Some(bench), Some(base)) = (Bench::new(), busybox()) else { return };
    bench.push(&base, "library/busybox:1.37");
    let space = bench.example("pages");
    let destination = format!("docker://{}/pages:latest", bench.registry.host());
    space.ok(&["build"]);
    space.ok(&["build", "-o", &format!("site={destination}")]);
    assert_eq!(space.build(&[]).values().filter(|outcome| *outcome == "executed").count(), 0);
    if have(&["skopeo"]) {
        let raw = tool("skopeo", &["inspect", "--tls-verify=false", "--config", &destination]);
        assert!(raw.contains(r#""8080/tcp""#) && raw.contains("httpd"), "{raw}");
    }
}

#[test]
fn a_glossary_on_debian() {
    let (Some(bench), Some(debian)) = (Bench::new(), debian()) else { return };
    let base = Space::new();
    fs::copy(debian, base.file("debian.tar", "")).unwrap();
    let text = "memobuild 1\ntree root { from scratch; extract \"./debian.tar\" to=\"/\"; }\nimage base { from root; cmd \"bash\"; }\n";
    base.file("memobuild.kdl", text);
    bench.push(&base, "library/debian:bookworm-slim");
    let space = bench.example("glossary");
    space.ok(&["build"]);
    space.file("terms/tier", "one store of records\n");
    let outcomes = space.build(&[]);
    assert_eq!(
        ["index", "glossary", "debian"].map(|node| outcomes[node].as_str()),
        ["executed", "executed", "recalled"]
    );
}
