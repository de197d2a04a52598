//! The part of an input that is used: a path in it, then what globs take of that.
//! Parents of the path may be symbolic links, followed as inside the input; the last name is not followed.

use crate::base::tree_path::TreePath;
use crate::exec::executor::ExecError;
use crate::graph::graph::Select;
use crate::graph::value::Value;
use crate::store::memo::Memo;
use crate::tree::flatten::flatten_stack;
use crate::tree::glob::Glob;
use crate::tree::overlay::{Layers, Merged, Stack};
use crate::tree::select::{filter, unmatched};
use crate::tree::tree::{Content, Entry, Metadata};

/// How many names a message lists.
const MOST_NAMES: usize = 8;

/// `value` itself where nothing is selected, else a tree.
pub fn narrow(memo: &Memo, value: &Value, select: &Select) -> Result<Value, ExecError> {
    if *select == Select::default() {
        return Ok(value.clone());
    }
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
            let layers = Layers::new(memo, layers.iter().map(|layer| layer.tree));
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

/// Names what is there instead: in the deepest directory on the way that exists.
fn not_there(layers: &Layers<'_>, path: &TreePath, resolved: &TreePath) -> Result<ExecError, ExecError> {
    let mut missing = resolved.clone();
    let (names, directory) = loop {
        let parent = missing.parent().unwrap_or_default();
        match layers.directory(&parent)? {
            Some(names) => break (names, parent),
            None => missing = parent,
        }
    };
    let wanted = missing.name().unwrap_or_default();
    let mut names: Vec<_> = names.into_keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(alike(name, wanted)));
    names.truncate(MOST_NAMES);
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", String::from_utf8_lossy(name))).collect();
    let help = match names.as_slice() {
        [] => format!("`{directory}` is empty"),
        names => format!("in `{directory}` there are, nearest first: {}", names.join(", ")),
    };
    Ok(ExecError::Input { message: format!("there is no `{path}` in the input"), help })
}

/// How many bytes two names share at their beginnings and ends.
fn alike(left: &[u8], right: &[u8]) -> usize {
    let start = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let ends = left[start..].iter().rev().zip(right[start..].iter().rev());
    start + ends.take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests;
