//! Extended attributes: which of them belong to a tree, and which are an overlay mount's own notes.
//! Only files and folders carry any that we keep.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::base::kernel;

/// Which attributes an overlay mount writes its notes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Flavour {
    /// `trusted.overlay.…`: mounts made by root.
    #[default]
    Trusted,
    /// `user.overlay.…`: mounts made with `userxattr`, in a user namespace.
    User,
    /// `user.memobuild.…`: what is copied and never mounted, since an overlay may lie below it, which takes no marks
    /// under its own names (before Linux 6.7).
    Own,
}

impl Flavour {
    pub(crate) fn prefix(self) -> &'static [u8] {
        match self {
            Flavour::Trusted => b"trusted.overlay.",
            Flavour::User => USER_OVERLAY,
            Flavour::Own => b"user.memobuild.",
        }
    }

    /// The full name of one of the overlay's notes.
    pub(crate) fn name(self, note: &[u8]) -> Vec<u8> {
        [self.prefix(), note].concat()
    }

    /// Whether a tree may have attributes of such names.
    fn escapes(self) -> bool {
        self != Flavour::Trusted
    }
}

const USER_OVERLAY: &[u8] = b"user.overlay.";
const CAPABILITY: &[u8] = b"security.capability";

/// What a tree's own `user.overlay.…` has in addition where a mount with `userxattr` keeps its notes under that name;
/// and in the same way what is called as our own notes are.
const ESCAPE: &[u8] = b"overlay.";

/// The attributes that belong to the tree, and the overlay's notes by their short names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) kept: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) notes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Reads what an open file or folder carries. `upper` is the flavour of the overlay it is part of, if it is.
pub(crate) fn read(file: BorrowedFd<'_>, upper: Option<Flavour>) -> Result<Attributes, Errno> {
    let mut attributes = Attributes::default();
    let names = grow(|buffer| rustix::fs::flistxattr(file, buffer));
    let names = match names {
        Err(Errno::NOTSUP) => return Ok(attributes),
        names => names?,
    };
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let value = || grow(|buffer| rustix::fs::fgetxattr(file, name, buffer));
        match sort(name, upper) {
            Place::Kept(name) => {
                let value = normal(&name, value()?);
                attributes.kept.insert(name, value)
            }
            Place::Note(name) => attributes.notes.insert(name, value()?),
            Place::Dropped => None,
        };
    }
    Ok(attributes)
}

/// Writes one attribute of a tree to an open file or folder. `lower` is the flavour of the overlay it will be part of.
pub(crate) fn write(
    file: BorrowedFd<'_>,
    name: &[u8],
    value: &[u8],
    lower: Option<Flavour>,
) -> Result<(), Errno> {
    let prefix = lower.filter(|flavour| flavour.escapes()).map_or(&b""[..], Flavour::prefix);
    match name.strip_prefix(prefix) {
        // Kernels before do not show it again under its own name.
        Some(_) if lower == Some(Flavour::User) && !kernel::is_since(6, 7) => Err(Errno::NOTSUP),
        Some(rest) if !prefix.is_empty() => {
            rustix::fs::fsetxattr(file, [prefix, ESCAPE, rest].concat(), value, XattrFlags::empty())
        }
        _ => rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()),
    }
}

/// Whether only a privileged process may write the attribute.
pub(crate) fn is_privileged(name: &[u8]) -> bool {
    name == CAPABILITY
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Kept(Vec<u8>),
    Note(Vec<u8>),
    Dropped,
}

fn sort(name: &[u8], upper: Option<Flavour>) -> Place {
    if let Some(flavour) = upper
        && let Some(note) = name.strip_prefix(flavour.prefix())
    {
        return match note.strip_prefix(ESCAPE) {
            Some(rest) if flavour.escapes() => Place::Kept([flavour.prefix(), rest].concat()),
            _ => Place::Note(note.to_vec()),
        };
    }
    match name.strip_prefix(USER_OVERLAY) {
        Some(rest) if upper.is_none() => match rest.strip_prefix(ESCAPE) {
            Some(rest) => Place::Kept([USER_OVERLAY, rest].concat()),
            None => Place::Dropped,
        },
        _ if name.starts_with(b"user.") || name == CAPABILITY => Place::Kept(name.to_vec()),
        _ if name.starts_with(b"system.posix_acl_") => Place::Kept(name.to_vec()),
        _ => Place::Dropped,
    }
}

