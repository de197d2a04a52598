//! Floor 2: other machines. The only place with async code, behind functions that block; knows bytes, digests and
//! registries, but neither images nor trees. Everything that waits ends soon after a `Cancel` is raised.

pub mod error;
pub mod hosts;
pub mod proxies;
pub mod outside;
pub mod tls;
pub mod settings;
pub mod reference;
pub mod patience;
mod transport;
pub mod traffic;
mod send;
pub mod http;
pub mod version;
pub mod download;
pub mod credentials;
mod challenge;
mod auth;
pub mod registry;
pub mod pull;
mod push;
pub mod network;
