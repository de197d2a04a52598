//! Whatever a run does to files goes whole into the image: removed, replaced, linked, odd ones.

use crate::skipped::skipped;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::space::{BUSYBOX_ROOT, Space, User, busybox_root, can_run, have, is_root, ordinary_user, run};

const STORY: &str = r##"
tree base {
    from root
    file "/x/stays" "stays"
    file "/x/gone" "gone"
    file "/x/gone-folder/deep/file" "gone"
    file "/x/file-to-folder" "file"
    file "/x/folder-to-file/old" "old"
    file "/x/made-again/old" "old"
    file "/x/made-again/below/old" "old"
    file "/x/link-to-file" "file"
    file "/x/with-mode" "content" mode=0o640
    symlink "/x/file-to-link" target="stays"
    dir "/x/keeps-mode" mode=0o1777
}
run change {
    from base
    mount "./change.sh" at="/change.sh"
    exec "/bin/sh" "-e" "/change.sh"
}
run after {
    from change
    mount "./list.sh" at="/list.sh"
    exec "/bin/sh" "-e" "-c" "/bin/sh -e /list.sh /x > /seen/list"
    output seen "/seen"
}
image all { from change; }
tree out { copy after.seen to="/"; }
group both all out
default both
"##;

const CHANGE: &str = r##"
PATH=/bin
busybox mkdir -p /x
cd /x
busybox rm gone
busybox rm -r gone-folder
busybox rm file-to-folder
busybox mkdir file-to-folder
echo new > file-to-folder/new
busybox rm -r folder-to-file
echo new > folder-to-file
busybox rm -r made-again
busybox mkdir -p made-again/below
echo new > made-again/new
busybox rm link-to-file
busybox ln -s ../x/stays link-to-file
busybox rm file-to-link
echo new > file-to-link
echo more >> with-mode
echo one > hard-one
busybox ln hard-one hard-two
busybox mkdir linked
busybox ln hard-one linked/hard-three
busybox ln stays stays-too
busybox mkfifo -m 0620 fifo
echo program > setuid
busybox chmod 6755 setuid
busybox chmod 0700 keeps-mode
busybox mkdir sticky
busybox chmod 3770 sticky
echo odd > "$(busybox printf 'not \377 text')"
echo odd > "$(busybox printf 'line\nbreak')"
name=$(busybox printf '%0255d' 7)
echo long > $name
: > empty
busybox truncate -s 3M sparse
"##;

/// Names, types, modes, owners, links and contents; sizes and times of folders are the filesystem's affair.
const LIST: &str = r##"
PATH=/bin
cd $1
busybox find . -type d -exec busybox stat -c '%n %f %u %g' {} + | busybox sort
busybox find . ! -type d -exec busybox stat -c '%N %f %u %g %h %s' {} + | busybox sort
busybox find . -type f -exec busybox sha256sum {} + | busybox sort
"##;

fn built(user: User) -> Option<Space> {
    let space = Space::of(user);
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{STORY}"));
        space.file("change.sh", CHANGE);
        space.file("list.sh", LIST);
        space.ok(&["build", "both", "--progress", "plain"]);
        space.ok(&["build", "out", "-o", "files:out"]);
        space.ok(&["build", "all", "-o", "oci:image:v1", "-o", "oci-archive:image.tar"]);
        space
    })
}

