//! Files of URLs, in the store. What was fetched once is found by its SHA-256 and never fetched again; what is at an
//! address now is asked for with what its server said the last time, so that an unchanged file costs one request.

use std::time::Duration;

use crate::base::address::{holds_secret, shown};
use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::exec::executor::ExecError;
use crate::lang::code::Code;
use crate::net::download::Wanted;
use crate::net::error::NetError;
use crate::net::http::Client;
use crate::net::version::Version;
use crate::oci::derived::Question;
use crate::oci::kept::keep;
pub(super) use crate::oci::kept::kept;
use crate::store::memo::{Memo, Written};
use crate::store::object::{Object, StoreError};

/// What must be at an address.
pub(super) struct Expected<'e> {
    pub(super) url: &'e str,
    pub(super) digest: OciDigest,
    /// For messages.
    pub(super) node: &'e str,
}

/// Bytes of one file.
const LARGEST: u64 = 64 << 30;

/// Downloads the file; other bytes are an error, and nothing of them is kept.
pub(super) fn expected(
    memo: &Memo,
    client: &Client,
    expected: &Expected<'_>,
    cancel: &Cancel,
) -> Result<Written, ExecError> {
    let Expected { url, digest, node } = expected;
    let wanted = Wanted { url, size: None, digest: Some(*digest), limit: LARGEST };
    let mut writer = memo.blob_writer()?;
    match client.download(&wanted, &mut writer, cancel) {
        Ok(_) => {}
        Err(NetError::WrongDigest { found, .. }) => return Err(differs(url, node, *digest, found)),
        Err(error) => return Err(error.into()),
    }
    let written = writer.finish()?;
    keep(memo, &written)?;
    Ok(written)
}

fn differs(url: &str, node: &str, expected: OciDigest, found: OciDigest) -> ExecError {
    let (expected, found) = (expected.to_hex(), found.to_hex());
    ExecError::Mistake {
        code: Code::LockDiffers,
        message: format!(
            "{} is not what `{node}` is to be: its SHA-256 is {found}, not {expected}",
            shown(url)
        ),
        words: Some(expected),
        label: "the bytes there are others",
        help: format!("if the new ones are meant: sha256=\"{found}\", or `memobuild lock --update {node}`"),
    }
}

/// The file that is at the address now.
pub(super) fn current(
    memo: &Memo,
    client: &Client,
    url: &str,
    cancel: &Cancel,
) -> Result<Written, ExecError> {
    let wanted = Wanted { url, size: None, digest: None, limit: LARGEST };
    let last = last(memo, url)?;
    let known = last.as_ref().map(|(_, version)| version.clone()).unwrap_or_default();
    let mut writer = memo.blob_writer()?;
    let come = client.download_newer(&wanted, &known, &mut writer, cancel)?;
    match (come, last) {
        (None, Some((file, _))) => Ok(file),
        (None, None) => unreachable!("bug: an answer to a condition that was not made"),
        (Some((_, version)), _) => {
            let written = writer.finish()?;
            keep(memo, &written)?;
            remember(memo, url, &written, &version)?;
            Ok(written)
        }
    }
}

/// What was there when it was last asked for, as long as the store has it.
fn last(memo: &Memo, url: &str) -> Result<Option<(Written, Version)>, StoreError> {
    // With another login another file may be there, and a login is not written down.
    if holds_secret(url) {
        return Ok(None);
    }
    let known: Option<(OciDigest, Version)> = question(url).recall(memo)?;
    let Some((digest, version)) = known else { return Ok(None) };
    Ok(kept(memo, digest)?.map(|file| (file, version)))
}

fn remember(memo: &Memo, url: &str, file: &Written, version: &Version) -> Result<(), StoreError> {
    if holds_secret(url) {
        return Ok(());
    }
    question(url).remember(memo, &(file.oci, version), vec![Object::Blob(file.blob)], Duration::ZERO)
}

fn question(url: &str) -> Question {
    Question {
        context: "memobuild 2026-11-28 address v1",
        output: "file",
        facts: vec![("url", url.to_owned())],
    }
}
