//! All that is put onto a run's root, in the order in which it is put there: what lies below comes later, of
//! whatever kind it is.

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::lent::CacheFolder;
use crate::exec::sandbox::spec::{Mounted, Spec};
use crate::graph::op::Tmpfs;

#[derive(Clone, Copy)]
pub(super) enum Placed<'a> {
    /// With its number in the spec.
    Tree(usize, &'a Mounted),
    Memory(&'a Tmpfs),
    Cache(&'a CacheFolder),
}

impl<'a> Placed<'a> {
    pub(super) fn at(self) -> &'a TreePath {
        match self {
            Placed::Tree(_, mounted) => &mounted.at,
            Placed::Memory(tmpfs) => &tmpfs.at,
            Placed::Cache(cache) => &cache.at,
        }
    }
}

pub(super) fn all(spec: &Spec) -> Vec<Placed<'_>> {
    let trees = spec.mounts.iter().enumerate().map(|(number, mounted)| Placed::Tree(number, mounted));
    let memory = spec.tmpfs.iter().map(Placed::Memory);
    let caches = spec.lent.caches.iter().map(Placed::Cache);
    let mut all: Vec<Placed<'_>> = trees.chain(memory).chain(caches).collect();
    all.sort_by_key(|placed| placed.at());
    all
}
