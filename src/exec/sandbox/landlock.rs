//! For runs on the machine's own network: no process outside can be reached by an abstract socket
//! or a signal. Best effort (Linux 6.12): where it is missing, the process namespace still stops
//! signals, and `network host` promises no more.

use landlock::{Ruleset, RulesetAttr as _, RulesetError, Scope};

pub(super) fn restrict() -> Result<(), RulesetError> {
    Ruleset::default().scope(Scope::AbstractUnixSocket | Scope::Signal)?.create()?.restrict_self()?;
    Ok(())
}
