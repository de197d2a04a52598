//! Floor 6: what is to be built, independent of the language it was written in and of running it.

pub mod action;
pub mod graph;
pub mod op;
pub mod value;
pub mod select;
pub mod render;
