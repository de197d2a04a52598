//! Floor 1: names and bytes. Knows nothing of builds, trees or containers.

pub mod address;
pub mod cancel;
pub mod digest;
pub mod durable;
pub mod remove;
pub mod facts;
pub mod hidden;
pub(crate) mod kernel;
pub mod pattern;
pub mod size;
pub mod suggest;
pub mod tree_path;
#[cfg(test)]
pub(crate) mod skipped;