/// File capabilities (linux/capability.h, `struct vfs_ns_cap_data`) as root would have written them:
/// the third revision only adds the namespace they were written in.
fn normal(name: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    const REVISION_2: u8 = 2;
    const REVISION_3: u8 = 3;
    const SIZE_2: usize = 20;
    if name == CAPABILITY && value.len() > SIZE_2 && value[3] == REVISION_3 {
        value.truncate(SIZE_2);
        value[3] = REVISION_2;
    }
    value
}

/// Calls with a small buffer, and once more with the largest the kernel knows.
fn grow(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; 512];
    match call(&mut small) {
        Ok(length) => Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; 64 * 1024];
            let length = call(&mut large)?;
            large.truncate(length);
            Ok(large)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn names_are_sorted_by_meaning() {
        let kept = |name: &str| Place::Kept(name.as_bytes().to_vec());
        let note = |name: &str| Place::Note(name.as_bytes().to_vec());
        let (plain, trusted, user) = (None, Some(Flavour::Trusted), Some(Flavour::User));
        let own = Some(Flavour::Own);
        let table = [
            ("user.a", plain, kept("user.a")),
            ("user.a", user, kept("user.a")),
            ("security.capability", plain, kept("security.capability")),
            ("security.selinux", plain, Place::Dropped),
            ("system.posix_acl_default", user, kept("system.posix_acl_default")),
            ("trusted.a", trusted, Place::Dropped),
            ("trusted.overlay.opaque", trusted, note("opaque")),
            ("trusted.overlay.opaque", user, Place::Dropped),
            ("trusted.overlay.opaque", plain, Place::Dropped),
            ("user.overlay.opaque", user, note("opaque")),
            ("user.overlay.opaque", plain, Place::Dropped),
            ("user.overlay.opaque", trusted, kept("user.overlay.opaque")),
            ("user.overlay.overlay.opaque", user, kept("user.overlay.opaque")),
            ("user.overlay.opaque", own, kept("user.overlay.opaque")),
            ("user.memobuild.opaque", own, note("opaque")),
            ("user.memobuild.overlay.opaque", own, kept("user.memobuild.opaque")),
            ("user.memobuild.opaque", user, kept("user.memobuild.opaque")),
            ("trusted.overlay.opaque", own, Place::Dropped),
            ("user.overlay.overlay.opaque", plain, kept("user.overlay.opaque")),
        ];
        for (name, upper, expected) in table {
            assert_eq!(sort(name.as_bytes(), upper), expected, "{name} {upper:?}");
        }
    }

    #[test]
    fn what_an_overlay_would_hide_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let write = |name: &str, lower| write(file.as_fd(), name.as_bytes(), b"x", lower);
        assert_eq!(write("user.overlay.a", Some(Flavour::User)).is_ok(), kernel::is_since(6, 7));
        write("user.overlay.a", Some(Flavour::Own)).unwrap();
        write("user.a", Some(Flavour::User)).unwrap();
        let read = read(file.as_fd(), Some(Flavour::Own)).unwrap();
        assert!(read.kept.contains_key(&b"user.overlay.a"[..]) && read.kept.contains_key(&b"user.a"[..]));
    }

    #[test]
    fn capabilities_lose_their_namespace() {
        let mut third = vec![1, 0, 0, 3];
        third.extend([7; 16]);
        let second = [&[1, 0, 0, 2], &third[4..]].concat();
        third.extend([9, 0, 0, 0]);
        assert_eq!(normal(CAPABILITY, third.clone()), second);
        assert_eq!(normal(CAPABILITY, second.clone()), second);
        assert_eq!(normal(b"user.a", third.clone()), third);
    }
}
