//! Who a process believes to be, and what the kernel lets it become: the rules of credentials(7), told to processes
//! that are all one and the same user. Pure; knows no process.

use rustix::io::Errno;

use crate::tree::disk::owned::Owned;

/// "Leave it as it is", in calls that set several ids.
pub(super) const UNCHANGED: u32 = u32::MAX;

// The bits of a mode, for one of the three it is for.
pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
/// In a folder.
pub(super) const SEARCH: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
    /// For files.
    pub files: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub users: Ids,
    pub groups: Ids,
    /// Supplementary groups.
    pub others: Vec<u32>,
    pub capabilities: Capabilities,
}

/// What stays of root's capabilities when the last id of root is dropped (capabilities(7), "Effect of user ID
/// changes on capabilities").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Capabilities {
    /// Nothing.
    #[default]
    Lost,
    /// All, and they are still there because of a root id (`PR_SET_KEEPCAPS`).
    ToBeKept,
    Kept,
}

/// Which of the two kinds of ids is meant; the rules are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
}

/// What a process wants to be, by the name of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// `setuid`, `setgid`.
    One(u32),
    /// `setreuid`, `setregid`: real, effective.
    Two(u32, u32),
    /// `setresuid`, `setresgid`: real, effective, saved.
    Three(u32, u32, u32),
    /// `setfsuid`, `setfsgid`.
    Files(u32),
}

impl Ids {
    const fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, files: id }
    }

    fn has(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }

    /// After the wish, where the kernel grants it.
    fn grant(self, wish: Wish, is_privileged: bool) -> Result<Ids, Errno> {
        let may = |is_own: bool, id: u32| id == UNCHANGED || is_own || is_privileged;
        let or = |id: u32, old: u32| if id == UNCHANGED { old } else { id };
        match wish {
            Wish::One(UNCHANGED) => Err(Errno::INVAL),
            Wish::One(id) if is_privileged => Ok(Ids::all(id)),
            Wish::One(id) if id == self.real || id == self.saved => {
                Ok(Ids { effective: id, files: id, ..self })
            }
            Wish::Two(real, effective)
                if may(real == self.real || real == self.effective, real)
                    && may(self.has(effective), effective) =>
            {
                let new = or(effective, self.effective);
                let keeps_saved = real == UNCHANGED && (effective == UNCHANGED || effective == self.real);
                let saved = if keeps_saved { self.saved } else { new };
                Ok(Ids { real: or(real, self.real), effective: new, saved, files: new })
            }
            Wish::Three(real, effective, saved)
                if [real, effective, saved].into_iter().all(|id| may(self.has(id), id)) =>
            {
                let new = or(effective, self.effective);
                Ok(Ids {
                    real: or(real, self.real),
                    effective: new,
                    saved: or(saved, self.saved),
                    files: new,
                })
            }
            Wish::Files(id) if id != UNCHANGED && (self.has(id) || id == self.files || is_privileged) => {
                Ok(Ids { files: id, ..self })
            }
            // The one call that does not say so.
            Wish::Files(_) => Ok(self),
            _ => Err(Errno::PERM),
        }
    }
}

impl Credentials {
    pub(super) fn new(user: u32, group: u32, others: Vec<u32>) -> Credentials {
        let capabilities = Capabilities::Lost;
        Credentials { users: Ids::all(user), groups: Ids::all(group), others, capabilities }
    }

    pub(super) fn root() -> Credentials {
        Credentials::new(0, 0, Vec::new())
    }

    pub(super) fn ids(&self, kind: Kind) -> Ids {
        match kind {
            Kind::User => self.users,
            Kind::Group => self.groups,
        }
    }

    fn is_privileged(&self) -> bool {
        self.users.effective == 0 || self.capabilities == Capabilities::Kept
    }

    /// Whether files are its to give away, whosever they are.
    pub(super) fn is_root_with_files(&self) -> bool {
        self.users.files == 0 || self.capabilities == Capabilities::Kept
    }

    /// After `PR_SET_KEEPCAPS`.
    pub(super) fn keeping(&self, keep: bool) -> Credentials {
        let capabilities = match (self.capabilities, keep) {
            (Capabilities::Kept, _) => Capabilities::Kept,
            (_, true) => Capabilities::ToBeKept,
            (_, false) => Capabilities::Lost,
        };
        Credentials { capabilities, ..self.clone() }
    }

