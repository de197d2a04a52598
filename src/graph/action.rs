//! An action: an op with the exact contents of its inputs. Its key is the question the memo answers.

use crate::base::digest::ActionKey;
use crate::base::facts::{FactSink, HashSink, ListSink};
use crate::graph::op::Op;
use crate::graph::value::Value;
use crate::oci::image::Platform;

/// Inputs stand in the order of the node's inputs, each already narrowed to the part that is used.
#[derive(Debug, Clone)]
pub struct Action {
    /// The node it is done for, to be shown; not a fact.
    pub node: String,
    pub op: Op,
    pub inputs: Vec<ActionInput>,
    /// What the result is for, and where commands execute.
    pub platform: Platform,
}

#[derive(Debug, Clone)]
pub struct ActionInput {
    /// `from`, `mount /src`: tells two inputs apart for people; the op says what each is for.
    pub slot: String,
    pub value: Value,
}

impl Action {
    pub fn key(&self) -> ActionKey {
        let mut sink = HashSink::new("memobuild 2026-11-28 action v1");
        self.write_facts(&mut sink);
        ActionKey(sink.finish())
    }

    /// The same facts as text, so that two keys can be compared.
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut sink = ListSink::default();
        self.write_facts(&mut sink);
        sink.0
    }

    /// Inputs enter by content, never by the key that made them.
    /// That is early cutoff: a producer that reruns to the same bytes leaves this key alone.
    pub fn write_facts(&self, sink: &mut dyn FactSink) {
        sink.fact("op", self.op.kind().as_bytes());
        sink.fact("platform", self.platform.to_string().as_bytes());
        self.op.write_facts(sink);
        sink.fact("inputs", self.inputs.len().to_string().as_bytes());
        for input in &self.inputs {
            self.op.write_input(&input.slot, &input.value, sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::digest::{BlobDigest, TreeDigest};
    use crate::base::tree_path::TreePath;
    use crate::graph::op::{Assemble, Command, Composition, Fetch, From, ImageSource, Limits, Pull, Run};
    use crate::oci::image::{Config, Layer, Rootfs};
    use crate::tree::tree::Entry;

    fn platform() -> Platform {
        Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
    }

    fn rootfs(content: &[u8], config: Config) -> Value {
        let layer = Layer::Made(TreeDigest::of(content));
        Value::Rootfs(Box::new(Rootfs { layers: vec![layer], config }))
    }

    fn action(run: Run, value: Value) -> Action {
        Action {
            node: "n".to_owned(),
            op: Op::Run(Box::new(run)),
            inputs: vec![ActionInput { slot: "from".to_owned(), value }],
            platform: platform(),
        }
    }

    fn run() -> Run {
        Run {
            from: From::Input(0),
            inherit: true,
            commands: vec![Command::Exec(vec!["true".to_owned()])],
            ..Run::default()
        }
    }

    /// Keys of these actions must not change without a new number in the context of `Action::key`.
    #[test]
    fn golden_keys() {
        let tree = Value::Tree(Entry::file(BlobDigest::of(b"x"), 1, 0o644));
        let copy = Action {
            node: "t".to_owned(),
            op: Op::Assemble(Assemble { from: From::Nothing, layers: vec![], result: Composition::Tree }),
            inputs: vec![ActionInput { slot: "copy /x".to_owned(), value: tree }],
            platform: platform(),
        };
        assert_eq!(
            copy.key().to_string(),
            "7ca8cb45b7e4d2e18707c85c6c4ea155ffbfe277df9f0887204c1e9311fe2c6a"
        );
        assert_eq!(
            action(run(), rootfs(b"r", Config::default())).key().to_string(),
            "3125bd344a8595cc0ae04d6ae6de385690b7e82c4e62d08e65cbda75e508f11b"
        );
    }

    #[test]
    fn names_and_limits_are_not_facts() {
        let one = action(run(), rootfs(b"r", Config::default()));
        let mut other = one.clone();
        other.node = "other".to_owned();
        assert_eq!(one.key(), other.key());
        let limited = Run { limits: Limits { timeout: Some(9), ..Limits::default() }, ..run() };
        assert_eq!(one.key(), action(limited, rootfs(b"r", Config::default())).key());
    }

    #[test]
    fn any_changed_fact_changes_the_key() {
        let base = action(run(), rootfs(b"r", Config::default())).key();
        let text = || Some("x".to_owned());
        let variants = [
            Run { commands: vec![Command::Sh("true".to_owned())], ..run() },
            Run { env: vec![("A".to_owned(), Some("x".into()))], ..run() },
            Run { env: vec![("A".to_owned(), None)], ..run() },
            Run { workdir: Some(TreePath::parse("/w").unwrap()), ..run() },
            Run { user: text(), ..run() },
            Run { shell: Some(vec!["/bin/sh".to_owned()]), ..run() },
            Run { hostname: text(), ..run() },
            Run { salt: text(), ..run() },
            Run { inherit: false, ..run() },
        ];
        let mut keys: Vec<_> =
            variants.into_iter().map(|run| action(run, rootfs(b"r", Config::default())).key()).collect();
        keys.push(action(run(), rootfs(b"s", Config::default())).key());
        keys.push(base);
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    /// Before its digest is known, an image is what it is called.
    #[test]
    fn unpinned_images_have_keys_of_their_own() {
        let key = |name: &str, digest: Option<&str>| {
            let pull =
                Pull { source: ImageSource::Registry(name.to_owned()), digest: digest.map(str::to_owned) };
            Action { op: Op::Pull(pull), inputs: Vec::new(), node: String::new(), platform: platform() }.key()
        };
        assert_ne!(key("one", None), key("two", None));
        assert_eq!(key("one", Some("sha256:1")), key("two", Some("sha256:1")));
        assert_ne!(key("one", Some("sha256:1")), key("one", Some("sha256:2")));
    }

    fn fetch(fetch: Fetch) -> String {
        let op = Op::Fetch(fetch);
        Action { op, inputs: Vec::new(), node: String::new(), platform: platform() }.key().to_string()
    }

    fn http(url: &str, sha256: Option<&str>, mode: Option<u32>, strip: Option<u32>) -> String {
        fetch(Fetch::Http {
            url: url.to_owned(),
            sha256: sha256.map(str::to_owned),
            name: Some(url.to_owned()),
            mode,
            extract: strip.is_some(),
            strip: strip.unwrap_or(0),
        })
    }

    fn git(url: &str, commit: Option<&str>, reference: &str, submodules: bool, path: &str) -> String {
        fetch(Fetch::Git {
            url: url.to_owned(),
            commit: commit.map(str::to_owned),
            reference: Some(reference.to_owned()),
            submodules,
            path: Some(TreePath::parse(path).unwrap()),
        })
    }

    /// Must not change, as those of `golden_keys`.
    #[test]
    fn golden_keys_of_what_is_fetched() {
        assert_eq!(
            http("https://a/x", Some("11"), None, None),
            "b6b61ff20ef249750a92d5951be6c90006fed2981a9b82446464959bec611a47"
        );
        assert_eq!(
            http("https://a/x", Some("11"), None, Some(1)),
            "935c0beb1084dd771aa6eeef31b1fbee1e9d1659e7c9d07ed3d825486c042789"
        );
        assert_eq!(
            git("https://a/g", Some("22"), "v1", true, "lib"),
            "adc06d5f4f0657d8ad60dd0b89ef692092de000561e63cf87fed2322fa6916b6"
        );
    }

    #[test]
    fn where_it_lies_is_no_fact_of_what_is_known() {
        let known = http("https://a/x", Some("11"), None, None);
        assert_eq!(known, http("https://me:pass@b/y", Some("11"), Some(0o644), None));
        let others = [
            http("https://a/x", Some("12"), None, None),
            http("https://a/x", Some("11"), Some(0o755), None),
            http("https://a/x", Some("11"), None, Some(0)),
            http("https://a/x", Some("11"), None, Some(1)),
            http("https://a/x", None, None, None),
            http("https://a/y", None, None, None),
        ];
        let commit = git("https://a/g", Some("22"), "v1", false, "lib");
        assert_eq!(commit, git("ssh://b/h", Some("22"), "main", false, "lib"));
        let more = [
            git("https://a/g", Some("23"), "v1", false, "lib"),
            git("https://a/g", Some("22"), "v1", true, "lib"),
            git("https://a/g", Some("22"), "v1", false, "bin"),
            git("https://a/g", None, "v1", false, "lib"),
            git("https://a/g", None, "v2", false, "lib"),
            git("https://b/g", None, "v1", false, "lib"),
        ];
        let all: BTreeSet<String> = others.into_iter().chain(more).chain([known, commit]).collect();
        assert_eq!(all.len(), 14);
    }

    #[test]
    fn a_login_is_no_fact() {
        let key = http("https://me:pass@a/x", None, None, None);
        assert_eq!(key, http("https://you:word@a/x", None, None, None));
        let op = Op::Fetch(Fetch::Http {
            url: "https://me:pass@a/x".to_owned(),
            sha256: None,
            name: None,
            mode: None,
            extract: false,
            strip: 0,
        });
        let action = Action { op, inputs: Vec::new(), node: String::new(), platform: platform() };
        assert!(!format!("{:?}", action.facts()).contains("pass"));
    }

    #[test]
    fn a_run_depends_on_the_config_it_obeys_and_no_more() {
        let base = action(run(), rootfs(b"r", Config::default())).key();
        let labelled = Config { labels: [("a".to_owned(), "b".to_owned())].into(), ..Config::default() };
        assert_eq!(action(run(), rootfs(b"r", labelled)).key(), base);
        let with_env = Config { env: vec![("A".to_owned(), "b".to_owned())], ..Config::default() };
        assert_ne!(action(run(), rootfs(b"r", with_env.clone())).key(), base);
        let alone = Run { inherit: false, ..run() };
        let deaf = action(alone.clone(), rootfs(b"r", Config::default())).key();
        assert_eq!(action(alone, rootfs(b"r", with_env)).key(), deaf);
    }
}
