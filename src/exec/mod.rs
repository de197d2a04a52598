//! Floor 8: makes an action's outputs.

pub mod executor;
mod convert;
pub mod narrow;
pub mod owner;
pub mod assemble;
pub mod landing;
