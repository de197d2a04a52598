//! `network locked`: a run that may use the network because what leaves it is known beforehand. Its outputs are
//! compared with what the lock file holds of them; one that differs is never used, and never remembered.

use std::collections::BTreeMap;

use crate::exec::executor::ExecError;
use crate::graph::op::{Network, Run};
use crate::graph::value::Value;
use crate::lang::code::Code;
use crate::tree::tree::Content;

/// How the lock file holds an output, as `memobuild hash` prints it: hexadecimal digest of a file's content, or
/// of a folder's tree. `None` for what is neither.
pub fn digest(value: &Value) -> Option<String> {
    let Value::Tree(entry) = value else { return None };
    match &entry.content {
        Content::File { blob, .. } => Some(blob.to_hex()),
        Content::Directory { tree, .. } => Some(tree.to_hex()),
        _ => None,
    }
}

/// Before it runs: all that leaves it must be known. `node` is its name.
pub fn check_entries(node: &str, run: &Run) -> Result<(), ExecError> {
    let Some(output) = pinned(run).find(|output| output.locked.is_none() && !output.optional) else {
        return Ok(());
    };
    Err(no_entry(node, &output.name))
}

fn no_entry(node: &str, output: &str) -> ExecError {
    ExecError::Mistake {
        code: Code::LockMissing,
        message: format!("output `{output}` of `{node}` has no entry in memobuild.lock"),
        words: None,
        label: "says `network locked`",
        help: "run: memobuild lock".to_owned(),
    }
}

/// After it ran. An optional output that was not made has nothing to differ.
pub fn check_digests(node: &str, run: &Run, made: &BTreeMap<String, Value>) -> Result<(), ExecError> {
    for output in pinned(run) {
        let Some(value) = made.get(&output.name) else { continue };
        let Some(locked) = &output.locked else { return Err(no_entry(node, &output.name)) };
        let found = digest(value).unwrap_or_default();
        if found != *locked {
            let name = &output.name;
            return Err(ExecError::Mistake {
                code: Code::LockDiffers,
                message: format!(
                    "output `{name}` of `{node}` is not what memobuild.lock holds: it is {found}, not {locked}"
                ),
                words: None,
                label: "says `network locked`",
                help: format!("if that is meant: memobuild lock --update {node}"),
            });
        }
    }
    Ok(())
}

fn pinned(run: &Run) -> impl Iterator<Item = &crate::graph::op::Output> {
    let is_locked = run.network == Network::Locked;
    run.outputs.iter().filter(move |_| is_locked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::{BlobDigest, TreeDigest};
    use crate::base::tree_path::TreePath;
    use crate::graph::op::{Output, OutputKind};
    use crate::tree::tree::Entry;

    fn run(locked: Option<&str>) -> Run {
        let output = Output {
            name: "mod".to_owned(),
            path: TreePath::parse("/mod").unwrap(),
            kind: OutputKind::Dir,
            optional: false,
            include: Vec::new(),
            locked: locked.map(str::to_owned),
        };
        Run { network: Network::Locked, outputs: vec![output], ..Run::default() }
    }

    fn words(result: Result<(), ExecError>) -> String {
        match result {
            Err(ExecError::Mistake { code, message, help, .. }) => {
                format!("{}: {message}; {help}", code.as_str())
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_output_needs_an_entry() {
        assert_eq!(
            words(check_entries("modules", &run(None))),
            "memo::lock::missing: output `mod` of `modules` has no entry in memobuild.lock; \
             run: memobuild lock"
        );
        assert!(check_entries("modules", &run(Some("00"))).is_ok());
        assert!(check_entries("modules", &Run { network: Network::Host, ..run(None) }).is_ok());
    }

    #[test]
    fn what_differs_is_told_with_both_digests() {
        let tree = TreeDigest::of(b"");
        let made = |entry| BTreeMap::from([("mod".to_owned(), Value::Tree(entry))]);
        let folder = made(Entry::directory(tree));
        assert!(check_digests("modules", &run(Some(&tree.to_hex())), &folder).is_ok());
        let expected = format!(
            "memo::lock::differs: output `mod` of `modules` is not what memobuild.lock holds: it is {tree}, \
             not 00; if that is meant: memobuild lock --update modules"
        );
        assert_eq!(words(check_digests("modules", &run(Some("00")), &folder)), expected);
        let blob = BlobDigest::of(b"x");
        assert!(check_digests("m", &run(Some(&blob.to_hex())), &made(Entry::file(blob, 1, 0o644))).is_ok());
        assert!(check_digests("m", &run(Some("00")), &BTreeMap::new()).is_ok());
    }
}
