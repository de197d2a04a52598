//! Which stats can be trusted later. A file written twice within one tick of its filesystem's clock can
//! show equal times for different bytes, so whoever is not older than the clock at the time of the look
//! is looked at again next time.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::tree::scan::place::Stat;

/// The longest tick of a kernel's coarse clock, at 100 Hz.
const TICK: i64 = 10_000_000;
/// For other filesystems than the store's: clocks of servers, and whole seconds.
const FAR: i64 = 2_000_000_000;

/// The time before the first look, so that it is early for all that come later.
pub(crate) struct Clock {
    /// Device and nanoseconds since 1970: the time that the store's filesystem gave a file.
    here: Option<(u64, i64)>,
    elsewhere: i64,
}

impl Clock {
    /// Writes and removes a file in `folder` to learn its filesystem's time. Where that fails, the
    /// system's clock serves.
    pub(crate) fn read(folder: &Path) -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { here: probe(folder), elsewhere: i64::try_from(since.as_nanos()).unwrap_or(0) - FAR }
    }

    /// For those who keep nothing.
    pub(crate) const fn never() -> Clock {
        Clock { here: None, elsewhere: i64::MIN }
    }

    /// Whether any later change of what has this stat will show.
    pub(crate) fn settles(&self, stat: &Stat) -> bool {
        let limit = match self.here {
            Some((device, now)) if device == stat.device => now - TICK,
            _ => self.elsewhere,
        };
        stat.modified < limit && stat.changed < limit
    }
}

fn probe(folder: &Path) -> Option<(u64, i64)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".clock-{}-{count}", std::process::id()));
    fs::write(&path, b"").ok()?;
    let metadata = fs::symlink_metadata(&path);
    let _ = fs::remove_file(&path);
    let metadata = metadata.ok()?;
    let device = metadata.dev();
    let device = u64::from(rustix::fs::major(device)) << 32 | u64::from(rustix::fs::minor(device));
    Some((device, metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_older_settles() {
        const NOW: i64 = 1_000 * FAR;
        let clock = Clock { here: Some((1, NOW)), elsewhere: NOW - FAR };
        let check = |device: u64, modified: i64, changed: i64, expected: bool| {
            let stat = Stat { device, inode: 1, size: 1, modified, changed, mode: 0o100644 };
            assert_eq!(clock.settles(&stat), expected, "{stat:?}");
        };
        let old = NOW - TICK - 1;
        check(1, old, old, true);
        check(1, old, NOW - TICK, false);
        check(1, NOW, old, false);
        check(1, i64::MAX, old, false);
        check(2, old, old, false);
        check(2, NOW - FAR - 1, NOW - FAR - 1, true);
        check(2, 0, NOW - FAR, false);
    }

    #[test]
    fn the_clock_is_the_filesystem_s() {
        let folder = tempfile::tempdir().unwrap();
        let before = Clock::read(folder.path());
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let stat = rustix::fs::statx(
            rustix::fs::CWD,
            &path,
            rustix::fs::AtFlags::empty(),
            rustix::fs::StatxFlags::BASIC_STATS,
        );
        let stat = Stat::from(&stat.unwrap());
        assert!(!before.settles(&stat), "written after the clock was read");
        std::thread::sleep(std::time::Duration::from_millis(30));
        assert!(Clock::read(folder.path()).settles(&stat));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
