//! Real registries on this machine, and what can go wrong on the way to them: the bench of all that pulls and pushes, and
//! the tests of `memobuild::net` on it.

pub(crate) mod server;
pub(crate) mod certificates;
pub(crate) mod tokens;
pub(crate) mod proxy;
pub(crate) mod sample;
mod ledger;
mod logins;
mod pulls;
mod pushes;
mod mirrors;
