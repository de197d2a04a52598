//! `run`: executes commands in a sandbox on a root filesystem, and gives what it wrote.

use std::collections::BTreeMap;

use crate::graph::graph::Select;
use crate::graph::late::LateText;
use crate::graph::op::{
    Access, Command, From, Limits, Mount, Network, Op, Output, OutputKind, Run, free_output,
};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item, Target};
use crate::lang::mistake::{Findings, Mistake, Span};
use crate::lang::table::{DOC, INCLUDE, Line, Often, Slot, Wants, may, maybe, must, one, some};

pub const LINE: Line = Line {
    word: "run",
    doc: "Executes commands on a root filesystem. They see that, what is mounted, and nothing else.",
    example: "run build {\n    from base\n    mount src at=\"/src\"\n    exec \"make\" \"-C\" \"/src\"\n    output dist \"/src/dist\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &BODY_OF_RUN,
    ..Line::EMPTY
};

pub(super) const BODY_OF_RUN: [&Line; 14] = [
    &FROM, &MOUNT, &ENV, &WORKDIR, &USER, &SHELL, &HOSTNAME, &NETWORK, &LIMITS, &EXEC, &SH, &OUTPUT, &SALT,
    &DOC,
];

const FROM: Line = Line {
    word: "from",
    doc: "The root filesystem it runs on: an image, a `run`, a `tree` with `from`, `scratch`, or `host` (this machine's programs).",
    example: "from base",
    often: Often::Once,
    arguments: &[one("REF", Slot::Reference(Wants::RootOrHost))],
    properties: &[may(
        "inherit",
        Slot::Bool,
        "Whether env, workdir, user and shell of REF hold; default #true.",
    )],
    ..Line::EMPTY
};

const MOUNT: Line = Line {
    word: "mount",
    doc: "Files of another node, seen by this run only.",
    example: "mount src at=\"/src\" access=ro",
    arguments: &[one("REF", Slot::Reference(Wants::Tree))],
    properties: &[
        must("at", Slot::Path, "Where they are seen."),
        may("path", Slot::Part, "The part of REF that is mounted; a root filesystem needs one."),
        may(
            "access",
            Slot::Word(&["cow", "ro"]),
            "`cow` (default): writes are allowed and thrown away; `ro`: they fail.",
        ),
    ],
    ..Line::EMPTY
};

const ENV: Line = Line {
    word: "env",
    doc: "Environment variables, for this run only; `#null` removes an inherited one.",
    example: "env CGO_ENABLED=\"0\" DEBUG=#null",
    free: Some(Slot::Text),
    removable: true,
    ..Line::EMPTY
};

const WORKDIR: Line = Line {
    word: "workdir",
    doc: "The folder that the commands start in; it is made.",
    example: "workdir \"/src\"",
    often: Often::Maybe,
    arguments: &[one("PATH", Slot::Path)],
    ..Line::EMPTY
};

