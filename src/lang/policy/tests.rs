//! Violations as a person sees them, over graphs from build files.

use miette::{GraphicalTheme, Severity};

use super::*;
use crate::graph::graph::NodeId;
use crate::graph::op::{Fetch, ImageSource, Network, Op};
use crate::graph::select;
use crate::lang::lock::pin::pin;
use crate::lang::mistake::draw;
use crate::lang::settings::profiles;
use crate::lang::{Loaded, Request, load_text, lock};
use crate::net::hosts::Hosts;
use crate::oci::image::Platform;

const FILE: &str = "memobuild 1\n\
    pull base \"oci:images/base:v1\"\n\
    run network-fetch { from base; network host; exec \"x\"; output o \"/o\"; }\n\
    run cc { from host; exec \"cc\"; output o \"/o\"; }\n\
    image app { from base; copy network-fetch.o to=\"/o\"; copy cc.o to=\"/c\"; }\n\
    pull aside \"oci:aside\"\n\
    default app\n";

fn loaded() -> Loaded {
    let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    load_text(FILE, &Request { platform, ..Request::root() }).unwrap()
}

fn policy(profile: &str) -> Policy {
    profiles::built_in(profile).unwrap().policy
}

/// Codes and severities of what the default needs.
fn found(loaded: &Loaded, policy: &Policy) -> Vec<(&'static str, Severity)> {
    let needed = select::needed(&loaded.graph, &loaded.graph.default);
    let mut found: Vec<_> = check(&loaded.graph, &needed, policy)
        .iter()
        .map(|violation| (violation.code.as_str(), violation.severity))
        .collect();
    found.sort_by_key(|(code, _)| *code);
    found
}

fn pinned() -> Loaded {
    let mut loaded = loaded();
    let text =
        format!("memobuild-lock 1\nimage \"oci:images/base:v1\" digest=\"sha256:{}\"\n", "1".repeat(64));
    loaded.lock = lock::Lock::parse(&text).unwrap();
    pin(&mut loaded.graph, &loaded.lock);
    loaded
}

fn id(loaded: &Loaded, name: &str) -> NodeId {
    loaded.graph.targets[name][0].node
}

#[test]
fn what_is_not_said_is_allowed() {
    assert_eq!(found(&loaded(), &Policy::default()), []);
    assert_eq!(found(&loaded(), &policy("dev")), []);
}

#[test]
fn only_what_is_needed_is_looked_at() {
    assert_eq!(found(&loaded(), &policy("ci")), [("memo::lock::missing", Severity::Error)]);
    assert_eq!(found(&pinned(), &policy("ci")), []);
    let loaded = loaded();
    let aside = [id(&loaded, "aside")];
    assert_eq!(check(&loaded.graph, &aside, &policy("ci")).len(), 1);
}

#[test]
fn hermetic_forbids_network_and_host() {
    let expected = [("memo::policy::host", Severity::Error), ("memo::policy::network", Severity::Error)];
    assert_eq!(found(&pinned(), &policy("hermetic")), expected);
}

#[test]
fn unpinned_may_be_a_warning_but_not_in_a_frozen_lock() {
    let by = By::Workspace;
    let mut policy = Policy { unpinned: Some(Said::new(Unpinned::Warn, &by)), ..Policy::default() };
    assert_eq!(found(&loaded(), &policy), [("memo::lock::missing", Severity::Warning)]);
    policy.lock = Some(Said::new(LockRule::Frozen, &by));
    assert_eq!(found(&loaded(), &policy), [("memo::lock::missing", Severity::Error)]);
    policy.unpinned = Some(Said::new(Unpinned::Allow, &by));
    assert_eq!(found(&loaded(), &policy), [("memo::lock::missing", Severity::Error)]);
}

/// `network locked` is allowed everywhere, and needs its entries everywhere.
#[test]
fn a_locked_run_must_be_locked() {
    let mut loaded = pinned();
    let fetch = id(&loaded, "network-fetch.o");
    let Op::Run(run) = &mut loaded.graph.nodes[fetch.0].op else { panic!("a run") };
    run.network = Network::Locked;
    assert_eq!(found(&loaded, &Policy::default()), [("memo::lock::missing", Severity::Error)]);
    let Op::Run(run) = &mut loaded.graph.nodes[fetch.0].op else { panic!("a run") };
    run.outputs[0].locked = Some("1".repeat(64));
    assert_eq!(found(&loaded, &policy("hermetic")), [("memo::policy::host", Severity::Error)]);
}

