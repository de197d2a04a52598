//! What is made for a run as root and belongs to somebody else: whose it is is known only when the root is there,
//! whose own files name its users.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};

use crate::exec::identity::Identity;
use crate::exec::sandbox::account::{self, Account};
use crate::exec::sandbox::spec::Trouble;

pub(super) struct Gift {
    /// Opened for reading at least.
    pub place: OwnedFd,
    /// `user` or `user:group`; `None`: the run's user.
    pub owner: Option<String>,
    pub mode: u32,
}

/// `root` is the top of the root, `user` who the commands run as. Where there is one id everything is everybody's.
pub(super) fn give(
    gifts: Vec<Gift>,
    root: BorrowedFd<'_>,
    user: &Account,
    identity: &Identity,
) -> Result<(), Trouble> {
    for Gift { place, owner, mode } in gifts {
        let (uid, gid) = match &owner {
            None => (user.uid, user.gid),
            Some(owner) => account::owner(root, owner)?,
        };
        if !matches!(identity, Identity::Single { .. }) {
            account::check(identity, &[uid, gid])?;
            fchown(&place, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(Trouble::at("give what it made to the run's user"))?;
        }
        fchmod(&place, Mode::from_raw_mode(mode)).map_err(Trouble::at("set the mode of what it made"))?;
    }
    Ok(())
}
