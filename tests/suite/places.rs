//! Places that a build may find itself in, made on this machine: with other rights, other system calls, another
//! filesystem below the store. The binary runs there for real.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use crate::skipped::skipped;
use crate::space::{BINARY, Space, User, have, is_root};

/// What may be done in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// What the tests have.
    Own,
    /// An ordinary user's.
    User,
    /// An ordinary user's who has a range of ids.
    Range,
    /// Root's in a container, as Docker makes it when nobody says anything.
    Container,
    /// Root's that may do nothing, nor make a namespace.
    Nothing,
}

/// What the store lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// What the tests have.
    Own,
    Tmpfs,
    /// As in a container, where nothing else is mounted.
    Overlay,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) rights: Rights,
    pub(crate) disk: Disk,
    /// What `doctor` must find; `None` where nothing may run.
    pub(crate) rung: Option<&'static str>,
}

/// Of all of them, where root runs the tests.
pub(crate) const PLACES: [Place; 10] = [
    place(Rights::Own, Disk::Own, Some("A")),
    place(Rights::Own, Disk::Tmpfs, Some("A")),
    place(Rights::Own, Disk::Overlay, Some("D")),
    place(Rights::Range, Disk::Own, Some("B")),
    place(Rights::User, Disk::Own, Some("C")),
    place(Rights::User, Disk::Overlay, Some("D")),
    place(Rights::Container, Disk::Own, Some("E")),
    place(Rights::Container, Disk::Tmpfs, Some("E")),
    place(Rights::Container, Disk::Overlay, Some("E")),
    place(Rights::Nothing, Disk::Own, None),
];

const fn place(rights: Rights, disk: Disk, rung: Option<&'static str>) -> Place {
    Place { rights, disk, rung }
}

/// Nobody: an ordinary user, and one that has a name, which ranges are given to.
const ID: u32 = 65_534;

/// Docker's default set (moby, oci/caps/defaults.go).
const CAPABILITIES: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                            +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/// Whether this machine can make such places. Tells on stderr where not.
pub(crate) fn can_be_made() -> bool {
    if !is_root() {
        skipped("only root can make other places");
        return false;
    }
    have(&["setpriv", "unshare", "mount", "newuidmap", "busybox"])
}

/// Beside where the tests are, one on each rung that root can go to without being somebody else.
pub(crate) fn roots_places() -> Vec<Option<Place>> {
    if !is_root() || !can_be_made() {
        return vec![None];
    }
    let other = |place: &&Place| matches!(place.rights, Rights::Own | Rights::Container);
    let of = |rung| PLACES.iter().filter(other).find(|place| place.rung == Some(rung)).copied();
    vec![None, of("D"), of("E")]
}

/// The command as it is given there, or where the tests are.
pub(crate) fn command_at(place: Option<Place>, space: &Space, arguments: &[&str]) -> Command {
    match place {
        Some(place) => place.command(space, arguments),
        None => space.command(arguments),
    }
}

/// The store's folder as those outside see it, who have none of the place's own mounts.
pub(crate) fn store_at(place: Option<Place>, space: &Space) -> PathBuf {
    match place {
        Some(Place { disk: Disk::Overlay, .. }) => space.path().join("disk/upper"),
        _ => space.store(),
    }
}

impl Place {
    /// A space whose files belong to whoever builds there.
    pub(crate) fn space(&self) -> Space {
        match self.rights {
            Rights::User | Rights::Range => Space::of(User::Id(ID)),
            _ => Space::new(),
        }
    }

