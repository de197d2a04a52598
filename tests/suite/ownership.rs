//! A Debian changed by its own tools, as root and as an ordinary user who has one id, where roots are mounted and where
//! they are copied: equal trees but for files that hold times and chance, which are named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use memobuild::base::digest::BlobDigest;

use crate::apt::{Apt, is_long};
use crate::bases::debian;
use crate::places::{Disk, PLACES, Place, can_be_made};
use crate::space::{Space, run};

const ROOT: &str = "memobuild 1\ntree root { from scratch; extract \"./debian.tar\" to=\"/\"; }\n";

/// What `dpkg` and others note the time in, and what is made of chance. A star stands for the rest of a name.
const DIFFERS: [(&str, &str); 14] = [
    ("etc/ssh/ssh_host_*", "keys"),
    ("etc/ssl/certs/ssl-cert-snakeoil.pem", "a certificate"),
    ("etc/ssl/private/ssl-cert-snakeoil.key", "a key"),
    ("etc/shadow*", "the day of the last change"),
    ("var/cache/apt/pkgcache.bin", "times of files"),
    ("var/cache/apt/srcpkgcache.bin", "times of files"),
    ("var/cache/ldconfig/aux-cache", "times and inodes of libraries"),
    ("var/cache/man/*", "times of manual pages"),
    ("var/lib/dbus/machine-id", "chance"),
    ("var/lib/postgresql/15/main/*", "times, and the number of the cluster"),
    ("var/log/alternatives.log", "a log"),
    ("var/log/apt/*", "logs"),
    ("var/log/dpkg.log", "a log"),
    ("var/log/lastlog", "a log"),
];

fn may_differ(path: &str) -> bool {
    DIFFERS.iter().any(|(known, _)| match known.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == *known,
    })
}

/// All of an entry but its times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    kind: u8,
    mode: u32,
    owner: (u64, u64),
    link: String,
    device: Option<(u32, u32)>,
    attributes: Vec<(String, Vec<u8>)>,
    content: BlobDigest,
}

fn facts(archive: &Path) -> BTreeMap<String, Facts> {
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let attributes = entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap);
        let attributes = attributes.filter(|record| record.key().unwrap().contains("xattr"));
        let attributes = attributes
            .map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec()))
            .collect();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let link = entry.link_name().unwrap().map_or_else(String::new, |link| link.display().to_string());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let is_device = header.entry_type().is_block_special() || header.entry_type().is_character_special();
        let device = is_device.then(|| header.device_major().unwrap().zip(header.device_minor().unwrap()));
        let facts = Facts {
            kind: header.entry_type().as_byte(),
            mode: header.mode().unwrap(),
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            link,
            device: device.flatten(),
            attributes,
            content: BlobDigest::of(&content),
        };
        found.insert(path, facts);
    }
    found
}

/// Holds both trees against each other, entry by entry, and says which of the files that may differ do.
fn compare(one: &Path, other: &Path) {
    let (one, other) = (facts(one), facts(other));
    assert!(one.len() > 50, "{} entries", one.len());
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let (named, others): (Vec<_>, Vec<_>) = paths
        .into_iter()
        .filter(|path| one.get(*path) != other.get(*path))
        .partition(|path| may_differ(path));
    eprintln!("{} entries, of which differ as they may: {named:#?}", one.len());
    // Its owner and mode count all the same.
    let but_content = |facts: &Facts| Facts { content: BlobDigest::of(b""), ..facts.clone() };
    let differs = |path: &&&String| one.get(**path).map(but_content) != other.get(**path).map(but_content);
    let wrong = others.iter().chain(named.iter().filter(differs));
    let wrong: Vec<String> =
        wrong.map(|path| format!("{path}\n  {:?}\n  {:?}", one.get(*path), other.get(*path))).collect();
    assert!(wrong.is_empty(), "as root, and as a user:\n{}", wrong.join("\n"));
}

