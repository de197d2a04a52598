//! `oci:DIR[:TAG]`: an image layout as a folder (image-spec, image-layout.md). Adds to a layout that is
//! there, replaces the tag, leaves everything else as it is. A folder that is something else is refused.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::base::durable::{DRAFT_PREFIX, Draft, FileLock, write_atomically};
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::{Format, PackedLayer};
use crate::oci::layout_reader::{INDEX, LayoutReader, MARKER, MARKER_CONTENT};
use crate::oci::manifest::{Annotations, index, updated_index};
use crate::oci::outgoing::Outgoing;
use crate::oci::sink::{Blob, Make, Sink};

pub struct LayoutSink {
    folder: PathBuf,
    names: Vec<Annotations>,
    is_prepared: Mutex<bool>,
}

impl LayoutSink {
    /// Looks, and writes nothing yet. `names` are the annotations under which its index lists the image.
    pub fn open(folder: &Path, names: &[Annotations]) -> Result<LayoutSink, OciError> {
        if !is_free(folder)? {
            let layout = LayoutReader::open(folder).map_err(|error| match error {
                OciError::NotALayout { .. } => OciError::NotOurs(folder.to_owned()),
                error => error,
            })?;
            // An interrupted first export left none; one that cannot be read is known before work is done.
            if folder.join(INDEX).exists() {
                layout.index()?;
            }
        }
        let is_prepared = Mutex::new(false);
        Ok(LayoutSink { folder: folder.to_owned(), names: names.to_vec(), is_prepared })
    }

    /// The marker comes first: what an interrupted export leaves is a layout without images.
    fn prepare(&self) -> Result<(), OciError> {
        let mut is_prepared = self.is_prepared.lock().expect("bug: poisoned");
        if *is_prepared {
            return Ok(());
        }
        let blobs = self.folder.join("blobs/sha256");
        fs::create_dir_all(&self.folder).map_err(OciError::io("cannot create", &self.folder))?;
        let marker = self.folder.join(MARKER);
        if !marker.exists() {
            write_atomically(&marker, MARKER_CONTENT.as_bytes(), MODE)
                .map_err(OciError::io("cannot write", &marker))?;
        }
        fs::create_dir_all(&blobs).map_err(OciError::io("cannot create", &blobs))?;
        *is_prepared = true;
        Ok(())
    }

    fn place(&self, descriptor: &Descriptor) -> PathBuf {
        self.folder.join("blobs/sha256").join(descriptor.digest.to_hex())
    }
}

const MODE: u32 = 0o644;

/// Blobs that are written at the same time.
const PARALLEL: usize = 4;

impl Sink for LayoutSink {
    /// By name and size: whoever reads a layout verifies it. A manifest may be left of an export that did not
    /// end, so it says nothing of its layers.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        if matches!(Kind::of(&descriptor.media_type), Some(Kind::Manifest | Kind::Index)) {
            return Ok(false);
        }
        let found = fs::symlink_metadata(self.place(descriptor));
        Ok(found.is_ok_and(|metadata| metadata.is_file() && metadata.len() == descriptor.size))
    }

    fn blob(&self, blob: &Blob<'_>) -> Result<(), OciError> {
        self.prepare()?;
        let path = self.place(blob.descriptor);
        let mut draft = Draft::beside(&path).map_err(OciError::io("cannot create", &path))?;
        blob.copy(draft.file())?;
        draft.publish(&path, MODE).map_err(OciError::io("cannot write", &path))
    }

    fn layer(&self, make: &mut Make<'_>) -> Result<PackedLayer, OciError> {
        self.prepare()?;
        let path = self.folder.join("blobs/sha256/layer");
        let mut draft = Draft::beside(&path).map_err(OciError::io("cannot create", &path))?;
        let layer = make(Some(draft.file()))?;
        let descriptor = Descriptor::from(&layer);
        if !self.has(&descriptor)? {
            let path = self.place(&descriptor);
            draft.publish(&path, MODE).map_err(OciError::io("cannot write", &path))?;
        }
        Ok(layer)
    }

    fn parallel(&self) -> usize {
        PARALLEL
    }

    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError> {
        self.prepare()?;
        let entries = outgoing.entries(&self.names);
        let path = self.folder.join(INDEX);
        // Two exports into one layout each add their tag.
        let lock = self.folder.join(".index.json.lock");
        let lock = FileLock::exclusive(&lock).map_err(OciError::io("cannot lock", &lock))?;
        let index = match fs::read(&path) {
            Ok(old) => updated_index(&old, &entries)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                index(&entries, &Annotations::new(), Format::Oci)
            }
            Err(error) => return Err(OciError::io("cannot read", &path)(error)),
        };
        write_atomically(&path, &index, MODE).map_err(OciError::io("cannot write", &path))?;
        lock.remove().map_err(OciError::io("cannot unlock", &path))
    }
}

