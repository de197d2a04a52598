//! `memobuild shell` and `memobuild run`: somebody sits at the sandbox of a node, or at an image. What is needed is
//! built first; then their terminal, or their standard streams, are the command's, and its exit code is ours.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use crate::cli::args::{Args, NetworkOf, RunArgs, ShellArgs, Sitting};
use crate::cli::failure::Failure;
use crate::cli::{build, interrupt, lender, load, place, policy, progress, settings};
use crate::engine::build::{Order, build as run_build};
use crate::engine::history::History;
use crate::engine::prepare::gather;
use crate::engine::remember::Trust;
use crate::engine::values::Values;
use crate::exec::executor::{ExecError, Executor};
use crate::exec::local::LocalExecutor;
use crate::exec::session::{Seat, Wish, run_of_image};
use crate::graph::action::{Action, ActionInput};
use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::op::{Network, Op};
use crate::graph::select;
use crate::lang::Loaded;
use crate::lang::mistake::Mistakes;
use crate::oci::supply::Supply;

pub(super) fn shell(args: &Args, asked: &ShellArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = load::load(args, &workspace, &asked.sitting.params, std::slice::from_ref(&asked.node))?;
    let target = one_target(&loaded.graph, &asked.node)?;
    let node = loaded.graph.node(target.node);
    if !matches!(node.op, Op::Run(_)) {
        return Err(Failure::input(
            format!("`{}` runs no command: its kind is `{}`", asked.node, node.kind),
            "name a `run` or a `test`; for an image there is `memobuild run`",
        ));
    }
    let wanted: Vec<OutputRef> = node.inputs.iter().map(|input| input.source.clone()).collect();
    let wish = Wish {
        command: asked.command.clone(),
        after_commands: asked.failed,
        terminal: std::env::var("TERM").ok(),
        stop_signal: None,
    };
    let mut prepare = |supply: &Supply, values: &Values| {
        let gathered = gather(&loaded.graph, target.node, values)?;
        Ok((gathered.action(supply)?, wish.clone()))
    };
    sit(args, &asked.sitting, &workspace.root, &loaded, (&[target.node], &wanted), &mut prepare)
}

pub(super) fn run(args: &Args, asked: &RunArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = load::load(args, &workspace, &asked.sitting.params, std::slice::from_ref(&asked.image))?;
    let target = one_target(&loaded.graph, &asked.image)?;
    let node = loaded.graph.node(target.node);
    let network = match asked.network {
        Some(NetworkOf::Host) => Network::Host,
        None => Network::None,
    };
    let mut prepare = |supply: &Supply, values: &Values| {
        let value = values.output(supply, &loaded.graph, &target)?;
        let Some(rootfs) = value.rootfs() else {
            return Err(ExecError::Input {
                message: format!("`{}` is a {}, and no image", asked.image, value.type_of().name()),
                help: "name an `image`, or a node that gives a root filesystem".to_owned(),
            });
        };
        let (run, mut wish) = run_of_image(&rootfs.config, &asked.command, network)?;
        wish.terminal = std::env::var("TERM").ok();
        let action = Action {
            node: node.name.clone(),
            op: Op::Run(Box::new(run)),
            inputs: vec![ActionInput { slot: "from".to_owned(), value }],
            platform: node.platform.clone(),
        };
        Ok((action, wish))
    };
    let wanted = std::slice::from_ref(&target);
    sit(args, &asked.sitting, &workspace.root, &loaded, (&[], wanted), &mut prepare)
}

fn one_target(graph: &Graph, name: &str) -> Result<OutputRef, Failure> {
    let targets = select::targets(graph, std::slice::from_ref(&name.to_owned()))?;
    match <[OutputRef; 1]>::try_from(targets) {
        Ok([target]) => Ok(target),
        Err(targets) => Err(Failure::input(
            format!("`{name}` is {} nodes, and one can sit at one only", targets.len()),
            "`memobuild list` tells the names of each",
        )),
    }
}

/// From values to what is sat at.
type Prepare<'p> = dyn FnMut(&Supply, &Values) -> Result<(Action, Wish), ExecError> + 'p;

/// `nodes` are allowed by the policy as if they were built; only what is `wanted` is.
fn sit(
    args: &Args,
    asked: &Sitting,
    workspace: &Path,
    loaded: &Loaded,
    (nodes, wanted): (&[NodeId], &[OutputRef]),
    prepare: &mut Prepare<'_>,
) -> Result<(), Failure> {
    let needed = select::needed(&loaded.graph, wanted);
    policy::enforce(loaded, &[&needed, nodes].concat())?;
    let memo = place::open_for(args, workspace, loaded)?;
    let isolation = policy::isolation(asked.min_isolation, loaded);
    let cancel = interrupt::cancel();
    let leave_out = History::load(&memo, workspace).exports();
    let supply = Supply::new(&memo, &settings::network(loaded), &cancel);
    let lender = lender::lender(loaded, workspace, &asked.lent)?;
    let executor = |trust| -> Result<LocalExecutor, ExecError> {
        let executor = LocalExecutor::new(&supply, workspace, &leave_out, trust == Trust::Record)?;
        Ok(executor.isolated_by(isolation).granting(asked.allowed.grants()).lending(&lender))
    };
    let boxed = |trust| -> Result<Box<dyn Executor>, ExecError> { Ok(Box::new(executor(trust)?)) };
    let jobs = settings::jobs(asked.jobs)?;
    let order = Order { graph: &loaded.graph, needed: &needed, workspace, jobs, keep_going: false };
    let mut progress =
        progress::start(settings::progress(asked.progress)?, &loaded.graph, supply.network().traffic());
    let mut prepared = None;
    let mut keep = |values: &Values| {
        prepared = Some(prepare(&supply, values)?);
        Ok(())
    };
    let built = run_build(&order, &supply, &boxed, &cancel, progress.as_mut(), &mut keep);
    drop(progress);
    let built = built?;
    build::tell_failures(&memo, loaded, &built);
    build::conclude(&built)?;
    let (action, wish) = prepared.expect("bug: a build without failures uses its values");
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let seat = Seat {
        input: input.as_fd(),
        output: output.as_fd(),
        errors: errors.as_fd(),
        is_terminal: input.is_terminal() && output.is_terminal(),
    };
    match executor(Trust::Record)?.sit(&action, &wish, &seat, &cancel) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Code(code)),
        Err(error) => {
            let mistake = nodes.iter().find_map(|id| build::mistake(loaded, loaded.graph.node(*id), &error));
            Err(mistake.map_or_else(|| error.into(), |mistake| Mistakes::from(mistake).into()))
        }
    }
}
