//! `ssh` lines: runs use the keys of a real ssh agent, and do nothing else with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::programs::{MACHINE_ROOT, machine_root};
use crate::space::{Ran, Space, User, have, is_root, ordinary_user, run};

/// An agent of the space's user that has one key. Ends with the test.
struct Agent {
    process: Child,
    socket: PathBuf,
    /// As `ssh-add -L` shows it.
    key: String,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn as_user(user: User, program: &str) -> Command {
    match user {
        User::Current => Command::new(program),
        User::Id(id) => {
            let mut command = Command::new("setpriv");
            let id = id.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", program]);
            command
        }
    }
}

impl Agent {
    /// Root may speak to anybody's.
    fn start(space: &Space, user: User, name: &str) -> Agent {
        let socket = space.path().join(name);
        let key = space.path().join(format!("{name}.key"));
        let quiet = |command: &mut Command| {
            let ran = run(command);
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        };
        quiet(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key));
        let mut command = as_user(user, "ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let began = Instant::now();
        while !socket.exists() {
            assert!(began.elapsed() < Duration::from_secs(10), "no agent");
            sleep(Duration::from_millis(10));
        }
        let agent =
            Agent { process, key: fs::read_to_string(key.with_extension("key.pub")).unwrap(), socket };
        quiet(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &agent.socket));
        // Whoever signs has it from the agent.
        fs::remove_file(&key).unwrap();
        agent
    }
}

/// `root` has the tools, and somebody to be.
fn space(user: User, nodes: &str) -> Option<Space> {
    let space = Space::of(user);
    if !have(&["ssh-agent"]) || !machine_root(&space, &["ssh-add", "ssh-keygen"]) {
        return None;
    }
    space.file("machine/etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:7:8::/tmp:/bin/sh\n");
    let people = "tree people { from root; dir \"/out\" mode=0o777; }\n";
    space.file("memobuild.kdl", format!("{MACHINE_ROOT}{people}{nodes}"));
    Some(space)
}

fn build(space: &Space, socket: Option<&PathBuf>, arguments: &[&str]) -> Ran {
    let mut command = space.command(&["build", "--progress", "plain"]);
    command.args(arguments).env_remove("SSH_AUTH_SOCK");
    run(command.envs(socket.map(|socket| ("SSH_AUTH_SOCK", socket))))
}

#[test]
fn keys_sign_and_stay() {
    let nodes = r##"
run signs {
    from people
    ssh
    user "USER"
    sh "/tool"
    output out "/out"
}
"##;
    let lines = [
        "#!/bin/sh -e",
        "umask 077; cd /out",
        "ssh-add -L > keys; cp keys key.pub; echo text > text",
        "ssh-keygen -q -Y sign -n file -f key.pub text",
        "ssh-add -D && echo REMOVED; ssh-add -x </dev/null && echo LOCKED",
        "busybox stat -c '%a %u' $SSH_AUTH_SOCK > whose; busybox ls /run/ssh-agent > names",
        "busybox rm -f $SSH_AUTH_SOCK || true",
    ];
    for user in [Some(User::Current), ordinary_user()].into_iter().flatten() {
        // Where there is more than one id.
        let (name, id) = if user == User::Current && is_root() { ("bob", 7) } else { ("root", 0) };
        let Some(space) = space(user, &nodes.replace("USER", name)) else { return };
        let file = space.file("machine/tool", lines.join("\n"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        let agent = Agent::start(&space, user, "agent");
        let ran = build(&space, Some(&agent.socket), &["signs", "-o", "signs.out=files:out"]);
        assert_eq!(ran.code, Some(0), "{user:?}\n{}", ran.stderr);
        assert!(!ran.stderr.contains("REMOVED") && !ran.stderr.contains("LOCKED"), "{}", ran.stderr);
        let out = |name: &str| fs::read_to_string(space.path().join("out").join(name)).unwrap();
        assert_eq!(out("keys"), agent.key);
        assert_eq!(out("names"), "default\n");
        assert_eq!(out("whose"), format!("600 {id}\n"));
        let signers = space.path().join("signers");
        fs::write(&signers, format!("me {}", agent.key)).unwrap();
        let mut verify = Command::new("ssh-keygen");
        verify.args(["-Y", "verify", "-I", "me", "-n", "file", "-f"]).arg(&signers).arg("-s");
        verify.arg(space.path().join("out/text.sig"));
        verify.stdin(fs::File::open(space.path().join("out/text")).unwrap());
        assert_eq!(run(&mut verify).code, Some(0));
        // They are all still there.
        let mut list = Command::new("ssh-add");
        assert_eq!(run(list.arg("-L").env("SSH_AUTH_SOCK", &agent.socket)).stdout, agent.key);
        assert_eq!(fs::read_dir(space.store().join("work")).unwrap().count(), 0);
    }
}

#[test]
fn agents_have_names() {
    let nodes = r##"
run both { from people; ssh work; ssh; sh "ssh-add -L > /keys; SSH_AUTH_SOCK=/run/ssh-agent/default ssh-add -L >> /keys"; output keys "/keys" type=file; }
"##;
    let Some(space) = space(User::Current, nodes) else { return };
    let [one, other] = ["one", "other"].map(|name| Agent::start(&space, User::Current, name));
    let asked = |agent: &Agent, name: &str| format!("{name}={}", agent.socket.display());
    let ran = build(
        &space,
        None,
        &[
            "both",
            "-o",
            "both.keys=files:out",
            "--ssh",
            &asked(&one, "work"),
            "--ssh",
            &asked(&other, "default"),
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(space.path().join("out")).unwrap(), format!("{}{}", one.key, other.key));
}

#[test]
fn without_an_agent_it_says_what_to_do() {
    let nodes = r##"
run plain { from people; ssh; sh "true"; }
run named { from people; ssh work; sh "true"; }
"##;
    let Some(space) = space(User::Current, nodes) else { return };
    let gone = space.path().join("gone");
    for (target, socket, arguments, code, told) in [
        ("plain", None, &[][..], 3, "SSH_AUTH_SOCK is not set"),
        ("named", None, &[], 3, "name its socket: --ssh work=SOCKET"),
        ("plain", Some(&gone), &[], 3, "does not answer at"),
        ("plain", None, &["--ssh", "default"], 2, "write --ssh NAME=SOCKET"),
    ] {
        let mut all = vec![target];
        all.extend(arguments);
        let ran = build(&space, socket, &all);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(told) && ran.stderr.contains("help: "), "{}", ran.stderr);
    }
    // What was built before needs none.
    let agent = Agent::start(&space, User::Current, "agent");
    assert_eq!(build(&space, Some(&agent.socket), &["plain"]).code, Some(0));
    assert_eq!(build(&space, None, &["plain"]).code, Some(0));
}
