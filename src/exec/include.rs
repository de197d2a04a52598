//! Folders of this machine that a build file names beside its program folders: which of them runs may see, and
//! facts of all that is in them, so that another compiler is another key. Never looks into a file.
//!
//! What lies in the workspace or the store is never shown: a run sees sources by mounting them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::facts::FactSink;
use crate::base::tree_path::TreePath;
use crate::exec::executor::ExecError;
use crate::graph::op::HostFolder;

/// Those of the folders that are there, sorted, each once. `hidden` are absolute paths.
pub(crate) fn folders(include: &[HostFolder], hidden: &[PathBuf]) -> Result<Vec<String>, ExecError> {
    let mut folders = BTreeSet::new();
    for folder in include {
        if let Some(source) = find(folder)? {
            check(&folder.path, &source, hidden)?;
            folders.insert(folder.path.clone());
        }
    }
    Ok(folders.into_iter().collect())
}

/// Names, types, modes, sizes, times and where links lead, of everything in the folders but what is hidden.
pub(crate) fn write_facts(
    sink: &mut dyn FactSink,
    folders: &[String],
    hidden: &[PathBuf],
) -> Result<(), ExecError> {
    let hidden: Vec<PathBuf> = hidden.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    for folder in folders {
        let source = fs::canonicalize(folder).map_err(unreadable(Path::new(folder)))?;
        sink.fact("include", folder.as_bytes());
        sink.fact("leads to", source.as_os_str().as_bytes());
        let mut level = vec![source];
        while !level.is_empty() {
            let looked: Vec<Looked> =
                level.par_iter().map(|folder| look(folder, &hidden)).collect::<Result<_, _>>()?;
            for (folder, looked) in level.iter().zip(&looked) {
                sink.fact("folder", folder.as_os_str().as_bytes());
                sink.fact("entries", &looked.facts);
            }
            level = looked.into_iter().flat_map(|looked| looked.folders).collect();
        }
    }
    Ok(())
}

/// One folder's own entries, in the order of their names.
struct Looked {
    facts: Vec<u8>,
    folders: Vec<PathBuf>,
}

fn look(folder: &Path, hidden: &[PathBuf]) -> Result<Looked, ExecError> {
    let mut looked = Looked { facts: Vec::new(), folders: Vec::new() };
    let entries = match fs::read_dir(folder) {
        // It went away just now, or no command of this user can look into it either.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(looked);
        }
        entries => entries.map_err(unreadable(folder))?,
    };
    let named = entries.map(|entry| entry.map(|entry| (entry.file_name(), entry)));
    let mut entries: Vec<_> = named.collect::<Result<_, _>>().map_err(unreadable(folder))?;
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, entry) in entries {
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata.map_err(unreadable(folder))?,
        };
        let path = || folder.join(&name);
        if metadata.is_dir() && hidden.contains(&path()) {
            continue;
        }
        looked.add(name.as_bytes());
        looked.facts.extend(metadata.mode().to_le_bytes());
        // A folder's size and time tell of what is in it, which is looked at by itself.
        if metadata.is_dir() {
            looked.folders.push(path());
            continue;
        }
        looked.facts.extend(metadata.size().to_le_bytes());
        looked.facts.extend(metadata.mtime().to_le_bytes());
        looked.facts.extend(metadata.mtime_nsec().to_le_bytes());
        if metadata.is_symlink() {
            looked.add(fs::read_link(path()).unwrap_or_default().as_os_str().as_bytes());
        }
    }
    Ok(looked)
}

impl Looked {
    /// Framed by its length, so that no two lists of entries have the same bytes.
    fn add(&mut self, bytes: &[u8]) {
        self.facts.extend((bytes.len() as u64).to_le_bytes());
        self.facts.extend(bytes);
    }
}

/// Where it is, without links; `None` where it may be missing and is.
fn find(folder: &HostFolder) -> Result<Option<PathBuf>, ExecError> {
    let path = Path::new(&folder.path);
    if !path.is_absolute() || TreePath::parse(&folder.path).is_err() {
        return Err(refused(&folder.path, "is no absolute path", "write the whole path: \"/opt/tools\""));
    }
    match fs::canonicalize(path) {
        Ok(source) if source.is_dir() => Ok(Some(source)),
        Ok(_) => Err(refused(&folder.path, "is no folder", "name the folder that holds it")),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let help = "correct the path, or write `optional=#true`";
            if folder.optional {
                Ok(None)
            } else {
                Err(refused(&folder.path, "does not exist on this machine", help))
            }
        }
        Err(error) => Err(unreadable(path)(error)),
    }
}

fn check(path: &str, source: &Path, hidden: &[PathBuf]) -> Result<(), ExecError> {
    let first = Path::new(path).iter().nth(1).unwrap_or_default();
    if source == Path::new("/") || first == "proc" || first == "dev" {
        let help = "name the folder that holds what the commands need";
        return Err(refused(path, "is never shown to a run", help));
    }
    if source == Path::new("/home") && path.trim_end_matches('/') != "/home" {
        return Err(refused(path, "is all of /home", "write \"/home\", if all of it is meant"));
    }
    let is_inside =
        |hidden: &PathBuf| fs::canonicalize(hidden).is_ok_and(|hidden| source.starts_with(hidden));
    if hidden.iter().any(is_inside) {
        let help = "show a run the files of the workspace with `mount`";
        return Err(refused(path, "lies in the workspace or the store", help));
    }
    Ok(())
}

fn refused(path: &str, why: &str, help: &str) -> ExecError {
    ExecError::Input { message: format!("`{path}`, which `host` includes, {why}"), help: help.to_owned() }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ExecError {
    move |error| ExecError::Environment {
        message: format!("cannot look at what `host` includes: {}: {error}", path.display()),
        help: None,
    }
}

#[cfg(test)]
mod tests;
