//! Which ops take a digest from the lock file, and which do not.

use super::*;
use crate::graph::op::{Command, LayoutForm, Output, OutputKind, Pull, Run};
use crate::oci::image::Platform;

const ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const COMMIT: &str = "4444444444444444444444444444444444444444";

fn node(name: &str, op: Op) -> Node {
    Node {
        name: name.to_owned(),
        kind: "test",
        op,
        inputs: Vec::new(),
        coordinate: Default::default(),
        platform: Platform { os: "linux".into(), architecture: "arm64".into(), variant: None },
        outputs: Default::default(),
        main: None,
        doc: None,
        place: String::new(),
        span: 0..0,
    }
}

fn pull(source: ImageSource, digest: Option<&str>) -> Op {
    Op::Pull(Pull { source, digest: digest.map(str::to_owned) })
}

fn layout(path: &str, tag: Option<&str>) -> ImageSource {
    let (path, reference) = (path.to_owned(), tag.map(str::to_owned));
    ImageSource::Layout { path, reference, form: LayoutForm::Folder }
}

fn locked_run(network: Network, optional: bool) -> Op {
    let output = Output {
        name: "mod".to_owned(),
        path: crate::base::tree_path::TreePath::root(),
        kind: OutputKind::Dir,
        optional,
        include: Vec::new(),
        locked: None,
    };
    let commands = vec![Command::Sh("x".to_owned())];
    Op::Run(Box::new(Run { network, outputs: vec![output], commands, ..Run::default() }))
}

fn http(sha256: Option<&str>) -> Op {
    Op::Fetch(Fetch::Http {
        url: "https://example/a".to_owned(),
        sha256: sha256.map(str::to_owned),
        name: None,
        mode: None,
        extract: false,
        strip: 0,
    })
}

fn git(reference: Option<&str>) -> Op {
    Op::Fetch(Fetch::Git {
        url: "https://example/g".to_owned(),
        commit: None,
        reference: reference.map(str::to_owned),
        submodules: false,
        path: None,
    })
}

fn pinned(op: Op) -> Node {
    let text = format!(
        "memobuild-lock 1\n\
         image \"oci:base\" digest=\"sha256:{ONE}\"\n\
         image \"oci:base:v1\" {{\n    platform \"linux/arm64\" digest=\"sha256:{ONE}\"\n}}\n\
         image \"oci:other\" {{\n    platform \"linux/amd64\" digest=\"sha256:{ONE}\"\n}}\n\
         image \"docker.io/library/alpine:3\" digest=\"sha256:{ONE}\"\n\
         http \"https://example/a\" sha256=\"{ONE}\"\n\
         git \"https://example/g\" ref=\"v1\" commit=\"{COMMIT}\"\n\
         run \"//:modules\" output=\"mod\" digest=\"{ONE}\"\n"
    );
    let lock = Lock::parse(&text).unwrap();
    let mut graph = Graph { nodes: vec![node("modules", op)], ..Graph::default() };
    pin(&mut graph, &lock);
    graph.nodes.remove(0)
}

fn digest_of(node: &Node) -> Option<String> {
    match &node.op {
        Op::Pull(pull) => pull.digest.clone(),
        Op::Fetch(Fetch::Http { sha256, .. }) => sha256.clone(),
        Op::Fetch(Fetch::Git { commit, .. }) => commit.clone(),
        Op::Run(run) => run.outputs[0].locked.clone(),
        _ => None,
    }
}

#[test]
fn what_the_lock_file_holds_is_filled_in() {
    let (sha, own) = (format!("sha256:{ONE}"), format!("sha256:{}", ONE.replace('1', "2")));
    for (op, expected, lacks) in [
        (pull(layout("base", None), None), Some(sha.as_str()), 0),
        (pull(layout("base", Some("v1")), None), Some(&sha), 0),
        (pull(layout("base", Some("v2")), None), None, 1),
        (pull(layout("other", None), None), None, 1),
        (pull(layout("base", None), Some(&own)), Some(&own), 0),
        (pull(ImageSource::Registry("docker.io/library/alpine:3".to_owned()), None), Some(&sha), 0),
        (http(None), Some(ONE), 0),
        (http(Some("own")), Some("own"), 0),
        (git(Some("v1")), Some(COMMIT), 0),
        (git(Some("v2")), None, 1),
        (git(None), None, 1),
        (locked_run(Network::Locked, false), Some(ONE), 0),
        (locked_run(Network::Host, false), None, 0),
    ] {
        let shown = format!("{op:?}");
        let node = pinned(op);
        assert_eq!(digest_of(&node).as_deref(), expected, "{shown}");
        assert_eq!(missing(&node).len(), lacks, "{shown}");
    }
}

#[test]
fn outputs_are_known_by_their_label() {
    let key = |name: &str, optional| missing(&node(name, locked_run(Network::Locked, optional)));
    assert_eq!(key("modules", false), [Key::new(RUN, "//:modules", Some("mod"))]);
    assert_eq!(key("//a/b:modules", false), [Key::new(RUN, "//a/b:modules", Some("mod"))]);
    assert_eq!(key("modules", true), [], "it need not be there");
}
