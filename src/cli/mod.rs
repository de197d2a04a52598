//! Floor 10: the only one that prints, or reads the environment. A command a file.

mod args;
mod failure;
mod print;
mod tell;
mod place;
mod settings;
mod policy;
mod output;
mod progress;
mod build;
mod send;
mod export;
mod sit;
mod plan;
mod graph;
mod show;
mod list;
mod check;
mod load;
mod lender;
mod packages;
mod git;
mod explain;
mod fmt;
mod log;
mod lock;
mod cache;
mod hash;
mod doctor;
mod interrupt;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::args::{Args, Command};
use crate::cli::failure::Failure;
use crate::exec::cgroup;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are what the user asked for; they go to stdout, and a closed pipe is fine.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = dispatch(&args);
    cgroup::leave();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Build(build) => build::build(args, build),
        Command::Shell(shell) => sit::shell(args, shell),
        Command::Run(run) => sit::run(args, run),
        Command::Push(push) => send::push(args, push),
        Command::Load(load) => send::load(args, load),
        Command::Export(export) => export::export(args, export),
        Command::Plan(plan) => plan::plan(args, plan),
        Command::Graph(graph) => graph::graph(args, graph),
        Command::Show(show) => show::show(args, show),
        Command::List(list) => list::list(args, list),
        Command::Check(check) => check::check(args, check),
        Command::Explain(explain) => explain::explain(explain),
        Command::Fmt(fmt) => fmt::fmt(args, fmt),
        Command::Lock(lock) => lock::lock(args, lock),
        Command::Log(log) => log::log(args, log),
        Command::Cache(cache) => cache::cache(args, cache),
        Command::Hash(hash) => hash::hash(hash),
        Command::Doctor(doctor) => doctor::doctor(args, doctor),
    }
}
