//! Floor 4: filesystems as values. A tree is a Merkle tree of directories: equal content, equal name.

pub mod tree;
pub mod encode;
pub mod error;
pub mod links;
pub mod xattr;
pub mod mode_change;
pub mod glob;
pub mod overlay;
pub mod flatten;
pub mod diff;
pub mod edit;
pub mod follow;
pub mod select;
pub mod size;
pub mod whole;
pub mod scan;
pub mod disk;
#[cfg(test)]
pub(crate) mod dsl;
