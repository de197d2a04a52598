//! Who `user[:group]` is: numbers as they stand, names by the root's own `/etc/passwd` and `/etc/group`.
//! Never asks the machine that builds.

use crate::base::tree_path::TreePath;
use crate::exec::executor::ExecError;
use crate::store::memo::Memo;
use crate::store::object::Object;
use crate::tree::overlay::{Layers, Merged};
use crate::tree::tree::{Content, Entry};

/// User and group id. Without a group, a name has the group of its passwd line and a number
/// the group of the same number, as Docker has it. Without a root only numbers are known.
pub fn owner_ids(memo: &Memo, root: Option<&Layers<'_>>, owner: &str) -> Result<(u32, u32), ExecError> {
    let (user, group) = match owner.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (owner, None),
    };
    let (uid, own_group) = match number(user) {
        Some(uid) => (uid, uid),
        None => {
            let line = line_of(memo, root, owner, "passwd", user)?;
            (field(owner, "passwd", &line, 2)?, field(owner, "passwd", &line, 3)?)
        }
    };
    let gid = match group {
        None => own_group,
        Some(group) => match number(group) {
            Some(gid) => gid,
            None => field(owner, "group", &line_of(memo, root, owner, "group", group)?, 2)?,
        },
    };
    Ok((uid, gid))
}

/// 4294967295 stands for "no id" in the kernel's calls.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&id| digits && id != u32::MAX)
}

fn line_of(
    memo: &Memo,
    root: Option<&Layers<'_>>,
    owner: &str,
    file: &str,
    name: &str,
) -> Result<Vec<String>, ExecError> {
    let Some(root) = root else {
        return Err(ExecError::Input {
            message: format!("owner `{owner}` has a name, but there is no `from` that could know it"),
            help: "write the numbers: `owner=\"1000:1000\"`".to_owned(),
        });
    };
    let text = read(memo, root, file)?;
    let lines = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
    let mut named = lines.filter(|fields| !name.is_empty() && fields[0] == name);
    named.next().ok_or_else(|| ExecError::Input {
        message: format!("owner `{owner}`: `/etc/{file}` of the root has no `{name}`"),
        help: "write the numbers, or have the root make the name before".to_owned(),
    })
}

/// Bytes of a file of users or groups.
const LONGEST: u64 = 16 << 20;

/// Empty where the root has no such file.
fn read(memo: &Memo, root: &Layers<'_>, file: &str) -> Result<String, ExecError> {
    let etc = TreePath::parse("etc").expect("bug: a name is a path");
    let path = root.resolve(&etc.join(file.as_bytes()))?;
    match root.find(&path)? {
        Some(Merged::Other(Entry { content: Content::File { size, .. }, .. })) if size > LONGEST => {
            Err(ExecError::Input {
                message: format!("`/etc/{file}` of the root is larger than 16 MiB"),
                help: "write the numbers instead of names".to_owned(),
            })
        }
        Some(Merged::Other(Entry { content: Content::File { blob, .. }, .. })) => {
            Ok(String::from_utf8_lossy(&memo.read(Object::Blob(blob))?).into_owned())
        }
        _ => Ok(String::new()),
    }
}

fn field(owner: &str, file: &str, line: &[String], index: usize) -> Result<u32, ExecError> {
    line.get(index).and_then(|text| number(text)).ok_or_else(|| ExecError::Input {
        message: format!("owner `{owner}`: the line `{}` of `/etc/{file}` has no number", line.join(":")),
        help: "write the numbers instead of names".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::dsl::{memo, passwd_tree};

    #[test]
    fn names_and_numbers() {
        let (_folder, memo) = memo();
        let root = Layers::new(&memo, [passwd_tree(&memo)]);
        let shown = |owner: &str| match owner_ids(&memo, Some(&root), owner) {
            Ok((uid, gid)) => format!("{uid}:{gid}"),
            Err(ExecError::Input { .. }) => "input".to_owned(),
            Err(other) => panic!("{other}"),
        };
        for (owner, expected) in [
            ("0", "0:0"),
            ("7", "7:7"),
            ("7:8", "7:8"),
            ("node", "1000:1001"),
            ("node:staff", "1000:50"),
            ("node:9", "1000:9"),
            ("7:staff", "7:50"),
            ("nobody", "input"),
            ("node:nobody", "input"),
            ("broken", "input"),
            ("", "input"),
            ("node:", "input"),
            (":staff", "input"),
            ("4294967295", "input"),
            ("+7", "input"),
        ] {
            assert_eq!(shown(owner), expected, "owner `{owner}`");
        }
    }

    #[test]
    fn without_a_root_only_numbers() {
        let (_folder, memo) = memo();
        assert_eq!(owner_ids(&memo, None, "7:8").unwrap(), (7, 8));
        assert!(matches!(owner_ids(&memo, None, "node"), Err(ExecError::Input { .. })));
    }
}
