//! Cold hash, warm pages: 2 GB in one file and in 20,000 files, beside b3sum. Bar: 1.3 × b3sum.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::context;
use crate::measure::{MEMOBUILD, best, have, once, print};

const FILES: usize = 20_000;
const SIZE: usize = 100_000;

pub(crate) fn run(folder: &Path) {
    if !have("b3sum") {
        return;
    }
    let one = folder.join("one");
    let mut file = File::create(&one).unwrap();
    let mut state = 7;
    for _ in 0..FILES {
        file.write_all(&context::content(&mut state, SIZE)).unwrap();
    }
    compare("one file", &one, Command::new("b3sum").arg(&one));
    let many = folder.join("many");
    context::files(&many, FILES, SIZE);
    let mut sum = Command::new("sh");
    sum.args(["-c", "find \"$0\" -type f -print0 | xargs -0 -P1 b3sum"]).arg(&many);
    compare("20,000 files", &many, &mut sum);
    fs::remove_file(&one).unwrap();
}

fn compare(what: &str, path: &Path, sum: &mut Command) {
    let theirs = best(5, || once(sum));
    let ours = best(5, || once(Command::new(MEMOBUILD).arg("hash").arg(path)));
    print(&format!("b3sum, 2 GB in {what}"), theirs);
    print(&format!("memobuild hash, 2 GB in {what}"), ours);
    println!("  = {:.2} × the wall time, {:.2} × the cpu", ours.wall / theirs.wall, ours.cpu / theirs.cpu);
}
