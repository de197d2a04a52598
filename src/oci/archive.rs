//! `oci-archive:FILE[:TAG]`: an image layout as one plain tar file, appearing whole or not at all.
//! Blobs stand in the order in which they come, so that none is held back: `oci-layout`, blobs,
//! `index.json`. Equal images give equal archives.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::base::digest::OciDigest;
use crate::base::durable::Draft;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::layout_reader::{INDEX, MARKER, MARKER_CONTENT};
use crate::oci::manifest::{Listed, new_index};
use crate::oci::sink::{Sink, copy_blob};
use crate::oci::tar_header::{END, Kind, encode, padding};
use crate::tree::tree::Metadata;

pub struct ArchiveSink {
    path: PathBuf,
    tag: Option<String>,
    /// From the first blob until the end.
    draft: Option<Draft>,
    written: BTreeSet<OciDigest>,
}

impl ArchiveSink {
    /// Looks, and writes nothing yet. An archive or an empty file will be replaced; anything else is refused.
    pub fn open(path: &Path, tag: Option<&str>) -> Result<ArchiveSink, OciError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() && is_replaceable(path)? => {}
            Ok(_) => return Err(OciError::NotAFile(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OciError::io("cannot look at", path)(error)),
        }
        let tag = tag.map(str::to_owned);
        Ok(ArchiveSink { path: path.to_owned(), tag, draft: None, written: BTreeSet::new() })
    }

    fn draft(&mut self) -> Result<Draft, OciError> {
        if let Some(draft) = self.draft.take() {
            return Ok(draft);
        }
        let mut draft = Draft::beside(&self.path).map_err(OciError::io("cannot create", &self.path))?;
        let mut start = Vec::new();
        put_file(MARKER, MARKER_CONTENT.as_bytes(), &mut start);
        for folder in ["blobs", "blobs/sha256"] {
            put_header(folder, &Metadata::plain(0o755), Kind::Directory, &mut start);
        }
        draft.file().write_all(&start).map_err(OciError::io("cannot write", &self.path))?;
        Ok(draft)
    }
}

/// Whether a file is empty or begins as tar archives do (POSIX ustar, `magic`).
fn is_replaceable(path: &Path) -> Result<bool, OciError> {
    let mut start = Vec::new();
    let file = fs::File::open(path).map_err(OciError::io("cannot open", path))?;
    file.take(512).read_to_end(&mut start).map_err(OciError::io("cannot read", path))?;
    Ok(start.is_empty() || start.get(257..262) == Some(b"ustar"))
}

impl Sink for ArchiveSink {
    fn has(&mut self, descriptor: &Descriptor) -> Result<bool, OciError> {
        Ok(self.written.contains(&descriptor.digest))
    }

    fn blob(&mut self, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<(), OciError> {
        let mut draft = self.draft()?;
        let name = format!("blobs/sha256/{}", descriptor.digest.to_hex());
        let mut header = Vec::new();
        put_header(&name, &Metadata::plain(0o644), Kind::File { size: descriptor.size }, &mut header);
        let failed = || OciError::io("cannot write", &self.path);
        let mut out = BufWriter::new(draft.file());
        out.write_all(&header).map_err(failed())?;
        copy_blob(descriptor, bytes, &mut out)?;
        out.write_all(&END[..padding(descriptor.size)]).map_err(failed())?;
        out.flush().map_err(failed())?;
        drop(out);
        self.written.insert(descriptor.digest);
        self.draft = Some(draft);
        Ok(())
    }

    fn finish(&mut self, entry: Listed) -> Result<(), OciError> {
        let mut draft = self.draft()?;
        let mut end = Vec::new();
        put_file(INDEX, &new_index(&entry.tagged(self.tag.as_deref())), &mut end);
        end.extend_from_slice(&END);
        let failed = || OciError::io("cannot write", &self.path);
        draft.file().write_all(&end).map_err(failed())?;
        draft.publish(&self.path, 0o644).map_err(failed())
    }
}

fn put_file(name: &str, content: &[u8], out: &mut Vec<u8>) {
    let size = content.len() as u64;
    put_header(name, &Metadata::plain(0o644), Kind::File { size }, out);
    out.extend_from_slice(content);
    out.extend_from_slice(&END[..padding(size)]);
}

fn put_header(name: &str, metadata: &Metadata, kind: Kind<'_>, out: &mut Vec<u8>) {
    encode(name.as_bytes(), metadata, kind, out).expect("bug: an archive can hold a layout's own names");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_archives_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        let text = folder.path().join("memobuild.kdl");
        fs::write(&file, "").unwrap();
        fs::write(&text, "memobuild 1\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [folder.path(), &link, Path::new("/dev/null"), &text] {
            assert!(
                matches!(ArchiveSink::open(path, None), Err(OciError::NotAFile(_))),
                "{}",
                path.display()
            );
        }
        ArchiveSink::open(&file, None).unwrap();
        let mut archive = Vec::new();
        put_file("x", b"y", &mut archive);
        fs::write(&file, &archive).unwrap();
        ArchiveSink::open(&file, None).unwrap();
        assert_eq!(fs::read(&file).unwrap(), archive);
    }

    #[test]
    fn an_unfinished_archive_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        let mut sink = ArchiveSink::open(&path, None).unwrap();
        sink.blob(&Descriptor::of("x", b"one"), &mut &b"one"[..]).unwrap();
        assert!(sink.blob(&Descriptor::of("x", b"two"), &mut &b"2"[..]).is_err());
        drop(sink);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
