//! The command line of `memobuild cache`.

use clap::Subcommand;

use crate::cli::args::Format;

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct CacheArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: CacheCommand,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum CacheCommand {
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
pub(in crate::cli) struct PruneArgs {
    /// Of caches with these names, in whatever workspace
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,

    /// That no run began to use for so long: 7d, 12h, 30m
    #[arg(long, value_name = "AGE")]
    pub(in crate::cli) older_than: Option<String>,

    /// Of all caches
    #[arg(long, conflicts_with = "names")]
    pub(in crate::cli) all: bool,

    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(in crate::cli) format: Format,
}
