//! What a run sees and can change, told by the binary: as root and as an ordinary user, with an untidy caller.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::space::{BUSYBOX_ROOT, Space, User, busybox_root, ordinary_user, run};

fn spaces() -> Vec<Space> {
    let users = [Some(User::Current), ordinary_user()];
    let spaces = users.into_iter().flatten().map(Space::of);
    spaces.filter(busybox_root).collect()
}

/// What the node `look` wrote to `/seen`; it stands on `from`, with more lines in its body.
fn look(space: &Space, from: &str, lines: &str, script: &str) -> String {
    space.file("look.sh", script);
    space.file(
        "memobuild.kdl",
        format!(
            "{BUSYBOX_ROOT}
run look {{
    from {from}
    {lines}
    mount \"./look.sh\" at=\"/look.sh\" access=ro
    exec \"/bin/sh\" \"-c\" \". /look.sh > /seen 2>&1\"
    output seen \"/seen\" type=file
}}
tree out {{ copy look.seen to=\"/seen\"; }}
default out
"
        ),
    );
    space.ok(&["build", "-o", "files:out"]);
    fs::read_to_string(space.path().join("out/seen")).unwrap()
}

#[test]
fn what_is_not_declared_is_not_there() {
    for space in spaces() {
        space.file("undeclared", "x");
        let home = std::env::var("HOME").unwrap_or_default();
        let places = [
            space.workspace().join("undeclared"),
            space.store(),
            space.path().to_owned(),
            "/home/".into(),
            "/root/.profile".into(),
            "/etc/shadow".into(),
            "/var/run".into(),
            "/sys/kernel".into(),
            "/proc/1/root/etc".into(),
            home.into(),
        ];
        let tests = places.map(|place| format!("if test -e {0}; then echo {0}; fi\n", place.display()));
        for from in ["root", "host"] {
            // A run as root has a home, which is `/root`, empty.
            let script = format!("{}ls -A /tmp; ls -A /root 2>/dev/null || true", tests.concat());
            let seen = look(&space, from, "", &script);
            let seen: Vec<_> = seen.lines().filter(|line| !matches!(*line, "/root")).collect();
            assert_eq!(seen, [""; 0], "on {from}");
        }
        let listing = look(&space, "root", "", "ls /");
        assert_eq!(
            listing.split_whitespace().collect::<Vec<_>>(),
            ["bin", "dev", "etc", "look.sh", "proc", "seen", "tmp"]
        );
    }
}

/// Neither the caller's variables, descriptors, umask nor standard input reach a command.
///
/// CVE class: leaked variables and descriptors (CVE-2024-21626).
#[test]
fn surroundings_are_the_same_for_untidy_callers() {
    for space in spaces() {
        let script = "/bin/busybox env | /bin/busybox sort; umask; /bin/busybox hostname; \
                      /bin/busybox readlink /proc/$$/fd/0; /bin/busybox ls /proc/self/fd; /bin/busybox wc -c; \
                      /bin/busybox id -u; pwd; echo made > /made; stat -c %a /made";
        look(&space, "root", "", script);
        // Once more, as somebody who has left things open.
        fs::remove_dir_all(space.path().join("out")).unwrap();
        fs::remove_dir_all(space.store()).unwrap();
        let plain = space.command(&["build", "-o", "files:out"]);
        let mut shell = Command::new("sh");
        let opened = "exec 3</etc/passwd 7</etc/passwd 9>/dev/null; umask 0; exec \"$@\"";
        shell.args(["-c", opened, "sh"]).arg(plain.get_program()).args(plain.get_args());
        shell.current_dir(space.path()).env("SECRET", "s").env("LD_PRELOAD", "").env("TZ", "Asia/Tokyo");
        let input = fs::File::open(space.workspace().join("busybox")).unwrap();
        let ran = run(shell.stdin(Stdio::from(input)));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let seen = fs::read_to_string(space.path().join("out/seen")).unwrap();
        let seen: Vec<_> = seen.lines().filter(|line| !line.starts_with("SHLVL=")).collect();
        let expected = [
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/",
            "SOURCE_DATE_EPOCH=315532800",
            "TZ=UTC",
            "0022",
            "build",
            "/dev/null",
            // The last one is the listing's own.
            "0",
            "1",
            "2",
            "3",
            // Bytes on standard input, then the user.
            "0",
            "0",
            "/",
            "644",
        ];
        assert_eq!(seen, expected);
    }
}

#[test]
fn servers_and_processes_of_the_machine_are_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut sleeper = Command::new("sleep").arg("98.7654321").spawn().unwrap();
    for space in spaces() {
        for from in ["root", "host"] {
            let busybox = "mount \"./busybox\" at=\"/busybox\" access=ro";
            let script = format!(
                "/busybox nc -w 1 127.0.0.1 {port} < /dev/null && echo reached
                 /busybox cat /proc/[0-9]*/cmdline | /busybox grep -c 98.765432[1]
                 /busybox kill -0 {} && echo alive; true",
                sleeper.id()
            );
            let seen = look(&space, from, busybox, &script);
            assert!(!seen.contains("reached") && !seen.contains("alive"), "on {from}: {seen}");
            assert!(seen.contains("refused") && seen.lines().any(|line| line == "0"), "on {from}: {seen}");
        }
    }
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody came");
}

const VANDAL: &str = r##"
files source { include "in/**"; }
run make { from root; sh "mkdir /made/sub; echo made > /made/sub/file"; output made "/made"; }
run vandal {
    from root
    mount source at="/ro" access=ro
    mount source at="/cow"
    mount make.made at="/made"
    mount "./in/one" at="/single"
    sh #"""
    for file in /ro/in/one /cow/in/one /made/sub/file /single /bin/busybox; do
        (echo x >> $file; : > $file; chmod 777 $file; /bin/busybox ln $file $file-link
         /bin/busybox mv $file $file-moved; /bin/busybox rm -f $file) 2> /dev/null || true
    done
    """#
    sh "true" 
}
run witness {
    from root
    mount source at="/ro" access=ro
    mount source at="/cow"
    mount make.made at="/made"
    mount "./in/one" at="/single"
    sh "cat /ro/in/one /cow/in/one /made/sub/file /single > /seen; stat -c '%a %h %s' /ro/in/one /cow/in/one /made/sub/file /bin/busybox >> /seen"
    output seen "/seen" type=file
}
tree out { copy witness.seen to="/seen"; copy make.made to="/"; }
"##;

#[test]
fn vandals_change_nothing_for_others() {
    for space in spaces() {
        // The last thing the vandal removes is its own shell.
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{}", VANDAL.replace("    sh \"true\" \n", "")));
        space.file("in/one", "one\n");
        space.ok(&["build", "vandal"]);
        space.ok(&["build", "out", "-o", "files:out"]);
        let seen = fs::read_to_string(space.path().join("out/seen")).unwrap();
        let busybox = fs::metadata(space.workspace().join("busybox")).unwrap().len();
        assert_eq!(seen, format!("one\none\nmade\none\n644 1 4\n644 1 4\n644 1 5\n755 1 {busybox}\n"));
        space.ok(&["cache", "verify"]);
        assert_eq!(fs::read_to_string(space.workspace().join("in/one")).unwrap(), "one\n");
    }
}

/// Users who are not root see the machine's programs as somebody else's; what they copy is the same.
#[test]
fn copies_of_host_programs_are_the_same_for_all() {
    let mut digests = Vec::new();
    for space in spaces() {
        space.file(
            "memobuild.kdl",
            "memobuild 1
run copy { from host; sh \"cp -a /usr/bin/env /bin/cat /usr/bin/awk /bin/su /usr/bin/passwd /out/\"; output out \"/out\"; }
image all { from scratch; copy copy.out to=\"/\"; }
",
        );
        space.ok(&["build", "-o", "oci:image"]);
        digests.push(fs::read_to_string(space.path().join("image/index.json")).unwrap());
    }
    digests.dedup();
    assert!(digests.len() <= 1, "{digests:?}");
}
