//! Which parts of an op and of its inputs decide its result. Every field is taken apart here, so that
//! a new one cannot be forgotten: it is either a fact or named with `_` and a reason.

use serde::Serialize;

use crate::base::facts::FactSink;
use crate::graph::op::{Assemble, Op, Pull, Run};
use crate::graph::value::Value;
use crate::oci::image::{Config, Rootfs};
use crate::tree::scan::Scan;

impl Op {
    pub fn write_facts(&self, sink: &mut dyn FactSink) {
        match self {
            Op::Scan(scan) => scan_facts(scan, sink),
            Op::Host => {}
            Op::Pull(pull) => pull_facts(pull, sink),
            Op::Assemble(assemble) => assemble_facts(assemble, sink),
            Op::Run(run) => run_facts(run, sink),
        }
    }

    /// What this op can see of an input.
    pub(crate) fn write_input(&self, slot: &str, value: &Value, sink: &mut dyn FactSink) {
        sink.fact("input", slot.as_bytes());
        sink.fact("type", value.type_of().name().as_bytes());
        match (self, value) {
            (Op::Run(run), Value::Rootfs(rootfs)) => seen_by_run(run, rootfs, sink),
            (Op::Run(run), Value::Image(image)) => seen_by_run(run, &image.rootfs, sink),
            (_, value) => fact(sink, "content", value),
        }
    }
}

/// Structs and ordered maps only ever serialize to one text, so JSON serves as canonical form.
fn fact(sink: &mut dyn FactSink, name: &str, value: &(impl Serialize + ?Sized)) {
    let json = serde_json::to_vec(value).expect("bug: facts are always JSON");
    sink.fact(name, &json);
}

fn scan_facts(scan: &Scan, sink: &mut dyn FactSink) {
    let Scan { root, include, exclude, gitignore, ignore_files, modes, single } = scan;
    fact(sink, "root", root);
    fact(sink, "include", include);
    fact(sink, "exclude", exclude);
    fact(sink, "gitignore", gitignore);
    for file in ignore_files {
        fact(sink, "ignore-file", file);
    }
    fact(sink, "modes", modes);
    fact(sink, "single", single);
}

/// The layout's place is no fact: the manifest's digest is, and the engine finds it before it asks.
fn pull_facts(pull: &Pull, sink: &mut dyn FactSink) {
    let Pull { layout: _, reference: _, digest } = pull;
    fact(sink, "digest", digest);
}

fn assemble_facts(assemble: &Assemble, sink: &mut dyn FactSink) {
    let Assemble { from, layers, result } = assemble;
    fact(sink, "from", from);
    for layer in layers {
        fact(sink, "layer", layer);
    }
    fact(sink, "result", result);
}

fn run_facts(run: &Run, sink: &mut dyn FactSink) {
    let Run {
        from,
        inherit,
        commands,
        env,
        workdir,
        user,
        shell,
        hostname,
        network,
        mounts,
        outputs,
        expect,
        limits: _, // they decide whether a run ends, never with what
        salt,
    } = run;
    fact(sink, "from", from);
    fact(sink, "inherit", inherit);
    for command in commands {
        fact(sink, "command", command);
    }
    fact(sink, "env", env);
    fact(sink, "workdir", workdir);
    fact(sink, "user", user);
    fact(sink, "shell", shell);
    fact(sink, "hostname", hostname);
    fact(sink, "network", network);
    for mount in mounts {
        fact(sink, "mount", mount);
    }
    for output in outputs {
        fact(sink, "output", output);
    }
    fact(sink, "expect", expect);
    fact(sink, "salt", salt);
}

/// A run sees the files of its root, and of the configuration what it obeys; labels, entrypoint and
/// the like travel past it.
fn seen_by_run(run: &Run, rootfs: &Rootfs, sink: &mut dyn FactSink) {
    for layer in &rootfs.layers {
        sink.fact("layer", layer.tree.as_bytes());
    }
    if run.inherit {
        let Config { env, workdir, user, shell, .. } = &rootfs.config;
        fact(sink, "inherited env", env);
        fact(sink, "inherited workdir", workdir);
        fact(sink, "inherited user", user);
        fact(sink, "inherited shell", shell);
    }
}
