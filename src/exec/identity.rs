//! Which user and group ids exist inside a sandbox, and who they are outside.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How ids inside map to ids outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// No user namespace: ids are the machine's own. Needs root.
    Real,
    /// 0 is the caller, and there is no other.
    Single { uid: u32, gid: u32 },
    /// 0 is the caller, 1 and up are a range that the machine's administrator gave to the caller.
    Ranges { uid: u32, gid: u32, uids: Range, gids: Range },
}

/// A line of `/etc/subuid` or `/etc/subgid` (subuid(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub first: u32,
    pub count: u32,
}

impl Identity {
    pub fn has_namespace(&self) -> bool {
        *self != Identity::Real
    }

    /// Tells apart namespaces in which the same ids are other ids on disk. Letters, digits and dashes.
    pub fn class(&self) -> String {
        match self {
            Identity::Ranges { uids, gids, .. } => {
                format!("{}-{}-{}-{}", uids.first, uids.count, gids.first, gids.count)
            }
            Identity::Real | Identity::Single { .. } => String::new(),
        }
    }

    /// Whether `id` stands for anybody inside.
    pub fn holds(&self, id: u32) -> bool {
        match self {
            Identity::Real => true,
            Identity::Single { .. } => id == 0,
            Identity::Ranges { uids, gids, .. } => id <= uids.count.min(gids.count),
        }
    }

    /// Arguments for `newuidmap` and `newgidmap` (newuidmap(1)); `None` where they are not needed.
    pub fn range_arguments(&self, pid: u32) -> Option<[Vec<String>; 2]> {
        let Identity::Ranges { uid, gid, uids, gids } = self else { return None };
        let arguments = |own: u32, range: &Range| {
            [pid, 0, own, 1, 1, range.first, range.count].iter().map(u32::to_string).collect()
        };
        Some([arguments(*uid, uids), arguments(*gid, gids)])
    }
}

/// Maps the one id of the caller to 0, in the user namespace that the calling process has just made.
pub fn map_single(uid: u32, gid: u32) -> io::Result<()> {
    // Who may not set groups may not drop them either, so the kernel wants this first
    // (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// The largest range of `file` for the user, who may stand there by name or number.
pub fn range(file: &Path, uid: u32, name: Option<&str>) -> Option<Range> {
    largest(&fs::read_to_string(file).ok()?, uid, name)
}

fn largest(text: &str, uid: u32, name: Option<&str>) -> Option<Range> {
    let number = uid.to_string();
    let line = |line: &str| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let range = Range { first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
        (who == number || Some(who) == name).then_some(range)
    };
    text.lines().filter_map(line).filter(|range| range.count > 0).max_by_key(|range| range.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_by_name_or_number() {
        let text = "other:1:2\nme:100000:65536\n# note\n1000:5:70000\nbroken:x\nme:7:0\n";
        assert_eq!(largest(text, 1000, Some("me")), Some(Range { first: 5, count: 70000 }));
        assert_eq!(largest(text, 7, Some("me")), Some(Range { first: 100_000, count: 65536 }));
        assert_eq!(largest(text, 7, None), None);
    }

    #[test]
    fn arguments_for_the_map_programs() {
        let identity = Identity::Ranges {
            uid: 1000,
            gid: 100,
            uids: Range { first: 100_000, count: 65536 },
            gids: Range { first: 200_000, count: 10 },
        };
        let [uids, gids] = identity.range_arguments(42).unwrap();
        assert_eq!(uids.join(" "), "42 0 1000 1 1 100000 65536");
        assert_eq!(gids.join(" "), "42 0 100 1 1 200000 10");
        assert!(identity.holds(10) && !identity.holds(11));
        assert!(Identity::Single { uid: 1, gid: 1 }.range_arguments(42).is_none());
    }
}