/// Builds `target` as root and as a user, with each kind of root, each in a store of its own, and compares.
fn check(text: &str, target: &str, files: &dyn Fn(&Space)) {
    check_with(&[], text, target, files);
}

/// The same, with variables for both builds.
fn check_with(variables: &[(String, String)], text: &str, target: &str, files: &dyn Fn(&Space)) {
    let (true, Some(debian)) = (can_be_made(), debian()) else { return };
    let is_meant = |place: &&Place| matches!(place.rung, Some("A" | "C" | "D"));
    let places = PLACES.iter().filter(is_meant).filter(|place| place.disk != Disk::Tmpfs);
    let mut archives = places.map(|place| {
        let space = place.space();
        fs::copy(&debian, space.file("debian.tar", "")).unwrap();
        space.file("memobuild.kdl", format!("{ROOT}{text}"));
        files(&space);
        let archive = space.path().join("after.tar");
        let destination = format!("tar:{}", archive.display());
        let began = Instant::now();
        let mut command =
            place.command(&space, &["build", target, "-o", &destination, "--progress", "plain"]);
        let ran = run(command.envs(variables.iter().cloned()));
        assert_eq!(ran.code, Some(0), "{place:?}: {}", ran.stderr);
        eprintln!("{place:?}: {:.1} s", began.elapsed().as_secs_f64());
        (space, archive)
    });
    let first = archives.next().unwrap();
    archives.for_each(|other| compare(&first.1, &other.1));
}

#[test]
fn what_tools_make_is_the_same_for_all() {
    check(TOOLS, "change.diff", &|space| drop(space.file("scripts/change", CHANGE)));
}

const TOOLS: &str = r##"
files scripts root="scripts"
run change { from root; mount scripts at="/scripts"; exec "/bin/sh" "-eu" "/scripts/change"; }
"##;

const CHANGE: &str = r##"
groupadd -g 700 ours; useradd -m -u 701 -g ours -G games bob
mkdir -p /srv/x; cp -a /etc/passwd /etc/shadow /srv/x; chgrp -R ours /srv/x; chown bob /srv/x/passwd
su bob -c 'id > ~/id; mkdir -p ~/a/b; touch ~/a/b/c; umask 077; echo > ~/private; ln -s a ~/link; (sleep 0.1; echo > ~/late) &'
su -s /bin/sh www-data -c 'id -un; id -Gn' > /srv/who
tar -C /srv -cf /srv/x.tar --mtime=@0 --sort=name --owner=55 --group=66 x
mkdir /srv/y; tar -C /srv/y --same-owner -xpf /srv/x.tar
install -o bob -g games -m 2775 -d /srv/z; touch /srv/z/f; mkdir /srv/z/d; cp -a /srv/x /srv/z
install -o 12 -g 13 -m 4755 /bin/true /srv/z/set-id; cp /srv/z/set-id /srv/z/plain; chown 0 /srv/z/set-id
setpriv --reuid 33 --regid 34 --clear-groups sh -c 'id; echo > /tmp/by33' > /srv/setpriv
setpriv --reuid 33 --regid 34 --groups 5,6 sh -c 'chgrp 5 /tmp/by33; chgrp 7 /tmp/by33 2> /dev/null || echo refused' > /srv/groups
perl -e '$> = 33; open F, ">/tmp/lent"; close F; $> = 0; open G, ">/tmp/back"; print "$< $> $( $)\n"' > /srv/perl
perl -e '$) = 9; $( = 9; ($<, $>) = (8, 8); print "$< $> $( $)\n"; print +($< = 0) ? "root\n" : "no\n"; print "$<\n"' > /srv/dropped
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/p /tmp/p/var/lib/p; echo text > /tmp/p/usr/share/p/file
chown 0:games /tmp/p/var/lib/p; chmod 2775 /tmp/p/var/lib/p
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: n <n@n.example>\nDescription: p\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\nset -e\nadduser --system --group --home /var/lib/p/home p 2>&1 > /dev/null\ntouch /var/lib/p/made\n' > /tmp/p/DEBIAN/postinst
printf 'chown p:p /usr/share/p/file\nchmod 4755 /usr/share/p/file\n' >> /tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst; dpkg-deb --build /tmp/p /tmp/p.deb > /dev/null; dpkg -i /tmp/p.deb > /dev/null
dpkg-statoverride --update --add bob ours 2711 /usr/share/p/file
cd /srv; find / -xdev \( ! -user 0 -o ! -group 0 \) -printf '%p %u:%g %m %y\n' | sort > /tmp/found; mv /tmp/found found
rm -rf /tmp/p /tmp/p.deb
"##;

