//! Floor 9: decides what must run, and drives it.

pub mod schedule;
pub mod event;
pub mod report;
pub mod history;
pub mod values;
pub mod remember;
pub mod prepare;
pub mod lost;
pub mod lock;
pub mod build;
pub mod made_by;
pub mod plan;
