//! Floor 8: makes an action's outputs.

pub mod executor;
mod convert;
pub mod narrow;
pub mod owner;
pub mod assemble;
pub mod landing;
pub mod identity;
pub mod sandbox;
pub mod log;
pub mod zygote;
pub mod emulation;
mod helper;
pub mod probe;
mod prepare;
pub mod beyond;
pub mod check;
mod include;
pub mod host;
pub mod run;
pub mod locked;
pub mod git;
mod http;
pub mod fetch;
pub mod sweep;
pub mod local;
pub mod recalling;
