//! The lines of a `workspace` block → `Settings`. What the table cannot see is checked here.

use std::collections::BTreeMap;

use crate::base::suggest;
use crate::graph::op::HostFolder;
use crate::lang::code::Code;
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::policy::{By, LockRule, NetworkRule, Policy, Said, Unpinned};
use crate::lang::settings::{ProfileParam, Remote, SecretSource, Settings, Workspace};
use crate::net::hosts::{HostPattern, Hosts};

/// `item` is a line `workspace`.
pub fn read(item: &Item, findings: &mut Findings) -> Workspace {
    let mut workspace = Workspace { base: settings(item, &By::Workspace, findings), ..Workspace::default() };
    workspace.base.name = item.text().map(str::to_owned);
    let mut seen = Names::default();
    for profile in item.each("profile") {
        let Some(name) = profile.text() else { continue };
        seen.add(profile, name, "profiles", findings);
        let settings = settings(profile, &By::Profile(name.to_owned()), findings);
        workspace.profiles.insert(name.to_owned(), settings);
    }
    workspace
}

/// The shape that a workspace and its profiles share.
fn settings(item: &Item, by: &By, findings: &mut Findings) -> Settings {
    let mut settings = Settings {
        secrets: secrets(item, findings),
        remotes: remotes(item, findings),
        params: params(item, findings),
        ..Settings::default()
    };
    if let Some(cache) = item.only("cache") {
        let size = |word: &str, property: &str| cache.only(word)?.property(property)?.size();
        settings.cache.l1_memory = size("l1", "memory");
        settings.cache.l2_max = size("l2", "max");
        let l2 = cache.only("l2").and_then(|line| line.property("path"));
        settings.cache.l2_path = l2.and_then(|path| store_path(path, findings));
        settings.cache.l3_address = cache.text_of("l3");
        let l3 = cache.only("l3").and_then(|line| line.property("push"));
        settings.cache.l3_push = l3.and_then(Given::truth);
    }
    if let Some(host) = item.only("host") {
        settings.host_folders = host.each("include").flat_map(folders).collect();
    }
    if let Some(rules) = item.only("policy") {
        settings.policy = policy(rules, by, findings);
    }
    settings
}

/// The root itself holds the sources.
fn store_path(given: &Given, findings: &mut Findings) -> Option<String> {
    let text = given.text()?;
    if text.split('/').all(|name| matches!(name, "" | ".")) {
        let message = format!("the store cannot be the folder `{}`", shorten(text));
        let mistake = Mistake::new(Code::PathForm, message, "l2 path=\"/var/cache/memobuild\"");
        findings.add(mistake.at(given.span.clone(), "no folder of its own"));
        return None;
    }
    Some(text.to_owned())
}

fn folders(include: &Item) -> impl Iterator<Item = HostFolder> {
    let optional = include.property("optional").and_then(Given::truth).unwrap_or_default();
    include
        .arguments
        .iter()
        .filter_map(Given::path)
        .map(move |path| HostFolder { path: path.to_string(), optional })
}

fn policy(item: &Item, by: &By, findings: &mut Findings) -> Policy {
    let said = |word: &str| item.only(word).and_then(Item::text);
    let is_allowed = |word: &str| said(word).map(|rule| Said::new(rule == "allow", by));
    let registries = item.only("registries").map(|line| Said::new(line.texts(), by));
    Policy {
        network: item
            .only("network")
            .and_then(|line| network(line, findings))
            .map(|rule| Said::new(rule, by)),
        unpinned: said("unpinned").map(|rule| {
            let rule = match rule {
                "deny" => Unpinned::Deny,
                "warn" => Unpinned::Warn,
                _ => Unpinned::Allow,
            };
            Said::new(rule, by)
        }),
        isolation: said("isolation").map(|rung| Said::new(rung.to_owned(), by)),
        registries,
        host: is_allowed("host"),
        git_values: is_allowed("git-values"),
        lock: said("lock")
            .map(|rule| Said::new(if rule == "frozen" { LockRule::Frozen } else { LockRule::Update }, by)),
    }
}

