//! A `check`: facts that must hold for an image or a rootfs. Starts no process; looks at trees and the
//! configuration only. All rules that do not hold are told at once, so that one build shows them all.

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::exec::executor::ExecError;
use crate::exec::owner::owner_ids;
use crate::graph::action::ActionInput;
use crate::graph::op::{Check, Owner, Rule};
use crate::oci::image::Rootfs;
use crate::oci::supply::Supply;
use crate::store::memo::Memo;
use crate::tree::overlay::{Layers, Merged};
use crate::tree::size::size;
use crate::tree::tree::{Content, Entry, Metadata};

/// `ExecError::Unmet` where rules do not hold.
pub fn check(supply: &Supply, check: &Check, inputs: &[ActionInput]) -> Result<(), ExecError> {
    let input = &inputs[check.of];
    let rootfs = input.value.rootfs().ok_or_else(|| ExecError::Input {
        message: format!(
            "{} is a {}, and only an image or a rootfs is checked",
            input.slot,
            input.value.type_of().name()
        ),
        help: "name an image, or a node with `from`".to_owned(),
    })?;
    let trees = supply.trees(&rootfs.layers)?;
    let memo = supply.memo();
    let checked = Checked { memo, rootfs, root: Layers::new(memo, trees.iter().copied()), trees };
    let mut unmet = Vec::new();
    for rule in &check.rules {
        unmet.extend(checked.unmet(rule)?);
    }
    if unmet.is_empty() { Ok(()) } else { Err(ExecError::Unmet(unmet)) }
}

struct Checked<'a> {
    memo: &'a Memo,
    rootfs: &'a Rootfs,
    root: Layers<'a>,
    /// Of each layer.
    trees: Vec<TreeDigest>,
}

impl Checked<'_> {
    /// What is to be told where the rule does not hold.
    fn unmet(&self, rule: &Rule) -> Result<Option<String>, ExecError> {
        let config = &self.rootfs.config;
        Ok(match rule {
            Rule::Has { path, mode, owner } => self.has(path, *mode, owner.as_ref())?,
            Rule::Lacks(path) => {
                let found = self.find(path)?;
                found.map(|found| format!("lacks `{path}`: it is {}", found.kind))
            }
            Rule::MaxSize(most) => {
                let bytes = self.size()?;
                (bytes > *most).then(|| format!("max-size {most} bytes: it has {bytes} bytes"))
            }
            Rule::User(user) => {
                let found = config.user.as_deref();
                (found != Some(user)).then(|| format!("user `{user}`: {}", told("the user", found)))
            }
            Rule::Label(name, value) => {
                let found = config.labels.get(name).map(String::as_str);
                let told = || format!("label `{name}={value}`: {}", told("the label", found));
                (found != Some(value)).then(told)
            }
            Rule::MaxLayers(most) => {
                let layers = self.rootfs.layers.len() as u64;
                (layers > *most).then(|| format!("layers max={most}: it has {layers}"))
            }
        })
    }

    fn has(
        &self,
        path: &TreePath,
        mode: Option<u32>,
        owner: Option<&Owner>,
    ) -> Result<Option<String>, ExecError> {
        let Some(found) = self.find(path)? else {
            return Ok(Some(format!("has `{path}`: it is not there")));
        };
        let Metadata { mode: found_mode, uid, gid, .. } = found.metadata;
        let mut differences = Vec::new();
        if let Some(mode) = mode.filter(|&mode| mode != found_mode) {
            differences.push(format!("mode {mode:04o}: it has {found_mode:04o}"));
        }
        if let Some(Owner(owner)) = owner {
            // Without a group, only the user is asked for.
            let fits = |ids: (u32, u32)| ids.0 == uid && (ids.1 == gid || !owner.contains(':'));
            match owner_ids(self.memo, Some(&self.root), owner) {
                Ok(ids) if fits(ids) => {}
                Ok(_) => differences.push(format!("owner `{owner}`: it has {uid}:{gid}")),
                Err(ExecError::Input { message, .. }) => differences.push(message),
                Err(error) => return Err(error),
            }
        }
        Ok((!differences.is_empty()).then(|| format!("has `{path}` {}", differences.join(", "))))
    }

    /// What stands at the path itself: links among its parents are followed inside the root.
    fn find(&self, path: &TreePath) -> Result<Option<Found>, ExecError> {
        let resolved = self.root.resolve_parents(path)?;
        Ok(self.root.find(&resolved)?.and_then(|merged| match merged {
            Merged::Directory { metadata, .. } => Some(Found { metadata, kind: "a directory" }),
            Merged::Other(Entry { metadata, content }) => Some(Found { metadata, kind: kind_of(&content) }),
            Merged::Removed => None,
        }))
    }

    /// File content of all layers, as they lie in an image: what an upper layer hides or removes counts too.
    fn size(&self) -> Result<u64, ExecError> {
        let mut bytes = 0;
        for tree in &self.trees {
            bytes += size(self.memo, &Entry::directory(*tree))?;
        }
        Ok(bytes)
    }
}

