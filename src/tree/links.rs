//! The numbers of link groups: made from what is linked, so that equal trees have equal groups.

use crate::base::digest::BlobDigest;
use crate::tree::tree::LinkGroup;

/// The group of the files at `paths`, which are relative to the tree's root, with `/` between names.
/// The number is the first 64 bits (little-endian) of the BLAKE3 of the sorted paths, each ended by a NUL byte,
/// and the blob's digest.
pub fn link_group(paths: &mut [&[u8]], blob: &BlobDigest) -> LinkGroup {
    paths.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        hasher.update(path);
        hasher.update(&[0]);
    }
    hasher.update(blob.as_bytes());
    let digest = hasher.finalize();
    let first = digest.as_bytes().first_chunk().expect("bug: a digest has 32 bytes");
    LinkGroup(u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_nothing_and_content_is_all() {
        let blob = BlobDigest::of(b"x");
        let group = link_group(&mut [b"a", b"b/c"], &blob);
        assert_eq!(link_group(&mut [b"b/c", b"a"], &blob), group);
        assert_ne!(link_group(&mut [b"a", b"b/d"], &blob), group);
        assert_ne!(link_group(&mut [b"a", b"b/c"], &BlobDigest::of(b"y")), group);
    }
}
