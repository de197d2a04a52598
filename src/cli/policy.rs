//! The workspace's policy, before anything is built or planned. Told in the build file's own text.

use crate::cli::failure::Failure;
use crate::cli::print;
use crate::exec::probe;
use crate::graph::graph::NodeId;
use crate::graph::op::Op;
use crate::lang::Loaded;
use crate::lang::policy::{check, mistakes};
use crate::store::memo::Memo;

/// The graph must be pinned. Warnings are told on the way.
pub(super) fn enforce(loaded: &Loaded, needed: &[NodeId]) -> Result<(), Failure> {
    let violations = check(&loaded.graph, needed, &loaded.settings.policy);
    let (warnings, errors) = mistakes(&loaded.source, &loaded.graph, violations);
    warnings.iter().for_each(print::mistake);
    if errors.shown.is_empty() { Ok(()) } else { Err(errors.into()) }
}

/// Whether this machine isolates as well as the policy wants. Asked only where it says so and something may run.
pub(super) fn enforce_isolation(memo: &Memo, loaded: &Loaded, needed: &[NodeId]) -> Result<(), Failure> {
    let runs = |id: &NodeId| matches!(loaded.graph.node(*id).op, Op::Run(_));
    let Some(wanted) = &loaded.settings.policy.isolation else { return Ok(()) };
    if !needed.iter().any(runs) {
        return Ok(());
    }
    match probe::isolation(memo)?.granted {
        // Rungs are named in their order, the strongest first.
        Some(granted) if granted.rung.name() > wanted.rule.as_str() => Err(Failure::environment(
            format!(
                "commands would run on isolation rung {} here, and {} has `isolation \"{}\"`",
                granted.rung.name(),
                wanted.by,
                wanted.rule
            ),
            Some("`memobuild doctor` tells how to get to a better rung".to_owned()),
        )),
        // Where nothing isolates at all, the run itself says so.
        _ => Ok(()),
    }
}
