//! Floor 6: what is to be built, independent of the language it was written in and of running it.

pub mod graph;
pub mod late;
pub mod complete;
pub mod image_settings;
pub mod origin;
pub mod op;
pub mod facts;
pub mod value;
pub mod action;
pub mod age;
pub mod select;
pub mod restrict;
pub mod render;
pub mod drawing;
pub mod show;
