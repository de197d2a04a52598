//! `memobuild fmt`: build files in the house style. A file is replaced whole, or not touched where it is
//! formatted already or has mistakes. A link is followed where it stays in the workspace.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use crate::base::durable;
use crate::cli::args::{Args, FmtArgs};
use crate::cli::failure::Failure;
use crate::cli::{place, print};
use crate::lang::mistake::Mistakes;
use crate::lang::{format, source};

pub(super) fn fmt(args: &Args, asked: &FmtArgs) -> Result<(), Failure> {
    let is_input = |path: &PathBuf| path.as_os_str() == "-";
    match asked.paths.as_slice() {
        [path] if is_input(path) => return format_input(asked.check),
        paths if paths.iter().any(is_input) => {
            return Err(Failure::input("`-`, the standard input, stands alone", "name either files, or -"));
        }
        _ => {}
    }
    let workspace = place::workspace(args)?;
    format_files(&files(&workspace, &asked.paths)?, asked.check)
}

/// For editors: the result goes to stdout.
fn format_input(check: bool) -> Result<(), Failure> {
    const NAME: &str = "standard input";
    let bytes = source::bounded(io::stdin().lock())
        .map_err(|error| Failure::environment(format!("cannot read the {NAME}: {error}"), None))?;
    let text = source::text(bytes, NAME).map_err(Mistakes::from)?;
    let formatted = format::format(&source::called(NAME, &text))?;
    match check {
        false => print::data(formatted),
        true if formatted == text => Ok(()),
        true => {
            print::note(&format!("would reformat {NAME}"));
            Err(unformatted(1))
        }
    }
}

/// All mistakes of all files are told; what stands in the way of writing ends it.
fn format_files(files: &Files, check: bool) -> Result<(), Failure> {
    let (mut changed, mut refused) = (0, 0);
    for (path, name) in files {
        match format_file(path, name, check) {
            Ok(is_changed) => changed += usize::from(is_changed),
            Err(Failure::Mistakes(mistakes)) => {
                print::mistakes(&mistakes);
                refused += 1;
            }
            Err(other) => return Err(other),
        }
    }
    match (refused, changed) {
        (0, 0) => Ok(()),
        (0, _) if !check => Ok(()),
        (0, changed) => Err(unformatted(changed)),
        (1, _) => Err(refusal("one file has mistakes and stays as it is")),
        (refused, _) => Err(refusal(&format!("{refused} files have mistakes and stay as they are"))),
    }
}

/// Whether it was not in the house style.
fn format_file(path: &Path, name: &str, check: bool) -> Result<bool, Failure> {
    let text = source::read_file(path, name).map_err(Mistakes::from)?;
    let formatted = format::format(&source::called(name, &text))?;
    if formatted == text {
        return Ok(false);
    }
    if check {
        print::note(&format!("would reformat {name}"));
        return Ok(true);
    }
    durable::replace(path, formatted.as_bytes()).map_err(|error| {
        let help = "a file is replaced by a new one: you must be allowed to write in its folder";
        Failure::environment(format!("cannot replace {name}: {error}"), Some(help.to_owned()))
    })?;
    print::note(&format!("formatted {name}"));
    Ok(true)
}

fn unformatted(count: usize) -> Failure {
    let message = match count {
        1 => "one file is not formatted".to_owned(),
        count => format!("{count} files are not formatted"),
    };
    Failure::input(message, "`memobuild fmt`, with the same paths, formats what is named above")
}

fn refusal(message: &str) -> Failure {
    Failure::Input { message: message.to_owned(), help: None }
}

/// Real paths, each with what messages call it.
type Files = BTreeMap<PathBuf, String>;

/// Paths are relative to the caller's folder.
fn files(workspace: &Path, paths: &[PathBuf]) -> Result<Files, Failure> {
    let mut files = Files::new();
    if paths.is_empty() {
        let path = workspace.join(source::FILE_NAME);
        // Where there is none, reading it will tell.
        let path = if path.is_symlink() { real_path(&path, workspace)? } else { path };
        files.insert(path, source::FILE_NAME.to_owned());
    }
    for path in paths {
        if path.is_dir() {
            add_below(path, workspace, &mut files)?;
        } else {
            files.insert(real_path(path, workspace)?, path.display().to_string());
        }
    }
    Ok(files)
}

fn real_path(path: &Path, workspace: &Path) -> Result<PathBuf, Failure> {
    let shown = path.display();
    let real = path.canonicalize().map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no `{shown}`"),
            _ => format!("cannot open `{shown}`: {error}"),
        };
        Failure::input(message, "name a build file, or a folder with build files below it")
    })?;
    if path.is_symlink() && !real.starts_with(workspace) {
        let message = format!("`{shown}` is a link to {}, outside the workspace", real.display());
        return Err(Failure::input(message, "name that file itself"));
    }
    Ok(real)
}

/// The build files that a folder holds, but for what is hidden, what git ignores, and `target`.
fn add_below(folder: &Path, workspace: &Path, files: &mut Files) -> Result<(), Failure> {
    let mut walk = WalkBuilder::new(folder);
    walk.require_git(false).git_global(false).ignore(false).filter_entry(|entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        !(is_folder && entry.depth() > 0 && entry.file_name() == "target")
    });
    let before = files.len();
    for entry in walk.build() {
        let entry = entry.map_err(|error| Failure::environment(error.to_string(), None))?;
        if let Some(path) = build_file(&entry, workspace) {
            let shown = entry.path().strip_prefix(".").unwrap_or(entry.path());
            files.entry(path).or_insert_with(|| shown.display().to_string());
        }
    }
    if files.len() == before {
        let message = format!("there is no build file below `{}`", folder.display());
        return Err(Failure::input(
            message,
            "build files are called memobuild.kdl, or begin with `memobuild 1`",
        ));
    }
    Ok(())
}

/// The real path of what is a build file by its name, or by its first line.
fn build_file(entry: &DirEntry, workspace: &Path) -> Option<PathBuf> {
    let path = entry.path();
    if path.extension().is_none_or(|extension| extension != "kdl") || !path.is_file() {
        return None;
    }
    let real = real_path(path, workspace).ok()?;
    let is_build_file = || format::is_build_file(&source::read_file(&real, "").unwrap_or_default());
    (entry.file_name() == source::FILE_NAME || is_build_file()).then_some(real)
}
