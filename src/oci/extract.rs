//! An archive as a tree in the store: tar, plain or packed by gzip, bzip2, xz or zstd, or zip. What it is
//! its first bytes say. An archive is no layer: a name that begins with `.wh.` is a file like any other.
//! What came out is remembered by the archive's content, since a node with many lines asks again and again.

use std::io::{BufRead as _, BufReader};
use std::time::Instant;

use crate::base::digest::{BlobDigest, TreeDigest};
use crate::oci::change::Change;
use crate::oci::derived::Question;
use crate::oci::error::OciError;
use crate::oci::tar_reader::TarReader;
use crate::oci::unpack::{Budget, put};
use crate::oci::unpacked::unpacked;
use crate::oci::unzip::unzip;
use crate::store::memo::Memo;
use crate::store::object::Object;
use crate::tree::whole::is_there;

/// The content of the archive, with its own modes and owners, without the first `strip` names of each path.
pub fn extract(memo: &Memo, archive: BlobDigest, strip: u32, budget: Budget) -> Result<TreeDigest, OciError> {
    let question = Question {
        context: "memobuild 2026-11-28 archive v2",
        output: "archive",
        facts: vec![("archive", archive.to_string()), ("strip", strip.to_string())],
    };
    // An object found damaged was put aside, and comes back only from the archive.
    if let Some(tree) = question.recall(memo)?
        && is_there(memo, tree)?
    {
        return Ok(tree);
    }
    let start = Instant::now();
    let tree = extract_now(memo, archive, strip, budget).map_err(|error| cause(memo, archive, error))?;
    question.remember(memo, &tree, vec![Object::Tree(tree)], start.elapsed())?;
    Ok(tree)
}

fn extract_now(memo: &Memo, archive: BlobDigest, strip: u32, budget: Budget) -> Result<TreeDigest, OciError> {
    let broken = || OciError::stream(READING);
    let mut packed = BufReader::with_capacity(256 << 10, memo.open_blob(archive)?);
    let start = packed.fill_buf().map_err(broken())?;
    if matches!(start, [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..]) {
        return unzip(memo, packed, strip, budget);
    }
    let mut tar = unpacked(packed).map_err(broken())?;
    let mut reader = TarReader::new(&mut tar, budget);
    let mut change = Change::on(memo, &[], budget.entries);
    while let Some(entry) = reader.next_entry()? {
        put(memo, &mut change, entry, strip, &mut reader)?;
    }
    // Whatever packed it checks itself at its end.
    reader.finish()?;
    change.save()
}

pub(super) const READING: &str = "reading an archive";

/// Damage explains whatever error it led to. What a decompressor says of whole bytes is about the archive.
fn cause(memo: &Memo, archive: BlobDigest, error: OciError) -> OciError {
    let bytes = memo.open_blob(archive).map_err(OciError::from);
    let read = bytes.and_then(|mut bytes| {
        std::io::copy(&mut bytes, &mut std::io::sink()).map_err(OciError::stream(READING))
    });
    match read.err().unwrap_or(error) {
        OciError::Stream { source, .. } if source.raw_os_error().is_none() => {
            OciError::Archive(source.to_string())
        }
        error => error,
    }
}

#[cfg(test)]
mod tests;
