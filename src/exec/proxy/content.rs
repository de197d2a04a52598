//! The content of an answer on its way: counted and hashed, and kept in the store where it may have to be answered
//! again.

use std::io::{self, Write as _};

use sha2::{Digest as _, Sha256};

use crate::base::digest::OciDigest;
use crate::oci::kept::keep;
use crate::store::memo::{BlobWriter, Memo};
use crate::store::object::StoreError;

pub(super) enum Content {
    Seen(Sha256),
    Kept(Memo, Box<BlobWriter>),
}

impl Content {
    pub(super) fn seen() -> Content {
        Content::Seen(Sha256::new())
    }

    pub(super) fn kept(memo: &Memo) -> Result<Content, StoreError> {
        Ok(Content::Kept(memo.clone(), Box::new(memo.blob_writer()?)))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Content::Seen(hasher) => hasher.update(bytes),
            Content::Kept(_, writer) => writer.write_all(bytes)?,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<OciDigest, StoreError> {
        match self {
            Content::Seen(hasher) => Ok(OciDigest::from_bytes(hasher.finalize().into())),
            Content::Kept(memo, writer) => {
                let written = writer.finish()?;
                keep(&memo, &written)?;
                Ok(written.oci)
            }
        }
    }
}
