//! Who a command runs as: names looked up in the root's own passwd and group files (passwd(5)).

use std::fs::File;
use std::io::Read as _;
use std::os::fd::BorrowedFd;

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::base::tree_path::TreePath;
use crate::exec::identity::Identity;
use crate::exec::sandbox::place::open_following;
use crate::exec::sandbox::spec::Trouble;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub home: String,
}

/// `user` as image-spec has it (config.md, "User"): `user`, `uid`, `user:group`, `uid:gid`, mixed.
pub(super) fn look_up(root: BorrowedFd<'_>, user: Option<&str>) -> Result<Account, Trouble> {
    let Some(user) = user.filter(|user| !user.is_empty() && *user != "0" && *user != "root") else {
        return Ok(Account { uid: 0, gid: 0, groups: Vec::new(), home: "/root".to_owned() });
    };
    find(user, &read(root, "etc/passwd")?, &read(root, "etc/group")?)
}

/// Whose files `owner` gives away (`user`, `user:group`), as `copy` has it: a number stands for a group of the same
/// number, a name for the group that passwd has.
pub(super) fn owner(root: BorrowedFd<'_>, owner: &str) -> Result<(u32, u32), Trouble> {
    if let Ok(id) = owner.parse() {
        return Ok((id, id));
    }
    let Account { uid, gid, .. } = find(owner, &read(root, "etc/passwd")?, &read(root, "etc/group")?)?;
    Ok((uid, gid))
}

/// Whether all of them exist where a sandbox has this identity.
pub(super) fn check(identity: &Identity, ids: &[u32]) -> Result<(), Trouble> {
    match ids.iter().find(|&&id| !identity.holds(id)) {
        None => Ok(()),
        Some(id) => Err(Trouble::Environment {
            message: format!("the command wants to run as id {id}, and here a sandbox has no id {id}"),
            help: Some("`memobuild doctor` tells how to get a range of user ids".to_owned()),
        }),
    }
}

/// An absent file reads as empty.
fn read(root: BorrowedFd<'_>, path: &str) -> Result<String, Trouble> {
    let cannot = || Trouble::at::<std::io::Error>(format!("read /{path} of the root"));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open_following(root, &TreePath::parse(path).expect("bug: a plain path"), flags) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(error) => return Err(cannot()(error.into())),
    };
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes).map_err(cannot())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find(user: &str, passwd: &str, group: &str) -> Result<Account, Trouble> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let mut account = find_user(user, passwd)?;
    match wanted_group {
        Some(wanted) => account.gid = find_group(wanted, group)?,
        None => account.groups = memberships(user, passwd, group),
    }
    Ok(account)
}

fn find_user(user: &str, passwd: &str) -> Result<Account, Trouble> {
    let number: Option<u32> = user.parse().ok();
    let account = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let matches = name == user || number == Some(uid);
        matches.then(|| Account { uid, gid, groups: Vec::new(), home: home.to_owned() })
    };
    match (passwd.lines().find_map(account), number) {
        (Some(account), _) => Ok(account),
        (None, Some(uid)) => Ok(Account { uid, gid: 0, groups: Vec::new(), home: "/".to_owned() }),
        (None, None) => Err(Trouble::input(
            format!("the root's /etc/passwd has no user `{user}`"),
            "use a number, or a user that the root filesystem has",
        )),
    }
}

fn find_group(wanted: &str, group: &str) -> Result<u32, Trouble> {
    if let Ok(number) = wanted.parse() {
        return Ok(number);
    }
    let found = group_lines(group).find(|(name, ..)| *name == wanted);
    found.map(|(_, gid, _)| gid).ok_or_else(|| {
        Trouble::input(
            format!("the root's /etc/group has no group `{wanted}`"),
            "use a number, or a group that the root filesystem has",
        )
    })
}

/// The groups that list the user as a member; a number stands for the name that passwd gives it.
fn memberships(user: &str, passwd: &str, group: &str) -> Vec<u32> {
    let by_number = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == user).then(|| name.to_owned())
    };
    let name = passwd.lines().find_map(by_number).unwrap_or_else(|| user.to_owned());
    group_lines(group)
        .filter(|(_, _, members)| members.split(',').any(|member| member == name))
        .map(|(_, gid, _)| gid)
        .collect()
}

/// Name, number, members.
fn group_lines(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or("")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbob:x:7:8:Bob:/home/bob:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nbobs:x:8:\nwheel:x:10:root,bob\n";

    fn check(user: &str, uid: u32, gid: u32, groups: &[u32], home: &str) {
        let expected = Account { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
        assert_eq!(find(user, PASSWD, GROUP), Ok(expected), "{user}");
    }

    #[test]
    fn every_spelling_of_a_user() {
        check("bob", 7, 8, &[10], "/home/bob");
        check("7", 7, 8, &[10], "/home/bob");
        check("bob:wheel", 7, 10, &[], "/home/bob");
        check("bob:3", 7, 3, &[], "/home/bob");
        check("99", 99, 0, &[], "/");
        check("99:98", 99, 98, &[], "/");
    }

    #[test]
    fn unknown_names_are_told() {
        for user in ["eve", "bob:eves"] {
            assert!(matches!(find(user, PASSWD, GROUP), Err(Trouble::Input { .. })), "{user}");
        }
    }
}
