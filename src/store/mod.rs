//! Floor 3: bytes by digest, records by key. Knows nothing of what the bytes mean.

pub mod memo;
pub mod object;
pub mod record;
