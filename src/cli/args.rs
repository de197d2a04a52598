//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::exec::grants::{Grant, Grants};
use crate::exec::probe::Rung;

/// Container builds that recompute only what changed.
#[derive(Parser, Debug)]
#[command(name = "memobuild", version, max_term_width = 100)]
pub(super) struct Args {
    /// Where to build: this folder, or the nearest above with a memobuild.kdl
    #[arg(short = 'C', value_name = "DIR", global = true, default_value = ".")]
    pub(super) workspace: PathBuf,

    /// Where results are kept [default: $MEMOBUILD_STORE, else as set, else $XDG_CACHE_HOME/memobuild]
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) store: Option<PathBuf>,

    /// Whose settings win: dev, ci, hermetic or an own one [default: $MEMOBUILD_PROFILE, else as set]
    #[arg(long, value_name = "NAME", global = true)]
    pub(super) profile: Option<String>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Bring targets up to date
    Build(BuildArgs),
    /// Sit at the sandbox of a run or test; what you change there is thrown away
    Shell(ShellArgs),
    /// Run an image; what it changes is thrown away
    Run(RunArgs),
    /// Send an image that was built to registries; runs nothing
    Push(PushArgs),
    /// Give an image that was built to Docker, podman or containerd; runs nothing
    Load(LoadArgs),
    /// Write results into the workspace, where `export` lines say
    Export(ExportArgs),
    /// Show what a build would do, without doing it
    Plan(PlanArgs),
    /// Show the nodes and what they need of each other
    Graph(GraphArgs),
    /// Show nodes with all values put in
    Show(ShowArgs),
    /// List what one may ask for and set: targets, groups, exports, params, axes
    List(ListArgs),
    /// Read and resolve everything, and report every mistake
    Check(CheckArgs),
    /// Tell what the code of a mistake means, and what to write instead
    Explain(ExplainArgs),
    /// Write build files in the house style: spacing, quotes; comments and data stay
    Fmt(FmtArgs),
    /// Pin what is named by tag, URL or reference in memobuild.lock
    Lock(LockArgs),
    /// Print the full log of a node's last run
    Log(LogArgs),
    /// Look into the store
    Cache(CacheArgs),
    /// Print the digest of a file (as b3sum does) or of a folder's tree
    Hash(HashArgs),
    /// Tell what this machine allows, and what is missing
    Doctor(DoctorArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct BuildArgs {
    /// What to build: a node, NODE.OUTPUT or a group [default: the file's `default`]
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,

    /// Where a result goes, any number of times: oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:REF], docker://HOST/REPO[:TAG], docker-daemon:REF, containers-storage:REF,
    /// containerd:REF, files:DIR, tar:FILE or tar:-; TARGET= says which
    #[arg(short, long, value_name = "[TARGET=]TRANSPORT")]
    pub(super) output: Vec<String>,

    /// Write what went where, with digests and sizes, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,

    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    /// Nodes that may execute at once [default: $MEMOBUILD_JOBS, else as set, else 8 or more]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,

    /// After a failure, go on with what does not depend on it
    #[arg(short, long)]
    pub(super) keep_going: bool,

    /// Use no result of a command that was isolated less well: `memobuild doctor` tells the rungs
    #[arg(long, value_name = "RUNG", value_parser = rung)]
    pub(super) min_isolation: Option<Rung>,

    #[command(flatten)]
    pub(super) allowed: Allowed,

    /// Write what was done, node by node, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,

    /// How to show what goes on [default: $MEMOBUILD_PROGRESS, else as set, else auto]
    #[arg(long, value_enum)]
    pub(super) progress: Option<Progress>,
}

#[derive(clap::Args, Debug)]
pub(super) struct ShellArgs {
    /// The run or test; what it needs is built first
    #[arg(value_name = "NODE")]
    pub(super) node: String,

    /// As its commands leave it, of which the first that fails is the last [default: before the first]
    #[arg(long)]
    pub(super) failed: bool,

    #[command(flatten)]
    pub(super) sitting: Sitting,

    /// What to run there [default: its shell]
    #[arg(value_name = "CMD", last = true)]
    pub(super) command: Vec<String>,
}

#[derive(clap::Args, Debug)]
pub(super) struct RunArgs {
    /// The image, or another root filesystem; it is built first
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,

    /// What it reaches [default: nothing]
    #[arg(long, value_enum)]
    pub(super) network: Option<NetworkOf>,

    #[command(flatten)]
    pub(super) sitting: Sitting,

    /// Arguments for its entrypoint, or what to run where it has none [default: its own]
    #[arg(value_name = "CMD", last = true)]
    pub(super) command: Vec<String>,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkOf {
    /// All that this machine reaches
    Host,
}

/// For whatever somebody sits at.
#[derive(clap::Args, Debug)]
pub(super) struct Sitting {
    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    /// Nodes that may execute at once [default: $MEMOBUILD_JOBS, else as set, else 8 or more]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,

    #[command(flatten)]
    pub(super) allowed: Allowed,

    /// Use no result of a command that was isolated less well: `memobuild doctor` tells the rungs
    #[arg(long, value_name = "RUNG", value_parser = rung)]
    pub(super) min_isolation: Option<Rung>,

    /// How to show what goes on [default: $MEMOBUILD_PROGRESS, else as set, else auto]
    #[arg(long, value_enum)]
    pub(super) progress: Option<Progress>,
}

#[derive(clap::Args, Debug)]
pub(super) struct Allowed {
    /// Let runs have more than a sandbox gives, where the build file asks for it, too: privileged, device=NAME
    #[arg(long = "allow", value_name = "WHAT", value_parser = Grant::parse)]
    what: Vec<Grant>,
}

impl Allowed {
    pub(super) fn grants(&self) -> Grants {
        Grants::new(&self.what)
    }
}

#[derive(clap::Args, Debug)]
pub(super) struct PushArgs {
    /// The image
    #[arg(value_name = "TARGET")]
    pub(super) target: String,

    /// HOST/REPO[:TAG], as docker://HOST/REPO[:TAG] too [default: the image's own names]
    #[arg(value_name = "DEST")]
    pub(super) destinations: Vec<String>,

    #[command(flatten)]
    pub(super) sending: SendingArgs,
}

#[derive(clap::Args, Debug)]
pub(super) struct LoadArgs {
    /// The image
    #[arg(value_name = "TARGET")]
    pub(super) target: String,

    /// docker-daemon:REF, containers-storage:REF or containerd:REF; without REF the image's own names
    /// [default: docker-daemon:]
    #[arg(value_name = "DEST")]
    pub(super) destinations: Vec<String>,

    #[command(flatten)]
    pub(super) sending: SendingArgs,
}

// Of all commands that send what was built. No doc comment: clap would tell it as what the command does.
#[derive(clap::Args, Debug)]
pub(super) struct SendingArgs {
    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    /// Write what went where, with digests and sizes, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,

    /// How to show what goes on [default: $MEMOBUILD_PROGRESS, else as set, else auto]
    #[arg(long, value_enum)]
    pub(super) progress: Option<Progress>,
}

#[derive(clap::Args, Debug)]
pub(super) struct ExportArgs {
    /// What to write: an `export`, or //FOLDER/... for all below [default: all of the package]
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,

    /// Write nothing, and fail where something would change
    #[arg(long)]
    pub(super) check: bool,

    #[command(flatten)]
    pub(super) allowed: Allowed,

    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    /// Nodes that may execute at once [default: $MEMOBUILD_JOBS, else as set, else 8 or more]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,

    /// How to show what goes on [default: $MEMOBUILD_PROGRESS, else as set, else auto]
    #[arg(long, value_enum)]
    pub(super) progress: Option<Progress>,

    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// A live view on a terminal, plain lines elsewhere
    Auto,
    Tty,
    Plain,
    /// One JSON object a line, on stderr
    Json,
}

#[derive(clap::Args, Debug)]
pub(super) struct PlanArgs {
    /// What to plan for [default: the file's `default`]
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,

    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(clap::Args, Debug)]
pub(super) struct GraphArgs {
    /// Only what these need [default: all nodes]
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,

    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(super) format: GraphFormat,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GraphFormat {
    Text,
    /// For Graphviz
    Dot,
    Json,
    /// A picture
    Svg,
}

#[derive(clap::Args, Debug)]
pub(super) struct ShowArgs {
    /// A node, 'NODE[AXIS=VALUE]', NODE.OUTPUT or a group [default: all nodes]
    #[arg(value_name = "NODE")]
    pub(super) node: Option<String>,

    /// Only what each node takes and gives, a line each
    #[arg(long, conflicts_with = "format")]
    pub(super) types: bool,

    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    #[arg(long, value_enum, default_value_t = ShowFormat::Text)]
    pub(super) format: ShowFormat,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShowFormat {
    /// An overview
    Text,
    /// Everything, for programs
    Json,
    /// Everything, for people and for comparing
    Kdl,
}

#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Only these and what their packages have: //services/... for all below a folder [default: all]
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,

    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

#[derive(clap::Args, Debug)]
pub(super) struct CheckArgs {
    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(super) format: CheckFormat,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckFormat {
    Text,
    Json,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
}

#[derive(clap::Args, Debug)]
pub(super) struct ExplainArgs {
    /// As a mistake shows it: memo::kdl::quote [default: list all]
    #[arg(value_name = "CODE")]
    pub(super) code: Option<String>,
}

#[derive(clap::Args, Debug)]
pub(super) struct FmtArgs {
    /// Files, folders with build files below them, or - for stdin to stdout [default: memobuild.kdl]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,

    /// Write nothing, and fail where something would change
    #[arg(long)]
    pub(super) check: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct LockArgs {
    /// Change nothing, and tell what is missing, stale or superfluous
    #[arg(long, conflicts_with = "update")]
    pub(super) check: bool,

    /// Look again at what these nodes name, and change no other entry
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(super) update: Vec<String>,

    #[command(flatten)]
    pub(super) allowed: Allowed,

    /// Set a param
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,

    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(clap::Args, Debug)]
pub(super) struct LogArgs {
    #[arg(value_name = "NODE")]
    pub(super) node: String,
    /// What it reached through its `network` instead
    #[arg(long)]
    pub(super) network: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    pub(super) command: CacheCommand,
}

#[derive(Subcommand, Debug)]
pub(super) enum CacheCommand {
    /// List the records
    Ls {
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Tell how much room each class of content takes
    Du {
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Hash everything again and put damaged content aside
    Verify {
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// List the folders that `cache` lines keep for runs
    Folders {
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Remove folders that `cache` lines keep, where no run uses them
    Prune(PruneArgs),
    /// Print where the store is
    Path,
}

#[derive(clap::Args, Debug)]
pub(super) struct PruneArgs {
    /// Of caches with these names, in whatever workspace
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,

    /// That no run began to use for so long: 7d, 12h, 30m
    #[arg(long, value_name = "AGE")]
    pub(super) older_than: Option<String>,

    /// Of all caches
    #[arg(long, conflicts_with = "names")]
    pub(super) all: bool,

    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(clap::Args, Debug)]
pub(super) struct HashArgs {
    #[arg(value_name = "PATH", required = true)]
    pub(super) paths: Vec<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub(super) struct DoctorArgs {
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

fn rung(text: &str) -> Result<Rung, String> {
    Rung::named(text).ok_or_else(|| "rungs are A, B and C; A is the strongest".to_owned())
}
