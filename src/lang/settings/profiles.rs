//! The profiles that every workspace has. A workspace's own profile of the same name is laid over it, so
//! that `ci` keeps its promises unless the file says otherwise.

use crate::lang::policy::{By, LockRule, NetworkRule, Policy, Said, Unpinned};
use crate::lang::settings::Settings;

pub const NAMES: &[&str] = &["dev", "ci", "hermetic"];

pub fn built_in(name: &str) -> Option<Settings> {
    let by = By::Profile(name.to_owned());
    let strict = Policy {
        unpinned: Some(Said::new(Unpinned::Deny, &by)),
        lock: Some(Said::new(LockRule::Frozen, &by)),
        ..Policy::default()
    };
    let policy = match name {
        // Nothing that stands in the way of trying things out.
        "dev" => Policy {
            unpinned: Some(Said::new(Unpinned::Allow, &by)),
            lock: Some(Said::new(LockRule::Update, &by)),
            ..Policy::default()
        },
        "ci" => strict,
        "hermetic" => Policy {
            network: Some(Said::new(NetworkRule::Deny, &by)),
            host: Some(Said::new(false, &by)),
            git_values: Some(Said::new(false, &by)),
            ..strict
        },
        _ => return None,
    };
    Some(Settings { policy, ..Settings::default() })
}
