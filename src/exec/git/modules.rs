//! `.gitmodules`: where the repositories of a commit's submodules are. Git itself parses it, from a text, so that
//! nothing in it is obeyed; of what it says only `path` and `url` are looked at.

use std::collections::HashMap;

use crate::exec::git::error::GitError;
use crate::exec::git::program::{Git, Reach};

/// Addresses as they are written, by the path of the submodule.
pub(super) fn addresses(git: &Git<'_>, text: &[u8]) -> Result<HashMap<Vec<u8>, String>, GitError> {
    let arguments = ["config", "--file", "-", "--no-includes", "--null", "--list"];
    let ran = git.run(Reach::Nothing, None, &arguments, text)?;
    if !ran.is_success {
        let line = ran.stderr.lines().next().unwrap_or("git says nothing");
        return Err(GitError::Modules(line.trim_start_matches("fatal: ").to_owned()));
    }
    Ok(by_path(&ran.stdout))
}

/// Of `submodule.NAME.KEY LF value NUL`, again and again. As for git, the last value of a key counts.
fn by_path(listed: &[u8]) -> HashMap<Vec<u8>, String> {
    #[derive(Default)]
    struct Module<'m> {
        path: Option<&'m [u8]>,
        url: Option<&'m [u8]>,
    }
    let mut modules: HashMap<&[u8], Module<'_>> = HashMap::new();
    for item in listed.split(|byte| *byte == 0) {
        let Some(end) = item.iter().position(|byte| *byte == b'\n') else { continue };
        let (key, value) = (&item[..end], &item[end + 1..]);
        let Some(key) = key.strip_prefix(b"submodule.") else { continue };
        let Some(dot) = key.iter().rposition(|byte| *byte == b'.') else { continue };
        let module = modules.entry(&key[..dot]).or_default();
        match &key[dot + 1..] {
            b"path" => module.path = Some(value),
            b"url" => module.url = Some(value),
            _ => {}
        }
    }
    let pairs = modules.into_values().filter_map(|module| Some((module.path?, module.url?)));
    pairs
        .map(|(path, url)| {
            let path = path.strip_suffix(b"/").unwrap_or(path);
            (path.to_vec(), String::from_utf8_lossy(url).into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_and_addresses_are_taken() {
        let listed = b"submodule.a.b.path\nlibs/a\0submodule.a.b.url\n../a\0submodule.a.b.update\n!touch x\0\
            core.fsmonitor\n./x\0submodule.half.path\nhalf\0submodule.a.b.url\n../b\0submodule.n.url\n\0";
        let expected = HashMap::from([(b"libs/a".to_vec(), "../b".to_owned())]);
        assert_eq!(by_path(listed), expected);
    }
}
