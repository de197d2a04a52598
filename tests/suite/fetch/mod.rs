//! `http` and `git` sources from real servers on loopback.

mod git;
mod http;
mod server;
mod ssh;

use std::fs;
use std::path::Path;

/// All files below a folder, of which none may hold the word.
pub(crate) fn assert_not_written(folder: &Path, word: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_not_written(&path, word);
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(word.len()).any(|bytes| bytes == word.as_bytes());
            assert!(!found, "{} holds the password", path.display());
        }
    }
}
