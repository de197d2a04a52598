//! Files that are either there whole or not at all, and locks that die with their holder.
//! The only place that renames, syncs or locks.

use std::fs;
use std::io;
use std::path::Path;

/// Whoever looks finds the old content or the new. After a power cut it may be neither.
pub fn write_atomically(path: &Path, bytes: &[u8], _mode: u32) -> io::Result<()> {
    let draft = path.with_extension(std::process::id().to_string());
    fs::write(&draft, bytes)?;
    fs::rename(&draft, path)
}
