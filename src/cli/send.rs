//! `memobuild push` and `memobuild load`: an image that was built already, to registries or to this machine's own
//! stores. Nothing runs for it: whoever sends an image wants the one that was tried, and no other.

use crate::cli::args::{Args, LoadArgs, PushArgs, SendingArgs};
use crate::cli::failure::Failure;
use crate::cli::output::destination::Destination;
use crate::cli::output::metadata;
use crate::cli::output::write::Desk;
use crate::cli::output::{Output, Planned, destination};
use crate::cli::{build, interrupt, load as loading, place, policy, print, progress, settings};
use crate::engine::build::{Order, build as run_build};
use crate::engine::history::History;
use crate::engine::remember::Trust;
use crate::engine::values::Values;
use crate::exec::executor::{ExecError, Executor};
use crate::exec::local::LocalExecutor;
use crate::exec::recalling::Recalling;
use crate::graph::select;
use crate::oci::supply::Supply;

/// What both commands ask for.
struct Sending<'s> {
    word: &'static str,
    target: &'s str,
    outputs: Vec<Output>,
    options: &'s SendingArgs,
}

pub(super) fn push(args: &Args, asked: &PushArgs) -> Result<(), Failure> {
    let outputs = destinations(&asked.destinations, "docker://", |destination| {
        matches!(destination, Destination::Registry(_))
    })?;
    send(args, Sending { word: "push", target: &asked.target, outputs, options: &asked.sending })
}

pub(super) fn load(args: &Args, asked: &LoadArgs) -> Result<(), Failure> {
    let outputs = destinations(&asked.destinations, "docker-daemon:", |destination| {
        matches!(
            destination,
            Destination::DockerDaemon(_) | Destination::ContainersStorage(_) | Destination::Containerd(_)
        )
    })?;
    send(args, Sending { word: "load", target: &asked.target, outputs, options: &asked.sending })
}

/// A reference alone is one of the usual transport; without any, the image goes there under its own names.
fn destinations(
    written: &[String],
    usual: &str,
    fits: impl Fn(&Destination) -> bool,
) -> Result<Vec<Output>, Failure> {
    let of = |text: &str| -> Result<Output, Failure> {
        let has_word = destination::WORDS
            .iter()
            .any(|word| text.strip_prefix(word).is_some_and(|rest| rest.starts_with(':')));
        let full = if has_word { text.to_owned() } else { format!("{usual}{text}") };
        let destination = destination::parse(&full)
            .map_err(|refused| Failure::input(format!("`{text}` {}", refused.reason), refused.help))?;
        if !fits(&destination) {
            return Err(Failure::input(
                format!("`{text}` is no place for this command"),
                "`push` takes docker://HOST/REPO[:TAG]; `load` takes docker-daemon:REF, containers-storage:REF and \
                 containerd:REF; for all others: memobuild build -o",
            ));
        }
        Ok(Output { target: None, destination, written: full })
    };
    if written.is_empty() {
        return Ok(vec![of(usual)?]);
    }
    written.iter().map(|text| of(text)).collect()
}

fn send(args: &Args, sending: Sending<'_>) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let named = [sending.target.to_owned()];
    let loaded = loading::load(args, &workspace, &sending.options.params, &named)?;
    let workspace = workspace.root;
    let graph = &loaded.graph;
    let targets = select::targets(graph, &named)?;
    let outputs = sending.outputs.into_iter().map(|output| output.plan(graph, &targets));
    let outputs = outputs.collect::<Result<Vec<Planned>, Failure>>()?;
    let exported: Vec<_> = outputs.iter().flat_map(|output| &output.sources).cloned().collect();
    let needed = select::needed(graph, &exported);
    policy::enforce(&loaded, &needed)?;
    let memo = place::open_for(args, &workspace, &loaded)?;
    let history = History::load(&memo, &workspace);
    for output in &outputs {
        output.check(&history)?;
    }
    let cancel = interrupt::cancel();
    let left_out = history.exports();
    let supply = Supply::new(&memo, &settings::network(&loaded), &cancel);
    let help = format!("`{}` runs nothing; first: memobuild build {}", sending.word, sending.target);
    let executor = |trust| -> Result<Box<dyn Executor>, ExecError> {
        let local = LocalExecutor::new(&supply, &workspace, &left_out, trust == Trust::Record)?;
        let local = local.isolated_by(policy::isolation(None, &loaded));
        Ok(Box::new(Recalling::new(local, help.clone())))
    };
    let jobs = settings::jobs(None)?;
    let order = Order { graph, needed: &needed, workspace: &workspace, jobs, keep_going: false };
    let mut progress =
        progress::start(settings::progress(sending.options.progress)?, graph, supply.network().traffic());
    let desk = Desk { supply: &supply, created: build::created()? };
    let mut written = Vec::new();
    let mut export = |values: &Values| {
        written = build::write_all(&desk, graph, values, &outputs)?;
        Ok(())
    };
    let built = run_build(&order, &supply, &executor, &cancel, progress.as_mut(), &mut export);
    drop(progress);
    let built = built?;
    build::tell_failures(&memo, &loaded, &built);
    if !built.failures.is_empty() {
        let message = format!("`{}` is not built as it is now", sending.target);
        return Err(Failure::Input { message, help: None });
    }
    written.iter().for_each(|written| print::note(&written.line()));
    match &sending.options.metadata_file {
        Some(path) => metadata::write(path, &written),
        None => Ok(()),
    }
}
