//! A layer's tar as a change tree in the store. Nothing is ever written to a path of the archive.
//!
//! Names lose their leading slashes, as with tar; `..` is refused. Xattrs by which overlayfs keeps its
//! own books are left out of the tree: the kernel would obey them.

use std::io::Read;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::{BadPath, TreePath};
use crate::oci::change::Change;
use crate::oci::error::{OciError, shown};
use crate::oci::members::{OPAQUE, WHITEOUT};
pub use crate::oci::tar_reader::Budget;
use crate::oci::tar_reader::{Kind, TarEntry, TarReader};
use crate::store::memo::Memo;
use crate::tree::tree::{Content, Entry, Metadata};

/// Reads `tar` to its end. `lower` are the trees of the layers below, lowest first: parents that this
/// layer does not name keep their owner and mode, and hard links may point there.
pub fn unpack(
    memo: &Memo,
    tar: &mut dyn Read,
    lower: &[TreeDigest],
    budget: Budget,
) -> Result<TreeDigest, OciError> {
    let mut reader = TarReader::new(tar, budget);
    let mut change = Change::on(memo, lower, budget.entries);
    while let Some(entry) = reader.next_entry()? {
        add(memo, &mut change, entry, &mut reader)?;
    }
    reader.finish()?;
    change.save()
}

fn add(
    memo: &Memo,
    change: &mut Change<'_>,
    entry: TarEntry,
    content: &mut TarReader<&mut dyn Read>,
) -> Result<(), OciError> {
    let (folder, name) = divide(&entry.path);
    if name == OPAQUE {
        return change.opaque(&parse(folder)?);
    }
    if let Some(removed) = name.strip_prefix(WHITEOUT) {
        // `.wh..wh.` names are aufs's own (image-spec, layer.md, "Opaque Whiteout" knows one of them).
        if removed.starts_with(WHITEOUT) {
            return Ok(());
        }
        let path = parse(&[folder, b"/", removed].concat())?;
        if matches!(removed, b"" | b"." | b"..") {
            return Err(OciError::entry(&entry.path, "it removes nothing that has a name"));
        }
        return change.whiteout(&path);
    }
    put(memo, change, entry, 0, content)
}

/// An entry that is no marker, without the first `strip` names of its path; a shorter path vanishes.
pub(super) fn put(
    memo: &Memo,
    change: &mut Change<'_>,
    entry: TarEntry,
    strip: u32,
    content: &mut dyn Read,
) -> Result<(), OciError> {
    let Some(path) = stripped(parse(&entry.path)?, strip) else { return Ok(()) };
    let metadata = Metadata {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        xattrs: entry.xattrs.into_iter().filter(|(name, _)| !is_overlay(name)).collect(),
    };
    let content = match entry.kind {
        Kind::Directory => return change.directory(&path, metadata),
        Kind::HardLink => {
            let target = parse(&entry.link)?;
            let gone = || OciError::HardLink { path: path.to_string(), target: target.to_string() };
            return change.hard_link(&path, &stripped(target.clone(), strip).ok_or_else(gone)?);
        }
        Kind::File => read_file(memo, content)?,
        Kind::Symlink => symlink(&entry.path, entry.link)?,
        Kind::Fifo => Content::Fifo,
        Kind::Device { block, major, minor } => Content::Device { block, major, minor },
    };
    change.other(&path, Entry { metadata, content })
}

/// Bytes: smaller files go to the store in one piece.
const IN_MEMORY: u64 = 1 << 20;

/// The size is what is there, whatever the archive says.
fn read_file(memo: &Memo, content: &mut dyn Read) -> Result<Content, OciError> {
    let broken = || OciError::stream("unpacking a file");
    let mut start = Vec::new();
    content.take(IN_MEMORY + 1).read_to_end(&mut start).map_err(broken())?;
    if start.len() as u64 <= IN_MEMORY {
        let (blob, size) = (memo.write_blob(&start)?, start.len() as u64);
        return Ok(Content::File { blob, size, link: None });
    }
    let mut writer = memo.blob_writer()?;
    std::io::copy(&mut start.as_slice().chain(content), &mut writer).map_err(broken())?;
    let written = writer.finish()?;
    Ok(Content::File { blob: written.blob, size: written.size, link: None })
}

fn stripped(path: TreePath, strip: u32) -> Option<TreePath> {
    if strip == 0 {
        return Some(path);
    }
    let rest = path.names().skip(strip as usize).fold(TreePath::root(), |above, name| above.join(name));
    (!rest.is_root()).then_some(rest)
}

/// Linux takes 4095 bytes (PATH_MAX, with the NUL).
fn symlink(path: &[u8], target: Vec<u8>) -> Result<Content, OciError> {
    if target.is_empty() || target.len() > 4095 || target.contains(&0) {
        return Err(OciError::entry(path, "its target is empty, too long, or has a NUL byte"));
    }
    Ok(Content::Symlink { target })
}

/// The last name, without slashes after it, and what stands before it.
fn divide(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let path = &path[..end];
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn parse(path: &[u8]) -> Result<TreePath, OciError> {
    TreePath::parse(path).map_err(|error| OciError::Entry {
        path: shown(path),
        reason: match error {
            BadPath::Parent(_) => "its path leaves the archive by `..`",
            BadPath::LongName(_) => "a name in its path has more than 255 bytes",
            BadPath::Nul(_) => "its path has a NUL byte",
            BadPath::Relative(_) => "its path is not absolute",
        },
    })
}

fn is_overlay(name: &[u8]) -> bool {
    [&b"trusted.overlay."[..], b"user.overlay."].iter().any(|prefix| name.starts_with(prefix))
}