#[test]
fn hosts_are_for_the_proxy() {
    let rule = NetworkRule::Hosts(Hosts(vec!["a.example".parse().unwrap()]));
    let policy = Policy { network: Some(Said::new(rule, &By::Workspace)), ..Policy::default() };
    assert_eq!(found(&loaded(), &policy), [("memo::policy::network", Severity::Error)]);
    let mut loaded = loaded();
    let fetch = id(&loaded, "network-fetch.o");
    let Op::Run(run) = &mut loaded.graph.nodes[fetch.0].op else { panic!("a run") };
    run.network = Network::Proxy;
    assert_eq!(found(&loaded, &policy), []);
}

#[test]
fn registries_by_the_host_of_a_reference() {
    let allowed = vec!["docker.io".to_owned(), "localhost:5000".to_owned()];
    let policy = Policy { registries: Some(Said::new(allowed, &By::Workspace)), ..Policy::default() };
    for (reference, is_allowed) in [
        ("docker.io/library/alpine:3", true),
        ("alpine", true),
        ("library/alpine", true),
        ("localhost:5000/x", true),
        ("localhost/x", false),
        ("ghcr.io/acme/x:1", false),
    ] {
        let mut loaded = pinned();
        let base = id(&loaded, "base");
        let Op::Pull(pull) = &mut loaded.graph.nodes[base.0].op else { panic!("a pull") };
        pull.source = ImageSource::Registry(reference.to_owned());
        assert_eq!(found(&loaded, &policy).is_empty(), is_allowed, "{reference}");
    }
}

#[test]
fn fetched_sources_are_pinned_too() {
    let mut loaded = pinned();
    let base = id(&loaded, "base");
    loaded.graph.nodes[base.0].op = Op::Fetch(Fetch::Git {
        url: "https://example/x".to_owned(),
        commit: None,
        reference: Some("v1".to_owned()),
        submodules: false,
        path: None,
    });
    assert_eq!(found(&loaded, &policy("ci")), [("memo::lock::missing", Severity::Error)]);
}

/// Mistake 15 of the language's page.
#[test]
fn a_tag_without_an_entry() {
    let mut loaded = loaded();
    let base = id(&loaded, "base");
    let Op::Pull(pull) = &mut loaded.graph.nodes[base.0].op else { panic!("a pull") };
    pull.source = ImageSource::Registry("oci:images/base:v1".to_owned());
    let violations = check(&loaded.graph, &[base], &policy("ci"));
    let (_, errors) = mistakes(&loaded.sources, &loaded.graph, violations);
    let [mistake] = errors.shown.as_slice() else { panic!("one mistake") };
    assert_eq!(mistake.code.as_str(), "memo::lock::missing");
    assert_eq!(mistake.message, "oci:images/base:v1 has no entry in memobuild.lock");
    assert_eq!(mistake.labels[0].text, "a tag can change");
    assert_eq!(&FILE[mistake.labels[0].span.clone()], "oci:images/base:v1");
    let help = "run `memobuild lock` and commit memobuild.lock (profile `ci` has `unpinned deny`)";
    assert_eq!(mistake.help, help);
}

#[test]
fn git_values() {
    assert!(policy("ci").git_value("${git.commit}").is_none());
    let mistake = policy("hermetic").git_value("${git.commit}").unwrap();
    assert_eq!(mistake.message, "profile `hermetic` has `git-values deny`, and this uses `${git.commit}`");
}

#[test]
fn told_under_the_exact_text() {
    let loaded = loaded();
    let needed = select::needed(&loaded.graph, &loaded.graph.default);
    let violations = check(&loaded.graph, &needed, &policy("hermetic"));
    let (warnings, errors) = mistakes(&loaded.sources, &loaded.graph, violations);
    assert!(warnings.shown.is_empty());
    let pictures = errors.shown.iter().map(|mistake| draw(mistake, GraphicalTheme::unicode_nocolor(), 100));
    let page: String = pictures.collect();
    insta::with_settings!({ snapshot_path => "../cases", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("policy-hermetic", page);
    });
}
