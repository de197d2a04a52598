//! Where a repository is, as it is handed to git; and where its submodules are, seen from there.

use std::path::Path;

use crate::base::address;
use crate::exec::git::error::GitError;
use crate::lang::decl::git::{BadAddress, Transport, transport};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// What git gets. Never shown.
    text: String,
    transport: Transport,
}

impl Address {
    /// A relative path is one below `workspace`.
    pub(super) fn parse(text: &str, workspace: &Path) -> Result<Address, GitError> {
        let transport = transport(text).map_err(|bad| refused(text, bad))?;
        let text = match transport {
            Transport::Path => workspace.join(text).to_string_lossy().into_owned(),
            _ => text.to_owned(),
        };
        Ok(Address { text, transport })
    }

    /// Not to be shown.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// On this machine's disk.
    pub(super) const fn is_local(&self) -> bool {
        matches!(self.transport, Transport::File | Transport::Path)
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        address::shown(&self.text)
    }

    /// Of a submodule of this repository, whose `.gitmodules` says `url`. Only a relative one may lead to this
    /// machine's disk, and only from a repository there: what somebody else wrote must not name local folders
    /// (CVE-2022-39253).
    pub(super) fn submodule(&self, url: &str) -> Result<Address, GitError> {
        if url.starts_with("./") || url.starts_with("../") {
            let text = self.relative(url).ok_or_else(|| refused(url, LEADS_OUT))?;
            return Ok(Address { text, transport: self.transport });
        }
        match transport(url).map_err(|bad| refused(url, bad))? {
            Transport::File | Transport::Path => Err(refused(url, LOCAL)),
            transport => Ok(Address { text: url.to_owned(), transport }),
        }
    }

    /// As git-submodule(1) resolves it, but never beyond the host or the root folder.
    fn relative(&self, url: &str) -> Option<String> {
        let base = self.text.trim_end_matches('/');
        let fixed = match self.transport {
            Transport::Path => 0,
            Transport::Scp => base.find(':')? + 1,
            Transport::Url | Transport::File => {
                let authority = base.find("://")? + 3;
                authority + base[authority..].find('/')?
            }
        };
        let (fixed, mut path) = base.split_at(fixed);
        let mut rest = url;
        loop {
            if let Some(after) = rest.strip_prefix("../") {
                if path.is_empty() {
                    return None;
                }
                path = path.rfind('/').map_or("", |slash| &path[..slash]);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else {
                break;
            }
        }
        let rest = rest.trim_end_matches('/');
        let leads_back = rest.split('/').any(|name| matches!(name, "" | "." | ".."));
        let is_rooted = !matches!(self.transport, Transport::Scp) || !path.is_empty();
        let slash = if is_rooted { "/" } else { "" };
        (!leads_back && !rest.starts_with('-')).then(|| format!("{fixed}{path}{slash}{rest}"))
    }
}

const LEADS_OUT: BadAddress =
    BadAddress { reason: "leads out of where its repository lies", help: "leave `submodules` out" };

const LOCAL: BadAddress = BadAddress {
    reason: "is a path of this machine, written by another repository",
    help: "leave `submodules` out, and fetch it with a `git` line of its own",
};

fn refused(address: &str, bad: BadAddress) -> GitError {
    GitError::Address { address: address::shown(address), reason: bad.reason, help: bad.help }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submodule(base: &str, url: &str) -> Result<String, String> {
        let base = Address::parse(base, Path::new("/work")).unwrap();
        let found = base.submodule(url);
        found.map(|address| address.text).map_err(|error| error.to_string())
    }

    #[test]
    fn relative_ones_are_resolved_as_git_does() {
        for (base, url, expected) in [
            ("https://h/a/b.git", "../c", "https://h/a/c"),
            ("https://h/a/b.git/", "../c/", "https://h/a/c"),
            ("https://me:x@h/a/b", "../../c", "https://me:x@h/c"),
            ("https://h/a/b", "./c", "https://h/a/b/c"),
            ("git@h:a/b", "../c", "git@h:a/c"),
            ("git@h:b", "../c", "git@h:c"),
            ("ssh://git@h:22/a/b", "../c/d", "ssh://git@h:22/a/c/d"),
            ("/srv/a", "../b", "/srv/b"),
            ("file:///srv/a", "../b", "file:///srv/b"),
            ("vendor/a", "../b", "/work/vendor/b"),
        ] {
            assert_eq!(submodule(base, url).as_deref(), Ok(expected), "{base} {url}");
        }
    }

    #[test]
    fn what_leads_out_or_to_this_machine_is_refused() {
        for (base, url) in [
            ("https://h/a", "../../c"),
            ("https://h/a", "../../../-x"),
            ("https://h/a", "../../../file:///etc"),
            ("git@h:a", "../../c"),
            ("/srv/a", "../../../c"),
            ("https://h/a", "./b/../../../c"),
            ("https://h/a", "file:///srv/b"),
            ("https://h/a", "/srv/b"),
            ("https://h/a", "b"),
            ("/srv/a", "/srv/b"),
            ("/srv/a", "file:///srv/b"),
            ("https://h/a", "-u./payload"),
            ("https://h/a", "./-u"),
            ("https://h/a", "ext::sh -c true"),
            ("https://h/a", ""),
        ] {
            assert!(submodule(base, url).is_err(), "{base} {url}: {:?}", submodule(base, url));
        }
        assert_eq!(submodule("https://h/a", "https://i/b").as_deref(), Ok("https://i/b"));
    }
}
