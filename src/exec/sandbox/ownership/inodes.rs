//! Whose each file is in truth, where on the disk all are one user's: by inode. Files of a snapshot come with the
//! notes that were taken when it was made; all others are root's until they are given away or made by somebody else.
//!
//! The number of an inode is used again when it is gone, so a record counts only with the time of birth that the
//! inode had. Clocks tick slowly: what is too young to be told from its successor by that is held open meanwhile.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::tree::disk::copy::Noted;
use crate::tree::disk::owned::Owned;
use crate::tree::disk::snapshot::{Note, Notes};

/// Longer than the slowest tick of a clock that files get their times from (1/100 second).
const TICK: Duration = Duration::from_millis(20);

/// Held open at a time; fewer than any limit of open files.
const MOST_HELD: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Inode {
    device: (u32, u32),
    number: u64,
}

impl Inode {
    fn of(facts: &libc::statx) -> Inode {
        Inode { device: (facts.stx_dev_major, facts.stx_dev_minor), number: facts.stx_ino }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Birth(i64, u32);

#[derive(Debug, Clone, Copy)]
struct Record {
    owned: Owned,
    birth: Birth,
}

/// Where what is known of a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was given to somebody, or made by somebody.
    Recorded(Owned),
    /// It is a snapshot's, or a copy of such a file that has kept its number.
    Noted(Owned),
    Nothing,
}

#[derive(Debug, Default)]
pub(in crate::exec::sandbox) struct Inodes {
    /// Of the snapshots that the sandbox is made of.
    notes: Vec<Notes>,
    /// The devices on which the numbers of snapshots hold: the disk's, and those of mounts that show them.
    noted: Vec<(u32, u32)>,
    /// The device of folders that outlive runs.
    outlived: Option<(u32, u32)>,
    recorded: HashMap<Inode, Record>,
    held: VecDeque<(Instant, OwnedFd)>,
    /// Whether a folder may give another group to what is made in it.
    has_group_folders: bool,
}

impl Inodes {
    /// Of copies of snapshots' files. A run may remove them, so that their numbers come again.
    pub(super) fn of_copies(copied: &[Noted]) -> Inodes {
        let record = |Noted { identity, note }: &Noted| {
            let inode = Inode { device: identity.device, number: identity.number };
            (inode, Record { owned: note.owned, birth: Birth(identity.born.0, identity.born.1) })
        };
        let has_group_folders = copied.iter().any(|noted| noted.note.gives_group);
        Inodes { recorded: copied.iter().map(record).collect(), has_group_folders, ..Inodes::default() }
    }

    /// Of snapshots, and of the devices that show them. `outlived`: that of folders which are older than the run.
    pub(super) fn learn(&mut self, notes: Vec<Notes>, noted: Vec<(u32, u32)>, outlived: Option<(u32, u32)>) {
        self.has_group_folders |= notes.iter().any(Notes::has_group_folders);
        (self.notes, self.noted, self.outlived) = (notes, noted, outlived);
    }

    /// Whether it is known whose a file is: what was known of folders that outlive runs is not.
    pub(super) fn are_sure(&self, facts: &libc::statx) -> bool {
        self.outlived != Some(Inode::of(facts).device)
    }

    pub(super) fn has_group_folders(&self) -> bool {
        self.has_group_folders
    }

    pub(super) fn of(&self, facts: &libc::statx) -> Owned {
        match self.known(facts) {
            Known::Recorded(owned) | Known::Noted(owned) => owned,
            Known::Nothing => Owned::default(),
        }
    }

    pub(super) fn known(&self, facts: &libc::statx) -> Known {
        let inode = Inode::of(facts);
        let record = self.recorded.get(&inode).filter(|record| record.birth == birth(facts));
        match (record, self.note(inode)) {
            (Some(record), _) => Known::Recorded(record.owned),
            (None, Some(note)) => Known::Noted(note.owned),
            (None, None) => Known::Nothing,
        }
    }

    fn note(&self, inode: Inode) -> Option<&Note> {
        if !self.noted.contains(&inode.device) {
            return None;
        }
        self.notes.iter().find_map(|notes| notes.find(inode.number))
    }

    /// `number` is another one that the same inode may go by later.
    pub(super) fn record(&mut self, facts: &libc::statx, number: Option<u64>, owned: Owned) {
        let record = Record { owned, birth: birth(facts) };
        let inode = Inode::of(facts);
        self.recorded.insert(inode, record);
        if let Some(number) = number {
            self.recorded.insert(Inode { number, ..inode }, record);
        }
        let is_folder = facts.stx_mode & libc::S_IFMT as u16 == libc::S_IFDIR as u16;
        self.has_group_folders |= is_folder && owned.gid != 0;
    }

