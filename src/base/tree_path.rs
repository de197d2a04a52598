//! `TreePath`: a place inside a tree. The only kind of path that container content knows.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A relative path of bytes with `/` between names; no empty name, no `.`, no `..`, no NUL.
/// The empty path is the root of the tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("`{0}` leaves the tree by `..`")]
    Parent(String),
    #[error("`{0}` has a name of more than 255 bytes")]
    LongName(String),
    #[error("a path cannot hold a NUL byte: `{0}`")]
    Nul(String),
    #[error("`{0}` is not an absolute path")]
    Relative(String),
}

impl TreePath {
    pub const fn root() -> TreePath {
        TreePath(Vec::new())
    }

    /// Reads `a/b`, `/a/b`, `./a//b/`: slashes at the ends, doubled ones and `.` drop out. `..` is refused.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<TreePath, BadPath> {
        let bytes = bytes.as_ref();
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let mut path = TreePath::root();
        for name in bytes.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => return Err(BadPath::Parent(shown())),
                name if name.len() > 255 => return Err(BadPath::LongName(shown())),
                name if name.contains(&0) => return Err(BadPath::Nul(shown())),
                name => path.push(name),
            }
        }
        Ok(path)
    }

    /// As `parse`, but the text must begin with `/`: a place inside a container as users write it.
    pub fn parse_absolute(bytes: impl AsRef<[u8]>) -> Result<TreePath, BadPath> {
        let bytes = bytes.as_ref();
        match bytes.first() {
            Some(b'/') => TreePath::parse(bytes),
            _ => Err(BadPath::Relative(String::from_utf8_lossy(bytes).into_owned())),
        }
    }

    fn push(&mut self, name: &[u8]) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    /// `name` must be one name: as it comes from a directory listing or another `TreePath`.
    pub fn join(&self, name: &[u8]) -> TreePath {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..");
        let mut path = self.clone();
        path.push(name);
        path
    }

    /// `other`, below this one.
    pub fn below(&self, other: &TreePath) -> TreePath {
        let mut path = self.clone();
        other.names().for_each(|name| path.push(name));
        path
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a relative operating-system path; the root is the empty path.
    pub fn as_path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    pub fn name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// `None` for the root.
    pub fn parent(&self) -> Option<TreePath> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(TreePath(self.0[..end].to_vec()))
    }

    /// The rest below `above`, which may be the path itself.
    pub fn strip_prefix(&self, above: &TreePath) -> Option<TreePath> {
        if above.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(above.as_bytes())? {
            [] => Some(TreePath::root()),
            [b'/', rest @ ..] => Some(TreePath(rest.to_vec())),
            _ => None,
        }
    }

    pub fn starts_with(&self, above: &TreePath) -> bool {
        self.strip_prefix(above).is_some()
    }
}

/// As an absolute path inside a container; bytes that are not UTF-8 show as U+FFFD.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// UTF-8 paths are text, others an array of bytes: both forms are lossless.
impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TreePath, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Bytes(Vec<u8>),
        }
        let bytes = match Form::deserialize(deserializer)? {
            Form::Text(text) => text.into_bytes(),
            Form::Bytes(bytes) => bytes,
        };
        TreePath::parse(bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn one_form_for_every_spelling() {
        for text in ["a/b", "/a/b", "./a//b/", "a/./b"] {
            assert_eq!(path(text).as_bytes(), b"a/b");
        }
        assert!(path("/").is_root());
        assert!(matches!(TreePath::parse("a/../b"), Err(BadPath::Parent(_))));
        assert!(matches!(TreePath::parse(vec![b'x'; 256]), Err(BadPath::LongName(_))));
        assert!(matches!(TreePath::parse("a\0b"), Err(BadPath::Nul(_))));
        assert!(matches!(TreePath::parse_absolute("a"), Err(BadPath::Relative(_))));
    }

    #[test]
    fn parents_and_prefixes() {
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
        assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some(path("b/c")));
        assert_eq!(path("ab/c").strip_prefix(&path("a")), None);
        assert_eq!(path("a").strip_prefix(&path("a")), Some(TreePath::root()));
        assert_eq!(path("a/b").name(), Some(&b"b"[..]));
    }

    #[test]
    fn json_keeps_every_byte() {
        for bytes in [&b"a/b"[..], b"a/\xff"] {
            let path = TreePath::parse(bytes).unwrap();
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<TreePath>(&json).unwrap(), path);
        }
    }
}
