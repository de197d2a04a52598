//! The user's own settings and the environment's, put into the order that `lang/settings.rs` tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum as _;

use crate::cli::args::{Args, Progress};
use crate::cli::failure::Failure;
use crate::lang::Loaded;
use crate::lang::policy::NetworkRule;
use crate::lang::settings::user::{FILE_NAME, User};
use crate::lang::settings::{Choice, Remote};
use crate::net;
use crate::net::credentials::Places;
use crate::net::hosts::Hosts;
use crate::net::network::Network;
use crate::net::outside::Outside;
use crate::net::proxies::Proxies;
use crate::net::settings::Mirror;

/// `$XDG_CONFIG_HOME/memobuild/config.kdl`, else `$HOME/.config/memobuild/config.kdl`; nobody must have one.
pub(super) fn user() -> Result<User, Failure> {
    let folder = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| set("HOME").map(|home| home.join(".config")));
    let Some(path) = folder.map(|folder| folder.join(FILE_NAME)) else { return Ok(User::default()) };
    let shown = path.display().to_string();
    match path.metadata() {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(Failure::input(format!("`{shown}` is not a file"), "remove it")),
        Err(_) => return Ok(User::default()),
    }
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let help = match error.kind() {
            ErrorKind::InvalidData => "save it as UTF-8",
            _ => "make it a file that you may read, or remove it",
        };
        Failure::input(format!("your settings `{shown}` cannot be read: {error}"), help)
    })?;
    Ok(User::parse(&shown, &text)?)
}

/// Whose policies and settings win over the workspace's.
pub(super) fn profile(args: &Args, user: &User) -> Option<String> {
    Choice {
        flag: args.profile.clone(),
        variable: set("MEMOBUILD_PROFILE").map(|name| name.to_string_lossy().into_owned()),
        workspace: None,
        user: user.profile.clone(),
        default: None,
    }
    .first()
}

/// How many nodes may execute at once.
pub(super) fn jobs(flag: Option<u16>) -> Result<usize, Failure> {
    let jobs = Choice {
        flag,
        variable: parsed("MEMOBUILD_JOBS", "a number from 1", |jobs: &u16| *jobs > 0)?,
        workspace: None,
        user: user()?.jobs,
        default: None,
    };
    // Commands mostly wait, for disks and for each other.
    let default = || std::thread::available_parallelism().map_or(8, |count| count.get().max(8));
    Ok(jobs.first().map_or_else(default, usize::from))
}

pub(super) fn progress(flag: Option<Progress>) -> Result<Progress, Failure> {
    let read = |form: String| Progress::from_str(&form, false).ok();
    let variable: Option<String> =
        parsed("MEMOBUILD_PROGRESS", "auto, tty, plain or json", |form: &String| {
            read(form.clone()).is_some()
        })?;
    let progress = Choice {
        flag,
        variable: variable.and_then(read),
        workspace: None,
        user: user()?.progress.and_then(read),
        default: Some(Progress::Auto),
    };
    Ok(progress.first().expect("bug: there is a default"))
}

/// The way to registries and URLs.
pub(super) fn network(loaded: &Loaded) -> Network {
    Network::new(net::settings::Settings { outside: outside(loaded), ..reach(&loaded.settings.remotes) })
}

/// Where runs get that have a line `network`: to whom the policy lets them, by the way that leads out of this machine.
fn outside(loaded: &Loaded) -> Outside {
    let hosts = match loaded.settings.policy.network.as_ref().map(|said| &said.rule) {
        Some(NetworkRule::Hosts(hosts)) => Some(hosts.clone()),
        Some(NetworkRule::Deny) => Some(Hosts::default()),
        Some(NetworkRule::Allow) | None => None,
    };
    let variable = |name: &str| {
        let value = set(name).or_else(|| set(&name.to_uppercase()))?;
        Some(value.to_string_lossy().into_owned())
    };
    let or_all = |name: &str| variable(name).or_else(|| variable("all_proxy"));
    let [http, https] = ["http_proxy", "https_proxy"].map(or_all);
    let proxies = Proxies::new(http.as_deref(), https.as_deref(), variable("no_proxy").as_deref());
    Outside { hosts, proxies }
}

/// What the workspace and the user say of registries, and where the environment has credentials. A registry that stands
/// for itself is one that speaks plain HTTP.
fn reach(remotes: &BTreeMap<String, Remote>) -> net::settings::Settings {
    let mut mirrors: BTreeMap<String, Vec<Mirror>> = BTreeMap::new();
    let mut plain_http = BTreeSet::new();
    for (stands_for, Remote { host, insecure }) in remotes {
        if *insecure {
            plain_http.insert(host.clone());
        }
        if host != stands_for {
            mirrors
                .entry(stands_for.clone())
                .or_default()
                .push(Mirror { host: host.clone(), insecure: *insecure });
        }
    }
    let home = set("HOME");
    let config_folder = set("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let mut http = net::http::Settings::default();
    http.certificates.extend(config_folder.as_ref().map(|folder| folder.join("containers/certs.d")));
    let credentials = Places {
        registry_auth_file: set("REGISTRY_AUTH_FILE"),
        runtime_folder: set("XDG_RUNTIME_DIR"),
        config_folder,
        docker_config: set("DOCKER_CONFIG"),
        home,
        search_path: std::env::var_os("PATH"),
    };
    net::settings::Settings { http, mirrors, plain_http, credentials, outside: Outside::default() }
}

/// A variable that is set, and not to nothing.
pub(super) fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `~/` is the user's home.
pub(super) fn expanded(path: &str) -> Option<PathBuf> {
    match path.strip_prefix("~/") {
        Some(below) => Some(set("HOME")?.join(below)),
        None => Some(PathBuf::from(path)),
    }
}

fn parsed<T: FromStr>(
    name: &str,
    expected: impl Display,
    fits: impl Fn(&T) -> bool,
) -> Result<Option<T>, Failure> {
    let Some(value) = set(name) else { return Ok(None) };
    let text = value.to_string_lossy();
    match text.parse().ok().filter(fits) {
        Some(value) => Ok(Some(value)),
        None => Err(Failure::input(
            format!("{name} is `{text}`, not {expected}"),
            format!("set it to {expected}, or unset it"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_stand_for_registries_or_for_themselves() {
        let remote = |host: &str, insecure| Remote { host: host.to_owned(), insecure };
        let remotes = BTreeMap::from([
            ("docker.io".to_owned(), remote("mirror.example/hub", false)),
            ("h.io:5000".to_owned(), remote("h.io:5000", true)),
            ("quay.io".to_owned(), remote("near.example", true)),
        ]);
        let found = reach(&remotes);
        let mirror = |host: &str, insecure| vec![Mirror { host: host.to_owned(), insecure }];
        let mirrors =
            [("docker.io", mirror("mirror.example/hub", false)), ("quay.io", mirror("near.example", true))];
        assert_eq!(found.mirrors, mirrors.map(|(host, mirrors)| (host.to_owned(), mirrors)).into());
        assert_eq!(found.plain_http, ["h.io:5000", "near.example"].map(str::to_owned).into());
    }
}
