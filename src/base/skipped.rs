//! Tests that this machine cannot run say so where people see it: the test harness keeps what passing
//! tests print to itself, but not what is written to the stream.

use std::io::Write as _;

/// Names the test by its thread, as the harness does.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr().lock(), "skipped {name}: {why}");
}
