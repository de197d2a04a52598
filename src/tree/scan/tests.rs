//! Laws of scans, on real folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::*;
use crate::tree::encode;
use crate::tree::tree::Directory;

mod equality;
mod failures;
mod git;
mod ignore_file;
mod index;
mod selection;

/// A workspace and a store that vanish with it.
struct Space {
    folder: tempfile::TempDir,
    memo: Memo,
}

impl Space {
    fn new(files: &[(&str, &str)]) -> Space {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("workspace")).unwrap();
        let memo = Memo::open(&folder.path().join("store")).unwrap();
        let space = Space { folder, memo };
        for (path, text) in files {
            space.write(path, text);
        }
        space
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("workspace").join(path)
    }

    /// A path that ends in `/` is an empty folder.
    fn write(&self, path: &str, text: &str) {
        let full = self.path(path);
        if path.ends_with('/') {
            return fs::create_dir_all(full).unwrap();
        }
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, text).unwrap();
    }

    /// Waits until no file is too young to be trusted.
    fn settle(&self) {
        std::thread::sleep(Duration::from_millis(30));
    }

    fn scanner(&self) -> Scanner {
        Scanner::new(&self.path(""), &self.memo, true, &Cancel::default()).unwrap()
    }

    /// What one build sees.
    fn scan(&self, request: &Scan) -> Result<Scanned, ScanError> {
        let scanner = self.scanner();
        let scanned = scanner.scan(request);
        scanner.finish().unwrap();
        scanned
    }

    fn digest(&self, request: &Scan) -> TreeDigest {
        tree_of(&self.scan(request).unwrap().entry)
    }

    /// All paths in the tree; folders without entries end in `/`.
    fn paths(&self, request: &Scan) -> Vec<String> {
        let scanned = self.scan(request).unwrap();
        let mut paths = Vec::new();
        self.list(tree_of(&scanned.entry), "", &mut paths);
        paths
    }

    fn list(&self, tree: TreeDigest, prefix: &str, paths: &mut Vec<String>) {
        let directory: Directory = encode::load(&self.memo, tree).unwrap();
        if directory.entries.is_empty() && !prefix.is_empty() {
            paths.push(prefix.to_owned());
        }
        for (name, entry) in &directory.entries {
            let path = format!("{prefix}{}", String::from_utf8_lossy(name));
            match entry.content {
                Content::Directory { tree, .. } => self.list(tree, &format!("{path}/"), paths),
                _ => paths.push(path),
            }
        }
    }
}

fn tree_of(entry: &Entry) -> TreeDigest {
    match entry.content {
        Content::Directory { tree, .. } => tree,
        _ => panic!("a folder is expected: {entry:?}"),
    }
}

fn all() -> Scan {
    Scan {
        root: TreePath::root(),
        include: Vec::new(),
        exclude: Vec::new(),
        gitignore: true,
        ignore_files: Vec::new(),
        modes: Modes::Canonical,
        single: false,
    }
}

fn including(globs: &[&str]) -> Scan {
    Scan { include: globs.iter().map(|glob| glob.to_string()).collect(), ..all() }
}

fn below(root: &str) -> Scan {
    Scan { root: TreePath::parse(root).unwrap(), ..all() }
}

fn single(path: &str) -> Scan {
    Scan { single: true, ..below(path) }
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn exists(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        crate::base::skipped::skipped(&format!("there is no `{program}`"));
    }
    found
}
