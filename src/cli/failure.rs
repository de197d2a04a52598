//! Everything that can go wrong, sorted into three kinds with their exit codes:
//! 1 the user's command failed, 2 what the user wrote, 3 the environment.

use std::process::ExitCode;

use crate::cli::print;
use crate::exec::executor::ExecError;
use crate::graph::select::SelectError;
use crate::lang::mistake::Mistakes;
use crate::oci::error::OciError;
use crate::store::object::StoreError;
use crate::tree::error::TreeError;
use crate::tree::scan::ScanError;

pub(super) enum Failure {
    /// Commands or tests of the user failed; already told in detail.
    Failed(String),
    /// Mistakes in memobuild.kdl, with their places.
    Mistakes(Box<Mistakes>),
    /// What the user wrote elsewhere: on the command line, or what it names.
    Input {
        message: String,
        help: Option<String>,
    },
    /// Disk, network, kernel.
    Environment {
        message: String,
        help: Option<String>,
    },
    Cancelled,
    /// How the command ended that somebody sat at.
    Code(u8),
    /// Whoever read our output has gone.
    Quiet,
}

impl Failure {
    pub(super) fn input(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::Input { message: message.into(), help: Some(help.into()) }
    }

    pub(super) fn environment(message: impl Into<String>, help: Option<String>) -> Failure {
        Failure::Environment { message: message.into(), help }
    }

    /// Tells it on stderr and gives the exit code.
    pub(super) fn report(self) -> ExitCode {
        let code = self.code();
        match self {
            Failure::Quiet | Failure::Code(_) => {}
            Failure::Cancelled => print::note("memobuild: cancelled"),
            Failure::Failed(message) => print::note(&format!("memobuild: {message}")),
            Failure::Mistakes(mistakes) => print::mistakes(&mistakes),
            Failure::Input { message, help } | Failure::Environment { message, help } => {
                print::note(&format!("memobuild: {message}"));
                if let Some(help) = help {
                    print::note(&format!("  help: {help}"));
                }
            }
        }
        ExitCode::from(code)
    }

    pub(super) const fn code(&self) -> u8 {
        match self {
            Failure::Quiet => 0,
            Failure::Failed(_) => 1,
            Failure::Mistakes(_) | Failure::Input { .. } => 2,
            Failure::Environment { .. } => 3,
            Failure::Cancelled => 130,
            Failure::Code(code) => *code,
        }
    }
}

impl From<ExecError> for Failure {
    fn from(error: ExecError) -> Failure {
        match error {
            ExecError::Failed(_) | ExecError::Unmet(_) => Failure::Failed(error.to_string()),
            ExecError::Input { message, help } | ExecError::Mistake { message, help, .. } => {
                Failure::input(message, help)
            }
            ExecError::Environment { message, help } => Failure::Environment { message, help },
            ExecError::Store(error) => error.into(),
            ExecError::Cancelled => Failure::Cancelled,
        }
    }
}

impl From<OciError> for Failure {
    fn from(error: OciError) -> Failure {
        ExecError::from(error).into()
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Failure {
        ExecError::from(error).into()
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Failure {
        ExecError::from(error).into()
    }
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Failure {
        Failure::input(error.to_string(), error.help())
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Failure {
        Failure::Mistakes(Box::new(mistakes))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Cancelled => Failure::Cancelled,
            error => Failure::Environment { message: error.to_string(), help: store_help(&error) },
        }
    }
}

/// What to do about it, where that is known.
pub(super) fn store_help(error: &StoreError) -> Option<String> {
    let help = match error {
        StoreError::OtherFormat { .. } => "name another folder with --store, or remove this one",
        StoreError::NotStore { .. } => "name an empty folder, or one that does not exist, with --store",
        StoreError::Damaged(_) | StoreError::Missing(_) => {
            "`memobuild cache verify` puts damaged content aside; then build again"
        }
        StoreError::Changed { .. } => "build again when nothing writes to it",
        StoreError::Cancelled => return None,
        StoreError::Io { source, .. } => match source.kind() {
            std::io::ErrorKind::StorageFull => "free some room, or name another folder with --store",
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "name a folder that you may write to with --store"
            }
            std::io::ErrorKind::NotADirectory => "name a folder with --store",
            _ => return None,
        },
    };
    Some(help.to_owned())
}
