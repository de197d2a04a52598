//! `memobuild doctor`: which isolation this machine allows, why not a better one, and how to get there.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use crate::cli::args::{Args, DoctorArgs, Format};
use crate::cli::failure::Failure;
use crate::cli::{place, print};
use crate::exec::cgroup;
use crate::exec::probe::{self, Fact, Isolation};

/// Tries every rung anew, whatever is kept.
pub(super) fn doctor(args: &Args, asked: &DoctorArgs) -> Result<(), Failure> {
    let memo = place::open(args)?;
    let isolation = probe::doctor(&memo, Path::new("/proc/self/exe"))?;
    let facts = probe::facts(&memo, &isolation)?;
    let rung = isolation.granted.as_ref().map(|granted| granted.rung.name());
    let limits = cgroup::finding();
    match asked.format {
        Format::Json => {
            print::json(&json!({
                "version": 1,
                "rung": rung,
                "findings": isolation.findings,
                "limits": limits,
                "facts": facts,
            }))?;
        }
        Format::Text => print::data(text(rung, &isolation) + &limits_text(&limits) + &facts_text(&facts))?,
    }
    match rung {
        Some(_) => Ok(()),
        None => Err(Failure::environment("no command can be isolated on this machine", None)),
    }
}

fn text(rung: Option<&str>, isolation: &Isolation) -> String {
    let mut text = match rung {
        Some(rung) => format!("isolation: rung {rung}\n"),
        None => "isolation: none, so no command can run\n".to_owned(),
    };
    for finding in &isolation.findings {
        let mark = if finding.holds { "yes" } else { "no " };
        let _ = writeln!(text, "  {} {mark}  {}", finding.rung.name(), finding.message);
        if let Some(help) = &finding.help {
            let _ = writeln!(text, "           to get there: {help}");
        }
        if rung == Some(finding.rung.name()) {
            for leak in &finding.leaks {
                let _ = writeln!(text, "           but {leak}");
            }
        }
    }
    text
}

fn facts_text(facts: &[Fact]) -> String {
    let mut text = "what sandboxes use:\n".to_owned();
    let width = facts.iter().map(|fact| fact.name.len()).max().unwrap_or_default();
    for fact in facts {
        let mark = if fact.holds { "yes" } else { "no " };
        let _ = writeln!(text, "  {:width$} {mark}  {}", fact.name, fact.message);
        if let Some(help) = &fact.help {
            let _ = writeln!(text, "  {:width$}      to get there: {help}", "");
        }
    }
    text
}

fn limits_text(limits: &cgroup::Finding) -> String {
    let mut text = format!("limits: {}\n", limits.message);
    if let Some(help) = &limits.help {
        let _ = writeln!(text, "           to get there: {help}");
    }
    text
}
