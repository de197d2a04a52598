//! Whole sandboxes, run for real on every rung that this machine has: what a command sees, what it cannot
//! do, and what it leaves.

mod room;

mod commands;
mod files;
mod walls;
mod chrooted;
mod bare;
mod ends;
mod surroundings;
mod user;
mod names;
mod kept;
mod include;
mod caches;
mod limits;
mod services;
mod retry;
