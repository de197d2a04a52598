//! Descriptors sent from one process to another along a few bytes (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// More descriptors than any message here has.
const MOST: usize = 3;

pub(crate) fn send(to: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
    assert!(fits, "bug: a message with too many descriptors");
    let sent = retry_on_intr(|| sendmsg(&to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL))?;
    match sent {
        count if count == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Exactly `LENGTH` bytes and `COUNT` descriptors; `None` where the other side has closed.
pub(crate) fn receive<const LENGTH: usize, const COUNT: usize>(
    from: impl AsFd,
) -> io::Result<Option<([u8; LENGTH], [OwnedFd; COUNT])>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; LENGTH];
    let count = retry_on_intr(|| {
        recvmsg(&from, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?
    .bytes;
    let mut descriptors = Vec::with_capacity(COUNT);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            descriptors.extend(sent);
        }
    }
    match (count, <[OwnedFd; COUNT]>::try_from(descriptors)) {
        (0, _) => Ok(None),
        (count, Ok(descriptors)) if count == LENGTH => Ok(Some((bytes, descriptors))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_sent_is_the_same_file() {
        let (one, other) = UnixStream::pair().unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        send(&one, b"word", &[near.as_fd()]).unwrap();
        drop(near);
        let (bytes, [sent]) = receive::<4, 1>(&other).unwrap().unwrap();
        assert_eq!(&bytes, b"word");
        UnixStream::from(sent).write_all(b"x").unwrap();
        // The one that came over was the last.
        let mut heard = String::new();
        far.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "x");
        drop(one);
        assert!(receive::<4, 1>(&other).unwrap().is_none());
    }

    #[test]
    fn messages_of_another_form_are_refused() {
        let (one, other) = UnixStream::pair().unwrap();
        send(&one, b"word", &[one.as_fd()]).unwrap();
        assert!(receive::<4, 2>(&other).is_err());
    }
}
