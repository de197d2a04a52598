//! Floor 4: filesystems as values. A tree is a Merkle tree of directories: equal content, equal name.

pub mod tree;
pub mod encode;
pub mod error;
pub mod overlay;
pub mod flatten;
pub mod diff;
pub mod edit;
pub mod pattern;
pub mod select;
pub mod links;
pub mod xattr;
mod descent;
mod inode;
mod contents;
pub mod capture;
pub mod upper;
mod make;
pub mod materialize;
pub mod remove;
pub mod snapshot;
pub mod scan;
pub mod glob;
mod reach;
mod walk;
mod compose;
mod place;
mod folder;
mod ignores;
mod explain;
mod hash;
mod clock;
mod index;
mod index_writer;
mod origin;
mod bits;
#[cfg(test)]
pub(crate) mod dsl;
