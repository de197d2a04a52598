//! Restrictions that a process puts on itself and all that come from it. Best effort: what the kernel does not know
//! yet is left out, and the caller learns whether anything held.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

/// The newest that this program knows.
const NEWEST: ABI = ABI::V7;

/// What may be done below a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    Everything,
    /// Reading and executing.
    Reading,
    /// Reading, and writing to what is there: devices.
    Using,
}

/// No process outside can be reached by an abstract socket or a signal (Linux 6.12). For runs on the machine's own
/// network, which have a process namespace all the same.
pub(super) fn restrict() -> Result<(), RulesetError> {
    Ruleset::default().scope(Scope::AbstractUnixSocket | Scope::Signal)?.create()?.restrict_self()?;
    Ok(())
}

/// The same for who will restrict others further. Whether all of it holds.
pub(super) fn restrict_signals() -> Result<bool, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::Refer)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    // Whoever says nothing of links between folders forbids them to those below.
    if let Ok(place) = PathFd::new("/") {
        rules = rules.add_rule(PathBeneath::new(place, AccessFs::Refer))?;
    }
    Ok(rules.restrict_self()?.ruleset == RulesetStatus::FullyEnforced)
}

/// The same, and of all files only those below `places` can be reached (Linux 5.13). Without `network`, no TCP either
/// (6.7). Says what held.
pub(super) fn lock_into(
    places: &[(PathBuf, Allowed)],
    network: bool,
) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
    if !network {
        rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let mut rules = rules.scope(Scope::AbstractUnixSocket | Scope::Signal)?.create()?;
    for (path, allowed) in places {
        // What the machine does not have needs no rule.
        if let Ok(place) = PathFd::new(path) {
            let is_folder = path.is_dir();
            rules = rules.add_rule(PathBeneath::new(place, access(*allowed, is_folder)))?;
        }
    }
    rules.restrict_self()
}

fn access(allowed: Allowed, is_folder: bool) -> BitFlags<AccessFs> {
    let access = match allowed {
        Allowed::Everything => AccessFs::from_all(NEWEST),
        Allowed::Reading => AccessFs::from_read(NEWEST),
        Allowed::Using => AccessFs::from_read(NEWEST) | AccessFs::WriteFile | AccessFs::IoctlDev,
    };
    if is_folder { access } else { access & AccessFs::from_file(NEWEST) }
}
