//! The connections that are open, so that all of them end when the run does: nothing of a run goes on after it, and
//! what it did is known only when nobody counts any more.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections at once: no program that downloads has so many. More of them are closed.
const MOST: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Open {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_over: bool,
    next: u64,
    /// Both ends of each.
    streams: HashMap<u64, Vec<TcpStream>>,
}

/// A connection that is served. When it is dropped it is served no more.
pub(super) struct Served<'o> {
    open: &'o Open,
    number: u64,
}

impl Open {
    /// `None` when there are too many, or the run is over.
    pub(super) fn enter(&self, client: &TcpStream) -> Option<Served<'_>> {
        let mut state = self.state();
        if state.is_over || state.streams.len() >= MOST {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.streams.insert(number, client.try_clone().into_iter().collect());
        Some(Served { open: self, number })
    }

    /// Cuts all of them, and waits until nobody serves them any more, or for `patience`.
    pub(super) fn end(&self, patience: Duration) {
        let mut state = self.state();
        state.is_over = true;
        state.streams.values().flatten().for_each(cut);
        self.changed.notify_all();
        let is_busy = |state: &mut State| !state.streams.is_empty();
        let waited = self.changed.wait_timeout_while(state, patience, is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served<'_> {
    /// The other end, which is cut with the first.
    pub(super) fn reaches(&self, server: &TcpStream) {
        let mut state = self.open.state();
        if state.is_over {
            cut(server);
        }
        let copy = server.try_clone();
        state.streams.entry(self.number).or_default().extend(copy);
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.open.state().streams.remove(&self.number);
        self.open.changed.notify_all();
    }
}

/// One that is closed already is as good.
fn cut(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_end_cuts_what_is_open_and_lets_nobody_in() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let open = Open::default();
        std::thread::scope(|scope| {
            let served = open.enter(&client).unwrap();
            served.reaches(&server.try_clone().unwrap());
            let reading = scope.spawn(move || {
                let read = server.read(&mut [0]).unwrap();
                drop(served);
                read
            });
            open.end(Duration::from_secs(10));
            assert_eq!(reading.join().unwrap(), 0);
        });
        assert!(open.enter(&client).is_none());
    }
}
