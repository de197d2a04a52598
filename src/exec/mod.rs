//! Floor 8: makes an action's outputs.

pub mod executor;
