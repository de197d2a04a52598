//! The canonical form of a directory, and reading it back. Stored directories are loaded and saved here.
//!
//! A directory has exactly one form, and `decode` takes nothing else: two encodings are equal where
//! the directories are, and bytes from another machine cannot smuggle in a name like `..`.
//!
//! ```text
//! directory = "mbd" 0x01 entry*               sorted by name, no name twice; 0x01 is the version
//! entry     = name-length:u8 name mode:u32 uid:u32 gid:u32 xattrs kind:u8 content
//! xattrs    = count:u32 (length:u32 name length:u32 value)*        sorted by name, no name twice
//! content   = 0 file: blob:[32] size:u64 linked:u8 [group:u64]  | 1 directory: tree:[32] opaque:u8
//!           | 2 symlink: length:u32 target | 3 fifo | 4 device: block:u8 major:u32 minor:u32 | 5 whiteout
//! ```
//! Numbers are little-endian.

use std::collections::BTreeMap;

use crate::base::digest::{BlobDigest, TreeDigest};
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::tree::tree::{Content, Directory, Entry, LinkGroup, Metadata};

#[cfg(test)]
mod tests;

const HEADER: &[u8; 4] = b"mbd\x01";

pub fn encode(directory: &Directory) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for (name, entry) in &directory.entries {
        encoder.push(name, entry);
    }
    encoder.finish()
}

/// `None` where the bytes are not the canonical form of any directory.
fn decode(bytes: &[u8]) -> Option<Directory> {
    let mut reader = Reader(bytes);
    if reader.array::<4>()? != *HEADER {
        return None;
    }
    let mut entries = BTreeMap::new();
    while !reader.0.is_empty() {
        let (name, entry) = reader.entry()?;
        if entries.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return None;
        }
        entries.insert(name, entry);
    }
    Some(Directory { entries })
}

pub fn load(memo: &Memo, digest: TreeDigest) -> Result<Directory, StoreError> {
    let bytes = memo.read(Object::Tree(digest))?;
    decode(&bytes).ok_or(StoreError::Damaged(Object::Tree(digest)))
}

pub fn save(memo: &Memo, directory: &Directory) -> Result<TreeDigest, StoreError> {
    memo.write_tree(&encode(directory))
}

/// Writes a directory's canonical form entry by entry, for those who have no `Directory`.
pub struct Encoder(Vec<u8>);

impl Encoder {
    #[expect(
        clippy::new_without_default,
        reason = "an encoder begins with the header, it is not an empty value"
    )]
    pub fn new() -> Encoder {
        Encoder(HEADER.to_vec())
    }

    /// Entries must come sorted by name, each name once and one that a directory can hold.
    pub fn push(&mut self, name: &[u8], entry: &Entry) {
        debug_assert!(is_name(name), "bug: `{}` is no name", name.escape_ascii());
        self.0.push(name.len() as u8);
        self.0.extend_from_slice(name);
        self.metadata(&entry.metadata);
        self.content(&entry.content);
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn metadata(&mut self, metadata: &Metadata) {
        for number in [metadata.mode, metadata.uid, metadata.gid, metadata.xattrs.len() as u32] {
            self.u32(number);
        }
        for (name, value) in &metadata.xattrs {
            self.framed(name);
            self.framed(value);
        }
    }

    fn content(&mut self, content: &Content) {
        match content {
            Content::File { blob, size, link } => {
                self.0.push(0);
                self.0.extend_from_slice(blob.as_bytes());
                self.0.extend_from_slice(&size.to_le_bytes());
                self.0.push(link.is_some().into());
                if let Some(LinkGroup(group)) = link {
                    self.0.extend_from_slice(&group.to_le_bytes());
                }
            }
            Content::Directory { tree, opaque } => {
                self.0.push(1);
                self.0.extend_from_slice(tree.as_bytes());
                self.0.push((*opaque).into());
            }
            Content::Symlink { target } => {
                self.0.push(2);
                self.framed(target);
            }
            Content::Fifo => self.0.push(3),
            Content::Device { block, major, minor } => {
                self.0.extend_from_slice(&[4, (*block).into()]);
                self.u32(*major);
                self.u32(*minor);
            }
            Content::Whiteout => self.0.push(5),
        }
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn framed(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }
}

/// Whether a directory can hold `name`.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= 255
        && !name.iter().any(|&byte| byte == b'/' || byte == 0)
}

/// What is left to read. Lengths are checked against it before anything is allocated.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn entry(&mut self) -> Option<(Vec<u8>, Entry)> {
        let length = self.u8()?;
        let name = self.bytes(length.into())?;
        if !is_name(name) {
            return None;
        }
        let metadata = self.metadata()?;
        let content = self.content()?;
        Some((name.to_vec(), Entry { metadata, content }))
    }

    fn metadata(&mut self) -> Option<Metadata> {
        let [mode, uid, gid, count] = [self.u32()?, self.u32()?, self.u32()?, self.u32()?];
        if mode > 0o7777 {
            return None;
        }
        let mut xattrs: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for _ in 0..count {
            let name = self.framed()?.to_vec();
            if xattrs.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return None;
            }
            xattrs.insert(name, self.framed()?.to_vec());
        }
        Some(Metadata { mode, uid, gid, xattrs })
    }

    fn content(&mut self) -> Option<Content> {
        Some(match self.u8()? {
            0 => {
                let blob = BlobDigest::from_bytes(self.array()?);
                let size = self.u64()?;
                let link = if self.bool()? { Some(LinkGroup(self.u64()?)) } else { None };
                Content::File { blob, size, link }
            }
            1 => Content::Directory { tree: TreeDigest::from_bytes(self.array()?), opaque: self.bool()? },
            2 => Content::Symlink { target: self.target()? },
            3 => Content::Fifo,
            4 => Content::Device { block: self.bool()?, major: self.u32()?, minor: self.u32()? },
            5 => Content::Whiteout,
            _ => return None,
        })
    }

    fn target(&mut self) -> Option<Vec<u8>> {
        let target = self.framed()?;
        let possible = !target.is_empty() && !target.contains(&0);
        possible.then(|| target.to_vec())
    }

    fn framed(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
