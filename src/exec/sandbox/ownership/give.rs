//! Files that are given to somebody (chown(2)). The disk knows one user only, to whom the file is given once more:
//! that copies it up, drops its set-id bits and its capabilities, or is refused, as for any change of owner.

use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, Gid, Uid, chownat};
use rustix::io::Errno;

use crate::exec::sandbox::notify::{Answer, Call};
use crate::exec::sandbox::ownership::Ownership;
use crate::exec::sandbox::ownership::credentials::UNCHANGED;
use crate::tree::disk::owned::Owned;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Giving {
    folder: i32,
    /// The argument that has the path; `None`: the descriptor itself is meant.
    path: Option<usize>,
    follows: bool,
    user: Option<u32>,
    group: Option<u32>,
}

pub(super) fn asked(call: &Call) -> Giving {
    let id = |argument: usize| Some(call.number_at(argument)).filter(|&id| id != UNCHANGED);
    match call.number {
        libc::SYS_fchownat => {
            let flags = call.descriptor(4);
            Giving {
                folder: call.descriptor(0),
                path: Some(1),
                follows: flags & libc::AT_SYMLINK_NOFOLLOW == 0,
                user: id(2),
                group: id(3),
            }
        }
        libc::SYS_fchown => {
            Giving { folder: call.descriptor(0), path: None, follows: true, user: id(1), group: id(2) }
        }
        number => Giving {
            folder: libc::AT_FDCWD,
            path: Some(0),
            follows: !is_lchown(number),
            user: id(1),
            group: id(2),
        },
    }
}

fn is_lchown(_number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    return _number == libc::SYS_lchown;
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

impl Ownership {
    pub(super) fn give(&mut self, call: &Call, giving: Giving) -> Result<Answer, Errno> {
        self.places.enter(call.thread)?;
        let path = match giving.path {
            Some(argument) => call.path(argument)?,
            None => c"".to_owned(),
        };
        let place = self.places.place(call.thread, giving.folder, &path)?;
        let object = self.places.open(&place, giving.follows)?;
        if !self.is_waiting(call) {
            return Ok(Answer::Nobody);
        }
        let before = self.inodes.of(&self.places.facts_of(object.as_fd())?.numbers());
        let giver = self.people.of(call.thread);
        if !giver.may_give(before.uid, giving.user, giving.group, before.gid) {
            return Ok(Answer::Failed(Errno::PERM));
        }
        let (user, group) = (giving.user.map(|_| Uid::ROOT), giving.group.map(|_| Gid::ROOT));
        if let Err(error) = chownat(&object, c"", user, group, AtFlags::EMPTY_PATH) {
            return Ok(Answer::Failed(error));
        }
        let after = self.places.facts_of(object.as_fd())?.numbers();
        let owned = Owned {
            uid: giving.user.unwrap_or(before.uid),
            gid: giving.group.unwrap_or(before.gid),
            device: before.device,
        };
        // What is forgotten of root's is root's again.
        let is_default = owned == Owned::default();
        let number = if is_default { None } else { self.shown.number(&self.places, object.as_fd(), &after) };
        self.inodes.record(&after, number, owned);
        if !is_default {
            self.inodes.hold(object);
        }
        Ok(Answer::Done(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_give() {
        let here = libc::AT_FDCWD;
        let unchanged = u64::from(UNCHANGED);
        let way = |folder, path, follows, user, group| Giving { folder, path, follows, user, group };
        let table = [
            (libc::SYS_fchown, [4, 1, 2, 0, 0, 0], way(4, None, true, Some(1), Some(2))),
            (libc::SYS_fchown, [4, unchanged, 2, 0, 0, 0], way(4, None, true, None, Some(2))),
            (libc::SYS_fchownat, [4, 9, 1, unchanged, 0, 0], way(4, Some(1), true, Some(1), None)),
            (
                libc::SYS_fchownat,
                [here as u64, 9, 1, 2, 0x100, 0],
                way(here, Some(1), false, Some(1), Some(2)),
            ),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_chown, [9, 1, 2, 0, 0, 0], way(here, Some(0), true, Some(1), Some(2))),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_lchown, [9, 1, 2, 0, 0, 0], way(here, Some(0), false, Some(1), Some(2))),
        ];
        for (number, arguments, expected) in table {
            assert_eq!(asked(&Call::new(number, arguments)), expected, "{number} {arguments:?}");
        }
    }
}