    /// The command as it is given in this place.
    pub(crate) fn command(&self, space: &Space, arguments: &[&str]) -> Command {
        let plain = space.command(arguments);
        let mut words: Vec<String> = self.mounts(space);
        words.extend(self.drop_rights());
        words.push(BINARY.to_owned());
        let arguments = plain.get_args().skip_while(|argument| *argument != "-C");
        words.extend(arguments.map(|argument| argument.to_str().unwrap().to_owned()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(space.path()).stdin(std::process::Stdio::null());
        let variables: BTreeMap<_, _> = plain.get_envs().collect();
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if self.rights == Rights::Container {
            let filters = container_filters();
            let install = move || {
                let installed = filters.iter().try_for_each(|filter| apply_filter(filter));
                installed.map_err(|_| std::io::ErrorKind::Other.into())
            };
            // SAFETY: between fork and exec, a few system calls and nothing else.
            unsafe { command.pre_exec(install) };
        }
        command
    }

    /// Mounts of its own, in a namespace of its own. The filter of a container allows none, so they come before it.
    fn mounts(&self, space: &Space) -> Vec<String> {
        let disk = space.path().join("disk");
        let store = space.store();
        let owner = match self.rights {
            Rights::User | Rights::Range => format!("chown {ID}:{ID} {} && ", store.display()),
            _ => String::new(),
        };
        fs::create_dir_all(&store).unwrap();
        let mount = match self.disk {
            Disk::Own => String::new(),
            Disk::Tmpfs => format!("busybox mount -t tmpfs none {} && ", store.display()),
            Disk::Overlay => {
                for name in ["lower", "upper", "work"] {
                    fs::create_dir_all(disk.join(name)).unwrap();
                }
                let at = |name: &str| disk.join(name).display().to_string();
                format!(
                    "busybox mount -t overlay none -o lowerdir={},upperdir={},workdir={} {} && ",
                    at("lower"),
                    at("upper"),
                    at("work"),
                    store.display()
                )
            }
        };
        let ranges = match self.rights {
            Rights::Range => {
                let ranges = space.path().join("ranges");
                fs::write(&ranges, format!("{ID}:200000:65536\n")).unwrap();
                let bind = |file: &str| format!("busybox mount --bind {} {file} && ", ranges.display());
                bind("/etc/subuid") + &bind("/etc/subgid")
            }
            _ => String::new(),
        };
        let script = format!("{mount}{owner}{ranges}exec \"$@\"");
        ["unshare", "--mount", "/bin/sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
    }

    fn drop_rights(&self) -> Vec<String> {
        let id = ID.to_string();
        let words: Vec<&str> = match self.rights {
            Rights::Own => vec![],
            Rights::User | Rights::Range => {
                vec!["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"]
            }
            Rights::Container => vec!["setpriv", "--bounding-set", CAPABILITIES, "--"],
            Rights::Nothing => {
                let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all \
                              --inh-caps=-all --no-new-privs -- \"$@\"";
                vec!["unshare", "--user", "--map-root-user", "--", "/bin/sh", "-c", script, "sh"]
            }
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

/// What Docker's own filter refuses to who has no CAP_SYS_ADMIN. Plain mounts and mount namespaces are refused by that
/// alone: so the shell that sets the place up may still make them.
fn container_filters() -> [BpfProgram; 2] {
    let refused = [
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_setns,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_fsconfig,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_mount_setattr,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        refused.into_iter().map(|call| (call, Vec::new())).collect();
    let with = |argument: u8, flag: i32| {
        let flag = flag as u64;
        let condition =
            SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag);
        SeccompRule::new(vec![condition.unwrap()]).unwrap()
    };
    let namespaces = [libc::CLONE_NEWUSER, libc::CLONE_NEWPID, libc::CLONE_NEWNET, libc::CLONE_NEWIPC];
    rules.insert(libc::SYS_clone, namespaces.map(|flag| with(0, flag)).to_vec());
    rules.insert(libc::SYS_unshare, namespaces.map(|flag| with(0, flag)).to_vec());
    let program = |rules, error: i32| -> BpfProgram {
        let refuse = SeccompAction::Errno(error as u32);
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).unwrap().try_into().unwrap()
    };
    // So that libraries use the older call, whose flags a filter can see.
    let newer = [(libc::SYS_clone3, Vec::new())].into();
    [program(rules, libc::EPERM), program(newer, libc::ENOSYS)]
}

/// The digest of what an image layout holds.
pub(crate) fn digest_of(layout: &Path) -> String {
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}
