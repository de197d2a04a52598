//! Generated build contexts: many small files, equal on every machine.

use std::fs;
use std::path::Path;

/// Files in one folder.
const FOLDER: usize = 50;

/// `count` files of `size` bytes each below `folder`, no two alike.
pub(crate) fn files(folder: &Path, count: usize, size: usize) {
    let mut state = 1_u64;
    for number in 0..count {
        let parent = folder.join(format!("d{}", number / FOLDER));
        if number % FOLDER == 0 {
            fs::create_dir_all(&parent).unwrap();
        }
        fs::write(parent.join(format!("f{number}.txt")), content(&mut state, size)).unwrap();
    }
}

/// Half text that repeats, half noise: compresses about as program text does.
pub(crate) fn content(state: &mut u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
        bytes.extend_from_slice(b"let value");
    }
    bytes.truncate(size);
    bytes
}
