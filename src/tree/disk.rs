//! Trees written out as folders, and folders read back as trees. All of it works by descriptor and follows
//! no link, since what lies there may be a command's work.

pub mod materialize;
pub mod snapshot;
pub mod owned;
pub mod capture;
pub mod upper;
pub mod copy;
pub mod notes;
pub mod copied;
pub mod land;
mod make;
mod contents;
mod inode;
mod descent;
