//! The workspace's policy, before anything is built or planned. Told in the build file's own text.

use crate::cli::failure::Failure;
use crate::cli::print;
use crate::exec::probe::Rung;
use crate::graph::graph::NodeId;
use crate::lang::Loaded;
use crate::lang::policy::{check, mistakes};

/// The graph must be pinned. Warnings are told on the way.
pub(super) fn enforce(loaded: &Loaded, needed: &[NodeId]) -> Result<(), Failure> {
    let violations = check(&loaded.graph, needed, &loaded.settings.policy);
    let (warnings, errors) = mistakes(&loaded.sources, &loaded.graph, violations);
    print::mistakes(&warnings);
    if errors.shown.is_empty() { Ok(()) } else { Err(errors.into()) }
}

/// The weakest rung on which commands may run: the stronger of what the command line asks for and the policy.
pub(super) fn isolation(flag: Option<Rung>, loaded: &Loaded) -> Option<Rung> {
    let policy = loaded.settings.policy.isolation.as_ref();
    let policy = policy.and_then(|policy| Rung::named(&policy.rule));
    flag.into_iter().chain(policy).min()
}
