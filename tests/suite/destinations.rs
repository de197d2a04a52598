//! Where images go with `-o`, `push` and `load`, and what other programs find there.

mod files;
mod registries;
mod stores;
