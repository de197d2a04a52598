//! Whole sandboxes, run for real on every rung that this machine has: what a command sees, what it cannot
//! do, and what it leaves.
//!
//! Classes of holes that builders have had, and what looks for them:
//!
//! * races for the paths of mounts in caches: `caches::links_in_a_shared_cache_lead_nowhere`
//! * cleanup deletes the host's files: `classes::cleanup_follows_no_link_where_a_mount_was`
//! * missing privilege check: `grants::the_command_line_must_allow_it_wherever_something_runs`
//! * leaked descriptors and working directories: `hostile_roots::a_working_directory_lies_in_the_root`, `walls`,
//!   `hermetic`
//! * masks, consoles and /proc behind links: `files::links_in_the_root_steer_no_mount`,
//!   `classes::the_sandboxs_own_places_stay_its_own`
//! * a link as what is mounted: `classes::a_link_that_is_mounted_shows_nothing_of_the_machine`
//! * options of mounts, sources of caches: `classes::what_a_mount_may_say_is_known`
//! * links in the lookup of users: `hostile_roots::a_file_of_users_is_a_file_of_bounded_size`, and the same of groups
//! * credentials in what is told and kept: `secrets` here and beside this file
//! * builds that work together: `smuggling`, `outside::two_runs_at_once_do_not_meet`,
//!   `files::outputs_that_are_not_there_are_told`
//! * variables, capabilities and groups of the caller: `hermetic`, `walls::capabilities_end_at_the_sandbox`,
//!   `classes::groups_of_the_caller_stay_outside`
//! * a process left behind writes later: `ends::background_processes_end_with_the_command`, `vandals`, `kills`
//! * crafted input: `fuzz`, `hostile`; archives: `src/oci/hostile.rs`; repositories: `src/exec/git/tests/hostile.rs`;
//!   registries: `registry::pulls`; keys that leave something out: `src/graph/facts.rs`

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
mod classes;
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