    /// Another program starts with none but root's.
    pub(super) fn in_another_program(&self) -> Credentials {
        Credentials { capabilities: Capabilities::Lost, ..self.clone() }
    }

    /// Whether the files it makes are those of root.
    pub(super) fn makes_roots_files(&self) -> bool {
        (self.users.files, self.groups.files) == (0, 0)
    }

    pub(super) fn with(&self, kind: Kind, wish: Wish) -> Result<Credentials, Errno> {
        let ids = self.ids(kind).grant(wish, self.is_privileged())?;
        Ok(match kind {
            Kind::User => {
                let capabilities = match (self.capabilities, self.users.has(0), ids.has(0)) {
                    (Capabilities::ToBeKept, true, false) => Capabilities::Kept,
                    (Capabilities::ToBeKept, ..) => Capabilities::ToBeKept,
                    (Capabilities::Kept, _, false) => Capabilities::Kept,
                    _ => Capabilities::Lost,
                };
                Credentials { users: ids, capabilities, ..self.clone() }
            }
            Kind::Group => Credentials { groups: ids, ..self.clone() },
        })
    }

    pub(super) fn with_others(&self, others: Vec<u32>) -> Result<Credentials, Errno> {
        if !self.is_privileged() {
            return Err(Errno::PERM);
        }
        Ok(Credentials { others, ..self.clone() })
    }

    pub(super) fn is_in(&self, group: u32) -> bool {
        group == self.groups.files || self.others.contains(&group)
    }

    /// Whether a mode allows all of `wanted` (path_resolution(7), "Permissions").
    pub(super) fn may(&self, mode: u32, owned: &Owned, wanted: u32) -> bool {
        let shift = match owned {
            owned if owned.uid == self.users.files => 6,
            owned if self.is_in(owned.gid) => 3,
            _ => 0,
        };
        self.is_root_with_files() || mode >> shift & wanted == wanted
    }

