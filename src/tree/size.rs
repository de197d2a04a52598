//! How much content a tree holds.

use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode;
use crate::tree::tree::{Content, Entry};

/// Bytes of all files below; a file that stands twice counts twice.
pub fn size(memo: &Memo, entry: &Entry) -> Result<u64, StoreError> {
    let mut bytes = 0;
    let mut entries = vec![entry.clone()];
    while let Some(entry) = entries.pop() {
        match entry.content {
            Content::File { size, .. } => bytes += size,
            Content::Directory { tree, .. } => {
                entries.extend(encode::load(memo, tree)?.entries.into_values());
            }
            _ => {}
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::dsl::{memo, tree};

    #[test]
    fn files_count_wherever_they_are() {
        let (_folder, memo) = memo();
        let entry = Entry::directory(tree(&memo, "a=12 b/c=345 b/d->a e/f/g=12"));
        assert_eq!(size(&memo, &entry).unwrap(), 7);
    }
}
