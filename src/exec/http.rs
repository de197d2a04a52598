//! Files of URLs, in the store. What was fetched once is found by its SHA-256 and never fetched again; what is at an
//! address now is asked for with what its server said the last time, so that an unchanged file costs one request.

use std::collections::BTreeMap;

use crate::base::address::shown;
use crate::base::cancel::Cancel;
use crate::base::digest::{ActionKey, OciDigest};
use crate::base::facts::{FactSink as _, HashSink};
use crate::exec::executor::ExecError;
use crate::lang::code::Code;
use crate::net::download::Wanted;
use crate::net::error::NetError;
use crate::net::http::Client;
use crate::net::version::Version;
use crate::oci::kept::keep;
pub(super) use crate::oci::kept::kept;
use crate::store::memo::{Memo, Written};
use crate::store::object::{Object, StoreError};
use crate::store::record::{Lost, Record};

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
        Err(error) => return Err(failure(error)),
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
    let come = client.download_newer(&wanted, &known, &mut writer, cancel).map_err(failure)?;
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

const FILE: &str = "sha256";
const VERSION: &str = "version";

/// What was there when it was last asked for, as long as the store has it.
fn last(memo: &Memo, url: &str) -> Result<Option<(Written, Version)>, StoreError> {
    let Some(record) = memo.recall(key(url))? else { return Ok(None) };
    let field = |name: &str| record.outputs.get(name).cloned();
    let version = field(VERSION).and_then(|version| serde_json::from_value(version).ok());
    let digest: Option<OciDigest> = field(FILE).and_then(|digest| serde_json::from_value(digest).ok());
    let file = digest.map(|digest| kept(memo, digest)).transpose()?.flatten();
    Ok(file.zip(version))
}

fn remember(memo: &Memo, url: &str, file: &Written, version: &Version) -> Result<(), StoreError> {
    let json = |value: serde_json::Result<serde_json::Value>| value.expect("bug: always JSON");
    let outputs =
        [(FILE, json(serde_json::to_value(file.oci))), (VERSION, json(serde_json::to_value(version)))];
    let record = Record {
        outputs: BTreeMap::from(outputs.map(|(name, value)| (name.to_owned(), value))),
        objects: vec![Object::Blob(file.blob)],
        facts: vec![("url".to_owned(), shown(url))],
        log: None,
        seconds: 0.0,
        rung: None,
        // Another machine may be told another thing.
        shareable: false,
        node: "http".to_owned(),
        lost: Lost::default(),
    };
    memo.remember(key(url), &record)
}

/// Of the whole address: with another login another file may be there.
fn key(url: &str) -> ActionKey {
    let mut hash = HashSink::new("memobuild 2026-11-28 address v1");
    hash.fact("url", url.as_bytes());
    ActionKey(hash.finish())
}

pub(super) fn failure(error: NetError) -> ExecError {
    let (message, help) = (error.to_string(), error.help());
    match error {
        NetError::Cancelled => ExecError::Cancelled,
        NetError::Write { source, .. } => match source.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(_) => ExecError::Environment { message, help: Some(help) },
        },
        NetError::Url { .. } | NetError::NotFound { .. } | NetError::TooLarge { .. } => {
            ExecError::Input { message, help }
        }
        _ => ExecError::Environment { message, help: Some(help) },
    }
}
