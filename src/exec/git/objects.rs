//! Objects out of a repository, by `git cat-file --batch`. Each is hashed again and must have the name that it was
//! asked for by: a commit leads to its tree and so to every byte, whatever lies between.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};

use crate::base::cancel::Cancel;
use crate::exec::git::error::GitError;
use crate::exec::git::oid::{Hasher, Oid};
use crate::exec::git::program::{Git, Running};

pub(super) struct Objects<'g> {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    cancel: &'g Cancel,
    /// Killed when this is dropped.
    _git: Running,
}

/// Asked for at once: their names fit into a pipe, so that neither side waits for the other for ever.
const AT_ONCE: usize = 256;

/// Bytes of a commit, a tree or a link's target. No file is read into memory.
const LARGEST_IN_MEMORY: u64 = 256 << 20;

impl<'g> Objects<'g> {
    pub(super) fn open(git: &Git<'g>, repository: &Path) -> Result<Objects<'g>, GitError> {
        let mut running = git.converse(repository, &["cat-file", "--batch"])?;
        let stdin = running.child.stdin.take().expect("bug: asked for a pipe");
        let stdout = running.child.stdout.take().expect("bug: asked for a pipe");
        let stdout = BufReader::with_capacity(128 << 10, stdout);
        Ok(Objects { stdin, stdout, cancel: git.cancel, _git: running })
    }

    /// The whole object with its kind, in git's own word.
    pub(super) fn read(&mut self, oid: Oid) -> Result<(String, Vec<u8>), GitError> {
        let mut found = (String::new(), Vec::new());
        self.each(&[oid], &mut |_, kind, size, bytes| {
            if size > LARGEST_IN_MEMORY {
                return Err(io::Error::other(format!("object {oid} has {size} bytes")).into());
            }
            kind.clone_into(&mut found.0);
            bytes.read_to_end(&mut found.1)?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Each object in turn: its name, its kind, its bytes and how many they are. What `take` leaves is read all the
    /// same; only when this ends well was everything what its name says.
    pub(super) fn each(&mut self, oids: &[Oid], take: &mut Take<'_>) -> Result<(), GitError> {
        for some in oids.chunks(AT_ONCE) {
            let names: String = some.iter().map(|oid| format!("{oid}\n")).collect();
            self.stdin.write_all(names.as_bytes())?;
            for oid in some {
                if self.cancel.is_raised() {
                    return Err(GitError::Cancelled);
                }
                self.next(*oid, take)?;
            }
        }
        Ok(())
    }

    /// `oid SP kind SP size LF bytes LF`, or `oid SP missing LF`.
    fn next(&mut self, oid: Oid, take: &mut Take<'_>) -> Result<(), GitError> {
        let damaged = || GitError::Damaged(oid.to_string());
        let mut head = String::new();
        self.stdout.read_line(&mut head)?;
        let mut words = head.trim_end().split(' ');
        let (Some(_), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else {
            return Err(damaged());
        };
        let size: u64 = size.parse().map_err(|_| damaged())?;
        let mut passing = Passing {
            bytes: (&mut self.stdout).take(size),
            hasher: Hasher::new(oid.format(), kind, size),
            cancel: self.cancel,
        };
        take(oid, kind, size, &mut passing)?;
        io::copy(&mut passing, &mut io::sink())?;
        let found = passing.hasher.finish();
        let mut end = [0];
        self.stdout.read_exact(&mut end)?;
        if found == oid && end == *b"\n" { Ok(()) } else { Err(damaged()) }
    }
}

pub(super) type Take<'t> = dyn FnMut(Oid, &str, u64, &mut dyn Read) -> Result<(), GitError> + 't;

/// Hashes what is read through it.
struct Passing<'p> {
    bytes: io::Take<&'p mut BufReader<ChildStdout>>,
    hasher: Hasher,
    cancel: &'p Cancel,
}

impl Read for Passing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_raised() {
            return Err(crate::store::object::StoreError::Cancelled.into());
        }
        let count = self.bytes.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