fn list(folder: &Path) -> Vec<u8> {
    let output = Command::new("busybox")
        .args(["sh", "-e", "-c", &LIST.replace("PATH=/bin\n", ""), "sh"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The root filesystem of the image, as another program unpacks it.
fn unpacked(space: &Space) -> Option<PathBuf> {
    if !is_root() || !have(&["umoci"]) {
        return None;
    }
    let bundle = space.path().join("bundle");
    let image = format!("{}:v1", space.path().join("image").display());
    let unpacked = run(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle));
    assert_eq!(unpacked.code, Some(0), "{}", unpacked.stderr);
    Some(bundle.join("rootfs"))
}

#[test]
fn what_a_run_did_is_what_the_next_one_and_the_image_have() {
    let Some(space) = built(User::Current) else { return };
    let seen = fs::read(space.path().join("out/list")).unwrap();
    let text = String::from_utf8_lossy(&seen);
    for wanted in
        ["hard-one 81a4 0 0 3 4", "stays-too 81a4 0 0 2 5", "fifo 1190 0 0 1 0", "setuid 8ded 0 0 1 8"]
    {
        assert!(text.contains(wanted), "no {wanted} in:\n{text}");
    }
    for gone in ["/gone", "/old"] {
        assert!(!text.contains(gone), "{gone} in:\n{text}");
    }
    let Some(rootfs) = unpacked(&space) else { return };
    let unpacked = list(&rootfs.join("x"));
    assert_eq!(String::from_utf8_lossy(&unpacked), text);
    assert_eq!(unpacked, seen);
}

#[test]
fn users_build_the_same_odd_image() {
    let Some(user) = ordinary_user() else { return };
    let Some(one) = built(User::Current) else { return };
    let Some(other) = built(user) else { return };
    for file in ["image/index.json", "out/list"] {
        let of =
            |space: &Space| String::from_utf8_lossy(&fs::read(space.path().join(file)).unwrap()).into_owned();
        assert_eq!(of(&one), of(&other), "{file}");
    }
}

const NOTED: &str = r##"memobuild 1
run note {
    from host
    exec "/usr/bin/python3" "-S" "-c" "import os; open('/out/file', 'w'); os.setxattr('/out/file', 'user.note', b'seen'); os.mkdir('/out/folder'); os.setxattr('/out/folder', 'user.note', b'also')"
    output out "/out"
}
tree root { from scratch; copy note.out to="/"; }
run look {
    from host
    mount note.out at="/noted"
    exec "/usr/bin/python3" "-S" "-c" "import os; assert os.getxattr('/noted/file', 'user.note') == b'seen', 1; assert os.getxattr('/noted/folder', 'user.note') == b'also'"
    output nothing "/nothing"
}
image all { from root; }
group both all look.nothing
default both
"##;

#[test]
fn attributes_travel() {
    if !Path::new("/usr/bin/python3").exists() || !can_run() {
        skipped("no /usr/bin/python3 that could set attributes");
        return;
    }
    let mut digests = Vec::new();
    for user in [Some(User::Current), ordinary_user()].into_iter().flatten() {
        let space = Space::of(user);
        space.file("memobuild.kdl", NOTED);
        space.ok(&["build"]);
        space.ok(&["build", "all", "-o", "oci:image:v1"]);
        digests.push(fs::read_to_string(space.path().join("image/index.json")).unwrap());
        let Some(rootfs) = unpacked(&space) else { continue };
        for (name, expected) in [("file", b"seen"), ("folder", b"also")] {
            let mut value = [0; 8];
            let length = rustix::fs::getxattr(rootfs.join(name), "user.note", &mut value[..]).unwrap();
            assert_eq!(&value[..length], expected);
        }
    }
    digests.dedup();
    assert!(digests.len() <= 1, "{digests:?}");
}

/// More layers than an overlay takes well: the lowest ones are merged.
#[test]
fn a_root_may_have_many_layers() {
    for user in [Some(User::Current), ordinary_user()].into_iter().flatten() {
        let space = Space::of(user);
        if !busybox_root(&space) {
            return;
        }
        let mut text =
            format!("{BUSYBOX_ROOT}tree n0 {{ from root; file \"/n/0\" \"0\"; file \"/same\" \"0\"; }}\n");
        for number in 1..90 {
            let below = number - 1;
            text += &format!(
                "tree n{number} {{ from n{below}; remove \"n/{below}\"; file \"/n/{number}\" \"x\"; file \"/same\" \"{number}\"; }}\n"
            );
        }
        let last = "run last { from n89; sh \"ls /n > /seen; cat /same >> /seen; echo x > /n/run\"; output seen \"/seen\" type=file; }\n";
        let out = "tree out { copy last.seen to=\"/seen\"; copy last path=\"n\" to=\"/n\"; }\ndefault out\n";
        space.file("memobuild.kdl", text + last + out);
        space.ok(&["build", "-o", "files:out"]);
        assert_eq!(fs::read_to_string(space.path().join("out/seen")).unwrap(), "89\n89");
        let mut names: Vec<_> = fs::read_dir(space.path().join("out/n"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["89", "run"]);
    }
}