    /// Keeps an inode that was recorded from going, and its number from coming again, until its birth is told from
    /// all later ones.
    pub(super) fn hold(&mut self, object: OwnedFd) {
        let now = Instant::now();
        while let Some((since, _)) = self.held.front() {
            if self.held.len() < MOST_HELD && now.duration_since(*since) < TICK {
                break;
            }
            self.held.pop_front();
        }
        self.held.push_back((now, object));
    }

    pub(super) fn let_go(&mut self) {
        self.held.clear();
    }
}

fn birth(facts: &libc::statx) -> Birth {
    Birth(facts.stx_btime.tv_sec, facts.stx_btime.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::disk::owned::Identity;

    const DISK: (u32, u32) = (8, 1);
    const MEMORY: (u32, u32) = (0, 40);

    fn facts(device: (u32, u32), number: u64, birth: i64) -> libc::statx {
        let mut facts = crate::exec::sandbox::sys::listener::Facts::nothing().numbers();
        (facts.stx_dev_major, facts.stx_dev_minor) = device;
        facts.stx_ino = number;
        facts.stx_btime.tv_sec = birth;
        facts.stx_mode = libc::S_IFREG as u16;
        facts
    }

    fn owned(user: u32) -> Owned {
        Owned { uid: user, gid: user, device: None }
    }

    fn inodes() -> Inodes {
        let note = Note { owned: owned(33), gives_group: false };
        let mut inodes = Inodes::default();
        inodes.learn(vec![Notes::new([(7, note)].into())], vec![DISK], Some(DISK));
        inodes
    }

    #[test]
    fn records_hold_for_one_inode() {
        let mut inodes = inodes();
        inodes.record(&facts(DISK, 5, 100), None, owned(1));
        assert_eq!(inodes.of(&facts(DISK, 5, 100)), owned(1));
        // The number came again.
        assert_eq!(inodes.known(&facts(DISK, 5, 101)), Known::Nothing);
        assert_eq!(inodes.known(&facts(MEMORY, 5, 100)), Known::Nothing);
        inodes.record(&facts(DISK, 5, 101), Some(6), owned(2));
        assert_eq!(inodes.of(&facts(DISK, 5, 101)), owned(2));
        assert_eq!(inodes.of(&facts(DISK, 6, 101)), owned(2));
        assert_eq!(inodes.of(&facts(DISK, 6, 100)), owned(0));
    }

    #[test]
    fn copies_have_what_was_noted_of_them() {
        let identity = Identity { device: DISK, number: 5, born: (100, 0) };
        let note = Note { owned: owned(33), gives_group: true };
        let inodes = Inodes::of_copies(&[Noted { identity, note }]);
        assert_eq!(inodes.of(&facts(DISK, 5, 100)), owned(33));
        // It was removed, and its number came again.
        assert_eq!(inodes.known(&facts(DISK, 5, 101)), Known::Nothing);
        assert!(inodes.has_group_folders());
    }

    #[test]
    fn notes_hold_until_something_is_recorded() {
        let mut inodes = inodes();
        assert_eq!(inodes.known(&facts(DISK, 7, 1)), Known::Noted(owned(33)));
        assert_eq!(inodes.known(&facts(MEMORY, 7, 1)), Known::Nothing);
        inodes.record(&facts(DISK, 7, 2), None, owned(0));
        assert_eq!(inodes.known(&facts(DISK, 7, 2)), Known::Recorded(owned(0)));
    }

    #[test]
    fn folders_of_a_group_are_noticed() {
        let mut inodes = inodes();
        inodes.record(&facts(DISK, 5, 1), None, owned(1));
        assert!(!inodes.has_group_folders());
        let mut folder = facts(DISK, 6, 1);
        folder.stx_mode = libc::S_IFDIR as u16;
        inodes.record(&folder, None, owned(1));
        assert!(inodes.has_group_folders());
    }

    #[test]
    fn few_are_held() {
        let mut inodes = Inodes::default();
        (0..2 * MOST_HELD).for_each(|_| inodes.hold(std::fs::File::open("/").unwrap().into()));
        assert_eq!(inodes.held.len(), MOST_HELD);
        inodes.let_go();
        assert!(inodes.held.is_empty());
    }
}