    /// Whether a file of `owner` may be given to `user` and `group` (chown(2), "EPERM").
    pub(super) fn may_give(&self, owner: u32, user: Option<u32>, group: Option<u32>, old_group: u32) -> bool {
        let keeps_user = user.is_none_or(|user| user == owner);
        let may_group = group.is_none_or(|group| group == old_group || self.is_in(group));
        self.is_root_with_files() || (self.users.files == owner && keeps_user && may_group)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Wish::{Files, One, Three, Two};

    const NO: u32 = UNCHANGED;

    fn ids(numbers: [u32; 4]) -> Ids {
        let [real, effective, saved, files] = numbers;
        Ids { real, effective, saved, files }
    }

    /// `before` and `after` are real, effective, saved and for files.
    fn check(before: [u32; 4], wish: Wish, after: Result<[u32; 4], Errno>) {
        let before = Credentials { users: ids(before), ..Credentials::root() };
        let found = before.with(Kind::User, wish).map(|credentials| credentials.users);
        assert_eq!(found, after.map(ids), "{before:?} {wish:?}");
    }

    #[test]
    fn root_becomes_anybody() {
        let root = [0; 4];
        check(root, One(33), Ok([33; 4]));
        check(root, Two(NO, 33), Ok([0, 33, 33, 33]));
        check(root, Two(33, NO), Ok([33, 0, 0, 0]));
        check(root, Two(NO, NO), Ok(root));
        check(root, Three(NO, 33, NO), Ok([0, 33, 0, 33]));
        check(root, Three(1, 2, 3), Ok([1, 2, 3, 2]));
        check(root, Files(33), Ok([0, 0, 0, 33]));
        check(root, One(NO), Err(Errno::INVAL));
    }

    #[test]
    fn others_become_what_they_were() {
        let dropped = [33; 4];
        check(dropped, One(0), Err(Errno::PERM));
        check(dropped, Two(0, NO), Err(Errno::PERM));
        check(dropped, Three(NO, NO, 0), Err(Errno::PERM));
        check(dropped, Files(0), Ok(dropped));
        check(dropped, One(33), Ok(dropped));
        let lent = [0, 33, 0, 33];
        check(lent, One(0), Ok([0, 0, 0, 0]));
        check(lent, Three(NO, 0, NO), Ok([0, 0, 0, 0]));
        check(lent, Two(NO, 0), Ok([0, 0, 0, 0]));
        check([0, 33, 33, 33], Two(33, 0), Ok([33, 0, 0, 0]));
        check([5, 33, 33, 33], Two(33, 5), Ok([33, 5, 5, 5]));
        check(lent, One(5), Err(Errno::PERM));
        check([33, 33, 33, 5], Files(5), Ok([33, 33, 33, 5]));
    }

    #[test]
    fn groups_need_an_effective_root() {
        let user = Credentials::new(33, 33, vec![4]);
        assert_eq!(user.with_others(vec![]), Err(Errno::PERM));
        assert_eq!(user.with(Kind::Group, One(4)), Err(Errno::PERM));
        let root = Credentials::root();
        let changed = root.with(Kind::Group, One(4)).unwrap().with_others(vec![7, 8]).unwrap();
        assert_eq!((changed.groups.files, changed.is_in(7), changed.is_in(9)), (4, true, false));
    }

    #[test]
    fn capabilities_stay_where_that_is_wanted() {
        let kept = Credentials::root().keeping(true).with(Kind::User, Three(33, 33, 33)).unwrap();
        assert_eq!(kept.with(Kind::Group, One(4)).unwrap().groups.real, 4);
        assert!(kept.with_others(vec![5]).is_ok() && kept.is_root_with_files());
        let started = kept.in_another_program();
        assert_eq!(started.with(Kind::Group, One(4)), Err(Errno::PERM));
        let dropped = Credentials::root().keeping(true).keeping(false).with(Kind::User, One(33)).unwrap();
        assert_eq!(dropped.with(Kind::User, One(0)), Err(Errno::PERM));
    }

    #[test]
    fn owners_give_to_their_groups() {
        let user = Credentials::new(33, 33, vec![4]);
        let table = [
            (33, None, Some(4), true),
            (33, None, Some(33), true),
            (33, Some(33), Some(4), true),
            (33, None, Some(9), true),
            (33, None, Some(5), false),
            (33, Some(34), None, false),
            (0, None, Some(4), false),
            (0, None, None, false),
        ];
        for (owner, to_user, to_group, expected) in table {
            assert_eq!(
                user.may_give(owner, to_user, to_group, 9),
                expected,
                "{owner} {to_user:?} {to_group:?}"
            );
            assert!(Credentials::root().may_give(owner, to_user, to_group, 9));
        }
    }

    #[test]
    fn modes_are_for_three() {
        let user = Credentials::new(33, 33, vec![4]);
        let owned = |uid, gid| Owned { uid, gid, device: None };
        let table = [
            (0o700, owned(33, 0), true),
            (0o077, owned(33, 33), false),
            (0o070, owned(0, 4), true),
            (0o707, owned(0, 33), false),
            (0o007, owned(0, 0), true),
            (0o775, owned(0, 0), false),
        ];
        for (mode, owned, expected) in table {
            assert_eq!(user.may(mode, &owned, WRITE | SEARCH), expected, "{mode:o} {owned:?}");
            assert!(Credentials::root().may(0, &owned, READ));
        }
    }

    fn wish() -> impl Strategy<Value = Wish> {
        let id = || prop_oneof![Just(0), Just(1), Just(2), Just(NO)];
        prop_oneof![
            id().prop_map(One),
            (id(), id()).prop_map(|(real, effective)| Two(real, effective)),
            (id(), id(), id()).prop_map(|(real, effective, saved)| Three(real, effective, saved)),
            id().prop_map(Files),
        ]
    }

    proptest! {
        /// A library makes the call once for each thread, and wants to hear the same each time.
        #[test]
        fn what_was_granted_is_granted_again(wishes in prop::collection::vec(wish(), 1..6)) {
            let mut now = Credentials::root();
            for wish in wishes {
                if let Ok(next) = now.with(Kind::User, wish) {
                    prop_assert_eq!(next.with(Kind::User, wish).map(|again| again.users.effective), Ok(next.users.effective));
                    now = next;
                }
            }
        }

        /// Who has dropped root for good never has it again.
        #[test]
        fn root_does_not_come_back(wishes in prop::collection::vec(wish(), 1..8)) {
            let mut now = Credentials::new(5, 5, Vec::new());
            for wish in wishes {
                now = now.with(Kind::User, wish).unwrap_or(now);
                prop_assert!(!now.users.has(0) && now.users.files != 0);
            }
        }
    }
}
