//! Floor 2: other machines. The only place with async code, behind functions that block; knows bytes, digests and
//! registries, but neither images nor trees. Everything that waits ends soon after a `Cancel` is raised.

// What the registry client will use is here before it.
#![allow(dead_code)]

pub mod error;
pub mod reference;
pub mod credentials;
pub mod patience;
mod transport;
mod send;
pub mod http;
pub mod version;
pub mod download;
