//! Reads an image layout (image-spec, image-layout.md), a folder or one tar. Opens nothing but files below its
//! folder, whatever links it holds, and believes no blob before its digest.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::base::digest::OciDigest;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::manifest::{Listed, read_index};
use crate::oci::tar_index::{Span, TarIndex};

/// Bytes of an index, a manifest or a configuration; registries take 4 MiB.
pub(crate) const DOCUMENT_MOST: u64 = 16 << 20;

pub(crate) const MARKER: &str = "oci-layout";
pub(crate) const INDEX: &str = "index.json";
/// The only version there is.
pub(crate) const MARKER_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

pub(crate) struct LayoutReader {
    files: Files,
    path: PathBuf,
}

enum Files {
    Folder(Dir),
    Archive(TarIndex),
}

impl LayoutReader {
    pub(crate) fn open(path: &Path) -> Result<LayoutReader, OciError> {
        let folder =
            Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    OciError::NotALayout { path: path.to_owned(), reason: "it does not exist".to_owned() }
                }
                _ => OciError::io("cannot open the image layout", path)(error),
            })?;
        LayoutReader::on(Files::Folder(folder), path)
    }

    pub(crate) fn open_archive(path: &Path) -> Result<LayoutReader, OciError> {
        LayoutReader::on(Files::Archive(TarIndex::open(path)?), path)
    }

    fn on(files: Files, path: &Path) -> Result<LayoutReader, OciError> {
        let layout = LayoutReader { files, path: path.to_owned() };
        let marker = layout.document(MARKER)?;
        let version = serde_json::from_slice::<oci_spec::image::OciLayout>(&marker)
            .map_err(|error| layout.refused(format!("its file `{MARKER}` is malformed: {error}")))?;
        match version.image_layout_version().as_str() {
            "1.0.0" => Ok(layout),
            other => Err(layout.refused(format!("it has version {other}, not 1.0.0"))),
        }
    }

    pub(crate) fn index(&self) -> Result<Vec<Listed>, OciError> {
        read_index(&self.document(INDEX)?)
    }

    /// A blob as a whole, verified.
    pub(crate) fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        if descriptor.size > DOCUMENT_MOST {
            return Err(bad(descriptor, format!("has {} bytes, too many for a document", descriptor.size)));
        }
        let mut bytes = Vec::new();
        self.blob(descriptor)?.read_to_end(&mut bytes).map_err(OciError::stream("reading a blob"))?;
        verify(descriptor, OciDigest::of(&bytes), bytes.len() as u64)?;
        Ok(bytes)
    }

    /// A blob's bytes, not verified; one byte more than the descriptor says at most.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<io::Take<Span>, OciError> {
        let name = Path::new("blobs/sha256").join(descriptor.digest.to_hex());
        match self.file(&name)? {
            Some(file) => Ok(file.take(descriptor.size.saturating_add(1))),
            None => Err(OciError::NoBlob { digest: descriptor.digest }),
        }
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, OciError> {
        let file =
            self.file(Path::new(name))?.ok_or_else(|| self.refused(format!("it has no file `{name}`")))?;
        let mut bytes = Vec::new();
        file.take(DOCUMENT_MOST + 1)
            .read_to_end(&mut bytes)
            .map_err(OciError::io("cannot read", &self.path.join(name)))?;
        if bytes.len() as u64 > DOCUMENT_MOST {
            return Err(self.refused(format!("its file `{name}` has more than {DOCUMENT_MOST} bytes")));
        }
        Ok(bytes)
    }

    /// `None` where there is no such file. Anything else than a file is not opened: a fifo would wait.
    fn file(&self, name: &Path) -> Result<Option<Span>, OciError> {
        let folder = match &self.files {
            Files::Folder(folder) => folder,
            Files::Archive(tar) => return Ok(name.to_str().and_then(|name| tar.get(name))),
        };
        let at = self.path.join(name);
        let failed = || OciError::io("cannot read", &at);
        match folder.metadata(name) {
            Ok(metadata) if metadata.is_file() => {
                let file = folder.open(name).map_err(failed())?.into_std();
                Ok(Some(Span::of_file(file).map_err(failed())?))
            }
            Ok(_) => Err(self.refused(format!("`{}` is not a file", name.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed()(error)),
        }
    }

    fn refused(&self, reason: String) -> OciError {
        OciError::NotALayout { path: self.path.clone(), reason }
    }
}

pub(crate) fn verify(descriptor: &Descriptor, digest: OciDigest, size: u64) -> Result<(), OciError> {
    if size != descriptor.size {
        let found = if size > descriptor.size { "more".to_owned() } else { size.to_string() };
        return Err(bad(descriptor, format!("has {found} bytes, its descriptor says {}", descriptor.size)));
    }
    if digest != descriptor.digest {
        return Err(bad(descriptor, format!("is damaged: its bytes are {digest}")));
    }
    Ok(())
}

pub(crate) fn bad(descriptor: &Descriptor, reason: String) -> OciError {
    OciError::BadBlob { digest: descriptor.digest, reason }
}
