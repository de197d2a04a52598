//! One more authority for a run to believe: its certificate beside those that the root, or the machine, has, in a file
//! of its own that variables name, and in the root's own lists, for programs that look there. The run may renew these as
//! any file; when it is over, the certificate is taken out of them, so that nothing of it is kept.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, OFlags, fstat};

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::{self, Stubs};
use crate::exec::sandbox::root::known;
use crate::exec::sandbox::spec::{Root, Spec, Trouble};

/// In `/dev`, which is a run's own and no part of what it leaves.
pub(crate) const CERTIFICATES: &str = "/dev/certificates.pem";

/// Where systems keep whom they believe.
const LISTS: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/ssl/cert.pem",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];
/// More of a list is not looked at.
const LONGEST: u64 = 8 << 20;

/// The lists of a root that the certificate was written to.
#[derive(Default)]
pub(super) struct Believed(Vec<List>);

struct List {
    path: TreePath,
    /// What it held.
    before: Vec<u8>,
    /// What was written to its end.
    added: Vec<u8>,
}

/// `own` is a folder of the run's own.
pub(super) fn lay(root: BorrowedFd<'_>, spec: &Spec, own: &Path) -> Result<Believed, Trouble> {
    let Some(authority) = &spec.authority else { return Ok(Believed::default()) };
    let lists: Vec<(TreePath, OwnedFd)> = LISTS
        .iter()
        .map(|path| known(path))
        .filter_map(|path| Some((path.clone(), list(root, &path)?)))
        .collect();
    let mut believed = lists.first().and_then(|(_, list)| content(list)).unwrap_or_default();
    believed.extend(addition(&believed, authority));
    let copy = own.join("certificates");
    fs::write(&copy, believed).map_err(Trouble::at("write the run's certificates"))?;
    // What is made below `/dev` is gone with it.
    show(&copy, Stubs::default().file(root, &known(CERTIFICATES))?.as_fd())?;
    let mut written = Vec::new();
    for (path, list) in lists {
        match spec.root {
            // Nothing else of the machine can be changed either.
            Root::Host { .. } => show(&copy, list.as_fd())?,
            Root::Layers { .. } => written.extend(write(path, &list, authority)?),
        }
    }
    Ok(Believed(written))
}

impl Believed {
    /// When everything inside is dead: takes the certificate out wherever it still is, and gives the lists that are as
    /// they were.
    pub(super) fn take_back(&self, root: BorrowedFd<'_>, spec: &Spec) -> Result<Vec<TreePath>, Trouble> {
        let authority = spec.authority.as_deref().unwrap_or_default().as_bytes();
        let mut unchanged = Vec::new();
        for List { path, before, added } in &self.0 {
            let Some(list) = list(root, path) else { continue };
            let Some(found) = content(&list) else { continue };
            let left = without(&without(&found, added), authority);
            if left != found {
                replace(&list, &left).map_err(Trouble::at(format!("write /{path}")))?;
            }
            if left == *before {
                unchanged.push(path.clone());
            }
        }
        Ok(unchanged)
    }
}

/// Two names may lead to one list.
fn write(path: TreePath, list: &OwnedFd, authority: &str) -> Result<Option<List>, Trouble> {
    let Some(before) = content(list) else { return Ok(None) };
    let added = addition(&before, authority);
    if without(&before, &added) != before {
        return Ok(None);
    }
    let all = [before.as_slice(), &added].concat();
    replace(list, &all).map_err(Trouble::at(format!("write /{path}")))?;
    Ok(Some(List { path, before, added }))
}

/// On lines of its own.
fn addition(list: &[u8], authority: &str) -> Vec<u8> {
    let is_whole = list.is_empty() || list.ends_with(b"\n");
    [if is_whole { &b""[..] } else { b"\n" }, authority.as_bytes()].concat()
}

fn without(text: &[u8], part: &[u8]) -> Vec<u8> {
    let mut left = text.to_vec();
    while let Some(start) = left.windows(part.len().max(1)).position(|window| window == part) {
        left.drain(start..start + part.len());
    }
    left
}

fn show(copy: &Path, under: BorrowedFd<'_>) -> Result<(), Trouble> {
    let view = mounts::view(copy).map_err(Trouble::at("show the run's certificates"))?;
    mounts::attach(view.as_fd(), under).map_err(Trouble::at("mount the run's certificates"))
}

/// One that the root has, whatever links lead to it inside. It is not opened yet: it may be no file.
fn list(root: BorrowedFd<'_>, path: &TreePath) -> Option<OwnedFd> {
    let file = place::open_following(root, path, OFlags::PATH).ok()?;
    let kind = FileType::from_raw_mode(fstat(&file).ok()?.st_mode);
    (kind == FileType::RegularFile).then_some(file)
}

fn content(list: &OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(again(list)).ok()?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LONGEST).then_some(bytes)
}

/// In place, and of the same time.
fn replace(list: &OwnedFd, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(again(list))?;
    let modified = file.metadata()?.modified()?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(content)?;
    file.set_modified(modified)
}

/// Opens what a descriptor stands for.
fn again(list: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", list.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_goes_again() {
        for list in ["", "one\n", "one"] {
            let added = addition(list.as_bytes(), "own\n");
            let all = [list.as_bytes(), &added].concat();
            assert!(all == b"own\n" || all == b"one\nown\n");
            assert_eq!(without(&all, &added), list.as_bytes());
        }
        assert_eq!(without(b"own\none\nown\n", b"own\n"), b"one\n");
    }
}
