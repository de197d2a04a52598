//! Floor 8: makes an action's outputs.

pub mod executor;
pub mod narrow;
pub mod owner;
pub mod assemble;
pub mod landing;
