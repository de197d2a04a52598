//! The `memobuild` program.

fn main() {}
