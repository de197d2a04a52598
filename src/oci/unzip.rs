//! A zip archive as a tree in the store. Its list of files stands at its end, so it lies in a file of the
//! work folder while it is read. Owners are not in it: all is 0:0.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek as _};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use crate::base::digest::TreeDigest;
use crate::oci::change::Change;
use crate::oci::error::OciError;
use crate::oci::extract::READING;
use crate::oci::tar_reader::{Kind, TarEntry};
use crate::oci::unpack::{Budget, put};
use crate::store::memo::Memo;

/// Bytes of a symbolic link's target: as many as Linux takes.
const TARGET_MOST: u64 = 4095;

pub(super) fn unzip(
    memo: &Memo,
    mut packed: impl Read,
    strip: u32,
    budget: Budget,
) -> Result<TreeDigest, OciError> {
    let broken = || OciError::stream(READING);
    let folder = memo.work_folder()?;
    let path = folder.path().join("archive.zip");
    let mut file = std::fs::File::create_new(&path).map_err(OciError::io("cannot make", &path))?;
    io::copy(&mut packed, &mut file).map_err(broken())?;
    file.rewind().map_err(broken())?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(unreadable)?;
    within("entries", archive.len() as u64, budget.entries)?;
    let mut change = Change::on(memo, &[], budget.entries);
    let mut left = budget.bytes;
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).map_err(unreadable)?;
        let entry = entry(&mut file)?;
        let mut content = Bounded { file, left: &mut left, most: budget.bytes };
        put(memo, &mut change, entry, strip, &mut content)?;
    }
    change.save()
}

fn entry<R: Read>(file: &mut ZipFile<'_, R>) -> Result<TarEntry, OciError> {
    let kind = match (file.is_dir(), file.is_symlink()) {
        (true, _) => Kind::Directory,
        (_, true) => Kind::Symlink,
        _ => Kind::File,
    };
    let default = if kind == Kind::Directory { 0o755 } else { 0o644 };
    let mode = file.unix_mode().map(|mode| mode & 0o7777).filter(|&mode| mode != 0);
    let mut link = Vec::new();
    if kind == Kind::Symlink {
        file.take(TARGET_MOST + 1).read_to_end(&mut link).map_err(OciError::stream(READING))?;
    }
    Ok(TarEntry {
        path: file.name_raw().to_vec(),
        link,
        kind,
        mode: if kind == Kind::Symlink { 0o777 } else { mode.unwrap_or(default) },
        uid: 0,
        gid: 0,
        xattrs: BTreeMap::new(),
    })
}

/// Content as far as the archive may still cost bytes.
struct Bounded<'a, R> {
    file: R,
    left: &'a mut u64,
    most: u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        *self.left =
            left.ok_or_else(|| io::Error::other(OciError::Budget { what: "bytes", most: self.most }))?;
        Ok(count)
    }
}

fn within(what: &'static str, count: u64, most: u64) -> Result<(), OciError> {
    if count > most { Err(OciError::Budget { what, most }) } else { Ok(()) }
}

fn unreadable(error: ZipError) -> OciError {
    match error {
        ZipError::Io(error) => OciError::stream(READING)(error),
        error => OciError::Archive(error.to_string()),
    }
}
