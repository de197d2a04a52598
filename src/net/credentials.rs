//! Credentials of registries: where they stand and who gives them.

use std::fmt;
use std::path::PathBuf;

/// With what a server was asked. Shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    /// The server was not one that asks for any.
    Nothing,
    Anonymous,
    File(PathBuf),
    /// The name of the program that gave them.
    Helper(String),
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Used::Nothing => Ok(()),
            Used::Anonymous => f.write_str(" anonymously"),
            Used::File(path) => write!(f, " with the credentials of `{}`", path.display()),
            Used::Helper(program) => write!(f, " with the credentials that `{program}` gives"),
        }
    }
}

impl Used {
    pub(in crate::net) fn help(&self, host: &str) -> String {
        match self {
            Used::Nothing => format!("look whether {host} lets this machine read it"),
            Used::Anonymous => format!("log in: docker login {host}"),
            Used::File(_) | Used::Helper(_) => {
                format!("log in to {host} again, as a user who may do it")
            }
        }
    }
}
