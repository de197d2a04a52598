//! `${git.…}`: facts of the repository around the workspace, told by git itself. Nothing of the
//! repository's own configuration can make it start a program.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::lang::interpolate::Plain;

/// `commit`, `tag`, `describe`, `time` (seconds since 1970 of the commit) or `dirty`.
pub(super) fn value(workspace: &Path, field: &str) -> Result<Plain, String> {
    match field {
        "commit" => git(workspace, &["rev-parse", "--verify", "HEAD"]).map(Plain::Text),
        // No tag is a value, too.
        "tag" => {
            git(workspace, &["rev-parse", "--verify", "HEAD"])?;
            let tag = git(workspace, &["describe", "--tags", "--exact-match", "HEAD"]);
            Ok(Plain::Text(tag.unwrap_or_default()))
        }
        "describe" => git(workspace, &["describe", "--tags", "--always", "--dirty"]).map(Plain::Text),
        "time" => {
            let seconds = git(workspace, &["show", "--no-patch", "--format=%ct", "HEAD"])?;
            seconds.parse().map(Plain::Int).map_err(|_| format!("git tells no time but `{seconds}`"))
        }
        _ => git(workspace, &["status", "--porcelain"]).map(|changes| Plain::Bool(!changes.is_empty())),
    }
}

fn git(workspace: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(workspace)
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat"])
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start git: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git says: {}", words.lines().next().unwrap_or("nothing").trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
