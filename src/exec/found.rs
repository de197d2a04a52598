//! What was found out of the world, once in a build for all who ask, so that every node sees the same. Whoever asks for
//! what is being looked for waits; others do not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::exec::executor::ExecError;

/// Keys and what was found for each.
pub(super) struct Found<K, V>(Mutex<BTreeMap<K, Arc<Mutex<Option<V>>>>>);

impl<K, V> Default for Found<K, V> {
    fn default() -> Found<K, V> {
        Found(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Found<K, V> {
    /// What `find` gave when the key was first asked for. An error is not kept.
    pub(super) fn get(&self, key: K, find: impl FnOnce() -> Result<V, ExecError>) -> Result<V, ExecError> {
        let place = self.0.lock().expect("bug: poisoned").entry(key).or_default().clone();
        let mut place = place.lock().expect("bug: poisoned");
        match &*place {
            Some(known) => Ok(known.clone()),
            None => Ok(place.insert(find()?).clone()),
        }
    }
}
