//! Floor 3: bytes by digest, records by key. Knows nothing of what the bytes mean.

pub mod memo;
pub mod object;
pub mod traffic;
pub mod record;
pub mod tier;
pub mod memory;
pub mod disk;
pub mod format;
pub mod writer;
mod reader;
pub mod work;
pub mod collect;
pub mod usage;
pub mod verify;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod laws;