struct Found {
    metadata: Metadata,
    kind: &'static str,
}

const fn kind_of(content: &Content) -> &'static str {
    match content {
        Content::Directory { .. } => "a directory",
        Content::Symlink { .. } => "a symbolic link",
        Content::File { .. } => "a file",
        Content::Fifo | Content::Device { .. } | Content::Whiteout => "there",
    }
}

fn told(what: &str, found: Option<&str>) -> String {
    found.map_or_else(|| format!("{what} is not set"), |found| format!("it is `{found}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::value::Value;
    use crate::oci::image::{Config, Layer};
    use crate::tree::dsl::{memo, passwd_tree, path, tree};

    fn has(at: &str, mode: Option<u32>, owner: Option<&str>) -> Rule {
        Rule::Has { path: path(at), mode, owner: owner.map(|owner| Owner(owner.to_owned())) }
    }

    fn unmet(rules: Vec<Rule>) -> Vec<String> {
        let (_folder, memo) = memo();
        let files = "api=12345:755 lib->usr/lib usr/lib/so=1 srv/:750:1000:1001 old=123";
        let layers = [passwd_tree(&memo), tree(&memo, files), tree(&memo, "old! api=12:644:1000:50")];
        let config = Config {
            user: Some("node".to_owned()),
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ..Config::default()
        };
        let layers = layers.map(Layer::Made).to_vec();
        let value = Value::Rootfs(Box::new(Rootfs { layers, config }));
        let inputs = [ActionInput { slot: "of".to_owned(), value }];
        match check(&Supply::of(&memo), &Check { of: 0, rules }, &inputs) {
            Ok(()) => Vec::new(),
            Err(ExecError::Unmet(unmet)) => unmet,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_rule() {
        let label = |name: &str, value: &str| Rule::Label(name.to_owned(), value.to_owned());
        // Bytes in `passwd_tree`.
        let passwd = 98;
        for (rule, expected) in [
            (has("api", None, None), ""),
            (has("api", Some(0o644), Some("node:staff")), ""),
            (has("api", None, Some("node")), ""),
            (has("srv", Some(0o750), Some("1000:1001")), ""),
            (has("lib/so", None, None), ""),
            (has("lib", Some(0o777), None), ""),
            (has("api", Some(0o755), None), "has `/api` mode 0755: it has 0644"),
            (
                has("api", Some(0o4755), Some("0:0")),
                "has `/api` mode 4755: it has 0644, owner `0:0`: it has 1000:50",
            ),
            (has("old", None, None), "has `/old`: it is not there"),
            (has("api/below", None, None), "has `/api/below`: it is not there"),
            (has("api", None, Some("who")), "has `/api` owner `who`: `/etc/passwd` of the root has no `who`"),
            (Rule::Lacks(path("old")), ""),
            (Rule::Lacks(path("lib/none")), ""),
            (Rule::Lacks(path("lib/so")), "lacks `/lib/so`: it is a file"),
            (Rule::Lacks(path("lib")), "lacks `/lib`: it is a symbolic link"),
            (Rule::Lacks(path("usr")), "lacks `/usr`: it is a directory"),
            (Rule::MaxSize(passwd + 11), ""),
            (Rule::MaxSize(11), &format!("max-size 11 bytes: it has {} bytes", passwd + 11)),
            (Rule::User("node".to_owned()), ""),
            (Rule::User("1000".to_owned()), "user `1000`: it is `node`"),
            (label("a", "1"), ""),
            (label("a", "2"), "label `a=2`: it is `1`"),
            (label("b", ""), "label `b=`: the label is not set"),
            (Rule::MaxLayers(3), ""),
            (Rule::MaxLayers(2), "layers max=2: it has 3"),
        ] {
            let told = format!("{rule:?}");
            assert_eq!(unmet(vec![rule]).join(" | "), expected, "{told}");
        }
    }

    #[test]
    fn all_rules_are_told_together() {
        let rules = vec![Rule::MaxLayers(1), has("api", None, None), Rule::Lacks(path("usr"))];
        assert_eq!(unmet(rules), ["layers max=1: it has 3", "lacks `/usr`: it is a directory"]);
    }
}
