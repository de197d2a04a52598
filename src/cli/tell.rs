//! What a build tells of its runs beside that they failed: what they tried without a network, what they wrote
//! where nothing is kept, what a failed test left.

use crate::cli::output::Planned;
use crate::cli::output::write::{Desk, Made};
use crate::engine::build::Built;
use crate::engine::report::Report;
use crate::exec::executor::{ExecError, Failure};
use crate::exec::probe::Rung;
use crate::graph::graph::{Node, OutputRef};
use crate::lang::Loaded;
use crate::lang::code::Code;
use crate::lang::mistake::{Mistake, shorten};
use crate::store::record::Lost;

/// Names of machines that a message lists.
const MOST_NAMES: usize = 3;

/// For a command that failed and asked for names while it had no network. `forbidden_by` is whose policy allows
/// it none, as `profile `hermetic``.
pub(super) fn offline(
    loaded: &Loaded,
    node: &Node,
    failure: &Failure,
    forbidden_by: Option<&str>,
) -> Option<Mistake> {
    if failure.tried.is_empty() {
        return None;
    }
    let message =
        format!("`{}` failed, and tried to reach {}", shorten(&failure.shown()), names(&failure.tried));
    let mut help = "add a line `network host` to this node. Runs are offline unless they say so.".to_owned();
    if let Some(policy) = forbidden_by {
        help += &format!(" (The policy of {policy} forbids it.)");
    }
    let mistake = Mistake::new(Code::RunNetwork, message, help);
    Some(mistake.of_node(&loaded.sources, node, "has no `network`"))
}

/// For a run whose root another node stands on, and that wrote where nothing is kept.
pub(super) fn lost_writes(loaded: &Loaded, node: &Node, lost: &Lost) -> Mistake {
    let more = lost.count - lost.paths.len() as u64;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!(
        "`{}` wrote below a mount, where nothing is kept: {}{more}",
        node.name,
        lost.paths.join(", ")
    );
    let help =
        "to keep files, `copy` them into the root instead of mounting them; or declare an `output` there";
    let mistake = Mistake::warning(Code::RunLostWrites, message, help);
    mistake.of_node(&loaded.sources, node, "nodes that stand on it do not see these files")
}

/// One line for what a failed test left; `None` where it left nothing.
pub(super) fn kept(node: &Node, failure: &Failure) -> Option<String> {
    let names: Vec<String> = failure.kept.keys().map(|name| format!("{}.{name}", node.name)).collect();
    if names.is_empty() { None } else { Some(format!("kept: {}", names.join(", "))) }
}

/// For a build that stands on what nothing isolated.
pub(super) fn unsafe_host(report: &Report) -> Option<String> {
    let bare = report.nodes.iter().filter(|node| node.rung.as_deref() == Some(Rung::F.name()));
    let bare: Vec<String> = bare.map(|node| node.name.clone()).collect();
    (!bare.is_empty()).then(|| {
        format!("warning: nothing isolated {}: with --unsafe-host, they have your own rights", names(&bare))
    })
}

/// Writes what failed tests left to where it was asked for, and gives one line for each.
pub(super) fn write_kept(built: &Built, outputs: &[Planned], desk: &Desk<'_>) -> Vec<String> {
    let kept = |source: &OutputRef| {
        let (_, error) = built.failures.iter().find(|(node, _)| *node == source.node)?;
        let ExecError::Failed(failure) = error else { return None };
        failure.kept.get(&source.output).cloned()
    };
    let line = |output: &Planned| {
        let [source] = output.sources.as_slice() else { return None };
        let made = Made { value: kept(source)?, by: Vec::new() };
        Some(output.write(desk, &[made]).map_or_else(|error| error.to_string(), |written| written.line()))
    };
    outputs.iter().filter_map(line).collect()
}

fn names(tried: &[String]) -> String {
    let more = tried.len().saturating_sub(MOST_NAMES);
    let shown = tried[..tried.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_listed() {
        let tried = ["a.b", "c.d", "e.f", "g.h", "i.j"].map(str::to_owned);
        assert_eq!(names(&tried[..1]), "a.b");
        assert_eq!(names(&tried[..3]), "a.b, c.d, e.f");
        assert_eq!(names(&tried), "a.b, c.d, e.f and 2 more");
    }
}
