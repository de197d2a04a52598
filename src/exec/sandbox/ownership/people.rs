//! Who each process of a sandbox believes to be. The kernel keeps it for us: a limit that it does not use any more
//! (`RLIMIT_LOCKS`, getrlimit(2)) goes from parent to child, outlives every parent, and cannot be raised by who has
//! it. So much as it was lowered is the number of the credentials. No process is followed, and none is mistaken for
//! an earlier one of the same number.

use std::io;

use crate::exec::sandbox::account::Account;
use crate::exec::sandbox::ownership::credentials::Credentials;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::sys::listener::hard_limit;

const LIMIT: u32 = libc::RLIMIT_LOCKS;

/// The caller's own process (getrlimit(2)).
const OWN: i32 = 0;

#[derive(Debug)]
pub(super) struct People {
    /// The limit of who never changed.
    highest: u64,
    /// By number. Root's come first, those that the commands start with second, where they are others.
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    credentials: Credentials,
    /// Device and inode of the program that has capabilities beyond them.
    program: Option<Program>,
}

/// Device and inode of the file that a process runs.
pub(super) type Program = (u32, u32, u64);

impl Known {
    fn new(credentials: Credentials) -> Known {
        Known { credentials, program: None }
    }
}

impl People {
    /// `account` is whom the commands start as.
    pub(super) fn new(account: &Account) -> Result<People, Trouble> {
        let highest = hard_limit(OWN, LIMIT, None).map_err(Trouble::at("read its limits"))?;
        let first = Credentials::new(account.uid, account.gid, account.groups.clone());
        let first = Some(first).filter(|first| *first != Credentials::root());
        let known = [Some(Credentials::root()), first].into_iter().flatten();
        Ok(People { highest, known: known.map(Known::new).collect() })
    }

    /// Those of the process that a thread is part of.
    pub(super) fn of(&self, thread: i32) -> &Credentials {
        &self.find(thread).credentials
    }

    /// The program whose capabilities they are, where that matters.
    pub(super) fn program_of(&self, thread: i32) -> Option<Program> {
        self.find(thread).program
    }

    fn find(&self, thread: i32) -> &Known {
        match self.known.as_slice() {
            [root] => root,
            known => {
                let limit = hard_limit(thread, LIMIT, None).unwrap_or(self.highest);
                let number = usize::try_from(self.highest.saturating_sub(limit)).unwrap_or(usize::MAX);
                known.get(number).unwrap_or(&known[0])
            }
        }
    }

    /// Holds for what the process starts from now on, too.
    pub(super) fn change(
        &mut self,
        thread: i32,
        credentials: Credentials,
        program: Option<Program>,
    ) -> io::Result<()> {
        let before = self.find(thread);
        if before.credentials == credentials && before.program == program {
            return Ok(());
        }
        let limit = self.highest.checked_sub(self.known.len() as u64).ok_or(io::ErrorKind::QuotaExceeded)?;
        hard_limit(thread, LIMIT, Some(limit))?;
        self.known.push(Known { credentials, program });
        Ok(())
    }
}

/// Called by the first process: all that it starts begins as that.
pub(in crate::exec::sandbox) fn begin_as(account: &Account) -> Result<(), Trouble> {
    if (account.uid, account.gid, account.groups.as_slice()) == (0, 0, &[]) {
        return Ok(());
    }
    let cannot = || Trouble::at::<io::Error>("set its limits");
    let highest = hard_limit(OWN, LIMIT, None).map_err(cannot())?;
    let second = highest.checked_sub(1).ok_or(io::Error::from(io::ErrorKind::QuotaExceeded));
    hard_limit(OWN, LIMIT, Some(second.map_err(cannot())?)).map_err(cannot()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Waits for its input to be closed.
    fn process(command: &mut Command) -> Child {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn children_are_who_their_parent_was() {
        let root = Account { uid: 0, gid: 0, groups: Vec::new(), home: String::new() };
        let mut people = People::new(&root).unwrap();
        let (one, other) = (process(&mut Command::new("cat")), process(&mut Command::new("cat")));
        let [first, second] = [&one, &other].map(|child| child.id().cast_signed());
        let user = |id| Credentials::new(id, id, vec![id + 1]);
        assert_eq!(people.of(first), &Credentials::root());
        people.change(first, user(33), None).unwrap();
        people.change(second, user(5), None).unwrap();
        people.change(first, user(7), None).unwrap();
        assert_eq!((people.of(first), people.of(second)), (&user(7), &user(5)));
        // Back to what it was: another number, and the same ids.
        people.change(first, Credentials::root(), None).unwrap();
        assert_eq!(people.of(first), &Credentials::root());
        end(one);
        end(other);
    }
}
