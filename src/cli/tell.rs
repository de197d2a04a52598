//! What a build tells of its runs beside that they failed: what they tried without a network, what they wrote
//! where nothing is kept, what a failed test left.

use crate::cli::build::end_of;
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
use crate::lang::policy::{By, NetworkRule, Said};
use crate::net::hosts::USUAL_PORTS;
use crate::store::record::Lost;
use crate::store::traffic::Refused;

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
    let mut help = "add a line `network` to this node. Runs are offline unless they say so.".to_owned();
    if let Some(policy) = forbidden_by {
        help += &format!(" (The policy of {policy} forbids it.)");
    }
    let mistake = Mistake::new(Code::RunNetwork, message, help);
    Some(mistake.of_node(&loaded.sources, node, "has no `network`"))
}

/// For a command that failed and that the policy kept from somewhere.
pub(super) fn refused(loaded: &Loaded, node: &Node, failure: &Failure) -> Option<Mistake> {
    if failure.refused.is_empty() {
        return None;
    }
    let mut hosts: Vec<String> = failure.refused.iter().map(written).collect();
    hosts.sort();
    hosts.dedup();
    let message =
        format!("`{}` failed, and was not let through to {}", shorten(&failure.shown()), names(&hosts));
    let (by, allowed) = match &loaded.settings.policy.network {
        Some(Said { rule: NetworkRule::Hosts(allowed), by }) => (by.to_string(), allowed.0.clone()),
        Some(Said { by, .. }) => (by.to_string(), Vec::new()),
        None => (By::Workspace.to_string(), Vec::new()),
    };
    let allowed = allowed.iter().map(|host| format!("\"{host}\""));
    let line: Vec<String> = allowed.chain(hosts.iter().map(|host| format!("\"{host}\""))).collect();
    let line = format!("network {}", line.join(" "));
    let help = if failure.refused.iter().any(|refused| refused.inside) {
        format!(
            "what is this machine's own must be named, and then all that runs may reach. In the policy of {by}: \
             {line}"
        )
    } else {
        format!("if it may be reached, name it in the policy of {by}: {line}")
    };
    let mistake = Mistake::new(Code::RunRefused, message, help);
    let until = end_of(node, loaded);
    Some(mistake.of_words(
        &loaded.sources,
        node,
        until,
        "network",
        "its proxy lets through what the policy names",
    ))
}

/// As the policy would name it.
fn written(refused: &Refused) -> String {
    let host = &refused.host;
    match refused.port.filter(|port| !USUAL_PORTS.contains(port)) {
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    }
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
    use crate::net::hosts::HostPattern;

    #[test]
    fn hosts_are_written_as_policies_name_them() {
        for (host, port, expected) in [
            ("a.b", None, "a.b"),
            ("a.b", Some(443), "a.b"),
            ("a.b", Some(22), "a.b:22"),
            ("::1", Some(8080), "[::1]:8080"),
        ] {
            let refused = Refused { host: host.to_owned(), port, inside: false };
            assert_eq!(written(&refused), expected);
            assert!(written(&refused).parse::<HostPattern>().is_ok());
        }
    }

    #[test]
    fn a_few_names_are_listed() {
        let tried = ["a.b", "c.d", "e.f", "g.h", "i.j"].map(str::to_owned);
        assert_eq!(names(&tried[..1]), "a.b");
        assert_eq!(names(&tried[..3]), "a.b, c.d, e.f");
        assert_eq!(names(&tried), "a.b, c.d, e.f and 2 more");
    }
}
