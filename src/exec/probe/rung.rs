//! The rungs of the ladder: what each is, and which results are believed on which.

use serde::{Deserialize, Serialize};

use crate::exec::sandbox::spec::Walls;

/// How strong a sandbox is; the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rung {
    /// Root: the machine's own ids.
    A,
    /// A user namespace with a range of ids.
    B,
    /// A user namespace with one id.
    C,
    /// Namespaces, but roots are copies: nothing can be stacked.
    D,
    /// Root without namespaces and mounts: in most containers.
    E,
    /// Nothing at all.
    F,
}

const ALL: [Rung; 6] = [Rung::A, Rung::B, Rung::C, Rung::D, Rung::E, Rung::F];

impl Rung {
    pub const fn name(self) -> &'static str {
        match self {
            Rung::A => "A",
            Rung::B => "B",
            Rung::C => "C",
            Rung::D => "D",
            Rung::E => "E",
            Rung::F => "F",
        }
    }

    pub fn named(name: &str) -> Option<Rung> {
        ALL.into_iter().find(|rung| rung.name() == name)
    }

    /// Whether a result made on the rung `made_on` is what this rung gives too. With one id everybody may do
    /// what root may, and file capabilities are missing. In a copy, hard
    /// links act otherwise; and what a weak wall let through nobody knows. A result from above is always right.
    pub fn accepts(self, made_on: &str) -> bool {
        let Some(made_on) = Rung::named(made_on) else { return false };
        made_on <= self.max(Rung::B)
    }

    /// Whether runs on the machine's own programs can be shown them.
    pub(super) fn shows_the_machine(self) -> bool {
        self.walls().has_namespaces()
    }

    pub(crate) const fn walls(self) -> Walls {
        match self {
            Rung::A | Rung::B | Rung::C => Walls::Mounted,
            Rung::D => Walls::Copied,
            Rung::E => Walls::Chrooted,
            Rung::F => Walls::Bare,
        }
    }

    pub(super) const fn gives(self) -> &'static str {
        match self {
            Rung::A => "root: all user ids",
            Rung::B => "a user namespace with a range of user ids",
            Rung::C => {
                "a user namespace with one user id: all others are remembered, and may do what root may"
            }
            Rung::D => "namespaces without overlay mounts: each run works on a copy of its root",
            Rung::E => "root without namespaces: each run is locked into a copy of its root",
            Rung::F => "nothing: with --unsafe-host, runs on `host` have your own rights",
        }
    }

    /// What it does not give.
    pub(super) const fn leaks(self) -> &'static [&'static str] {
        match self {
            Rung::A | Rung::B | Rung::C => &[],
            Rung::D => &["each run pays for a copy of its root, in time and on the disk"],
            Rung::E => &[
                "each run pays for a copy of its root, in time and on the disk",
                "there is no /proc: what reads /proc/self or opens /dev/stdin fails",
                "runs see the machine's host name and its clock of processes; their numbers are the machine's",
                "without a network there is no loopback either, and names that were asked for are not told",
                "read-only mounts can be written to, which is thrown away; the size of a tmpfs does not hold",
                "System V's shared memory and message queues are refused",
                "runs on `host`, tests with services and what lies in a cache are refused; a cache is one run's at a time",
            ],
            Rung::F => &["nothing keeps a run from anything that you may do yourself"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_believed_where_nothing_better_holds() {
        let believed = [
            (Rung::A, "AB"),
            (Rung::B, "AB"),
            (Rung::C, "ABC"),
            (Rung::D, "ABCD"),
            (Rung::E, "ABCDE"),
            (Rung::F, "ABCDEF"),
        ];
        for (here, expected) in believed {
            let found: String =
                ALL.iter().map(|made_on| made_on.name()).filter(|name| here.accepts(name)).collect();
            assert_eq!(found, expected, "{here:?}");
            assert!(!here.accepts("G"));
        }
    }
}