/// Nothing there, or a folder that is empty but for the marker that another export is about to publish.
fn is_free(folder: &Path) -> Result<bool, OciError> {
    let is_draft = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().as_bytes().starts_with(DRAFT_PREFIX.as_bytes()))
    };
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.all(is_draft)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(OciError::NotOurs(folder.to_owned()))
        }
        Err(error) => Err(OciError::io("cannot read", folder)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::fixture::{empty_outgoing, tags, with_blob};
    use crate::oci::manifest::Listed;

    /// What another export has begun is no reason to refuse the folder.
    #[test]
    fn a_draft_of_the_marker_leaves_the_folder_free() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("{DRAFT_PREFIX}1")), "").unwrap();
        assert!(is_free(folder.path()).unwrap());
        fs::write(folder.path().join("other"), "").unwrap();
        assert!(!is_free(folder.path()).unwrap());
    }

    #[test]
    fn what_is_not_a_layout_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (full, file) = (folder.path().join("full"), folder.path().join("file"));
        fs::create_dir(&full).unwrap();
        fs::write(full.join("mine"), "").unwrap();
        fs::write(&file, "").unwrap();
        for path in [&full, &file] {
            assert!(matches!(LayoutSink::open(path, &[]), Err(OciError::NotOurs(_))), "{}", path.display());
        }
        fs::write(full.join(MARKER), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
        assert!(matches!(LayoutSink::open(&full, &[]), Err(OciError::NotOurs(_))));
        assert_eq!(fs::read_dir(&full).unwrap().count(), 2);
        assert!(LayoutSink::open(&folder.path().join("new"), &[]).is_ok());
        assert!(!folder.path().join("new").exists());
    }

    #[test]
    fn an_index_that_cannot_be_read_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MARKER), MARKER_CONTENT).unwrap();
        assert!(LayoutSink::open(folder.path(), &[]).is_ok());
        fs::write(folder.path().join(INDEX), "{").unwrap();
        assert!(matches!(LayoutSink::open(folder.path(), &[]), Err(OciError::Malformed { .. })));
    }

    #[test]
    fn exports_at_the_same_time_each_leave_their_tag() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for tag in 0..8 {
                let folder = folder.path();
                scope.spawn(move || {
                    let sink = LayoutSink::open(folder, &tags(&[&tag.to_string()])).unwrap();
                    let descriptor = Descriptor::of("x", b"the same for all");
                    with_blob(&descriptor, b"the same for all", |blob| sink.blob(blob)).unwrap();
                    sink.finish(&empty_outgoing()).unwrap();
                });
            }
        });
        let listed = LayoutReader::open(folder.path()).unwrap().index().unwrap();
        let mut tags: Vec<_> = listed.iter().filter_map(Listed::reference).collect();
        tags.sort_unstable();
        assert_eq!(tags, ["0", "1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn wrong_bytes_never_get_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let sink = LayoutSink::open(folder.path(), &[]).unwrap();
        let descriptor = Descriptor::of("x", b"right");
        for wrong in [&b"wrong"[..], b"righ", b"right and more"] {
            let result = with_blob(&descriptor, wrong, |blob| sink.blob(blob));
            assert!(matches!(result, Err(OciError::BadBlob { .. })), "{wrong:?}");
        }
        assert_eq!(fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 0);
        with_blob(&descriptor, b"right", |blob| sink.blob(blob)).unwrap();
        assert!(sink.has(&descriptor).unwrap());
    }
}
