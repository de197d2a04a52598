//! What MemoBuild costs, beside its peers and physical bounds, all in one run: `cargo bench`.
//! Figures of one run compare; the machine's speed drifts between runs. Words after `--` pick sections.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod context;
mod measure;
mod hashing;
mod incremental;
mod no_op;
mod parallel;
mod sandbox;

use std::path::Path;

type Section = (&'static str, fn(&Path));

const SECTIONS: [Section; 5] = [
    ("no-op", no_op::run),
    ("incremental", incremental::run),
    ("parallel", parallel::run),
    ("sandbox", sandbox::run),
    ("hash", hashing::run),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [word, folder] = words.as_slice()
        && word == no_op::STATX
    {
        no_op::statx_pass(Path::new(folder));
        return;
    }
    let folder = tempfile::Builder::new().prefix("memobuild-bench-").tempdir().unwrap();
    for (name, run) in SECTIONS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            println!("\n== {name}");
            let own = folder.path().join(name);
            std::fs::create_dir(&own).unwrap();
            run(&own);
            std::fs::remove_dir_all(&own).unwrap();
        }
    }
}
