//! Whole sandboxes, run for real on every rung that this machine has: what a command sees, what it cannot
//! do, and what it leaves.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and skips aloud"
)]

#[path = "sandbox/room.rs"]
mod room;

#[path = "sandbox/commands.rs"]
mod commands;
#[path = "sandbox/files.rs"]
mod files;
#[path = "sandbox/walls.rs"]
mod walls;
#[path = "sandbox/ends.rs"]
mod ends;
#[path = "sandbox/user.rs"]
mod user;
