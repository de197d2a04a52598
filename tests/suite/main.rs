//! All tests of the whole program, in one binary, for link time.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that cannot begin is skipped aloud"
)]

#[path = "../../src/base/skipped.rs"]
mod skipped;
mod space;
mod programs;
mod places;
mod traces;
mod tidy;
mod commands;
mod fmt;
mod examples;
mod reuse;
mod sandbox;
mod ladder;
mod guest;
mod images;
mod input;
mod mistakes;
mod hostile;
mod dockerignore;
mod crash;
mod damage;
mod times;
mod caches;
mod secrets;
mod agents;
mod interface;
mod outcomes;
mod telling;
mod network;
mod sharing;
mod equality;
mod shapes;
mod sitting;
mod hermetic;
mod fuzz;
mod shown;
mod lock;
mod fetch;
mod export;
mod destinations;
mod settings;
mod language;
mod platforms;
mod registry;
mod pulled;
mod bases;
mod apt;
mod ownership;
