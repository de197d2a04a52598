//! Keeps the memory for segments in the making bounded, however many threads make them and however slow whoever takes
//! them is.

use std::sync::{Arc, Condvar, Mutex};

/// Bytes of tar, with as many again for what becomes of them.
const MOST: u64 = 32 << 20;

/// Memory for segments in the making.
#[derive(Default)]
pub(crate) struct Rooms {
    taken: Mutex<Taken>,
    changed: Condvar,
}

#[derive(Default)]
struct Taken {
    bytes: u64,
    is_closed: bool,
}

impl Rooms {
    /// `None` where the work was given up.
    pub(crate) fn take(self: &Arc<Rooms>, bytes: u64) -> Option<Room> {
        let taken = self.taken.lock().expect("bug: poisoned");
        let is_full = |taken: &mut Taken| !taken.is_closed && taken.bytes > 0 && taken.bytes + bytes > MOST;
        let mut taken = self.changed.wait_while(taken, is_full).expect("bug: poisoned");
        if taken.is_closed {
            return None;
        }
        taken.bytes += bytes;
        Some(Room { rooms: self.clone(), bytes })
    }

    /// Nobody gets room any more.
    pub(crate) fn close(&self) {
        self.taken.lock().expect("bug: poisoned").is_closed = true;
        self.changed.notify_all();
    }
}

/// Given back when dropped.
pub(crate) struct Room {
    rooms: Arc<Rooms>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.taken.lock().expect("bug: poisoned").bytes -= self.bytes;
        self.rooms.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_room_waits_until_there_is_some() {
        let rooms = Arc::new(Rooms::default());
        let (first, _second) = (rooms.take(MOST - 1).unwrap(), rooms.take(1).unwrap());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| rooms.take(2).is_some());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waits.is_finished());
            drop(first);
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn one_alone_may_be_larger_than_all_room_and_none_comes_after_the_end() {
        let rooms = Arc::new(Rooms::default());
        let large = rooms.take(2 * MOST).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| rooms.take(1).is_none());
            rooms.close();
            assert!(waits.join().unwrap());
        });
        drop(large);
    }
}
