//! Archives that an export wrote and that nobody touched since: they need not be written again. Known by what the
//! filesystem says of the file, its time of change included, which no program can set.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::base::digest::OciDigest;
use crate::oci::derived::Question;
use crate::store::memo::Memo;
use crate::store::object::StoreError;

/// Whether the file, in that form, holds that manifest or index under these names.
pub fn is_current(
    memo: &Memo,
    file: &Path,
    form: &str,
    names: &[String],
    digest: OciDigest,
) -> Result<bool, StoreError> {
    let Some(question) = question(file, form, names) else { return Ok(false) };
    Ok(question.recall::<OciDigest>(memo)? == Some(digest))
}

/// To be called when the file was just written.
pub fn remember(
    memo: &Memo,
    file: &Path,
    form: &str,
    names: &[String],
    digest: OciDigest,
) -> Result<(), StoreError> {
    match question(file, form, names) {
        Some(question) => question.remember(memo, &digest, Vec::new(), Duration::ZERO),
        None => Ok(()),
    }
}

/// `None` where there is no such file.
fn question(file: &Path, form: &str, names: &[String]) -> Option<Question> {
    let status = file.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mut facts = vec![
        ("form", form.to_owned()),
        ("path", file.as_os_str().as_bytes().escape_ascii().to_string()),
        ("device", status.dev().to_string()),
        ("inode", status.ino().to_string()),
        ("size", status.size().to_string()),
        ("modified", format!("{}.{:09}", status.mtime(), status.mtime_nsec())),
        ("changed", format!("{}.{:09}", status.ctime(), status.ctime_nsec())),
    ];
    facts.extend(names.iter().map(|name| ("name", name.clone())));
    Some(Question { context: "memobuild 2026-11-28 written archive v1", output: "written", facts })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::oci::fixture::memo;

    #[test]
    fn only_the_untouched_file_with_the_same_names_is_current() {
        let (folder, memo) = memo();
        let file = folder.path().join("image.tar");
        let (digest, other) = (OciDigest::of(b"one"), OciDigest::of(b"two"));
        let is_current = |digest| is_current(&memo, &file, "oci-archive", &["a".to_owned()], digest).unwrap();
        fs::write(&file, "archive").unwrap();
        assert!(!is_current(digest));
        remember(&memo, &file, "oci-archive", &["a".to_owned()], digest).unwrap();
        assert!(is_current(digest) && !is_current(other));
        assert!(!super::is_current(&memo, &file, "oci-archive", &[], digest).unwrap());
        assert!(!super::is_current(&memo, &file, "docker-archive", &["a".to_owned()], digest).unwrap());
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&file, "ARCHIVE").unwrap();
        assert!(!is_current(digest));
        fs::remove_file(&file).unwrap();
        assert!(!is_current(digest));
    }
}
