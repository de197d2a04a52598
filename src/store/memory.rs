//! L1: recent records, tree encodings and small blobs, in memory, up to a bound. It keeps two
//! generations: when the young one fills half the bound, it becomes the old one and the old one is
//! dropped. That is nearly least-recently-used, with no list to maintain.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::base::digest::ActionKey;
use crate::store::object::{Object, StoreError};
use crate::store::record::Record;
use crate::store::tier::Tier;

/// Larger blobs are not kept: bytes.
const LARGEST_BLOB: usize = 64 * 1024;

pub struct Memory(Mutex<Generations>);

impl Memory {
    /// `bound` in bytes of content.
    pub fn new(bound: usize) -> Memory {
        Memory(Mutex::new(Generations { bound, ..Generations::default() }))
    }

    /// As `write`, and shares the bytes.
    pub fn keep(&self, object: Object, bytes: Arc<[u8]>) {
        if matches!(object, Object::Tree(_)) || bytes.len() <= LARGEST_BLOB {
            let kept = Kept { weight: bytes.len() + OVERHEAD, value: bytes };
            self.lock().keep(|generation| &mut generation.objects, object, kept);
        }
    }

    pub fn forget(&self, key: ActionKey) {
        let Generations { young, old, .. } = &mut *self.lock();
        for generation in [young, old] {
            let removed = generation.records.remove(&key);
            generation.weight -= removed.map_or(0, |kept| kept.weight);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().expect("bug: poisoned")
    }
}

impl Tier for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn load(&self, key: ActionKey) -> Result<Option<Record>, StoreError> {
        let found = self.lock().find(|generation| &mut generation.records, &key);
        Ok(found.map(|record| (*record).clone()))
    }

    fn save(&self, key: ActionKey, record: &Record) -> Result<(), StoreError> {
        let kept = Kept { weight: weigh(record), value: Arc::new(record.clone()) };
        self.lock().keep(|generation| &mut generation.records, key, kept);
        Ok(())
    }

    fn read(&self, object: Object) -> Result<Option<Arc<[u8]>>, StoreError> {
        Ok(self.lock().find(|generation| &mut generation.objects, &object))
    }

    fn write(&self, object: Object, bytes: &[u8]) -> Result<(), StoreError> {
        self.keep(object, bytes.into());
        Ok(())
    }

    fn missing(&self, objects: &[Object]) -> Result<Vec<Object>, StoreError> {
        let generations = self.lock();
        let had = |object: &Object| {
            [&generations.young, &generations.old].iter().any(|one| one.objects.contains_key(object))
        };
        Ok(objects.iter().filter(|object| !had(object)).copied().collect())
    }
}

/// What an entry costs beside its content, roughly, in bytes.
const OVERHEAD: usize = 128;

#[derive(Default)]
struct Generations {
    young: Generation,
    old: Generation,
    bound: usize,
}

#[derive(Default)]
struct Generation {
    records: HashMap<ActionKey, Kept<Arc<Record>>>,
    objects: HashMap<Object, Kept<Arc<[u8]>>>,
    weight: usize,
}

struct Kept<V> {
    weight: usize,
    value: V,
}

impl Generations {
    /// What is found in the old generation moves to the young one.
    fn find<K: Eq + Hash + Clone, V: Clone>(
        &mut self,
        map: fn(&mut Generation) -> &mut HashMap<K, Kept<V>>,
        key: &K,
    ) -> Option<V> {
        if let Some(kept) = map(&mut self.young).get(key) {
            return Some(kept.value.clone());
        }
        let kept = map(&mut self.old).remove(key)?;
        self.old.weight -= kept.weight;
        let value = kept.value.clone();
        self.keep(map, key.clone(), kept);
        Some(value)
    }

    fn keep<K: Eq + Hash, V>(
        &mut self,
        map: fn(&mut Generation) -> &mut HashMap<K, Kept<V>>,
        key: K,
        kept: Kept<V>,
    ) {
        if kept.weight > self.bound / 2 {
            return;
        }
        if self.young.weight + kept.weight > self.bound / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.weight += kept.weight;
        if let Some(replaced) = map(&mut self.young).insert(key, kept) {
            self.young.weight -= replaced.weight;
        }
    }
}

/// The length of the record's JSON: near enough to what it takes in memory.
fn weigh(record: &Record) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(OVERHEAD);
    serde_json::to_writer(&mut count, record).expect("bug: a record is always JSON");
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::BlobDigest;
    use crate::store::record::tests::{key, sample};

    fn write(memory: &Memory, bytes: &[u8]) -> Object {
        let object = Object::Blob(BlobDigest::of(bytes));
        memory.write(object, bytes).unwrap();
        object
    }

    #[test]
    fn what_is_used_stays_and_the_bound_holds() {
        let memory = Memory::new(100 * 1024);
        let used = write(&memory, b"used");
        let unused = write(&memory, b"unused");
        for number in 0..1000_u32 {
            write(&memory, &[&number.to_le_bytes()[..], &[0; 1000]].concat());
            assert!(memory.read(used).unwrap().is_some());
            let generations = memory.lock();
            assert!(generations.young.weight + generations.old.weight <= generations.bound);
        }
        assert_eq!(memory.missing(&[used, unused]).unwrap(), [unused]);
    }

    #[test]
    fn replacing_does_not_count_twice() {
        let memory = Memory::new(100 * 1024);
        for _ in 0..1000 {
            memory.save(key(1), &sample("node", &[])).unwrap();
            write(&memory, b"same");
        }
        assert_eq!(memory.lock().old.weight, 0);
        assert!(memory.lock().young.weight < 2000);
    }

    #[test]
    fn a_forgotten_record_is_gone() {
        let memory = Memory::new(100 * 1024);
        memory.save(key(1), &sample("node", &[])).unwrap();
        memory.forget(key(1));
        assert_eq!(memory.load(key(1)).unwrap(), None);
    }

    #[test]
    fn large_blobs_are_not_kept() {
        let memory = Memory::new(1 << 20);
        let large = write(&memory, &vec![0; LARGEST_BLOB + 1]);
        assert_eq!(memory.read(large).unwrap(), None);
    }
}
