//! What MemoBuild costs, beside its peers and physical bounds, all in one run: `cargo bench`.
//! Figures of one run compare; the machine's speed drifts between runs. Words after `--` pick sections.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod context;
mod measure;
mod hashing;
mod images;
mod incremental;
mod language;
mod monorepo;
mod no_op;
mod parallel;
mod ownership;
mod sandbox;

use std::path::Path;

type Section = (&'static str, fn(&Path));

const SECTIONS: [Section; 8] = [
    ("language", language::run),
    ("no-op", no_op::run),
    ("incremental", incremental::run),
    ("parallel", parallel::run),
    ("sandbox", sandbox::run),
    ("ownership", ownership::run),
    ("images", images::run),
    ("hash", hashing::run),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [no_op::STATX, folder] => return no_op::statx_pass(Path::new(folder)),
        [language::LOAD, folder, nodes] => return language::load(Path::new(folder), nodes.parse().unwrap()),
        [language::PARSE, folder, _] => return language::parse(Path::new(folder)),
        _ => {}
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
