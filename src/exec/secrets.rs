//! Secrets: values that runs are lent, and that enter no key, record, log or image. Each is asked for when a run
//! needs it, once a build, and kept in memory only.

mod command;
mod forms;
mod mask;

pub use mask::{Masking, Masks};

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::base::cancel::Cancel;
use crate::base::hidden::Hidden;
use crate::exec::executor::ExecError;

/// What a file or a program may give, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Where a value is.
#[derive(Debug, Clone)]
pub enum SecretFrom {
    /// A variable of the caller's environment, and what was found in it.
    Variable {
        name: String,
        value: Option<Hidden>,
    },
    File(PathBuf),
    /// A line of the caller's shell, which prints it.
    Command {
        line: String,
        folder: PathBuf,
    },
}

/// All that are declared, by name.
#[derive(Debug, Default)]
pub struct Secrets {
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    from: SecretFrom,
    /// Once it was asked for. Locked while it is.
    value: Mutex<Option<Arc<Hidden>>>,
}

/// Why there is no value.
#[derive(Debug)]
pub enum Lack {
    /// Nobody said where it is, or nothing is there: for an optional one this is no mistake.
    Absent(ExecError),
    Failed(ExecError),
}

impl Secrets {
    pub fn new(known: impl IntoIterator<Item = (String, SecretFrom)>) -> Secrets {
        let known = known.into_iter().map(|(name, from)| (name, Known { from, value: Mutex::default() }));
        Secrets { known: known.collect() }
    }

    /// Asks for it where no run needed it before. Blocks while its command runs.
    pub fn value(&self, name: &str, cancel: &Cancel) -> Result<Arc<Hidden>, Lack> {
        let Some(Known { from, value: known }) = self.known.get(name) else {
            return Err(Lack::Absent(ExecError::Input {
                message: format!("nothing says where the value of the secret `{name}` is"),
                help: format!(
                    "pass --secret {name}=env:VARIABLE, or add to the `workspace` block: secret {name} from-env=\"VARIABLE\""
                ),
            }));
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*known {
            return Ok(value.clone());
        }
        let value = Arc::new(from.ask(name, cancel)?);
        forbid_dumps();
        Ok(known.insert(value).clone())
    }
}

impl SecretFrom {
    fn ask(&self, name: &str, cancel: &Cancel) -> Result<Hidden, Lack> {
        match self {
            SecretFrom::Variable { value: Some(value), .. } => Ok(value.clone()),
            SecretFrom::Variable { name: variable, value: None } => Err(Lack::Absent(lacking(
                format!("the secret `{name}` has no value: the variable `{variable}` is not set"),
                format!("set {variable}"),
            ))),
            SecretFrom::File(path) => read(name, path),
            SecretFrom::Command { line, folder } => {
                command::ask(name, line, folder, cancel).map_err(Lack::Failed)
            }
        }
    }
}

fn read(name: &str, path: &Path) -> Result<Hidden, Lack> {
    let shown = path.display();
    let bytes = File::open(path).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(Hidden::new(bytes))
    });
    match bytes {
        Ok(value) if value.bytes().len() as u64 > MOST_BYTES => {
            Err(Lack::Failed(too_long(name, &format!("the file `{shown}`"))))
        }
        Ok(value) => Ok(value),
        Err(error) => {
            let lacking = lacking(
                format!("the secret `{name}` has no value: the file `{shown}` cannot be read: {error}"),
                "write the value into that file, or name another one".to_owned(),
            );
            let is_absent = error.kind() == io::ErrorKind::NotFound;
            Err(if is_absent { Lack::Absent(lacking) } else { Lack::Failed(lacking) })
        }
    }
}

fn lacking(message: String, help: String) -> ExecError {
    ExecError::Environment { message, help: Some(help) }
}

fn too_long(name: &str, what: &str) -> ExecError {
    ExecError::Input {
        message: format!("{what} gives more than 1 MiB for the secret `{name}`"),
        help: "a secret is a token, a password or a key: fetch or mount larger things".to_owned(),
    }
}

/// This process has a value in its memory now, which no crash may write to a disk. A limit of 1 is for kernels that
/// hand dumps to a program, whatever the limit, unless it is 1 (core(5)); it is too little for any other dump.
pub(crate) fn forbid_dumps() {
    let maximum = getrlimit(Resource::Core).maximum;
    // Where it is lower already there is nothing to forbid.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(1), maximum });
}

#[cfg(test)]
mod tests;
