//! Floor 4: filesystems as values. A tree is a Merkle tree of directories: equal content, equal name.

pub mod tree;
pub mod encode;
pub mod links;
