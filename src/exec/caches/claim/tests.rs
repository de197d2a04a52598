//! Who may hold a cache at once, and what becomes of one that is removed.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::base::tree_path::TreePath;
use crate::exec::caches::kept::{kept, prune};
use crate::store::fixture::memo;

fn cache(name: &str, sharing: Sharing) -> CacheMount {
    CacheMount {
        name: name.to_owned(),
        at: TreePath::parse("/cache").unwrap(),
        sharing,
        package: None,
        per: None,
        owner: None,
        mode: None,
        seed: None,
    }
}

fn of() -> Of<'static> {
    Of {
        workspace: Path::new("/workspace"),
        platform: "linux/amd64",
        identity: &Identity::Single { uid: 1000, gid: 1000 },
    }
}

fn hold(
    memo: &Memo,
    caches: &[(&str, Sharing)],
    cancel: &Cancel,
    said: &mut Vec<String>,
) -> Result<Claims, ExecError> {
    let caches: Vec<CacheMount> = caches.iter().map(|&(name, sharing)| cache(name, sharing)).collect();
    claim(memo, &caches, &of(), cancel, &mut |words| said.push(words.to_owned()))
}

fn now_or_never(memo: &Memo, caches: &[(&str, Sharing)]) -> Option<Claims> {
    let cancel = Cancel::default();
    let mut said = Vec::new();
    let held = claim(
        memo,
        &caches.iter().map(|&(name, sharing)| cache(name, sharing)).collect::<Vec<_>>(),
        &of(),
        &cancel,
        &mut |words| {
            said.push(words.to_owned());
            cancel.raise();
        },
    );
    match held {
        Ok(claims) => Some(claims),
        Err(ExecError::Cancelled) => {
            assert_eq!(said, ["waiting for the cache `a`, which another run holds"]);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn who_may_hold_it_at_once() {
    use Sharing::{Locked, Private, Shared};
    for (first, second, both) in [
        (Shared, Shared, true),
        (Shared, Locked, false),
        (Locked, Shared, false),
        (Locked, Locked, false),
        (Private, Private, true),
        (Shared, Private, true),
        (Private, Locked, false),
    ] {
        let (_folder, memo) = memo();
        let held = now_or_never(&memo, &[("a", first)]).unwrap();
        let other = now_or_never(&memo, &[("a", second)]);
        assert_eq!(other.is_some(), both, "{first:?} {second:?}");
        let apart = other.is_some_and(|other| other.folder(0) != held.folder(0));
        assert_eq!(apart, second == Private, "{first:?} {second:?}");
        drop(held);
        assert!(now_or_never(&memo, &[("a", second)]).is_some(), "{first:?} {second:?}");
    }
}

#[test]
fn one_run_may_have_one_cache_at_two_places() {
    let (_folder, memo) = memo();
    let claims =
        now_or_never(&memo, &[("a", Sharing::Locked), ("b", Sharing::Shared), ("a", Sharing::Shared)]);
    let claims = claims.unwrap();
    assert_eq!(claims.folder(0), claims.folder(2));
    assert_ne!(claims.folder(0), claims.folder(1));
    assert_eq!(claims.locks().len(), 2);
    assert!(now_or_never(&memo, &[("a", Sharing::Shared)]).is_none());
}

/// Whatever the order in which they are written, nobody waits for ever, and one is inside at a time.
#[test]
fn locks_in_any_order_end() {
    let (_folder, memo) = memo();
    let inside = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"], ["c", "a", "b"]] {
            let (memo, inside) = (&memo, &inside);
            scope.spawn(move || {
                for _ in 0..10 {
                    let caches = order.map(|name| (name, Sharing::Locked));
                    let held = hold(memo, &caches, &Cancel::default(), &mut Vec::new()).ok().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(held);
                }
            });
        }
    });
}

#[test]
fn what_is_used_stays_and_the_rest_goes() {
    let (_folder, memo) = memo();
    let program = Path::new("/proc/self/exe");
    let held = now_or_never(&memo, &[("a", Sharing::Shared)]).unwrap();
    for name in ["a", "b"] {
        let claims = now_or_never(&memo, &[(name, Sharing::Shared)]).unwrap();
        std::fs::create_dir_all(claims.folder(0).join("below")).unwrap();
        std::fs::write(claims.folder(0).join("below/file"), "x").unwrap();
    }
    let names = |kept: &[crate::exec::caches::Kept]| -> Vec<(String, bool)> {
        kept.iter().map(|kept| (kept.name.name.clone(), kept.in_use)).collect()
    };
    assert_eq!(names(&kept(&memo).unwrap()), [("a".to_owned(), true), ("b".to_owned(), false)]);
    let pruned = prune(&memo, program, &|_| true).unwrap();
    assert_eq!(pruned.iter().map(|pruned| pruned.removed).collect::<Vec<_>>(), [false, true]);
    assert_eq!(names(&kept(&memo).unwrap()), [("a".to_owned(), true)]);
    drop(held);
    assert!(prune(&memo, program, &|kept| kept.name.name == "a").unwrap()[0].removed);
    assert!(kept(&memo).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(memo.folder().join("caches/v1")).unwrap().count(), 0);
}

/// Nobody ends up with a cache that is being removed.
#[test]
fn removing_and_taking_do_not_meet() {
    let (_folder, memo) = memo();
    std::thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            for _ in 0..50 {
                prune(&memo, Path::new("/proc/self/exe"), &|_| true).unwrap();
            }
        });
        while !pruning.is_finished() {
            let claims = hold(&memo, &[("a", Sharing::Locked)], &Cancel::default(), &mut Vec::new());
            let folder = claims.as_ref().ok().unwrap().folder(0);
            std::fs::create_dir_all(&folder).unwrap();
            assert!(folder.is_dir());
            std::fs::write(folder.join("file"), "x").unwrap();
        }
    });
}
