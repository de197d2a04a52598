//! The part of an input that is used: a path in it, then what globs take of that.
//! Parents of the path may be symbolic links, followed as inside the input; the last name is not followed.

use crate::base::suggest;
use crate::base::tree_path::TreePath;
use crate::exec::executor::ExecError;
use crate::graph::graph::Select;
use crate::graph::value::Value;
use crate::oci::supply::Supply;
use crate::store::memo::Memo;
use crate::tree::flatten::flatten_stack;
use crate::tree::glob::Glob;
use crate::tree::overlay::{Layers, Merged, Stack};
use crate::tree::select::{filter, unmatched};
use crate::tree::tree::{Content, Entry, Metadata};

/// How many names a message lists.
const MOST_NAMES: usize = 8;

/// `value` itself where nothing is selected, else a tree.
pub fn narrow(supply: &Supply, value: &Value, select: &Select) -> Result<Value, ExecError> {
    if *select == Select::default() {
        return Ok(value.clone());
    }
    let memo = supply.memo();
    let path = select.path.clone().unwrap_or_default();
    let entry = match value {
        Value::Tree(entry) => match entry.tree() {
            Some(tree) => match find(&Layers::plain(memo, tree), &path)? {
                // A tree's own directory knows its metadata; a root made of layers has none.
                Merged::Directory { stack, .. } if path.is_root() => {
                    take_directory(memo, stack, entry.metadata.clone(), select)?
                }
                found => take(memo, found, &path, select)?,
            },
            None if path.is_root() => take(memo, Merged::Other(entry.clone()), &path, select)?,
            None => return Err(nothing_below_a_file(&path)),
        },
        Value::Rootfs(_) | Value::Image(_) => {
            let layers = value.rootfs().map(|rootfs| rootfs.layers.as_slice()).unwrap_or_default();
            let layers = Layers::new(memo, supply.trees(layers)?);
            take(memo, find(&layers, &path)?, &path, select)?
        }
        Value::Host(_) | Value::Text(_) => return Err(no_files(value, &path)),
    };
    Ok(Value::Tree(entry))
}

fn find(layers: &Layers<'_>, path: &TreePath) -> Result<Merged, ExecError> {
    let resolved = layers.resolve_parents(path)?;
    match layers.find(&resolved)? {
        Some(merged) => Ok(merged),
        None => Err(not_there(layers, path, &resolved)?),
    }
}

fn take(memo: &Memo, merged: Merged, path: &TreePath, select: &Select) -> Result<Entry, ExecError> {
    match merged {
        Merged::Directory { metadata, stack, .. } => take_directory(memo, stack, metadata, select),
        Merged::Other(_) if !select.include.is_empty() || !select.exclude.is_empty() => {
            Err(ExecError::Input {
                message: format!("`{path}` is no directory, so no glob matches below it"),
                help: "leave out `include` and `exclude`, or give the path of a directory".to_owned(),
            })
        }
        Merged::Other(entry) => Ok(alone(entry)),
        Merged::Removed => unreachable!("bug: a removed name is never found"),
    }
}

fn take_directory(
    memo: &Memo,
    stack: Stack,
    metadata: Metadata,
    select: &Select,
) -> Result<Entry, ExecError> {
    let include = Glob::parse_all(&select.include)?;
    let exclude = Glob::parse_all(&select.exclude)?;
    if let Some(glob) = unmatched(memo, &stack, &include)? {
        return Err(matches_nothing(glob, select.path.as_ref()));
    }
    let tree = match (include.as_slice(), exclude.as_slice()) {
        ([], []) => flatten_stack(memo, &stack)?,
        (include, exclude) => filter(memo, &stack, include, exclude)?,
    };
    Ok(Entry { metadata, content: Content::Directory { tree, opaque: false } })
}

/// One file has nothing to be a hard link of.
fn alone(mut entry: Entry) -> Entry {
    if let Content::File { link, .. } = &mut entry.content {
        *link = None;
    }
    entry
}

fn matches_nothing(glob: &Glob, path: Option<&TreePath>) -> ExecError {
    let below = path.map(|path| format!(" below `{path}`")).unwrap_or_default();
    ExecError::Input {
        message: format!("`{}` matches nothing{below}", glob.text()),
        help: "globs are anchored where they begin to match: `**/` before one makes it match at any depth"
            .to_owned(),
    }
}

fn nothing_below_a_file(path: &TreePath) -> ExecError {
    ExecError::Input {
        message: format!("there is no `{path}`: the input is a single file"),
        help: "leave out `path`".to_owned(),
    }
}

fn no_files(value: &Value, path: &TreePath) -> ExecError {
    ExecError::Input {
        message: format!("there is no `{path}`: a {} holds no files", value.type_of().name()),
        help: "give a tree, a rootfs or an image".to_owned(),
    }
}

/// Tells of the deepest directory on the way that exists: what is near there, or what is there at all.
fn not_there(layers: &Layers<'_>, path: &TreePath, resolved: &TreePath) -> Result<ExecError, ExecError> {
    let mut missing = resolved.clone();
    let (names, directory) = loop {
        let parent = missing.parent().unwrap_or_default();
        match layers.directory(&parent)? {
            Some(names) => break (names, parent),
            None => missing = parent,
        }
    };
    let shown: Vec<_> = names.keys().map(|name| String::from_utf8_lossy(name)).collect();
    let wanted = String::from_utf8_lossy(missing.name().unwrap_or_default());
    let help = match suggest::nearest(&wanted, shown.iter().map(AsRef::as_ref)) {
        Some(name) if name == wanted => format!("`{missing}` is no directory"),
        Some(name) => format!("did you mean `{}`?", directory.join(name.as_bytes())),
        None if shown.is_empty() => format!("`{directory}` is empty"),
        None => format!("in `{directory}` there are: {}", some_of(&shown)),
    };
    Ok(ExecError::Input { message: format!("there is no `{path}` in the input"), help })
}

fn some_of(names: &[impl AsRef<str>]) -> String {
    let listed: Vec<_> = names.iter().take(MOST_NAMES).map(|name| suggest::ticked(name.as_ref())).collect();
    let more = if names.len() > MOST_NAMES { ", …" } else { "" };
    format!("{}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests;
