//! A node for people, in a few lines. What is long is cut; `--format kdl` has all of it.

use std::fmt::Write as _;

use crate::base::address::shown;
use crate::graph::graph::{Graph, Node};
use crate::graph::op::{Assemble, Command, Fetch, ImageSource, LayoutForm, Network, Op, Place, Pull, Run};
use crate::graph::show::{reference, signature};
use crate::tree::scan::{Modes, Scan};

/// Letters of a line.
const LONGEST: usize = 100;

pub(super) fn node(graph: &Graph, node: &Node) -> String {
    let mut page = format!("{} {} -> {}  ({})\n", node.kind, node.name, signature::gives(node), node.place);
    if let Some(doc) = &node.doc {
        let words: Vec<&str> = doc.split_whitespace().collect();
        let _ = writeln!(page, "    \"{}\"", words.join(" "));
    }
    let takes: Vec<String> = node
        .inputs
        .iter()
        .map(|input| {
            let path = input.select.path.as_ref().map(|path| format!(" path={path}")).unwrap_or_default();
            format!("{} {}{path}", input.slot, reference(graph, &input.source))
        })
        .collect();
    if !takes.is_empty() {
        let _ = writeln!(page, "    takes {}", takes.join(", "));
    }
    for line in does(&node.op) {
        let _ = writeln!(page, "    {}", cut(&line));
    }
    page
}

fn does(op: &Op) -> Vec<String> {
    match op {
        Op::Scan(scan) => vec![scanned(scan)],
        Op::Host(_) => vec!["the programs of this machine".to_owned()],
        Op::Fetch(Fetch::Http { url, .. } | Fetch::Git { url, .. }) => {
            vec![format!("fetches {}", shown(url))]
        }
        Op::Pull(pull) => vec![pulled(pull)],
        Op::Assemble(assemble) => composed(assemble),
        Op::Run(run) => ran(run),
        Op::Check(check) => vec![format!("checks {} facts", check.rules.len())],
    }
}

fn scanned(scan: &Scan) -> String {
    let mut line = format!("reads {}", scan.root);
    if !scan.include.is_empty() {
        let _ = write!(line, ": {}", scan.include.join(" "));
    }
    if !scan.exclude.is_empty() {
        let _ = write!(line, ", without {}", scan.exclude.join(" "));
    }
    if scan.modes == Modes::Exact {
        line += ", with modes as they are";
    }
    line
}

fn pulled(pull: &Pull) -> String {
    let digest = pull.digest.iter().map(|word| format!(" {word}")).collect::<String>();
    match &pull.source {
        ImageSource::Registry(name) => format!("pulls {name}{digest}"),
        ImageSource::Layout { path, reference, form } => {
            let tag = reference.iter().map(|word| format!(" {word}")).collect::<String>();
            let what = match form {
                LayoutForm::Folder => "image layout",
                LayoutForm::Archive => "image archive",
                LayoutForm::DockerArchive => "archive of Docker",
            };
            format!("reads the {what} {path}{tag}{digest}")
        }
    }
}

/// One line a layer.
fn composed(assemble: &Assemble) -> Vec<String> {
    let layer = |places: &Vec<Place>| places.iter().map(placed).collect::<Vec<_>>().join(", ");
    assemble.layers.iter().map(|places| format!("layer: {}", layer(places))).collect()
}

fn placed(place: &Place) -> String {
    match place {
        Place::Copy { to, .. } => format!("copy {to}"),
        Place::Extract { to, .. } => format!("extract {to}"),
        Place::Merge { inputs, .. } => format!("merge {}", inputs.len()),
        Place::Each { copies } => copies.iter().map(placed).collect::<Vec<_>>().join(", "),
        Place::File { path, .. } => format!("file {path}"),
        Place::Dir { path, .. } => format!("dir {path}"),
        Place::Symlink { path, target } => format!("symlink {path} to {target}"),
        Place::Remove { globs } => format!("remove {}", globs.join(" ")),
    }
}

fn ran(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    if !run.env.is_empty() {
        let names: Vec<&str> = run.env.iter().map(|(name, _)| name.as_str()).collect();
        lines.push(format!("env {}", names.join(" ")));
    }
    if run.network == Network::Host {
        lines.push("network host".to_owned());
    }
    for command in &run.commands {
        match command {
            Command::Exec(words) => lines.push(format!("$ {}", words.join(" "))),
            Command::Sh(script) => lines.extend(first_line(script)),
        }
    }
    lines
}

fn first_line(script: &str) -> Option<String> {
    let mut lines = script.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next()?;
    Some(match lines.count() {
        0 => format!("$ {first}"),
        1 => format!("$ {first} (and 1 more line)"),
        more => format!("$ {first} (and {more} more lines)"),
    })
}

fn cut(line: &str) -> String {
    let line: String = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
