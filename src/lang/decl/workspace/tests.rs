//! The block as a person writes it → settings, and its mistakes.

use std::collections::BTreeMap;

use super::*;
use crate::lang::interpolate::Plain;
use crate::lang::mistake::Findings;
use crate::lang::policy::{By, LockRule, NetworkRule, Said, Unpinned};
use crate::lang::read::Reader;
use crate::lang::scope::Env;
use crate::lang::settings::{Cache, Remote, SecretSource, Workspace};
use crate::lang::{Request, declare, files};
use crate::net::hosts::Hosts;

fn lowered(text: &str) -> Result<Workspace, Vec<(&'static str, String)>> {
    let mut findings = Findings::default();
    let files = files::from_texts(&[("memobuild.kdl", text)], &mut findings);
    let request = Request::root();
    let world = declare::declare(&files, &request, &mut findings);
    let document = files.files[0].document.as_ref().expect("KDL");
    let Some(node) = document.nodes.iter().find(|node| node.word == "workspace") else {
        return Ok(Workspace::default());
    };
    let nothing = BTreeMap::new();
    let scope = world.root().expect("a root file");
    let env = Env { scope, coordinate: &nothing, platform: &request.platform, is_dead: false };
    let item = Reader::new(&world, env, &mut findings).item(&LINE, node);
    let workspace = read(&item, &mut findings);
    if findings.is_empty() {
        return Ok(workspace);
    }
    let records = findings.finish(&files.sources).records();
    Err(records.into_iter().map(|record| (record.code, record.message)).collect())
}

#[test]
fn a_whole_block() {
    let workspace = lowered(
        r#"
        memobuild 1
        workspace acme {
            cache { l1 memory="512MiB"; l2 max="40GiB" path="/var/memo"; l3 "ghcr.io/acme/cache" push=#false; }
            remote registry "mirror.example" for="docker.io" insecure=#true
            secret npm-token from-env="NPM_TOKEN"
            secret key from-file="/k"
            secret pass from-command="pass show x"
            policy { network "a.example" "b.example:8080"; unpinned warn; isolation "C"; registries "docker.io" "ghcr.io"; host allow; git-values deny; lock update; }
            host { include "/opt/a" "/opt/b"; include "/opt/c" optional=#true; }
            profile ci {
                param mode=release jobs=4 fast=#true
                cache { l3 push=#true; }
                policy { unpinned deny; lock frozen; }
            }
        }
        "#,
    )
    .unwrap();
    let base = &workspace.base;
    assert_eq!(base.name.as_deref(), Some("acme"));
    let cache = Cache {
        l1_memory: Some(512 << 20),
        l2_max: Some(40 << 30),
        l2_path: Some("/var/memo".to_owned()),
        l3_address: Some("ghcr.io/acme/cache".to_owned()),
        l3_push: Some(false),
    };
    assert_eq!(base.cache, cache);
    assert_eq!(base.remotes["docker.io"], Remote { host: "mirror.example".to_owned(), insecure: true });
    let secrets = BTreeMap::from([
        ("npm-token".to_owned(), SecretSource::Env("NPM_TOKEN".to_owned())),
        ("key".to_owned(), SecretSource::File("/k".to_owned())),
        ("pass".to_owned(), SecretSource::Command("pass show x".to_owned())),
    ]);
    assert_eq!(base.secrets, secrets);
    let hosts = Hosts(["a.example", "b.example:8080"].map(|host| host.parse().unwrap()).to_vec());
    assert_eq!(base.policy.network, Some(Said::new(NetworkRule::Hosts(hosts), &By::Workspace)));
    assert_eq!(base.policy.unpinned, Some(Said::new(Unpinned::Warn, &By::Workspace)));
    assert_eq!(base.policy.isolation.as_ref().map(|said| said.rule.as_str()), Some("C"));
    assert_eq!(base.policy.host.as_ref().map(|said| said.rule), Some(true));
    assert_eq!(base.policy.git_values.as_ref().map(|said| said.rule), Some(false));
    assert_eq!(base.policy.lock.as_ref().map(|said| said.rule), Some(LockRule::Update));
    let folders: Vec<(&str, bool)> =
        base.host_folders.iter().map(|folder| (folder.path.as_str(), folder.optional)).collect();
    assert_eq!(folders, [("/opt/a", false), ("/opt/b", false), ("/opt/c", true)]);
    let ci = workspace.settle(Some("ci")).unwrap();
    assert_eq!(ci.cache, Cache { l3_push: Some(true), ..cache });
    assert_eq!(ci.policy.unpinned, Some(Said::new(Unpinned::Deny, &By::Profile("ci".to_owned()))));
    let params: Vec<(&str, Plain)> =
        ci.params.iter().map(|(name, param)| (name.as_str(), param.value.clone())).collect();
    let mode = ("mode", Plain::Text("release".to_owned()));
    assert_eq!(params, [("fast", Plain::Bool(true)), ("jobs", Plain::Int(4)), mode]);
}

#[test]
fn a_file_without_one_has_the_built_in_profiles() {
    let workspace = lowered("memobuild 1\n").unwrap();
    assert_eq!(workspace, Workspace::default());
    assert!(workspace.settle(Some("hermetic")).is_ok());
}

#[test]
fn mistakes_are_told() {
    for (body, code, words) in [
        (
            "policy { network dney; }",
            "memo::type::value",
            "`network` takes `allow`, `deny` or hosts, not `dney`",
        ),
        ("policy { network allow \"a.example\"; }", "memo::type::value", "not `allow`"),
        ("policy { unpinned never; }", "memo::type::value", "not `never`"),
        ("policy { lokc frozen; }", "memo::unknown::slot", "`policy` has no line `lokc`"),
        ("cache { l2 max=\"40G\"; }", "memo::type::value", "`40G` is not a size"),
        ("cache { l2 max=40; }", "memo::type::value", "`max=` takes a size, not a number"),
        ("cache { l2 path=\".\"; }", "memo::path::form", "the store cannot be the folder `.`"),
        ("secret a", "memo::slot::missing", "`secret a` needs `from-env=`"),
        ("secret a from-env=\"A\" from-file=\"/a\"", "memo::slot::missing", "not several"),
        ("secret a from-env=\"A\"\nsecret a from-env=\"B\"", "memo::name::taken", "two secrets `a`"),
        ("profile a {}\nprofile a {}", "memo::name::taken", "two profiles `a`"),
        ("profile a { profile b {}; }", "memo::unknown::slot", "`profile` has no line `profile`"),
        ("remote mirror \"a\" for=\"b\"", "memo::type::value", "not `mirror`"),
        ("remote registry \"a\"", "memo::slot::missing", "`remote` needs `for=`"),
        ("host { include \"opt\"; }", "memo::path::form", "opt"),
        ("profile a { param mode=a; param mode=b; }", "memo::name::taken", "`mode`"),
        ("secret a from-env=\"${param.x}\"", "memo::value::unknown", "param.x"),
    ] {
        let found = lowered(&format!("memobuild 1\nworkspace w {{\n{body}\n}}\n")).unwrap_err();
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert_eq!(found[0].0, code, "{body}: {found:?}");
        assert!(found[0].1.contains(words), "{body}: {found:?}");
    }
    let twice = lowered("memobuild 1\nworkspace a\nworkspace b\n").unwrap_err();
    assert_eq!(twice, [("memo::slot::twice", "there are two `workspace` blocks".to_owned())]);
}
