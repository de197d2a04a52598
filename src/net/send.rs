//! A body that is read while it is sent: a thread reads, the connection takes. No more than a few pieces are in memory,
//! and the reader is never asked for more than was said.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

use crate::net::traffic::Traffic;

const PIECE: usize = 256 << 10;
const PIECES_AHEAD: usize = 4;

/// What is known of a body on its way.
#[derive(Clone, Default)]
pub(in crate::net) struct Sending {
    sent: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Sending {
    /// Bytes that the connection has taken.
    pub(in crate::net) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Why the reader could give no more.
    pub(in crate::net) fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body of exactly `size` bytes of `source`. Must be called inside of the runtime.
pub(in crate::net) fn stream(
    source: Box<dyn Read + Send>,
    size: u64,
    traffic: Traffic,
) -> (reqwest::Body, Sending) {
    let (give, take) = mpsc::channel(PIECES_AHEAD);
    let sending = Sending::default();
    let failure = sending.failure.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read(source, size, &give) {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            // The connection sees it, and so ends the request.
            let _ = give.blocking_send(Err(io::Error::other("the source of the body failed")));
        }
    });
    (reqwest::Body::wrap_stream(Pieces { take, sent: sending.sent.clone(), traffic }), sending)
}

fn read(
    mut source: Box<dyn Read + Send>,
    size: u64,
    give: &mpsc::Sender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        source.read_exact(&mut piece)?;
        left -= piece.len() as u64;
        if give.blocking_send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

struct Pieces {
    take: mpsc::Receiver<io::Result<Vec<u8>>>,
    sent: Arc<AtomicU64>,
    traffic: Traffic,
}

impl Stream for Pieces {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<io::Result<Vec<u8>>>> {
        let piece = self.take.poll_recv(task);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.traffic.note_sent(bytes.len());
        }
        piece
    }
}
