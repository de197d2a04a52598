//! Files as they are: below a folder, or in a tar.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::base::durable::{self, Draft};
use crate::base::remove::remove;
use crate::exec::executor::ExecError;
use crate::graph::value::Value;
use crate::oci::error::OciError;
use crate::oci::image::Compression;
use crate::oci::layer::pack_into;
use crate::oci::supply::Supply;
use crate::tree::disk::materialize::{Materialize, Owners, SECOND, Whiteouts, materialize};
use crate::tree::disk::snapshot::FIRST_TIME;
use crate::tree::encode::save;
use crate::tree::error::TreeError;
use crate::tree::flatten::flatten;
use crate::tree::tree::{Directory, Entry};

/// Made beside the destination and put in its place in one rename.
pub(super) fn write_files(supply: &Supply, value: &Value, path: &Path) -> Result<(), ExecError> {
    let entry = tree_of(supply, value)?;
    let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = format!(".{shown}.memobuild-{}", std::process::id());
    let fresh = path.with_file_name(&name);
    let time = FIRST_TIME * SECOND;
    let options = Materialize { owners: Owners::Single, time, whiteouts: Whiteouts::Refuse };
    let swapped = materialize(supply.memo(), &entry, &fresh, &options, supply.cancel())
        .map_err(|error| unmade(path, &name, error))
        .and_then(|()| {
            durable::exchange(&fresh, path)
                .map_err(|error| environment(format!("cannot put `{}` in place: {error}", path.display())))
        });
    // What was there before, or what an error left.
    remove(&fresh).map_err(|error| environment(format!("cannot remove `{}`: {error}", fresh.display())))?;
    swapped
}

/// The files as a plain tar, the same for equal files. `name` is that of a single file. Without a path it goes
/// to standard output.
pub(super) fn write_tar(
    supply: &Supply,
    value: &Value,
    name: &str,
    path: Option<&Path>,
) -> Result<(), ExecError> {
    let entry = tree_of(supply, value)?;
    let tree = match entry.tree() {
        Some(tree) => tree,
        None => save(supply.memo(), &Directory { entries: [(name.as_bytes().to_vec(), entry)].into() })?,
    };
    let pack = |out: &mut dyn Write| {
        pack_into(supply.memo(), tree, Compression::None, out, supply.cancel()).map(drop)
    };
    match path {
        Some(path) => {
            let mut draft = Draft::beside(path).map_err(OciError::io("cannot create", path))?;
            pack(draft.file())?;
            Ok(draft.publish(path, 0o644).map_err(OciError::io("cannot write", path))?)
        }
        None => Ok(pack(&mut io::stdout().lock())?),
    }
}

fn tree_of(supply: &Supply, value: &Value) -> Result<Entry, ExecError> {
    match value {
        Value::Tree(entry) => Ok(entry.clone()),
        other => {
            let rootfs = other.rootfs().expect("bug: chose neither a tree nor a rootfs");
            let layers = supply.trees(&rootfs.layers)?;
            Ok(Entry::directory(flatten(supply.memo(), &layers)?))
        }
    }
}

/// The error names a path below the destination's folder; whoever reads it knows the destination only.
fn unmade(destination: &Path, name: &str, error: TreeError) -> ExecError {
    let TreeError::Io { action, path, source } = error else { return error.into() };
    let shown = match path.strip_prefix(Path::new("/").join(name)) {
        Ok(below) if below.as_os_str().is_empty() => destination.to_owned(),
        Ok(below) => destination.join(below),
        Err(_) => path,
    };
    let help = match source.kind() {
        ErrorKind::StorageFull => Some("free some room, or name another folder".to_owned()),
        // The folder may be written to, so it is what only root makes.
        ErrorKind::PermissionDenied => {
            Some("leave out what only root may make, or export an image to oci:DIR".to_owned())
        }
        _ => None,
    };
    ExecError::Environment { message: format!("{action} {}: {source}", shown.display()), help }
}

fn environment(message: String) -> ExecError {
    ExecError::Environment { message, help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_made_is_named_at_its_destination() {
        for (path, shown) in
            [("/.draft", "/a/out"), ("/.draft/dev/null", "/a/out/dev/null"), ("/else", "/else")]
        {
            let source = io::Error::from(ErrorKind::PermissionDenied);
            let error = TreeError::Io { action: "cannot make", path: path.into(), source };
            match unmade(Path::new("/a/out"), ".draft", error) {
                ExecError::Environment { message, help: Some(_) } => {
                    assert!(message.starts_with(&format!("cannot make {shown}: ")), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
