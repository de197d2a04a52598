//! `memobuild hash PATH`: the digest of a file, equal to `b3sum`, or of a folder's tree.

use crate::cli::args::HashArgs;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::tree::scan::{HashResult, hash_path};

pub(super) fn hash(asked: &HashArgs) -> Result<(), Failure> {
    for path in &asked.paths {
        let digest = match hash_path(path)? {
            HashResult::File(blob) => blob.to_hex(),
            HashResult::Folder(tree) => tree.to_hex(),
        };
        print::data(format!("{digest}  {}\n", path.display()))?;
    }
    Ok(())
}
