//! Whole sandboxes, run for real on every rung that this machine has: what a command sees, what it cannot
//! do, and what it leaves.

mod room;

mod commands;
mod files;
mod walls;
mod chrooted;
mod bare;
mod ends;
mod kills;
mod vandals;
mod smuggling;
mod surroundings;
mod user;
mod owners;
mod names;
pub(crate) mod site;
mod outside;
mod kept;
mod include;
mod caches;
mod secrets;
mod limits;
mod services;
mod retry;
mod grants;
mod hostile_roots;
