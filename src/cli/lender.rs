//! What the caller lends to runs: where the values of secrets and the ssh agents are, by the settings or the command
//! line.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::hidden::Hidden;
use crate::cli::args::LentArgs;
use crate::cli::failure::Failure;
use crate::cli::{place, settings};
use crate::exec::lender::{DEFAULT, Lender};
use crate::exec::secrets::{SecretFrom, Secrets};
use crate::lang::Loaded;
use crate::lang::settings::SecretSource;

/// The command line wins.
pub(super) fn lender(loaded: &Loaded, workspace: &Path, asked: &LentArgs) -> Result<Arc<Lender>, Failure> {
    let declared = loaded.settings.secrets.iter();
    let declared = declared.map(|(name, source)| Ok((name.clone(), declared_from(source, workspace)?)));
    let given = asked.secrets.iter().map(|text| asked_from(text));
    let secrets = declared.chain(given).collect::<Result<Vec<_>, Failure>>()?;
    let own =
        settings::set("SSH_AUTH_SOCK").map(|socket| Ok((DEFAULT.to_owned(), place::absolute(&socket)?)));
    let named = asked.ssh.iter().map(|text| agent(text));
    let agents = own.into_iter().chain(named).collect::<Result<BTreeMap<_, _>, Failure>>()?;
    Ok(Arc::new(Lender { secrets: Secrets::new(secrets), agents }))
}

/// `NAME=SOCKET`, as `--ssh` has it.
fn agent(text: &str) -> Result<(String, PathBuf), Failure> {
    match text.split_once('=').filter(|(name, socket)| !name.is_empty() && !socket.is_empty()) {
        Some((name, socket)) => Ok((name.to_owned(), place::absolute(&expanded(socket)?)?)),
        None => Err(Failure::input(
            format!("`--ssh {text}` does not say which socket it is"),
            format!("write --ssh NAME=SOCKET; --ssh {DEFAULT}=SOCKET is for a plain `ssh` line"),
        )),
    }
}

/// Paths are below the workspace's root, unless they are absolute or below the user's home.
fn declared_from(source: &SecretSource, workspace: &Path) -> Result<SecretFrom, Failure> {
    Ok(match source {
        SecretSource::Env(name) => variable(name),
        SecretSource::File(path) => SecretFrom::File(workspace.join(expanded(path)?)),
        SecretSource::Command(line) => {
            SecretFrom::Command { line: line.clone(), folder: workspace.to_owned() }
        }
    })
}

/// `NAME=env:VARIABLE` or `NAME=file:PATH`, as `--secret` has it.
fn asked_from(text: &str) -> Result<(String, SecretFrom), Failure> {
    let from = text.split_once('=').filter(|(name, _)| !name.is_empty()).and_then(|(name, from)| {
        let (kind, place) = from.split_once(':').filter(|(_, place)| !place.is_empty())?;
        Some((name, kind, place))
    });
    match from {
        Some((name, "env", variable)) => Ok((name.to_owned(), self::variable(variable))),
        Some((name, "file", path)) => {
            Ok((name.to_owned(), SecretFrom::File(place::absolute(&expanded(path)?)?)))
        }
        // What stands there may be the value itself.
        _ => Err(Failure::input(
            "`--secret` needs a name, and where the value is",
            "write --secret NAME=env:VARIABLE or --secret NAME=file:PATH",
        )),
    }
}

fn variable(name: &str) -> SecretFrom {
    let value = std::env::var_os(name).map(|value| Hidden::new(value.into_vec()));
    SecretFrom::Variable { name: name.to_owned(), value }
}

fn expanded(path: &str) -> Result<PathBuf, Failure> {
    settings::expanded(path).ok_or_else(|| {
        Failure::environment(
            format!("`{path}` cannot be found: HOME is not set"),
            Some("set HOME".to_owned()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_where() {
        for (text, expected) in [
            ("npm=env:NO_SUCH_VARIABLE", Some("Variable { name: \"NO_SUCH_VARIABLE\", value: None }")),
            ("npm=file:/a=b:c", Some("File(\"/a=b:c\")")),
            ("npm=s3cr3t", None),
            ("npm=env:", None),
            ("=env:X", None),
            ("npm", None),
        ] {
            let found = asked_from(text).ok().map(|(name, from)| {
                assert_eq!(name, "npm");
                format!("{from:?}")
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_not_repeated() {
        let Err(Failure::Input { message, .. }) = asked_from("npm=s3cr3t") else { panic!("taken") };
        assert!(!message.contains("s3cr3t"));
    }
}
