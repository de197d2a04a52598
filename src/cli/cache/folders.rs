//! `memobuild cache folders` and `cache prune`: the folders that `cache` lines keep for runs, of all workspaces that
//! use the store.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::base::size::size_text;
use crate::cli::args::{Format, PruneArgs};
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::exec::caches::{self, Kept};
use crate::exec::probe::THIS_PROGRAM;
use crate::lang::time;
use crate::store::memo::Memo;

pub(super) fn list(memo: &Memo, format: Format) -> Result<(), Failure> {
    let kept = caches::kept(memo)?;
    if format == Format::Json {
        return print::json(&json!({ "version": 1, "folders": kept }));
    }
    let now = now();
    print::data(kept.iter().map(|kept| line(kept, now)).collect::<String>())
}

/// Exit code 3 where some are in use.
pub(super) fn prune(memo: &Memo, asked: &PruneArgs) -> Result<(), Failure> {
    let PruneArgs { names, older_than, all, format } = asked;
    if names.is_empty() && older_than.is_none() && !all {
        let help = "name them, or say --older-than AGE or --all";
        return Err(Failure::input("nothing says which folders are to be removed", help));
    }
    let age = older_than.as_deref().map(seconds).transpose()?;
    let known = caches::kept(memo)?;
    if let Some(name) = names.iter().find(|name| !known.iter().any(|kept| kept.name.name == **name)) {
        let help = "`memobuild cache folders` lists those that there are";
        return Err(Failure::input(format!("the store keeps no folder for a cache `{name}`"), help));
    }
    let now = now();
    let wanted = |kept: &Kept| {
        (names.is_empty() || names.contains(&kept.name.name)) && age.is_none_or(|age| now - kept.used >= age)
    };
    let pruned = caches::prune(memo, Path::new(THIS_PROGRAM), &wanted)?;
    if *format == Format::Json {
        print::json(&json!({ "version": 1, "folders": pruned }))?;
    } else {
        let mut text = String::new();
        for pruned in &pruned {
            let what = if pruned.removed { "removed" } else { "in use " };
            let _ = write!(text, "{what}  {}", line(&pruned.kept, now));
        }
        print::data(text)?;
    }
    match pruned.iter().filter(|pruned| !pruned.removed).count() {
        0 => Ok(()),
        number => Err(Failure::environment(
            format!("{number} in use"),
            Some("remove them when the runs that use them have ended".to_owned()),
        )),
    }
}

fn line(kept: &Kept, now: i64) -> String {
    let Kept { name, copies, disk_bytes, used, in_use, .. } = kept;
    let used = if *in_use { "in use".to_owned() } else { format!("{} ago", ago(now - used)) };
    let copies = if *copies > 1 { format!("  {copies} copies") } else { String::new() };
    format!(
        "{:<16} {:<16} {:<12} {:>10}  {used:>9}  {}{copies}\n",
        name.name,
        name.scope(),
        name.platform,
        size_text(*disk_bytes),
        name.workspace.display(),
    )
}

/// Days (`7d`), or as build files write durations.
fn seconds(text: &str) -> Result<i64, Failure> {
    let seconds = match text.strip_suffix('d').map(str::parse::<u32>) {
        Some(Ok(days)) => Some(u64::from(days) * 86_400),
        _ => time::duration(text).map(|nanoseconds| nanoseconds / 1_000_000_000),
    };
    let seconds = seconds.ok_or_else(|| {
        Failure::input(format!("`--older-than {text}` is no time"), "write --older-than 7d, 12h or 30m")
    })?;
    Ok(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// As people tell how long ago something was.
fn ago(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        for (seconds, expected) in
            [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (86_400 * 3 + 5, "3 d")]
        {
            assert_eq!(ago(seconds), expected);
        }
    }

    #[test]
    fn ages_are_written_as_in_build_files() {
        assert!(matches!(seconds("90m"), Ok(5400)));
        assert!(matches!(seconds("7d"), Ok(604_800)));
        assert!(seconds("soon").is_err());
    }
}
