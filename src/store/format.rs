//! The number of the store's format, in a file of its own. Whatever a folder holds that is not this
//! format is left as it is.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::base::durable::{self, DRAFT_PREFIX};
use crate::store::object::StoreError;

/// Raised whenever an older program would misread what a newer one wrote, or the reverse.
pub const FORMAT: u32 = 1;

/// Refuses a folder of another format or with other things in it; makes an absent or empty one a store,
/// which only its owner may enter.
pub fn open_or_create(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("format");
    if let Some(found) = read(&path)? {
        return compare(folder, &found);
    }
    fs::create_dir_all(folder.parent().unwrap_or(folder))
        .and_then(|()| match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        })
        .map_err(StoreError::io("cannot create", folder))?;
    if !is_empty(folder).map_err(StoreError::io("cannot list", folder))? {
        // Another process may have made it a store since.
        return match read(&path)? {
            Some(found) => compare(folder, &found),
            None => Err(StoreError::NotStore { path: folder.to_owned() }),
        };
    }
    // Synced, since a store whose format is lost is refused for ever.
    durable::write_durably(&path, format!("{FORMAT}\n").as_bytes(), 0o444)
        .map_err(StoreError::io("cannot write", &path))
}

fn read(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("cannot read", path)(error)),
    }
}

fn compare(folder: &Path, found: &str) -> Result<(), StoreError> {
    if found == FORMAT.to_string() {
        return Ok(());
    }
    let found = found.chars().take(20).collect();
    Err(StoreError::OtherFormat { path: folder.to_owned(), found, wanted: FORMAT })
}

/// But for formats that another process is about to write.
fn is_empty(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if !entry?.file_name().to_string_lossy().starts_with(DRAFT_PREFIX) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn makes_a_store_and_opens_it_again() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a/b");
        open_or_create(&folder).unwrap();
        open_or_create(&folder).unwrap();
        assert_eq!(names(&folder), ["format"]);
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn refuses_what_is_not_its_own_and_touches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter"), "dear").unwrap();
        assert!(matches!(open_or_create(folder.path()), Err(StoreError::NotStore { .. })));
        assert_eq!(names(folder.path()), ["letter"]);

        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("format"), "2\n").unwrap();
        let error = open_or_create(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("has format 2, this program reads format 1"), "{error}");
        assert_eq!(names(folder.path()), ["format"]);
    }

    #[test]
    fn many_may_make_one_store() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| open_or_create(folder.path()).unwrap());
            }
        });
        assert_eq!(names(folder.path()), ["format"]);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(open_or_create(file.path()), Err(StoreError::Io { .. })));
    }
}
