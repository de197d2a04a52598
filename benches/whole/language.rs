//! Reading build files: from their bytes to the resolved graph, as a process of its own. The kdl crate
//! beside it only parses the same bytes, on the same machine.
//! Bars: 1,000 nodes in 50 files within 150 ms of CPU and 100 MiB; 10,000 within 2 s; a file of 30 nodes, its
//! process included, within 5 ms.

use std::fs;
use std::path::Path;
use std::process::Command;

use memobuild::lang::{self, Request};

use crate::measure::{Cost, best, once, print};
use crate::monorepo;

/// The words that make this program read a folder, so that it is measured as a process.
pub(crate) const LOAD: &str = "language-load";
pub(crate) const PARSE: &str = "language-parse";

/// Nodes, files, milliseconds, MiB.
const CASES: [(usize, usize, f64, f64); 4] = [
    (30, 1, 5.0, 100.0),
    (1_000, 50, 150.0, 100.0),
    (10_000, 500, 2_000.0, 512.0),
    (10_000, 1, 2_000.0, 512.0),
];

pub(crate) fn run(folder: &Path) {
    for (nodes, files, bar, memory) in CASES {
        let own = folder.join(format!("{nodes}-{files}"));
        monorepo::write(&own, nodes, files);
        let ours = best(7, || itself(LOAD, &own, nodes));
        let theirs = best(3, || itself(PARSE, &own, nodes));
        let what = format!("{nodes} nodes in {files} file{}", if files == 1 { "" } else { "s" });
        print(&format!("kdl crate, parsing {what}"), theirs);
        print(&format!("memobuild, {what}"), ours);
        println!(
            "  = {:.2} × the parsing; {:.0} % of {bar} ms, {:.0} % of {memory} MiB",
            ours.cpu / theirs.cpu,
            ours.cpu / bar * 100.0,
            ours.memory / memory * 100.0
        );
    }
}

fn itself(word: &str, folder: &Path, nodes: usize) -> Cost {
    once(Command::new(std::env::current_exe().unwrap()).arg(word).arg(folder).arg(nodes.to_string()))
}

/// Reads a workspace that must have so many nodes.
pub(crate) fn load(folder: &Path, nodes: usize) {
    match lang::load(folder, &Request::root()) {
        Ok(loaded) => assert!(loaded.graph.nodes.len() >= nodes, "{} nodes", loaded.graph.nodes.len()),
        Err(mistakes) => panic!("{mistakes}: {}", mistakes.shown[0].message),
    }
}

pub(crate) fn parse(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            parse(&path);
        } else {
            kdl::KdlDocument::parse_v2(&fs::read_to_string(&path).unwrap()).unwrap();
        }
    }
}
