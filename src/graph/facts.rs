//! Which parts of an op and of its inputs decide its result. Every field is taken apart here, so that
//! a new one cannot be forgotten: it is either a fact or named with `_` and a reason.

use serde::Serialize;

use crate::base::address::shown;
use crate::base::facts::FactSink;
use crate::graph::op::{Assemble, Check, Fetch, Host, Op, Pull, Run};
use crate::graph::value::Value;
use crate::oci::image::{Config, Layer, PackedLayer, Rootfs};
use crate::tree::scan::Scan;

impl Op {
    pub fn write_facts(&self, sink: &mut dyn FactSink) {
        match self {
            Op::Scan(scan) => scan_facts(scan, sink),
            Op::Host(host) => host_facts(host, sink),
            Op::Fetch(fetch) => fetch_facts(fetch, sink),
            Op::Pull(pull) => pull_facts(pull, sink),
            Op::Assemble(assemble) => assemble_facts(assemble, sink),
            Op::Run(run) => run_facts(run, sink),
            Op::Check(check) => check_facts(check, sink),
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

/// One fact for each; none at all for an empty list.
fn each(sink: &mut dyn FactSink, name: &str, values: &[impl Serialize]) {
    for value in values {
        fact(sink, name, value);
    }
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

fn host_facts(host: &Host, sink: &mut dyn FactSink) {
    let Host { include } = host;
    fact(sink, "include", include);
}

/// Where the bytes or the commit lie is no fact, as with images: what they are is known before it is asked. Only where
/// it is not, different places must have different keys.
fn fetch_facts(fetch: &Fetch, sink: &mut dyn FactSink) {
    match fetch {
        Fetch::Http {
            url,
            sha256,
            name: _, // what a copy calls it is a fact of the copy
            mode,
            extract,
            strip,
        } => {
            fact(sink, "sha256", sha256);
            if sha256.is_none() {
                sink.fact("url", shown(url).as_bytes());
            }
            match extract {
                // An archive says itself which modes its files have.
                true => fact(sink, "extract, without names", strip),
                false => fact(sink, "mode", &mode.unwrap_or(Fetch::MODE)),
            }
        }
        Fetch::Git { url, commit, reference, submodules, path } => {
            fact(sink, "commit", commit);
            if commit.is_none() {
                sink.fact("url", shown(url).as_bytes());
                fact(sink, "ref", reference);
            }
            fact(sink, "submodules", submodules);
            fact(sink, "path", path);
        }
    }
}

/// Where the image lies is no fact: the manifest's digest is, and the engine finds it before it asks; only
/// where it cannot, different images must have different keys.
fn pull_facts(pull: &Pull, sink: &mut dyn FactSink) {
    let Pull { source, digest } = pull;
    fact(sink, "digest", digest);
    if digest.is_none() {
        fact(sink, "source", source);
    }
}

fn assemble_facts(assemble: &Assemble, sink: &mut dyn FactSink) {
    let Assemble { from, layers, result } = assemble;
    fact(sink, "from", from);
    each(sink, "layer", layers);
    fact(sink, "result", result);
}

fn check_facts(check: &Check, sink: &mut dyn FactSink) {
    let Check { of, rules } = check;
    fact(sink, "of", of);
    each(sink, "rule", rules);
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
        rerun: _, // the key is the same each time, and is not asked for
        caches,
        secrets,
        ssh,
        tmpfs,
        add_hosts,
        privileged,
        devices,
        retry: _, // as limits
        services,
        pins,
    } = run;
    fact(sink, "from", from);
    fact(sink, "inherit", inherit);
    each(sink, "command", commands);
    fact(sink, "env", env);
    fact(sink, "workdir", workdir);
    fact(sink, "user", user);
    fact(sink, "shell", shell);
    fact(sink, "hostname", hostname);
    fact(sink, "network", network);
    each(sink, "mount", mounts);
    each(sink, "output", outputs);
    fact(sink, "expect", expect);
    fact(sink, "salt", salt);
    each(sink, "cache", caches);
    each(sink, "secret", secrets);
    each(sink, "ssh", ssh);
    each(sink, "tmpfs", tmpfs);
    each(sink, "add-host", add_hosts);
    if *privileged {
        fact(sink, "privileged", privileged);
    }
    each(sink, "device", devices);
    each(sink, "service", services);
    each(sink, "pin", pins);
}

/// A run sees the files of its root, and of the configuration what it obeys; labels, entrypoint and
/// the like travel past it.
fn seen_by_run(run: &Run, rootfs: &Rootfs, sink: &mut dyn FactSink) {
    for layer in &rootfs.layers {
        match layer {
            Layer::Made(tree) => sink.fact("layer", tree.as_bytes()),
            // That the two belong together is known only when it is unpacked.
            Layer::Pulled(PackedLayer { digest, diff_id, .. }) => {
                sink.fact("pulled layer", digest.as_bytes());
                sink.fact("diff id", diff_id.as_bytes());
            }
        }
    }
    if run.inherit {
        let Config { env, workdir, user, shell, .. } = &rootfs.config;
        fact(sink, "inherited env", env);
        fact(sink, "inherited workdir", workdir);
        fact(sink, "inherited user", user);
        fact(sink, "inherited shell", shell);
    }
}
