//! Errors of the lower floors as an action's error: whose fault it is, and what to do about it.

use crate::exec::executor::ExecError;
use crate::lang::code::Code;
use crate::net::error::NetError;
use crate::oci::error::OciError;
use crate::store::object::StoreError;
use crate::tree::error::TreeError;
use crate::tree::glob::BadGlob;
use crate::tree::scan::{Ignored, ScanError};

impl From<BadGlob> for ExecError {
    fn from(error: BadGlob) -> ExecError {
        ExecError::Input {
            message: error.to_string(),
            help: "write the glob as `.gitignore` has them, without `!` or `..`".to_owned(),
        }
    }
}

impl From<TreeError> for ExecError {
    fn from(error: TreeError) -> ExecError {
        let message = error.to_string();
        let input = |help: &str| ExecError::Input { message: message.clone(), help: help.to_owned() };
        match error {
            TreeError::Store(error) => ExecError::Store(error),
            TreeError::Cancelled => ExecError::Cancelled,
            TreeError::Loop(_) | TreeError::BadTarget { .. } => {
                input("write the path that the link should lead to")
            }
            TreeError::BadLink { .. } | TreeError::FollowedTooFar { .. } => {
                input("leave the link out with `exclude`, or copy without `follow`")
            }
            TreeError::LeadsOut { .. } => input("let the link lead to a file of the tree"),
            TreeError::Special { .. } => input("leave it out of the tree"),
            TreeError::InTheWay { .. } => input("remove it, or let the export land elsewhere"),
            TreeError::Io { .. }
            | TreeError::Changed { .. }
            | TreeError::TooDeep { .. }
            | TreeError::MountPoint { .. }
            | TreeError::Whiteout { .. }
            | TreeError::OverlayFeature { .. } => ExecError::Environment { message, help: None },
        }
    }
}

impl From<ScanError> for ExecError {
    fn from(error: ScanError) -> ExecError {
        let message = error.to_string();
        let input = |help: &str| ExecError::Input { message: message.clone(), help: help.to_owned() };
        let environment =
            |help: &str| ExecError::Environment { message: message.clone(), help: Some(help.to_owned()) };
        match error {
            ScanError::Store(error) => ExecError::Store(error),
            ScanError::Cancelled => ExecError::Cancelled,
            ScanError::Glob(error) => error.into(),
            ScanError::Empty { glob, ignored } => empty(&glob, ignored),
            ScanError::Missing { .. } | ScanError::NotDirectory { .. } => {
                input("make it, or name a path that exists below the folder of this file")
            }
            ScanError::NoIgnoreFile { .. }
            | ScanError::NotFile { .. }
            | ScanError::LargeIgnoreFile { .. } => {
                input("name an ignore file of the workspace, or remove the line `ignore-file`")
            }
            ScanError::IgnoreLine { .. } => input("correct the pattern, or remove it"),
            ScanError::Link { .. } => input("name the folder that the link leads to, inside the workspace"),
            ScanError::LeftOut { .. } => input("keep what builds write apart from what they read"),
            ScanError::Special { .. } => input("leave it out with `exclude`"),
            ScanError::TooDeep { .. } | ScanError::TooMany { .. } => input("leave it out with `exclude`"),
            ScanError::Unreadable { .. } => {
                environment("make it readable for this user, or leave it out with `exclude`")
            }
            ScanError::Vanished { .. } | ScanError::Changed { .. } => {
                environment("build again when nothing writes to it")
            }
            ScanError::Threads(_) => environment("raise the limit on processes (`ulimit -u`)"),
            ScanError::Index { .. } => environment("free some room, or name another folder with --store"),
        }
    }
}

fn empty(glob: &str, ignored: Option<Ignored>) -> ExecError {
    let message = format!("`{glob}` matches no file");
    let (message, help) = match ignored {
        None => (message, "correct the glob, or remove it".to_owned()),
        Some(Ignored { count, file, line, pattern }) => {
            let stays = if file.ends_with(".gitignore") { "`gitignore=#false`" } else { "change the rule" };
            let file = file.display();
            (
                format!("{message}: {count} that match are left out by {file}:{line} `{pattern}`"),
                format!("build them in a `run` and use its output; or {stays} if they really are sources"),
            )
        }
    };
    ExecError::Mistake {
        code: Code::FilesEmpty,
        message,
        words: Some(glob.to_owned()),
        label: "no file is like this",
        help,
    }
}

impl From<NetError> for ExecError {
    fn from(error: NetError) -> ExecError {
        let (message, help) = (error.to_string(), error.help());
        match error {
            NetError::Cancelled => ExecError::Cancelled,
            // What broke where the bytes went to has its own error.
            NetError::Write { source, .. } => match source.downcast::<StoreError>() {
                Ok(error) => error.into(),
                Err(_) => ExecError::Environment { message, help: Some(help) },
            },
            NetError::Reference { .. }
            | NetError::Url { .. }
            | NetError::NotFound { .. }
            | NetError::WrongDigest { .. }
            | NetError::WrongSize { .. }
            | NetError::TooLarge { .. } => ExecError::Input { message, help },
            _ => ExecError::Environment { message, help: Some(help) },
        }
    }
}

impl From<OciError> for ExecError {
    fn from(error: OciError) -> ExecError {
        let message = error.to_string();
        let help = match error {
            OciError::Store(error) => return ExecError::Store(error),
            OciError::Cancelled => return ExecError::Cancelled,
            OciError::Net(error) => return error.into(),
            OciError::Io { .. } | OciError::Stream { .. } => {
                return ExecError::Environment { message, help: None };
            }
            OciError::Peer { help, .. } => return ExecError::Environment { message, help },
            OciError::NotOurs(_) | OciError::NotAFile(_) => {
                "name a path that does not exist, or remove this one"
            }
            OciError::NotALayout { .. } => "name a folder that holds `oci-layout` and `index.json`",
            OciError::NotADockerArchive { .. } => {
                "name a file that `docker save` or `-o docker-archive:` wrote"
            }
            OciError::NoImage { .. } | OciError::SeveralImages(_) => "name one as oci:PATH:TAG",
            OciError::NoPlatform { .. } => "pull an image that is made for this platform",
            OciError::OtherDigest { .. } => "correct the digest, or fetch that image again",
            OciError::BadDigest(_) => "write sha256: and 64 hexadecimal digits",
            OciError::DockerZstd => "write `format oci` or `compress gzip`",
            OciError::Unpackable { .. } => "leave it out of the image",
            OciError::Archive(_) => "give a tar, a tar that gzip, bzip2, xz or zstd packed, or a zip",
            OciError::Entry { .. }
            | OciError::Through { .. }
            | OciError::HardLink { .. }
            | OciError::Budget { .. }
            | OciError::NoBlob { .. }
            | OciError::BadBlob { .. }
            | OciError::Malformed { .. }
            | OciError::DiffId { .. } => "it is damaged or hostile: fetch it again from where it is whole",
        };
        ExecError::Input { message, help: help.to_owned() }
    }
}
