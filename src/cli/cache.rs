//! `memobuild cache`: what the store holds, and whether it is whole.

mod folders;

use std::fmt::Write as _;

use serde_json::json;

use crate::base::size::size_text;
use crate::cli::args::{Args, CacheArgs, CacheCommand, Format};
use crate::cli::failure::Failure;
use crate::cli::{interrupt, place, print};
use crate::store::memo::Memo;
use crate::store::usage::{records, totals};
use crate::store::verify::verify as verify_store;
use crate::tree::disk::snapshot::verify_snapshots;

pub(super) fn cache(args: &Args, asked: &CacheArgs) -> Result<(), Failure> {
    match &asked.command {
        CacheCommand::Path => print::data(format!("{}\n", place::store(args)?.display())),
        CacheCommand::Ls { format } => ls(&place::open(args)?, *format),
        CacheCommand::Du { format } => du(&place::open(args)?, *format),
        CacheCommand::Verify { format } => verify(&place::open(args)?, *format),
        CacheCommand::Folders { format } => folders::list(&place::open(args)?, *format),
        CacheCommand::Prune(asked) => folders::prune(&place::open(args)?, asked),
    }
}

fn ls(memo: &Memo, format: Format) -> Result<(), Failure> {
    let records = records(memo)?;
    if format == Format::Json {
        return print::json(&json!({ "version": 1, "records": records }));
    }
    let mut text = String::new();
    for record in records {
        let key = &record.key.to_hex()[..12];
        let outputs = record.outputs.join(" ");
        let size = size_text(record.object_bytes);
        let _ = writeln!(text, "{key}  {:<24} {size:>10}  {:>7.2} s  {outputs}", record.node, record.seconds);
    }
    print::data(text)
}

fn du(memo: &Memo, format: Format) -> Result<(), Failure> {
    let totals = totals(memo)?;
    if format == Format::Json {
        return print::json(&json!({ "version": 1, "classes": totals }));
    }
    let mut text = String::new();
    let mut line = |class: &str, files: u64, size: u64| {
        let noun = if files == 1 { "file" } else { "files" };
        let _ = writeln!(text, "{class:<10} {files:>9} {noun:<5} {:>10}", size_text(size));
    };
    for total in &totals {
        line(&total.class, total.files, total.disk_bytes);
    }
    let sum = |number: fn(&crate::store::usage::Total) -> u64| totals.iter().map(number).sum();
    line("all", sum(|total| total.files), sum(|total| total.disk_bytes));
    print::data(text)
}

/// Damage is put aside, so that the next build makes it again, and told; the exit code is 3 then.
fn verify(memo: &Memo, format: Format) -> Result<(), Failure> {
    let cancel = interrupt::cancel();
    let verified = verify_store(memo, &cancel)?;
    let snapshots = verify_snapshots(memo, &cancel)?;
    let mut damaged: Vec<String> = verified.damaged.iter().map(ToString::to_string).collect();
    damaged.extend(snapshots.iter().map(|path| format!("snapshot {}", path.display())));
    let (blobs, trees, records) = (verified.blobs, verified.trees, verified.records);
    if format == Format::Json {
        print::json(&json!({
            "version": 1,
            "blobs": blobs,
            "trees": trees,
            "records": records,
            "damaged": damaged,
        }))?;
    } else {
        let mut text = format!("{blobs} blobs, {trees} trees, {records} records and their snapshots: ");
        match damaged.len() {
            0 => text += "nothing is damaged\n",
            number => {
                let _ = writeln!(text, "{number} damaged and put aside");
                text.extend(damaged.iter().map(|line| format!("  {line}\n")));
            }
        }
        print::data(text)?;
    }
    match damaged.len() {
        0 => Ok(()),
        number => Err(Failure::environment(
            format!("{number} damaged in the store"),
            Some("build again: what was lost is made again".to_owned()),
        )),
    }
}
