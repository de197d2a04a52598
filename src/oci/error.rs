//! What can go wrong between an image as a value and an image as files.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::digest::OciDigest;
use crate::net::error::NetError;
use crate::store::object::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum OciError {
    #[error(transparent)]
    Store(StoreError),
    #[error("cancelled")]
    Cancelled,
    /// A registry, or the way to it.
    #[error(transparent)]
    Net(NetError),
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A stream between the store and a layer broke.
    #[error("{action}: {source}")]
    Stream { action: &'static str, source: io::Error },
    /// A tree holds what no layer can say.
    #[error("a layer cannot hold `{path}`: {reason}")]
    Unpackable { path: String, reason: &'static str },
    #[error("the archive cannot be read: {0}")]
    Archive(String),
    #[error("archive entry `{path}`: {reason}")]
    Entry { path: String, reason: &'static str },
    #[error("archive entry `{path}` would be written through `{through}`, which is no directory")]
    Through { path: String, through: String },
    #[error(
        "archive entry `{path}` is a hard link to `{target}`, which is not a file of this archive or of a layer below it"
    )]
    HardLink { path: String, target: String },
    #[error("the archive has more than {most} {what}")]
    Budget { what: &'static str, most: u64 },
    #[error("{} exists and is not an image layout: it is left alone", .0.display())]
    NotOurs(PathBuf),
    #[error("{} exists and is not an archive: it is left alone", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is not an image layout: {reason}", path.display())]
    NotALayout { path: PathBuf, reason: String },
    #[error("{} is not an archive of `docker save`: {reason}", path.display())]
    NotADockerArchive { path: PathBuf, reason: String },
    #[error("blob {digest} is not in the layout")]
    NoBlob { digest: OciDigest },
    #[error("blob {digest} {reason}")]
    BadBlob { digest: OciDigest, reason: String },
    #[error("{what} is not what the image specification says: {reason}")]
    Malformed { what: String, reason: String },
    #[error("`{0}` is no digest that this program checks: only `sha256:` and 64 digits are")]
    BadDigest(String),
    #[error("layer {layer} unpacks to {found}, the configuration says {expected}")]
    DiffId { layer: OciDigest, expected: OciDigest, found: OciDigest },
    #[error("the layout holds no image `{reference}`; it holds {}", list(held))]
    NoImage { reference: String, held: Vec<String> },
    #[error("the layout holds several images: name one of {}", list(.0))]
    SeveralImages(Vec<String>),
    #[error("there is no image for {wanted}; there is one for {}", list(held))]
    NoPlatform { wanted: String, held: Vec<String> },
    #[error("the image is {found}, {expected} was asked for")]
    OtherDigest { expected: OciDigest, found: OciDigest },
    /// A program or a service that takes images.
    #[error("{message}")]
    Peer { message: String, help: Option<String> },
    #[error("Docker's manifests have no media type for zstd layers: write `format oci` or `compress gzip`")]
    DockerZstd,
}

impl OciError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OciError {
        move |source| OciError::Io { action, path: path.to_owned(), source }
    }

    /// A reader's own error, where it had one, in place of the stream's.
    pub(crate) fn stream(action: &'static str) -> impl FnOnce(io::Error) -> OciError {
        move |source| match source.downcast::<OciError>() {
            Ok(cause) => cause,
            Err(source) => match source.downcast::<StoreError>() {
                Ok(cause) => cause.into(),
                Err(source) => OciError::Stream { action, source },
            },
        }
    }

    pub(crate) fn entry(path: &[u8], reason: &'static str) -> OciError {
        OciError::Entry { path: shown(path), reason }
    }
}

impl From<NetError> for OciError {
    fn from(error: NetError) -> OciError {
        match error {
            NetError::Cancelled => OciError::Cancelled,
            // What broke where the bytes went to has its own error.
            NetError::Write { source, .. } => OciError::stream("writing a blob")(source),
            NetError::Read { source, .. } => OciError::stream("reading a blob")(source),
            error => OciError::Net(error),
        }
    }
}

impl From<StoreError> for OciError {
    fn from(error: StoreError) -> OciError {
        match error {
            StoreError::Cancelled => OciError::Cancelled,
            error => OciError::Store(error),
        }
    }
}

/// A path of bytes for a message.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}
