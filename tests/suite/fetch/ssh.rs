//! A commit over ssh, from a server that the test starts on loopback, with keys of its own. How it is reached is said
//! where users say it: in git's own configuration.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::fetch::git::{Origin, built};
use crate::skipped::skipped;
use crate::space::{Space, have, is_root, tool};

struct Sshd {
    process: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `None`, aloud, where none can be started.
fn start(folder: &Path) -> Option<Sshd> {
    let program = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).is_file());
    let Some(program) = program.filter(|_| have(&["ssh", "ssh-keygen"])) else {
        skipped("`sshd` is not installed");
        return None;
    };
    for key in ["host", "user"] {
        let path = folder.join(key).display().to_string();
        tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path]);
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = folder.display();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\n\
         PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    );
    fs::write(folder.join("sshd_config"), config).unwrap();
    // Debian's own start makes it; sshd leaves its rights behind there.
    if is_root() && fs::create_dir_all("/run/sshd").is_err() {
        skipped("there is no folder for sshd to be powerless in");
        return None;
    }
    let mut command = Command::new(program);
    command.args(["-D", "-f"]).arg(folder.join("sshd_config")).stdin(Stdio::null()).stderr(Stdio::null());
    let sshd = Sshd { process: command.spawn().unwrap(), port };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(sshd);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    skipped("`sshd` does not start");
    None
}

/// Locked accounts may not, whatever their keys.
fn may_log_in(keys: &Path, port: u16) -> bool {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-o", "BatchMode=yes", "-p", &port.to_string(), "-i"]).arg(keys.join("user"));
    command.arg("-o").arg(format!("UserKnownHostsFile={}", keys.join("known").display()));
    let ran = command.args(["127.0.0.1", "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    ran.unwrap().success()
}

#[test]
fn a_commit_over_ssh() {
    if !have(&["git"]) {
        return;
    }
    let space = Space::new();
    let keys = space.path().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    let Some(sshd) = start(&keys) else { return };
    let origin = Origin::new(&space, "a.git");
    origin.commit("word", "over ssh");
    let url = format!("ssh://127.0.0.1:{}{}", sshd.port, origin.0.display());
    let ssh = |known: &str| {
        let (at, known) = (keys.display(), keys.join(known).display().to_string());
        let config = format!(
            "[core]\n\tsshCommand = ssh -F none -i {at}/user -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=none\n"
        );
        fs::write(space.path().join(".gitconfig"), config).unwrap();
    };
    ssh("nobody");
    space.file("memobuild.kdl", format!("memobuild 1\ngit file \"{url}\"\ndefault file\n"));
    let ran = space.run(&["build"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("ssh does not know the host of ssh://127.0.0.1"), "{}", ran.stderr);
    let host = fs::read_to_string(keys.join("host.pub")).unwrap();
    fs::write(keys.join("known"), format!("[127.0.0.1]:{} {host}", sshd.port)).unwrap();
    ssh("known");
    if !may_log_in(&keys, sshd.port) {
        return skipped("this account may not log in over ssh");
    }
    let out = built(&space, &format!("git file \"{url}\""));
    assert_eq!(fs::read_to_string(out.join("word")).unwrap(), "over ssh");
}