/// `allow`, `deny`, or hosts: words that are no host are misspelt.
fn network(line: &Item, findings: &mut Findings) -> Option<NetworkRule> {
    let texts = line.texts();
    match texts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["allow"] => return Some(NetworkRule::Allow),
        ["deny"] => return Some(NetworkRule::Deny),
        _ => {}
    }
    let before = findings.count();
    let mut hosts = Vec::new();
    for given in &line.arguments {
        let Some(text) = given.text() else { continue };
        if !text.contains(['.', ':']) && text != "localhost" {
            let message = format!("`network` takes `allow`, `deny` or hosts, not `{}`", shorten(text));
            let help = match text {
                "allow" | "deny" => format!("network {text}"),
                _ => suggest::help(text, &["allow", "deny"], suggest::ticked, "one of"),
            };
            findings.add(Mistake::new(Code::TypeValue, message, help).at(given.span.clone(), "given here"));
            continue;
        }
        match text.parse::<HostPattern>() {
            Ok(host) => hosts.push(host),
            Err(error) => {
                let help = "write: network \"example.org\" \"*.example.org\" \"example.org:8080\"";
                let mistake = Mistake::new(Code::TypeValue, error.to_string(), help);
                findings.add(mistake.at(given.span.clone(), "given here"));
            }
        }
    }
    (findings.count() == before && !hosts.is_empty()).then_some(NetworkRule::Hosts(Hosts(hosts)))
}

fn secrets(item: &Item, findings: &mut Findings) -> BTreeMap<String, SecretSource> {
    let mut secrets = BTreeMap::new();
    let mut seen = Names::default();
    for line in item.each("secret") {
        let Some(name) = line.text() else { continue };
        seen.add(line, name, "secrets", findings);
        let from = |key: &str| line.property(key).and_then(Given::text);
        match SecretSource::new(from("from-env"), from("from-file"), from("from-command")) {
            Ok(source) => drop(secrets.insert(name.to_owned(), source)),
            Err(message) if line.whole => {
                let mistake = Mistake::new(
                    Code::SlotMissing,
                    format!("`secret {name}` {message}"),
                    "secret npm-token from-env=\"NPM_TOKEN\"",
                );
                findings.add(mistake.at(line.word.clone(), "where is its value?"));
            }
            Err(_) => {}
        }
    }
    secrets
}

fn remotes(item: &Item, findings: &mut Findings) -> BTreeMap<String, Remote> {
    let mut remotes = BTreeMap::new();
    let mut seen = Names::default();
    for line in item.each("remote") {
        let host = line.argument(1).and_then(Given::text);
        let (Some(host), Some(stands_for)) = (host, line.property("for").and_then(Given::text)) else {
            continue;
        };
        seen.add(line, stands_for, "remotes for", findings);
        let insecure = line.property("insecure").and_then(Given::truth).unwrap_or_default();
        remotes.insert(stands_for.to_owned(), Remote { host: host.to_owned(), insecure });
    }
    remotes
}

fn params(item: &Item, findings: &mut Findings) -> BTreeMap<String, ProfileParam> {
    let mut params = BTreeMap::new();
    let mut seen = Names::default();
    for pair in item.each("param").flat_map(|line| &line.properties) {
        let Some(value) = pair.given.plain() else { continue };
        seen.add_at(pair.given.span.clone(), &pair.key, "values for the param", findings);
        params.insert(pair.key.clone(), ProfileParam { value, span: pair.given.span.clone() });
    }
    params
}

/// Names of one kind, each of which may be given once.
#[derive(Default)]
struct Names(BTreeMap<String, Span>);

impl Names {
    fn add(&mut self, line: &Item, name: &str, what: &str, findings: &mut Findings) {
        let span = line.arguments.last().map_or(line.word.clone(), |given| given.span.clone());
        self.add_at(span, name, what, findings);
    }

    fn add_at(&mut self, span: Span, name: &str, what: &str, findings: &mut Findings) {
        if let Some(first) = self.0.insert(name.to_owned(), span.clone()) {
            let message = format!("there are two {what} `{}`", shorten(name));
            let mistake = Mistake::new(Code::NameTaken, message, "keep one of them");
            findings.add(mistake.at(span, "and again here").at(first, "first here"));
        }
    }
}
