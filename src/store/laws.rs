//! What every tier owes, as functions of any tier; and each tier held to it.

use std::sync::Arc;

use crate::base::digest::{BlobDigest, TreeDigest};
use crate::store::disk::Disk;
use crate::store::memory::Memory;
use crate::store::object::Object;
use crate::store::record::tests::{key, sample};
use crate::store::tier::Tier;

/// Every law, each on a tier of its own.
fn obeys(new: &dyn Fn() -> Arc<dyn Tier>) {
    starts_empty(&*new());
    gives_back_objects(&*new());
    tells_blobs_from_trees(&*new());
    gives_back_records(&*new());
    lists_what_is_missing_in_order(&*new());
    takes_the_same_from_many(&*new());
}

fn blob(bytes: &[u8]) -> Object {
    Object::Blob(BlobDigest::of(bytes))
}

fn tree(bytes: &[u8]) -> Object {
    Object::Tree(TreeDigest::of(bytes))
}

fn starts_empty(tier: &dyn Tier) {
    assert_eq!(tier.read(blob(b"")).unwrap(), None);
    assert_eq!(tier.load(key(1)).unwrap(), None);
}

fn gives_back_objects(tier: &dyn Tier) {
    for bytes in [&b""[..], b"x", &[0xff; 50_000]] {
        for object in [blob(bytes), tree(bytes)] {
            tier.write(object, bytes).unwrap();
            tier.write(object, bytes).unwrap();
            assert_eq!(tier.read(object).unwrap().as_deref(), Some(bytes), "{object} in {}", tier.name());
        }
    }
}

fn tells_blobs_from_trees(tier: &dyn Tier) {
    let digest = BlobDigest::of(b"x");
    tier.write(Object::Blob(digest), b"x").unwrap();
    assert_eq!(tier.read(Object::Tree(TreeDigest(digest.0))).unwrap(), None);
}

fn gives_back_records(tier: &dyn Tier) {
    for node in ["one", "two"] {
        let record = sample(node, &[blob(b"x"), tree(b"y")]);
        tier.save(key(1), &record).unwrap();
        assert_eq!(tier.load(key(1)).unwrap(), Some(record));
        assert_eq!(tier.load(key(2)).unwrap(), None);
    }
}

fn lists_what_is_missing_in_order(tier: &dyn Tier) {
    tier.write(blob(b"here"), b"here").unwrap();
    let asked = [tree(b"b"), blob(b"here"), blob(b"a"), tree(b"here")];
    assert_eq!(tier.missing(&asked).unwrap(), [tree(b"b"), blob(b"a"), tree(b"here")]);
    assert_eq!(tier.missing(&[]).unwrap(), []);
}

fn takes_the_same_from_many(tier: &dyn Tier) {
    let contents: Vec<_> = (0..40_u32).map(|number| number.to_le_bytes().repeat(500)).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (number, bytes) in (0..).zip(&contents) {
                    tier.write(blob(bytes), bytes).unwrap();
                    assert_eq!(tier.read(blob(bytes)).unwrap().as_deref(), Some(&bytes[..]));
                    let record = sample("same", &[blob(bytes)]);
                    tier.save(key(number), &record).unwrap();
                    assert_eq!(tier.load(key(number)).unwrap(), Some(record));
                }
            });
        }
    });
}

#[test]
fn memory() {
    obeys(&|| Arc::new(Memory::new(16 << 20)));
}

#[test]
fn disk() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    obeys(&|| {
        let count = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(Disk::new(&folder.path().join(count.to_string())))
    });
}
