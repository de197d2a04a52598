//! Calls about who a process is (credentials(7)): answered from what it was told before.

use rustix::io::Errno;

use crate::exec::sandbox::notify::{Answer, Call};
use crate::exec::sandbox::ownership::Ownership;
use crate::exec::sandbox::ownership::credentials::{Capabilities, Credentials, Kind, Wish};

/// `NGROUPS_MAX` (limits.h).
const MOST_GROUPS: u32 = 65536;

impl Ownership {
    /// `None` where the call is about something else.
    pub(super) fn answer_about_people(&mut self, call: &Call) -> Option<Answer> {
        self.forget_other_programs(call);
        let who = self.people.of(call.thread);
        let told = |id: u32| Some(Answer::Done(id.into()));
        match call.number {
            libc::SYS_getuid => told(who.users.real),
            libc::SYS_geteuid => told(who.users.effective),
            libc::SYS_getgid => told(who.groups.real),
            libc::SYS_getegid => told(who.groups.effective),
            libc::SYS_getresuid => Some(self.tell_three(call, Kind::User).into()),
            libc::SYS_getresgid => Some(self.tell_three(call, Kind::Group).into()),
            libc::SYS_getgroups => Some(self.tell_groups(call).unwrap_or_else(Answer::Failed)),
            libc::SYS_setgroups => Some(self.set_groups(call).into()),
            libc::SYS_prctl => {
                let keeping = who.keeping(call.arguments[1] != 0);
                // The kernel notes it as well.
                Some(self.become_other(call, keeping).map_or_else(Answer::Failed, |()| Answer::GoOn))
            }
            _ => wish(call).map(|(kind, wish)| self.grant(call, kind, wish)),
        }
    }

    fn tell_three(&self, call: &Call, kind: Kind) -> Result<(), Errno> {
        let ids = self.people.of(call.thread).ids(kind);
        for (address, id) in call.arguments.into_iter().zip([ids.real, ids.effective, ids.saved]) {
            self.write(call, address, &id.to_ne_bytes())?;
        }
        Ok(())
    }

    fn tell_groups(&self, call: &Call) -> Result<Answer, Errno> {
        let groups = &self.people.of(call.thread).others;
        let room = call.descriptor(0);
        if room != 0 {
            if usize::try_from(room).unwrap_or(0) < groups.len() {
                return Err(Errno::INVAL);
            }
            let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
            self.write(call, call.arguments[1], &bytes)?;
        }
        Ok(Answer::Done(groups.len() as i64))
    }

    fn set_groups(&mut self, call: &Call) -> Result<(), Errno> {
        let count = call.number_at(0);
        if count > MOST_GROUPS {
            return Err(Errno::INVAL);
        }
        let mut bytes = vec![0; 4 * count as usize];
        call.read(call.arguments[1], &mut bytes)?;
        let number = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().expect("bug: four bytes are four"));
        let groups = bytes.chunks_exact(4).map(number).collect();
        let changed = self.people.of(call.thread).with_others(groups)?;
        self.become_other(call, changed)
    }

    fn grant(&mut self, call: &Call, kind: Kind, wish: Wish) -> Answer {
        let who = self.people.of(call.thread);
        let before = who.ids(kind).files;
        let changed = match who.with(kind, wish) {
            Ok(changed) => self.become_other(call, changed),
            Err(error) => Err(error),
        };
        match (wish, changed) {
            // It never fails, and tells what was before.
            (Wish::Files(_), _) => Answer::Done(before.into()),
            (_, changed) => changed.into(),
        }
    }

    fn become_other(&mut self, call: &Call, credentials: Credentials) -> Result<(), Errno> {
        if !self.is_waiting(call) {
            return Ok(());
        }
        let program = match credentials.capabilities {
            Capabilities::Lost => None,
            Capabilities::ToBeKept | Capabilities::Kept => self.places.program(call.thread).ok(),
        };
        self.people.change(call.thread, credentials, program).map_err(|_| Errno::AGAIN)
    }

    /// Who has capabilities beyond its ids has them until it starts another program.
    fn forget_other_programs(&mut self, call: &Call) {
        if let Some(program) = self.people.program_of(call.thread)
            && self.places.program(call.thread) != Ok(program)
        {
            let without = self.people.of(call.thread).in_another_program();
            // Where that cannot be told, the process is gone.
            let _ = self.become_other(call, without);
        }
    }
}

fn wish(call: &Call) -> Option<(Kind, Wish)> {
    let [one, two, three] = [0, 1, 2].map(|argument| call.number_at(argument));
    Some(match call.number {
        libc::SYS_setuid => (Kind::User, Wish::One(one)),
        libc::SYS_setgid => (Kind::Group, Wish::One(one)),
        libc::SYS_setreuid => (Kind::User, Wish::Two(one, two)),
        libc::SYS_setregid => (Kind::Group, Wish::Two(one, two)),
        libc::SYS_setresuid => (Kind::User, Wish::Three(one, two, three)),
        libc::SYS_setresgid => (Kind::Group, Wish::Three(one, two, three)),
        libc::SYS_setfsuid => (Kind::User, Wish::Files(one)),
        libc::SYS_setfsgid => (Kind::Group, Wish::Files(one)),
        _ => return None,
    })
}
