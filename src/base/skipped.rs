//! Tests that this machine cannot run say so where people see it: the test harness keeps what passing
//! tests print to itself, but not what is written to the stream.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;

static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Names the test by its thread, as the harness does; says the same only once.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped {}: {why}", thread.name().unwrap_or("a test"));
    if SAID.lock().is_ok_and(|mut said| said.insert(line.clone())) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}
