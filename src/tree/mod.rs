//! Floor 4: filesystems as values. A tree is a Merkle tree of directories: equal content, equal name.

pub mod tree;
pub mod encode;
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
