//! Credentials of registries, as `docker login` and `podman login` leave them. They are looked for only when a registry
//! asks, so that a broken helper troubles nobody who needs none. No secret is shown in any form of any value here.

mod helper;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use serde::Deserialize;

use crate::base::cancel::Cancel;
use crate::net::error::NetError;

/// What Docker's files and helpers call Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What the environment says of where credentials are. Nothing said: nothing is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// `REGISTRY_AUTH_FILE`: this file alone, which must be there.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_folder: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, else `~/.config`.
    pub config_folder: Option<PathBuf>,
    /// `DOCKER_CONFIG`: a folder, instead of `~/.docker`.
    pub docker_config: Option<PathBuf>,
    pub home: Option<PathBuf>,
    /// `PATH`, on which helpers are found.
    pub search_path: Option<OsString>,
}

impl Places {
    /// In the order in which they are asked (containers-auth.json(5), then Docker's own).
    fn files(&self) -> Vec<PathBuf> {
        if let Some(only) = &self.registry_auth_file {
            return vec![only.clone()];
        }
        let containers = [&self.runtime_folder, &self.config_folder].into_iter().flatten();
        let docker =
            self.docker_config.clone().or_else(|| self.home.as_ref().map(|home| home.join(".docker")));
        let containers = containers.map(|folder| folder.join("containers/auth.json"));
        containers.chain(docker.map(|folder| folder.join("config.json"))).collect()
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::net) struct Secret(pub(in crate::net) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Who we are to a registry, and who told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Credential {
    pub(in crate::net) login: Login,
    pub(in crate::net) from: Used,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) enum Login {
    Password {
        user: String,
        password: Secret,
    },
    /// Given to the token service for a token of each repository.
    IdentityToken(Secret),
}

/// With what a server was asked. Shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    /// The server was not one that asks for any.
    Nothing,
    Anonymous,
    File(PathBuf),
    /// The name of the program that gave them.
    Helper(String),
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Used::Nothing => Ok(()),
            Used::Anonymous => f.write_str(" anonymously"),
            Used::File(path) => write!(f, " with the credentials of `{}`", path.display()),
            Used::Helper(program) => write!(f, " with the credentials that `{program}` gives"),
        }
    }
}

impl Used {
    pub(in crate::net) fn help(&self, host: &str) -> String {
        match self {
            Used::Nothing => format!("look whether {host} lets this machine read it"),
            Used::Anonymous => format!("log in: docker login {host}"),
            Used::File(_) | Used::Helper(_) => {
                format!("log in again as a user who may do it: docker login {host}")
            }
        }
    }
}

/// All that is known of who we are. Each helper is asked once for each registry.
pub(in crate::net) struct Credentials {
    places: Places,
    told: Mutex<HashMap<(String, String), Option<Login>>>,
}

/// The fields of Docker's `config.json` and of `auth.json` that matter here.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: Option<String>,
    identitytoken: Option<String>,
}

impl Credentials {
    pub(in crate::net) fn new(places: Places) -> Credentials {
        Credentials { places, told: Mutex::default() }
    }

    /// Of the first file that knows any; in it what is most particular to the repository wins.
    pub(in crate::net) fn find(
        &self,
        host: &str,
        repository: &str,
        cancel: &Cancel,
    ) -> Result<Option<Credential>, NetError> {
        for path in self.places.files() {
            let Some(file) = self.read(&path)? else { continue };
            let of_host = names(host).into_iter().find_map(|name| file.cred_helpers.get(name));
            if let Some(helper) = of_host {
                return self.ask(helper, host, cancel);
            }
            if let Some(entry) = file.entry(host, repository)
                && let Some(login) =
                    entry.login().map_err(|why| NetError::Credentials { path: path.clone(), why })?
            {
                return Ok(Some(Credential { login, from: Used::File(path) }));
            }
            if let Some(helper) = &file.creds_store
                && let Some(credential) = self.ask(helper, host, cancel)?
            {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    /// `None` where there is no such file.
    fn read(&self, path: &Path) -> Result<Option<File>, NetError> {
        let unreadable = |why: String| NetError::Credentials { path: path.to_owned(), why };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && self.places.registry_auth_file.is_none() => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error.to_string())),
        };
        // What serde says may show what stands there.
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| unreadable(format!("it is no JSON of that kind, line {}", error.line())))
    }

    fn ask(&self, helper: &str, host: &str, cancel: &Cancel) -> Result<Option<Credential>, NetError> {
        let program = format!("docker-credential-{helper}");
        let server = if HUB_NAMES.contains(&host) { HUB_KEY } else { host };
        let key = (program.clone(), server.to_owned());
        let known = self.told.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let login = match known {
            Some(login) => login,
            None => {
                let path = self.places.search_path.as_deref();
                let login = helper::get(&program, server, path, cancel)?;
                self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(key, login.clone());
                login
            }
        };
        Ok(login.map(|login| Credential { login, from: Used::Helper(program) }))
    }
}

impl File {
    /// The longest `HOST/REPOSITORY…` that is a prefix wins, then the host in any of its spellings.
    fn entry(&self, host: &str, repository: &str) -> Option<&Entry> {
        let whole = format!("{host}/{repository}");
        let mut prefix = whole.as_str();
        while prefix.len() > host.len() {
            if let Some(entry) = self.auths.get(prefix) {
                return Some(entry);
            }
            prefix = prefix.rsplit_once('/').map_or(host, |(shorter, _)| shorter);
        }
        let names = names(host);
        let exact = names.iter().find_map(|name| self.auths.get(*name));
        exact.or_else(|| {
            self.auths.iter().find(|(key, _)| names.contains(&host_of(key))).map(|(_, entry)| entry)
        })
    }
}

impl Entry {
    /// `None` where the entry only says that there is a helper.
    fn login(&self) -> Result<Option<Login>, String> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.is_empty()) {
            return Ok(Some(Login::IdentityToken(Secret(token.clone()))));
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let wrong = || "an `auth` in it is not `user:password` in base64".to_owned();
        let bytes = base64::engine::general_purpose::STANDARD.decode(auth.trim()).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(wrong)?;
        Ok(Some(Login::Password { user: user.to_owned(), password: Secret(password.to_owned()) }))
    }
}

/// All that a host is called.
fn names(host: &str) -> Vec<&str> {
    if HUB_NAMES.contains(&host) { HUB_NAMES.to_vec() } else { vec![host] }
}

/// Older versions of Docker wrote URLs: `https://HOST/v1/`.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let rest = rest.trim_end_matches('/');
    rest.strip_suffix("/v1").or(rest.strip_suffix("/v2")).unwrap_or(rest)
}

#[cfg(test)]
mod tests;
