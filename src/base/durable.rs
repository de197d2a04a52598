//! Files that are either there whole or not at all, and locks that die with their holder.
//! The only place that renames, syncs or locks.
