//! `memobuild.lock`: the digests of what the build file names by tag, URL or reference. Edited in place:
//! updating an entry changes its line, and comments and what a newer program wrote stay. Sorted by key, so
//! that equal content is equal text however it came about.

pub mod entry;
pub mod parse;
pub mod pin;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::graph::op::Pin;
use crate::lang::code::Code;
use crate::lang::lock::entry::{Entry, GIT, HTTP, IMAGE, Key, RUN};
use crate::lang::mistake::{Mistake, Mistakes};

/// Below the workspace's root.
pub const FILE_NAME: &str = "memobuild.lock";

/// The first line.
const VERSION_LINE: &str = "memobuild-lock 1\n";

/// Bytes, as for build files: a hundred thousand entries would fit.
const LARGEST: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The version line, and the comments that belong to the file as a whole.
    head: String,
    /// The number tells apart what a newer program wrote under one key.
    blocks: BTreeMap<(Key, usize), Block>,
    /// Comments after the last entry.
    tail: String,
}

/// An entry with the lines that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    /// Whole lines above it: comments.
    before: String,
    /// Its own text, without the last line end.
    body: String,
    /// What follows on its last line: a comment.
    after: String,
    /// `None` for what a newer program wrote.
    entry: Option<Entry>,
}

impl Default for Lock {
    fn default() -> Lock {
        Lock { head: VERSION_LINE.to_owned(), blocks: BTreeMap::new(), tail: String::new() }
    }
}

/// The lock file of a workspace; an empty one where there is none.
pub fn read(workspace: &Path) -> Result<Lock, Mistakes> {
    let path = workspace.join(FILE_NAME);
    // Opening a fifo would wait for whoever writes into it.
    match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Lock::default()),
        Err(error) => return Err(unreadable(&error.to_string()).into()),
        Ok(found) if !found.is_file() => return Err(unreadable("it is not a file").into()),
        Ok(_) => {}
    }
    let file = File::open(&path).map_err(|error| unreadable(&error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable("it is larger than 16 MiB").into());
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8"))?;
    Lock::parse(&text)
}

fn unreadable(why: &str) -> Mistake {
    let message = format!("{FILE_NAME} cannot be read: {why}");
    Mistake::new(Code::LockRead, message, "restore it, or remove it and run `memobuild lock`")
}

impl Lock {
    /// Every mistake at once, in the text of the file.
    pub fn parse(text: &str) -> Result<Lock, Mistakes> {
        parse::parse(text)
    }

    /// As it is to be written.
    pub fn text(&self) -> String {
        let mut text = self.head.clone();
        for block in self.blocks.values() {
            text.push_str(&block.before);
            text.push_str(&block.body);
            text.push_str(&block.after);
            text.push('\n');
        }
        text + &self.tail
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.values().filter_map(|block| block.entry.as_ref())
    }

    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.blocks.get(&(key.clone(), 0))?.entry.as_ref()
    }

    /// `sha256:…`; `platform` is as `linux/amd64`.
    pub fn image(&self, reference: &str, platform: &str) -> Option<&str> {
        match self.get(&Key::new(IMAGE, reference, None))? {
            Entry::Image { digest, platforms, .. } => {
                platforms.get(platform).or(digest.as_ref()).map(String::as_str)
            }
            _ => None,
        }
    }

    /// Hexadecimal SHA-256 of the bytes that are answered.
    pub fn http(&self, url: &str) -> Option<&str> {
        match self.get(&Key::new(HTTP, url, None))? {
            Entry::Http { sha256, .. } => Some(sha256),
            _ => None,
        }
    }

    /// The commit.
    pub fn git(&self, url: &str, reference: Option<&str>) -> Option<&str> {
        match self.get(&Key::new(GIT, url, reference))? {
            Entry::Git { commit, .. } => Some(commit),
            _ => None,
        }
    }

    /// The digest of an output of a run with `network locked`.
    pub fn run(&self, label: &str, output: &str) -> Option<&str> {
        match self.get(&Key::new(RUN, label, Some(output)))? {
            Entry::Run { digest, .. } => Some(digest),
            _ => None,
        }
    }

    /// What a run with `network intercept` is to be answered, in the order of addresses.
    pub fn fetches(&self, label: &str) -> Vec<Pin> {
        let of_label = |entry: &Entry| match entry {
            Entry::Fetch { label: own, pin } if own == label => Some(pin.clone()),
            _ => None,
        };
        self.entries().filter_map(of_label).collect()
    }

    /// Adds the entry or replaces the one with its key: one line, and no other. Whether anything changed.
    pub fn update(&mut self, entry: Entry) -> bool {
        let (key, body) = (entry.key(), entry.text());
        let block = self.blocks.entry((key, 0)).or_insert_with(Block::empty);
        if block.entry.as_ref() == Some(&entry) {
            return false;
        }
        *block = Block {
            before: std::mem::take(&mut block.before),
            body,
            after: std::mem::take(&mut block.after),
            entry: Some(entry),
        };
        true
    }

    /// With the comment right above it. Whether there was one.
    pub fn remove(&mut self, key: &Key) -> bool {
        let key = (key.clone(), 0);
        let Some(block) = self.blocks.remove(&key) else { return false };
        // What an empty line keeps apart from the entry belongs to those that follow as well.
        let kept = sections(&block.before).0;
        match self.blocks.range_mut(key..).next() {
            Some((_, next)) => next.before.insert_str(0, kept),
            None => self.tail.insert_str(0, kept),
        }
        true
    }
}

impl Block {
    fn empty() -> Block {
        Block { before: String::new(), body: String::new(), after: String::new(), entry: None }
    }
}

/// Comments up to the last empty line, and those right above what follows.
fn sections(before: &str) -> (&str, &str) {
    let mut end = 0;
    let mut at = 0;
    for line in before.split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() {
            end = at;
        }
    }
    before.split_at(end)
}

#[cfg(test)]
mod tests;
