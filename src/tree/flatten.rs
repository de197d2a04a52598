//! Layers written out as one: a plain tree, or one change that does what several did.
//! A subtree that only one layer has keeps its digest and, where nothing must be dropped from it, is not loaded.

use crate::base::digest::TreeDigest;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode;
use crate::tree::overlay::{Merged, Stack};
use crate::tree::tree::{Content, Directory, Entry};

/// The root that `layers` (lowest first) make, without whiteouts and opaque directories.
/// Looks through every directory of theirs, since any may hold a whiteout.
pub fn flatten(memo: &Memo, layers: &[TreeDigest]) -> Result<TreeDigest, StoreError> {
    flatten_stack(memo, &Stack::changes(layers.iter().copied()))
}

/// One directory of a root, with all below it.
pub fn flatten_stack(memo: &Memo, stack: &Stack) -> Result<TreeDigest, StoreError> {
    write(memo, stack, Whiteouts::Drop)
}

/// One change that on any root does what `changes` (lowest first) do one after the other.
pub fn squash(memo: &Memo, changes: &[TreeDigest]) -> Result<TreeDigest, StoreError> {
    write(memo, &Stack::changes(changes.iter().copied()), Whiteouts::Keep)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whiteouts {
    Keep,
    Drop,
}

fn write(memo: &Memo, stack: &Stack, whiteouts: Whiteouts) -> Result<TreeDigest, StoreError> {
    if let [part] = stack.parts()
        && (part.plain || whiteouts == Whiteouts::Keep)
    {
        return Ok(part.tree);
    }
    let loaded = stack.load(memo)?;
    let mut directory = Directory::default();
    for (name, merged) in stack.list_loaded(&loaded) {
        if let Some(entry) = write_entry(memo, merged, whiteouts)? {
            directory.entries.insert(name, entry);
        }
    }
    match (stack.parts(), loaded.as_slice()) {
        ([part], [same]) if *same == directory => Ok(part.tree),
        _ => encode::save(memo, &directory),
    }
}

fn write_entry(memo: &Memo, merged: Merged, whiteouts: Whiteouts) -> Result<Option<Entry>, StoreError> {
    let (metadata, stack, closed) = match merged {
        Merged::Directory { metadata, stack, closed } => (metadata, stack, closed),
        Merged::Other(entry) => return Ok(Some(entry)),
        Merged::Removed => return Ok((whiteouts == Whiteouts::Keep).then(Entry::whiteout)),
    };
    // Where nothing shows through from below, there is nothing a whiteout could still remove.
    let below = if closed { Whiteouts::Drop } else { whiteouts };
    let tree = write(memo, &stack, below)?;
    let opaque = closed && whiteouts == Whiteouts::Keep;
    Ok(Some(Entry { metadata, content: Content::Directory { tree, opaque } }))
}

#[cfg(test)]
mod tests;
