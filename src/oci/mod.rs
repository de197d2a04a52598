//! Floor 5: the shapes of the OCI image specification, and images in and out.

pub mod error;
pub mod image;
pub mod descriptor;
pub mod config;
pub mod manifest;
mod tar_header;
mod sparse;
mod xattr_records;
mod tar_reader;
mod members;
mod segment;
mod segment_memo;
mod checkpoint;
mod compress;
mod rooms;
mod packing;
pub mod layer;
mod change;
pub mod unpack;
mod unpacked;
mod unzip;
pub mod extract;
pub(crate) mod derived;
pub mod kept;
mod stoppable;
mod tar_index;
mod layout_reader;
mod docker_archive_reader;
mod choose;
pub mod source;
pub mod pull;
pub mod supply;
pub mod sink;
pub mod outgoing;
mod tar_out;
pub mod layout;
pub mod archive;
pub mod written;
pub mod docker_archive;
pub mod registry;
mod program;
pub mod containerd;
mod lending;
pub mod containers_storage;
mod daemon_http;
pub mod docker_daemon;
pub mod export;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod segment_laws;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod readers;
