//! `memobuild hash PATH`: the digest of a file, equal to `b3sum`, or of a folder's tree.

use crate::cli::args::HashArgs;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::tree::scan::{HashResult, ScanError, hash_path};

pub(super) fn hash(asked: &HashArgs) -> Result<(), Failure> {
    for path in &asked.paths {
        let digest = match hash_path(path).map_err(failure)? {
            HashResult::File(blob) => blob.to_hex(),
            HashResult::Folder(tree) => tree.to_hex(),
        };
        print::data(format!("{digest}  {}\n", path.display()))?;
    }
    Ok(())
}

/// What builds are told of a path is of no use here: no build file names this one.
fn failure(error: ScanError) -> Failure {
    match error {
        ScanError::Missing { .. } => {
            Failure::input(error.to_string(), "name a file or a folder that is there")
        }
        error => error.into(),
    }
}
