//! A tar file or stream that sinks write member by member. A file appears whole or not at all; equal members in
//! equal order give equal bytes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::base::durable::Draft;
use crate::oci::error::OciError;
use crate::oci::image::PackedLayer;
use crate::oci::sink::{Blob, Make};
use crate::oci::tar_header::{BLOCK, END, Kind, encode, padding};
use crate::tree::tree::Metadata;

pub(crate) struct TarOut {
    to: To,
    names: BTreeSet<String>,
}

enum To {
    /// Nothing is written yet.
    New(PathBuf),
    File(Draft, PathBuf),
    Stream(Box<dyn Write + Send>),
}

impl TarOut {
    /// Looks, and writes nothing yet. An archive or an empty file will be replaced; anything else is refused.
    pub(crate) fn file(path: &Path) -> Result<TarOut, OciError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() && is_replaceable(path)? => {}
            Ok(_) => return Err(OciError::NotAFile(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OciError::io("cannot look at", path)(error)),
        }
        Ok(TarOut { to: To::New(path.to_owned()), names: BTreeSet::new() })
    }

    pub(crate) fn stream(out: Box<dyn Write + Send>) -> TarOut {
        TarOut { to: To::Stream(out), names: BTreeSet::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(crate) fn folder(&mut self, name: &str) -> Result<(), OciError> {
        self.header(name, 0o755, Kind::Directory)
    }

    pub(crate) fn put(&mut self, name: &str, content: &[u8]) -> Result<(), OciError> {
        let size = content.len() as u64;
        self.header(name, 0o644, Kind::File { size })?;
        self.write(content)?;
        self.write(&END[..padding(size)])
    }

    pub(crate) fn blob(&mut self, name: &str, blob: &Blob<'_>) -> Result<(), OciError> {
        let size = blob.descriptor.size;
        self.header(name, 0o644, Kind::File { size })?;
        blob.copy(self.writer()?)?;
        self.write(&END[..padding(size)])
    }

    /// A layer whose name is known once it is written: its header is put before it then. Only in a file.
    pub(crate) fn layer(
        &mut self,
        make: &mut Make<'_>,
        name: impl FnOnce(&PackedLayer) -> String,
    ) -> Result<PackedLayer, OciError> {
        let To::File(draft, path) = &mut self.to else { return make(None) };
        let failed = |error: io::Error| OciError::io("cannot write", path)(error);
        let start = draft.file().stream_position().map_err(failed)?;
        draft.file().write_all(&END[..BLOCK]).map_err(failed)?;
        let layer = make(Some(draft.file()))?;
        let mut header = Vec::new();
        let name = name(&layer);
        let kind = Kind::File { size: layer.size };
        encode(name.as_bytes(), &Metadata::plain(0o644), kind, &mut header).expect(ENCODES);
        // One of more than 8 GiB needs a longer header, and is written once more; one that is there already is not.
        let is_kept = header.len() == BLOCK && !self.names.contains(&name);
        if is_kept {
            draft.file().write_all(&END[..padding(layer.size)]).map_err(failed)?;
            draft.file().write_all_at(&header, start).map_err(failed)?;
            self.names.insert(name);
        } else {
            draft.file().set_len(start).map_err(failed)?;
            draft.file().seek(SeekFrom::Start(start)).map_err(failed)?;
        }
        Ok(layer)
    }

    /// Nothing may follow.
    pub(crate) fn finish(&mut self) -> Result<(), OciError> {
        self.write(&END)?;
        match std::mem::replace(&mut self.to, To::Stream(Box::new(io::empty()))) {
            To::File(draft, path) => draft.publish(&path, 0o644).map_err(OciError::io("cannot write", &path)),
            To::Stream(mut out) => out.flush().map_err(OciError::stream(WRITING)),
            To::New(_) => unreachable!("bug: the end was just written"),
        }
    }

    fn header(&mut self, name: &str, mode: u32, kind: Kind<'_>) -> Result<(), OciError> {
        let mut header = Vec::new();
        encode(name.as_bytes(), &Metadata::plain(mode), kind, &mut header).expect(ENCODES);
        self.names.insert(name.to_owned());
        self.write(&header)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OciError> {
        let path = match &self.to {
            To::New(path) | To::File(_, path) => Some(path.clone()),
            To::Stream(_) => None,
        };
        self.writer()?.write_all(bytes).map_err(|error| match path {
            Some(path) => OciError::io("cannot write", &path)(error),
            None => OciError::stream(WRITING)(error),
        })
    }

    fn writer(&mut self) -> Result<&mut dyn Write, OciError> {
        if let To::New(path) = &self.to {
            let draft = Draft::beside(path).map_err(OciError::io("cannot create", path))?;
            self.to = To::File(draft, path.clone());
        }
        match &mut self.to {
            To::File(draft, _) => Ok(draft.file()),
            To::Stream(out) => Ok(out),
            To::New(_) => unreachable!("bug: a draft was just made"),
        }
    }
}

const ENCODES: &str = "bug: an archive can hold the names that sinks make";
const WRITING: &str = "writing an archive";

/// Whether a file is empty or begins as tar archives do (POSIX ustar, `magic`).
fn is_replaceable(path: &Path) -> Result<bool, OciError> {
    let mut start = Vec::new();
    let file = fs::File::open(path).map_err(OciError::io("cannot open", path))?;
    file.take(512).read_to_end(&mut start).map_err(OciError::io("cannot read", path))?;
    Ok(start.is_empty() || start.get(257..262) == Some(b"ustar"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::descriptor::Descriptor;
    use crate::oci::fixture::with_blob;

    #[test]
    fn only_archives_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        let text = folder.path().join("memobuild.kdl");
        fs::write(&file, "").unwrap();
        fs::write(&text, "memobuild 1\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [folder.path(), &link, Path::new("/dev/null"), &text] {
            assert!(matches!(TarOut::file(path), Err(OciError::NotAFile(_))), "{}", path.display());
        }
        let mut tar = TarOut::file(&file).unwrap();
        tar.put("x", b"y").unwrap();
        tar.finish().unwrap();
        let archive = fs::read(&file).unwrap();
        TarOut::file(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), archive);
    }

    #[test]
    fn an_unfinished_archive_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = TarOut::file(&folder.path().join("image.tar")).unwrap();
        with_blob(&Descriptor::of("x", b"one"), b"one", |blob| tar.blob("one", blob)).unwrap();
        assert!(with_blob(&Descriptor::of("x", b"two"), b"2", |blob| tar.blob("two", blob)).is_err());
        drop(tar);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
