//! One flag that says "stop", set by Ctrl-C or a failing node, read wherever something takes long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Cheap to clone; all clones are one flag.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicU8>);

/// How urgently to stop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Urgency {
    /// Go on.
    None,
    /// Ask commands to end, give them a few seconds.
    Soon,
    /// Kill them.
    Now,
}

impl Cancel {
    /// Each call raises the urgency by one.
    pub fn raise(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |level| Some(level.saturating_add(1).min(2)));
    }

    pub fn urgency(&self) -> Urgency {
        match self.0.load(Ordering::SeqCst) {
            0 => Urgency::None,
            1 => Urgency::Soon,
            _ => Urgency::Now,
        }
    }

    pub fn is_raised(&self) -> bool {
        self.urgency() != Urgency::None
    }
}
