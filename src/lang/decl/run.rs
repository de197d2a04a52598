//! `run`: executes commands in a sandbox on a root filesystem, and gives what it wrote.

mod mounts;
mod rows;

use std::collections::BTreeMap;

use crate::graph::graph::Select;
use crate::graph::op::{
    Assemble, Command, Composition, From, Limits, Network, Op, Output, OutputKind, Run, device_path,
    free_output,
};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::{Declaration, Edges, Outputs, place, tree};
use crate::lang::item::{Given, Item};
use crate::lang::label::Label;
use crate::lang::mistake::{Findings, Mistake, Span};

pub use mounts::mounts;
pub use rows::{BODY_OF_RUN, ENV, EXEC, LINE, MOUNT, SH};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: false };

const FREE: [&str; 3] = [free_output::ROOTFS, free_output::TREE, free_output::DIFF];

fn stands_on_host(item: &Item) -> bool {
    let reference = item.only("from").and_then(Item::reference);
    reference.is_some_and(|reference| reference.label == Label::Host)
}

fn check(item: &Item, findings: &mut Findings) {
    check_run(item, &FREE, findings);
    check_locked(item, findings);
    // A line that was not read may have been it.
    if item.whole && stands_on_host(item) && item.only("output").is_none() {
        let message = "a run on `host` gives nothing but its outputs, and this one has none";
        let help = "add: output NAME \"/out\"";
        findings.add(Mistake::new(Code::RunOutputs, message, help).at(item.word.clone(), "has no `output`"));
    }
}

/// What is pinned is the outputs: nothing else may leave.
fn check_locked(item: &Item, findings: &mut Findings) {
    if let Some(line) = item.only("network")
        && network(item) == Network::Locked
        && item.only("output").is_none()
    {
        let message = "the lock file holds the outputs of a `network locked` run, and this one has none";
        let help = "add: output NAME \"/out\"";
        let mistake = Mistake::new(Code::RunOutputs, message, help);
        findings.add(mistake.at(line.word.clone(), "nothing is locked"));
    }
}

/// What holds for `run` and `test`; `taken` are names that outputs may not have.
pub(super) fn check_run(item: &Item, taken: &[&str], findings: &mut Findings) {
    // What could not be read may have been one.
    if item.whole && item.only("exec").is_none() && item.only("sh").is_none() {
        let message = format!("this `{}` has no command", item.line.word);
        let help = "add: exec \"PROGRAM\" \"ARGUMENT\", or sh \"SCRIPT\"; to arrange files, use `tree`";
        findings.add(
            Mistake::new(Code::RunEmpty, message, help).at(item.word.clone(), "neither `exec` nor `sh`"),
        );
    }
    mounts::check(item, findings);
    check_hostname_and_timeout(item, findings);
    check_devices(item, findings);
    check_places(item, findings);
    check_outputs(item, taken, findings);
}

/// Files are composed onto a root filesystem, which `host` is none.
fn check_places(item: &Item, findings: &mut Findings) {
    let has_root = tree::has_root(item);
    for line in item.body.iter().filter(|line| place::is_place(line)) {
        place::check(line, has_root, findings);
        if stands_on_host(item) {
            let message =
                format!("`{}` keeps files in the root filesystem, and `host` is none", line.line.word);
            let help = "mount them: mount REF at=\"/src\"";
            let mistake = Mistake::new(Code::TypeSlot, message, help);
            findings.add(mistake.at(line.word.clone(), "not on `host`"));
        }
    }
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

fn check_devices(item: &Item, findings: &mut Findings) {
    for line in item.each("device") {
        let (Some(name), Some(given)) = (line.text(), line.argument(0)) else { continue };
        if device_path(name).is_none() {
            let message = format!("`{name}` is no device: they lie below /dev");
            let mistake = Mistake::new(Code::TypeValue, message, "device \"kvm\"");
            findings.add(mistake.at(given.span.clone(), "not below /dev"));
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
    if network(item) == Network::Locked {
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
        from: root(item, edges),
        inherit: inherit.unwrap_or(true),
        commands: item.body.iter().filter_map(command).collect(),
        env: item.each("env").flat_map(Item::assignments).collect(),
        workdir: item.only("workdir").and_then(|line| line.argument(0)?.path().cloned()),
        user: item.text_of("user"),
        shell: item.only("shell").map(Item::texts),
        hostname: item.text_of("hostname"),
        network: network(item),
        mounts: mounts(item, edges),
        outputs: item.each("output").filter_map(output).collect(),
        expect: None,
        limits: limits(item),
        salt: item.text_of("salt"),
        rerun: item.only("rerun").is_some(),
        caches: mounts::caches(item, edges),
        secrets: item.each("secret").filter_map(mounts::secret).collect(),
        ssh: item.each("ssh").map(|line| line.text().unwrap_or_default().to_owned()).collect(),
        tmpfs: item.each("tmpfs").filter_map(mounts::tmpfs).collect(),
        add_hosts: item.each("add-host").filter_map(add_host).collect(),
        privileged: item.only("privileged").is_some(),
        devices: item.each("device").filter_map(|line| device_path(line.text()?)).collect(),
        retry: item.only("retry").and_then(|line| line.argument(0)?.int()).map_or(0, small),
        services: Vec::new(),
        pins: Vec::new(),
    }
}

/// What the commands run on: with `copy` and the like in the body, `from` with one more layer, which a
/// node of its own composes.
fn root(item: &Item, edges: &mut Edges<'_>) -> From {
    let from = edges.from(item).unwrap_or(From::Scratch);
    if !item.body.iter().any(place::is_place) {
        return from;
    }
    let layer = place::lower_all(&item.body, edges);
    let op = Op::Assemble(Assemble { from, layers: vec![layer], result: Composition::Rootfs });
    let outputs = Outputs::only(free_output::ROOTFS, Type::Rootfs);
    let root = edges.inner("files", tree::LINE.word, op, outputs, item);
    From::Input(edges.add_output("from".to_owned(), root, Select::default()))
}

fn network(item: &Item) -> Network {
    match item.only("network") {
        None => Network::None,
        Some(line) => match line.text() {
            Some("host") => Network::Host,
            Some("intercept") => Network::Intercept,
            Some("locked") => Network::Locked,
            _ => Network::Proxy,
        },
    }
}

fn limits(item: &Item) -> Limits {
    let Some(line) = item.only("limits") else { return Limits::default() };
    let int = |name: &str| line.property(name).and_then(Given::int).and_then(|number| number.try_into().ok());
    Limits {
        // Whole seconds, rounded up.
        timeout: line.property("timeout").and_then(Given::duration).map(|time| time.div_ceil(1_000_000_000)),
        cpu: int("cpu"),
        memory: line.property("memory").and_then(Given::size),
        pids: int("pids"),
        disk: line.property("disk").and_then(Given::size),
    }
}

fn add_host(line: &Item) -> Option<(String, String)> {
    Some((line.text()?.to_owned(), line.argument(1)?.text()?.to_owned()))
}

/// Bounded by its row.
fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn command(line: &Item) -> Option<Command> {
    match line.line.word {
        "exec" => Some(Command::Exec(line.texts())),
        "sh" => Some(Command::Sh(line.text()?.to_owned())),
        _ => None,
    }
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
