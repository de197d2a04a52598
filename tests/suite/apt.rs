//! Packages as this machine's own apt gets them: from its sources, through its proxies. And what apt fetched once, fetched
//! again without a network.

use std::collections::BTreeSet;
use std::fs;

use crate::bases::{Source, debian, debian_sources};
use crate::skipped::skipped;
use crate::space::{Space, run, tool};

/// How this machine gets its packages.
pub(crate) struct Apt {
    sources: Vec<Source>,
    /// What it leaves out when it checks how new an archive is.
    checks: String,
    /// Those that its apt alone is told of, as all programs understand them.
    pub(crate) proxies: Vec<(String, String)>,
}

impl Apt {
    /// `None`, aloud, where it gets none.
    pub(crate) fn of_this_machine() -> Option<Apt> {
        let sources = debian_sources();
        if sources.is_empty() {
            skipped("this machine's apt has no sources of Debian's own");
            return None;
        }
        let set = tool("apt-config", &["dump"]);
        let checks = set.lines().filter(|line| line.starts_with("Acquire::Check-"));
        let value = |name: &str| {
            let line = set.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches([' ', '"', ';']).to_owned()).filter(|value| !value.is_empty())
        };
        let proxies = ["http", "https"].into_iter().filter_map(|scheme| {
            Some((format!("{scheme}_proxy"), value(&format!("Acquire::{scheme}::Proxy "))?))
        });
        Some(Apt {
            checks: checks.map(|line| format!("{line}\n")).collect(),
            proxies: proxies.collect(),
            sources,
        })
    }

    /// As a policy names them.
    pub(crate) fn hosts(&self) -> String {
        let hosts: BTreeSet<String> = self
            .sources
            .iter()
            .map(|source| {
                let place = source.site.split_once("://").unwrap().1;
                format!("\"{}\"", place.split('/').next().unwrap())
            })
            .collect();
        Vec::from_iter(hosts).join(" ")
    }

    /// The same setup for another machine.
    pub(crate) fn write(&self, space: &Space) {
        let lines: String = self.sources.iter().map(|source| format!("{}\n", source.line)).collect();
        space.file("apt/sources.list", lines);
        space.file("apt/apt.conf.d/as-here", &self.checks);
    }
}

pub(crate) fn is_long() -> bool {
    let is_long = std::env::var_os("MEMOBUILD_LONG").is_some();
    if !is_long {
        skipped("installing packages takes minutes: MEMOBUILD_LONG=1");
    }
    is_long
}

const WORKSPACE: &str = r##"memobuild 1
tree root { from scratch; extract "./debian.tar" to="/"; }
files apt root="apt"
tree set-up { from root; copy apt to="/etc/apt"; }
run change {
    from set-up
    network intercept
    sh "apt-get update; apt-get install -y hello ca-certificates"
    sh "hello > /out/greeting"
    output out "/out"
}
workspace debian { policy { network POLICY; }; }
"##;

#[test]
fn what_apt_fetched_is_fetched_again_without_a_network() {
    if !is_long() {
        return;
    }
    let (Some(debian), Some(apt)) = (debian(), Apt::of_this_machine()) else { return };
    let space = Space::new();
    fs::copy(debian, space.file("debian.tar", "")).unwrap();
    apt.write(&space);
    space.file("memobuild.kdl", WORKSPACE.replace("POLICY", &apt.hosts()));
    let locked = run(space.command(&["lock"]).envs(apt.proxies.iter().cloned()));
    assert_eq!(locked.code, Some(0), "{}", locked.stderr);
    let lock = fs::read_to_string(space.workspace().join("memobuild.lock")).unwrap();
    for name in ["/InRelease", "/hello_"] {
        assert!(lock.contains(name), "{lock}");
    }
    space.file("memobuild.kdl", WORKSPACE.replace("POLICY", "deny"));
    let build = ["build", "change.out", "-o", "files:made", "--report", "report.json"];
    let nobody =
        [("http_proxy", "http://127.0.0.1:9"), ("https_proxy", "http://127.0.0.1:9"), ("no_proxy", "")];
    let built = run(space.command(&build).envs(nobody));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(space.outcomes()["change"], "executed");
    assert_eq!(fs::read_to_string(space.path().join("made/greeting")).unwrap(), "Hello, world!\n");
}