const USER: Line = Line {
    word: "user",
    doc: "The user that the commands run as, for this run only.",
    example: "user \"node\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};

const SHELL: Line = Line {
    word: "shell",
    doc: "What `sh` calls with the script as last argument; default \"/bin/sh\" \"-e\" \"-c\".",
    example: "shell \"/bin/bash\" \"-eu\" \"-c\"",
    often: Often::Maybe,
    arguments: &[some("ARGV", Slot::Text)],
    ..Line::EMPTY
};

const HOSTNAME: Line = Line {
    word: "hostname",
    doc: "The name of the machine that the commands see.",
    example: "hostname \"builder\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};

const NETWORK: Line = Line {
    word: "network",
    doc: "`network host`: this machine's network. Without the line there is none.",
    example: "network host",
    often: Often::Maybe,
    arguments: &[maybe("host", Slot::Word(&["host"]))],
    ..Line::EMPTY
};

const LIMITS: Line = Line {
    word: "limits",
    doc: "Limits; no part of the key.",
    example: "limits timeout=\"10m\"",
    often: Often::Maybe,
    properties: &[must("timeout", Slot::Duration, "How long all commands together may take.")],
    ..Line::EMPTY
};

const EXEC: Line = Line {
    word: "exec",
    doc: "A command: program and arguments, without a shell. Several are executed in order.",
    example: "exec \"make\" \"all\"",
    arguments: &[some("ARGV", Slot::Text)],
    ..Line::EMPTY
};

const SH: Line = Line {
    word: "sh",
    doc: "A script for the shell. Never substituted: values enter by `env`.",
    example: "sh #\"echo \"$VERSION\" > /out/version\"#",
    arguments: &[one("SCRIPT", Slot::Script)],
    ..Line::EMPTY
};

const OUTPUT: Line = Line {
    word: "output",
    doc: "A path that is kept, as `RUN.NAME`. A folder is made beforehand.",
    example: "output dist \"/src/dist\"",
    arguments: &[one("NAME", Slot::Name), one("PATH", Slot::Path)],
    properties: &[
        may("type", Slot::Word(&["dir", "file"]), "Default `dir`."),
        may("optional", Slot::Bool, "Whether it may be missing; default #false."),
    ],
    body: &[&INCLUDE],
    ..Line::EMPTY
};

const SALT: Line = Line {
    word: "salt",
    doc: "Any text; another text is another key.",
    example: "salt \"2026-11\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower };

const FREE: [&str; 3] = [free_output::ROOTFS, free_output::TREE, free_output::DIFF];

fn stands_on_host(item: &Item) -> bool {
    let reference = item.only("from").and_then(Item::reference);
    reference.is_some_and(|reference| reference.target == Target::Host)
}

fn check(item: &Item, findings: &mut Findings) {
    check_run(item, &FREE, findings);
    if stands_on_host(item) && item.only("output").is_none() {
        let message = "a run on `host` gives nothing but its outputs, and this one has none";
        let help = "add: output NAME \"/out\"";
        findings.add(Mistake::new(Code::RunOutputs, message, help).at(item.word.clone(), "has no `output`"));
    }
}

/// What holds for `run` and `test`; `taken` are names that outputs may not have.
pub(super) fn check_run(item: &Item, taken: &[&str], findings: &mut Findings) {
    if item.only("exec").is_none() && item.only("sh").is_none() {
        let message = format!("this `{}` has no command", item.line.word);
        let help = "add: exec \"PROGRAM\" \"ARGUMENT\", or sh \"SCRIPT\"; to arrange files, use `tree`";
        findings.add(
            Mistake::new(Code::RunEmpty, message, help).at(item.word.clone(), "neither `exec` nor `sh`"),
        );
    }
    if let Some(network) = item.only("network")
        && network.arguments.is_empty()
        && network.whole
    {
        let message = "`network` needs a word: only `network host` exists so far";
        findings.add(
            Mistake::new(Code::SlotMissing, message, "network host")
                .at(network.word.clone(), "nothing follows"),
        );
    }
    check_hostname_and_timeout(item, findings);
    check_mounts(item, findings);
    check_outputs(item, taken, findings);
}

/// What the kernel would refuse, or nothing could meet.
fn check_hostname_and_timeout(item: &Item, findings: &mut Findings) {
    if let Some(given) = item.only("hostname").and_then(|line| line.argument(0))
        && let Some(name) = given.text()
        && !(1..=64).contains(&name.len())
    {
        let message = format!("a host name has 1 to 64 bytes, this one has {}", name.len());
        findings.add(
            Mistake::new(Code::TypeValue, message, "hostname \"builder\"")
                .at(given.span.clone(), "given here"),
        );
    }
    if let Some(given) = item.only("limits").and_then(|line| line.property("timeout"))
        && given.duration() == Some(0)
    {
        let message = "no command can end in no time";
        findings.add(
            Mistake::new(Code::TypeValue, message, "timeout=\"10m\"").at(given.span.clone(), "given here"),
        );
    }
}

fn check_mounts(item: &Item, findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for mount in item.each("mount") {
        let Some(at) = mount.property("at") else { continue };
        let Some(path) = at.path() else { continue };
        if path.is_root() {
            let message = "a mount at `/` would hide the whole root filesystem";
            let help = "mount below it: at=\"/src\"; to run on these files, name them in `from`";
            findings.add(Mistake::new(Code::PathForm, message, help).at(at.span.clone(), "the root itself"));
        }
        if let Some(first) = seen.insert(path.clone(), at.span.clone()) {
            let message = format!("two mounts stand at {path}");
            let help = "compose them first: tree both { merge ONE OTHER; }, and mount that";
            let mistake = Mistake::new(Code::MountTwice, message, help);
            findings.add(mistake.at(at.span.clone(), "and this one").at(first, "this mount"));
        }
    }
}

fn check_outputs(item: &Item, taken: &[&str], findings: &mut Findings) {
    let (mut names, mut paths) = (BTreeMap::new(), BTreeMap::new());
    for output in item.each("output") {
        if let (Some(name), Some(given)) = (output.text(), output.argument(0)) {
            if taken.contains(&name) {
                let message = format!("every `{}` has an output `{name}` already", item.line.word);
                let help = "choose another name";
                findings.add(Mistake::new(Code::OutputName, message, help).at(given.span.clone(), "taken"));
            }
            if let Some(first) = names.insert(name.to_owned(), given.span.clone()) {
                findings.add(output_twice(&format!("are called `{name}`"), given.span.clone(), first));
            }
        }
        let Some(given) = output.argument(1) else { continue };
        let Some(path) = given.path() else { continue };
        if path.is_root() {
            let message = "an output cannot be the whole root filesystem";
            let help =
                "name a folder; all files of the sandbox are `NAME.tree`, what was written `NAME.diff`";
            findings
                .add(Mistake::new(Code::PathForm, message, help).at(given.span.clone(), "the root itself"));
        }
        if let Some(first) = paths.insert(path.clone(), given.span.clone()) {
            findings.add(output_twice(&format!("keep {path}"), given.span.clone(), first));
        }
    }
}

fn output_twice(what: &str, second: Span, first: Span) -> Mistake {
    let mistake = Mistake::new(Code::OutputTwice, format!("two outputs {what}"), "keep one of them");
    mistake.at(second, "and this one").at(first, "this output")
}

pub(super) fn declared_outputs(item: &Item) -> BTreeMap<String, Type> {
    item.each("output").filter_map(Item::text).map(|name| (name.to_owned(), Type::Tree)).collect()
}

fn outputs(item: &Item) -> Outputs {
    let mut types = declared_outputs(item);
    if stands_on_host(item) {
        return Outputs { types, main: None };
    }
    types.insert(free_output::ROOTFS.to_owned(), Type::Rootfs);
    types.insert(free_output::TREE.to_owned(), Type::Tree);
    types.insert(free_output::DIFF.to_owned(), Type::Tree);
    Outputs { types, main: Some(free_output::ROOTFS.to_owned()) }
}

fn lower(item: &Item, edges: &mut Edges<'_>) -> Op {
    Op::Run(Box::new(lower_run(item, edges)))
}

pub(super) fn lower_run(item: &Item, edges: &mut Edges<'_>) -> Run {
    let inherit = item.only("from").and_then(|from| from.property("inherit")).and_then(Given::truth);
    Run {
        from: edges.from(item).unwrap_or(From::Scratch),
        inherit: inherit.unwrap_or(true),
        commands: item.body.iter().filter_map(command).collect(),
        env: item
            .each("env")
            .flat_map(Item::assignments)
            .map(|(key, value)| (key, value.map(LateText::from)))
            .collect(),
        workdir: item.only("workdir").and_then(|line| line.argument(0)?.path().cloned()),
        user: item.text_of("user"),
        shell: item.only("shell").map(Item::texts),
        hostname: item.text_of("hostname"),
        network: if item.only("network").is_some() { Network::Host } else { Network::None },
        mounts: mounts(item, edges),
        outputs: item.each("output").filter_map(output).collect(),
        expect: None,
        limits: Limits { timeout: timeout(item), ..Limits::default() },
        salt: item.text_of("salt"),
        ..Run::default()
    }
}

fn command(line: &Item) -> Option<Command> {
    match line.line.word {
        "exec" => Some(Command::Exec(line.texts())),
        "sh" => Some(Command::Sh(line.text()?.to_owned())),
        _ => None,
    }
}

/// By place: the order in which they are written means nothing.
fn mounts(item: &Item, edges: &mut Edges<'_>) -> Vec<Mount> {
    let mut lines: Vec<(&Item, _)> =
        item.each("mount").filter_map(|line| Some((line, line.property("at")?.path()?))).collect();
    lines.sort_by_key(|(_, at)| *at);
    lines
        .into_iter()
        .filter_map(|(line, at)| {
            let path = line.property("path").and_then(Given::path).cloned();
            let select = Select { path, ..Select::default() };
            Some(Mount {
                input: edges.add(format!("mount {at}"), line.reference()?, select),
                at: at.clone(),
                access: match line.property("access").and_then(Given::text) {
                    Some("ro") => Access::Ro,
                    _ => Access::Cow,
                },
                // Told by the whole graph.
                older_than: None,
            })
        })
        .collect()
}

fn output(line: &Item) -> Option<Output> {
    Some(Output {
        name: line.text()?.to_owned(),
        path: line.argument(1)?.path()?.clone(),
        kind: match line.property("type").and_then(Given::text) {
            Some("file") => OutputKind::File,
            _ => OutputKind::Dir,
        },
        optional: line.property("optional").and_then(Given::truth).unwrap_or(false),
        include: line.globs("include"),
        locked: None,
    })
}

/// Whole seconds, rounded up.
fn timeout(item: &Item) -> Option<u64> {
    let nanoseconds = item.only("limits")?.property("timeout")?.duration()?;
    Some(nanoseconds.div_ceil(1_000_000_000))
}