/// A set of packages with services, accounts, set-id programs, capabilities and a compiler, downloaded once.
#[test]
fn packages_install_the_same_for_all() {
    if !is_long() {
        return;
    }
    let (Some(debian), Some(apt)) = (debian(), Apt::of_this_machine()) else { return };
    let store = Space::new();
    fs::copy(debian, store.file("debian.tar", "")).unwrap();
    apt.write(&store);
    store.file("memobuild.kdl", format!("{ROOT}{DOWNLOAD}"));
    let archives = store.path().join("archives");
    let destination = format!("files:{}", archives.display());
    let downloaded =
        run(store.command(&["build", "download.debs", "-o", &destination]).envs(apt.proxies.iter().cloned()));
    assert_eq!(downloaded.code, Some(0), "{}", downloaded.stderr);
    check(INSTALL, "after", &|space| {
        apt.write(space);
        for folder in ["lists", "packages"] {
            for entry in fs::read_dir(archives.join(folder)).unwrap().map(|entry| entry.unwrap()) {
                let name = format!("debs/{folder}/{}", entry.file_name().to_str().unwrap());
                fs::copy(entry.path(), space.file(&name, "")).unwrap();
            }
        }
    });
}

const DOWNLOAD: &str = r##"
files apt root="apt"
tree set-up { from root; copy apt to="/etc/apt"; }
run download {
    from set-up
    network host
    sh """
    apt-get update -q
    apt-get install -dqy --no-install-recommends postgresql openssh-server exim4-daemon-light iputils-ping man-db cron build-essential rsyslog dbus python3 nginx-light
    mkdir /out/lists /out/packages; cp /var/lib/apt/lists/*Packages* /out/lists; cp /var/cache/apt/archives/*.deb /out/packages
    """
    output debs "/out"
}
"##;

const INSTALL: &str = r##"
files debs root="debs"
files apt root="apt"
tree set-up { from root; copy apt to="/etc/apt"; }
run change {
    from set-up
    env DEBIAN_FRONTEND="noninteractive"
    mount debs at="/debs"
    sh """
    cp /debs/lists/* /var/lib/apt/lists/; cp /debs/packages/* /var/cache/apt/archives/
    apt-get install --allow-unauthenticated -qy --no-install-recommends postgresql openssh-server exim4-daemon-light iputils-ping man-db cron build-essential rsyslog dbus python3 nginx-light
    rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*Packages*
    """
}
tree after { from change; }
"##;

/// What the issue of this test asks for: signatures checked, packages fetched by apt's own user, through the proxy.
#[test]
fn packages_install_through_the_proxy_the_same_for_all() {
    if !is_long() {
        return;
    }
    let Some(apt) = Apt::of_this_machine() else { return };
    let text = INSTALL_THROUGH_THE_PROXY.replace("HOSTS", &apt.hosts());
    check_with(&apt.proxies, &text, "after", &|space| apt.write(space));
}

const INSTALL_THROUGH_THE_PROXY: &str = r##"
files apt root="apt"
tree set-up { from root; copy apt to="/etc/apt"; }
run change {
    from set-up
    network
    env DEBIAN_FRONTEND="noninteractive"
    sh "apt-get update; apt-get install -y build-essential"
}
tree after { from change; }
workspace debian { policy { network HOSTS; }; }
"##;
