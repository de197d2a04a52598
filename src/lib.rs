//! MemoBuild: the floors, lowest first. A floor imports only what lies below it.

pub mod base;
pub mod net;
pub mod store;
pub mod tree;
pub mod oci;
pub mod graph;
pub mod lang;
pub mod exec;
pub mod engine;
pub mod cli;
