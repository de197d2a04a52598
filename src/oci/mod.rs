//! Floor 5: the shapes of the OCI image specification, and images in and out.

pub mod image;
