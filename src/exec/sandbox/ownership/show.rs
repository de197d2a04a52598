//! What `stat` is answered: the numbers of an inode with the owner it has in truth (stat(2), statx(2)).

use std::mem::offset_of;

use rustix::io::Errno;

use crate::exec::sandbox::notify::{Answer, Call};
use crate::exec::sandbox::ownership::Ownership;
use crate::exec::sandbox::sys::listener::Facts;
use crate::tree::disk::owned::{Device, Owned};

/// A question about a file.
struct Asked {
    folder: i32,
    /// The argument that has the path; `None`: the descriptor itself is meant.
    path: Option<usize>,
    /// `AT_*`.
    flags: i32,
    /// The argument that says where the answer goes.
    to: usize,
}

impl Ownership {
    /// Of most files the disk tells the truth, and the kernel may answer.
    pub(super) fn show(&mut self, call: &Call) -> Result<Answer, Errno> {
        let asked = asked(call);
        self.places.enter(call.thread)?;
        let path = match asked.path {
            // Since Linux 6.11 there may be none.
            Some(argument) if call.arguments[argument] == 0 && asked.flags & libc::AT_EMPTY_PATH != 0 => {
                c"".to_owned()
            }
            Some(argument) => call.path(argument)?,
            None => c"".to_owned(),
        };
        if path.is_empty() && asked.path.is_some() && asked.flags & libc::AT_EMPTY_PATH == 0 {
            return Ok(Answer::GoOn);
        }
        let place = self.places.place(call.thread, asked.folder, &path)?;
        let facts = self.places.facts(&place, asked.flags)?;
        let owned = self.inodes.of(&facts.numbers());
        if owned == Owned::default() {
            return Ok(Answer::GoOn);
        }
        let address = call.arguments[asked.to];
        let written = match call.number {
            libc::SYS_statx => self.write(call, address, &statx(&facts, &owned)),
            _ => self.write(call, address, &stat(&facts, &owned)),
        };
        Ok(written.into())
    }
}

fn asked(call: &Call) -> Asked {
    let here = libc::AT_FDCWD;
    match call.number {
        libc::SYS_fstat => Asked { folder: call.descriptor(0), path: None, flags: 0, to: 1 },
        libc::SYS_newfstatat => {
            Asked { folder: call.descriptor(0), path: Some(1), flags: call.descriptor(3), to: 2 }
        }
        libc::SYS_statx => {
            Asked { folder: call.descriptor(0), path: Some(1), flags: call.descriptor(2), to: 4 }
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lstat => Asked { folder: here, path: Some(0), flags: libc::AT_SYMLINK_NOFOLLOW, to: 1 },
        _ => Asked { folder: here, path: Some(0), flags: 0, to: 1 },
    }
}

/// As `struct stat`, in the machine's own form.
fn stat(facts: &Facts, owned: &Owned) -> [u8; size_of::<libc::stat>()] {
    let facts = facts.numbers();
    let mut bytes = [0; size_of::<libc::stat>()];
    macro_rules! put {
        ($($field:ident: $kind:ty = $value:expr,)*) => {
            $(put(&mut bytes, offset_of!(libc::stat, $field), &($value as $kind).to_ne_bytes());)*
        };
    }
    let (mode, device) = kind(&facts, owned);
    put! {
        st_dev: libc::dev_t = libc::makedev(facts.stx_dev_major, facts.stx_dev_minor),
        st_ino: libc::ino_t = facts.stx_ino,
        st_nlink: libc::nlink_t = facts.stx_nlink,
        st_mode: libc::mode_t = mode,
        st_uid: libc::uid_t = owned.uid,
        st_gid: libc::gid_t = owned.gid,
        st_rdev: libc::dev_t = libc::makedev(device.0, device.1),
        st_size: libc::off_t = facts.stx_size,
        st_blksize: libc::blksize_t = facts.stx_blksize,
        st_blocks: libc::blkcnt_t = facts.stx_blocks,
        st_atime: libc::time_t = facts.stx_atime.tv_sec,
        st_atime_nsec: libc::c_long = facts.stx_atime.tv_nsec,
        st_mtime: libc::time_t = facts.stx_mtime.tv_sec,
        st_mtime_nsec: libc::c_long = facts.stx_mtime.tv_nsec,
        st_ctime: libc::time_t = facts.stx_ctime.tv_sec,
        st_ctime_nsec: libc::c_long = facts.stx_ctime.tv_nsec,
    }
    bytes
}

/// As `struct statx`, with all that the kernel has given.
fn statx(facts: &Facts, owned: &Owned) -> [u8; size_of::<libc::statx>()] {
    let mut bytes = *facts.bytes();
    let (mode, (major, minor)) = kind(&facts.numbers(), owned);
    put(&mut bytes, offset_of!(libc::statx, stx_uid), &owned.uid.to_ne_bytes());
    put(&mut bytes, offset_of!(libc::statx, stx_gid), &owned.gid.to_ne_bytes());
    put(&mut bytes, offset_of!(libc::statx, stx_mode), &(mode as u16).to_ne_bytes());
    put(&mut bytes, offset_of!(libc::statx, stx_rdev_major), &major.to_ne_bytes());
    put(&mut bytes, offset_of!(libc::statx, stx_rdev_minor), &minor.to_ne_bytes());
    bytes
}

/// The mode with the type in it, and the device's numbers.
fn kind(facts: &libc::statx, owned: &Owned) -> (u32, (u32, u32)) {
    let mode = u32::from(facts.stx_mode);
    match owned.device {
        None => (mode, (facts.stx_rdev_major, facts.stx_rdev_minor)),
        Some(Device { block, major, minor }) => {
            let kind = if block { libc::S_IFBLK } else { libc::S_IFCHR };
            (kind | mode & !libc::S_IFMT, (major, minor))
        }
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::exec::sandbox::sys::listener::facts;

    fn read<const SIZE: usize>(bytes: &[u8], at: usize) -> [u8; SIZE] {
        bytes[at..at + SIZE].try_into().unwrap()
    }

    #[test]
    fn all_but_the_owner_is_what_the_kernel_says() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
        let facts = facts(file.as_fd(), c"", libc::AT_EMPTY_PATH, mask).unwrap();
        let device = Some(Device { block: false, major: 1, minor: 3 });
        let truth = file.metadata().unwrap();
        let bytes = stat(&facts, &Owned { uid: 7, gid: 8, device });
        assert_eq!(u64::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_ino))), truth.ino());
        assert_eq!(u64::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_dev))), truth.dev());
        assert_eq!(i64::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_size))), truth.size() as i64);
        assert_eq!(i64::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_mtime))), truth.mtime());
        assert_eq!(
            i64::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_mtime_nsec))),
            truth.mtime_nsec()
        );
        assert_eq!(u32::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_uid))), 7);
        assert_eq!(u32::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_gid))), 8);
        let mode = u32::from_ne_bytes(read(&bytes, offset_of!(libc::stat, st_mode)));
        assert_eq!(mode, libc::S_IFCHR | truth.mode() & !libc::S_IFMT);
        let bytes = statx(&facts, &Owned { uid: 7, gid: 8, device: None });
        assert_eq!(u32::from_ne_bytes(read(&bytes, offset_of!(libc::statx, stx_gid))), 8);
        assert_eq!(u16::from_ne_bytes(read(&bytes, offset_of!(libc::statx, stx_mode))), truth.mode() as u16);
        assert_eq!(u64::from_ne_bytes(read(&bytes, offset_of!(libc::statx, stx_ino))), truth.ino());
    }
}
