//! `memobuild shell` and `memobuild run`: with pipes, and at a terminal that the test has the other side of.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::space::{BUSYBOX_ROOT, Ran, Space, busybox_root, can_run, run};

const NODES: &str = r#"
run base { from root; sh "echo base > /base"; }
run node {
    from base
    mount "./src" at="/src"
    env WORD="from the node"
    workdir "/work"
    hostname "there"
    tmpfs "/scratch"
    sh "echo first > /first"
    sh "echo second > /second; exit 4"
    sh "echo third > /third"
    output out "/out"
}
image app {
    from base
    env GREETING="hello"
    workdir "/work"
    entrypoint "/bin/sh" "-c"
    cmd "echo $GREETING from $PWD; exit 5"
}
image polite {
    from base
    entrypoint "/bin/sh" "-c" "trap 'echo told; exit 9' USR1; echo ready; while true; do sleep 0.1; done"
    stop-signal "SIGUSR1"
}
"#;

fn space() -> Option<Space> {
    let space = Space::new();
    if !busybox_root(&space) || !can_run() {
        return None;
    }
    Some(with_nodes(space))
}

fn with_nodes(space: Space) -> Space {
    space.file("memobuild.kdl", BUSYBOX_ROOT.to_owned() + NODES);
    space.file("src/file", "source\n");
    space
}

fn sh(space: &Space, arguments: &[&str], script: &str) -> Ran {
    space.run(&[arguments, &["--", "/bin/sh", "-c", script]].concat())
}

#[test]
fn a_shell_is_where_the_node_starts() {
    let mut spaces = vec![space()];
    spaces.push(Space::of_ordinary_user().filter(busybox_root).map(with_nodes));
    for space in spaces.into_iter().flatten() {
        let script = "cat /base /src/file; echo $WORD; pwd; cat /proc/sys/kernel/hostname; \
                      ls -d /out /scratch; ls /first; exit 3";
        let ran = sh(&space, &["shell", "node"], script);
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert_eq!(ran.stdout, "base\nsource\nfrom the node\n/work\nthere\n/out\n/scratch\n");
        assert!(ran.stderr.contains("/first"), "{}", ran.stderr);
        // Nothing is kept, and nothing is remembered.
        sh(&space, &["shell", "node"], "echo x > /base; echo x > /src/file; echo x > /out/x");
        assert_eq!(sh(&space, &["shell", "node"], "cat /base /src/file; ls /out").stdout, "base\nsource\n");
        let records = space.ok(&["cache", "ls"]).stdout;
        assert!(!records.contains("node"), "{records}");
    }
}

#[test]
fn a_shell_is_where_the_node_failed() {
    let Some(space) = space() else { return };
    let ran = sh(&space, &["shell", "node", "--failed"], "cat /first /second; test ! -e /third");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "first\nsecond\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("exit 4'` ended with exit code 4"), "{}", ran.stderr);
    let ran = sh(&space, &["shell", "base", "--failed"], "cat /base");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "base\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("all commands have succeeded"), "{}", ran.stderr);
}

#[test]
fn what_is_typed_into_a_pipe_arrives() {
    let Some(space) = space() else { return };
    // More than any pipe holds.
    let text = "line\n".repeat(1 << 16);
    let mut child = space
        .command(&["shell", "base", "--", "/bin/cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let sent = text.clone();
    let writer = std::thread::spawn(move || input.write_all(sent.as_bytes()));
    let mut found = String::new();
    child.stdout.take().unwrap().read_to_string(&mut found).unwrap();
    writer.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(found.len(), text.len());
    // The shell itself reads a script from there.
    let mut command = space.command(&["shell", "base"]);
    let script = space.file("script", "echo there; exit 6\n");
    let ran = run(command.stdin(File::open(script).unwrap()));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), "there\n"), "{}", ran.stderr);
}

#[test]
fn nothing_of_whoever_sits_there_gets_in() {
    let Some(space) = space() else { return };
    let mut command = space.command(&["shell", "base", "--", "/bin/sh", "-c", "ls -l /proc/self/fd; cat"]);
    let secret = space.file("secret", "secret\n");
    let ran = run(command.stdin(File::open(secret).unwrap()));
    assert!(ran.stdout.contains("0 -> pipe:") && !ran.stdout.contains("/secret"), "{}", ran.stdout);
    // The folder itself is open, too.
    assert_eq!(ran.stdout.matches("pipe:").count(), 3, "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 6, "{}", ran.stdout);
    assert!(ran.stdout.ends_with("secret\n"), "{}", ran.stdout);
}

#[test]
fn only_what_runs_commands_can_be_sat_at() {
    let Some(space) = space() else { return };
    let table = [
        (&["shell", "app"][..], 2, "`app` runs no command: its kind is `image`"),
        (&["shell", "nowhere"], 2, "nowhere"),
        (&["run", "node.out"], 1, "exit code 4"),
        (&["shell", "base", "--", "/none"], 1, "no such program"),
    ];
    for (arguments, code, words) in table {
        let ran = space.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn an_image_runs_as_it_says() {
    let Some(space) = space() else { return };
    let ran = space.run(&["run", "app"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "hello from /work\n"), "{}", ran.stderr);
    let ran = space.run(&["run", "app", "--", "cat /base; echo x > /base; kill -9 $$"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(137), "base\n"), "{}", ran.stderr);
    let ran = space.run(&["run", "base", "--", "/bin/cat", "/base"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "base\n"), "{}", ran.stderr);
    let ran = space.run(&["run", "base"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn an_image_is_asked_to_end_by_its_own_signal() {
    let Some(space) = space() else { return };
    let mut child =
        space.command(&["run", "polite"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut line = [0; 6];
    stdout.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ready\n");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("told\n", Some(9)));
}

/// Somebody at a terminal.
struct Typist {
    child: Child,
    far: File,
    near: OwnedFd,
    seen: String,
}

impl Typist {
    fn new(space: &Space, arguments: &[&str]) -> Typist {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&far).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let near = ioctl_tiocgptpeer(&far, flags).unwrap();
        let stream = || Stdio::from(near.try_clone().unwrap());
        let mut command = space.command(arguments);
        command.env("TERM", "vt100").stdin(stream()).stdout(stream()).stderr(Stdio::null());
        Typist { child: command.spawn().unwrap(), far: far.into(), near, seen: String::new() }
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.far, size).unwrap();
    }

    fn types(&mut self, text: &str) {
        self.far.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until these words have been shown after what was seen before.
    fn sees(&mut self, words: &str) {
        let start = Instant::now();
        while !self.seen.contains(words) {
            assert!(start.elapsed() < Duration::from_secs(30), "{words:?} never came: {:?}", self.seen);
            self.reads();
        }
        let end = self.seen.find(words).unwrap() + words.len();
        self.seen.drain(..end);
    }

    /// What is shown now, or in a moment.
    fn reads(&mut self) {
        let mut events = [rustix::event::PollFd::new(&self.far, rustix::event::PollFlags::IN)];
        let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if rustix::event::poll(&mut events, Some(&tick)).unwrap() > 0 {
            let mut buffer = [0; 4096];
            let count = self.far.read(&mut buffer).unwrap();
            self.seen += &String::from_utf8_lossy(&buffer[..count]);
        }
    }

    fn ends(mut self) -> Option<i32> {
        let start = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it never ended: {:?}", self.seen);
            self.reads();
        };
        // It is a terminal for people again.
        let modes = tcgetattr(self.near.as_fd()).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO));
        code
    }
}

#[test]
fn a_terminal_is_a_terminal_inside() {
    let mut spaces = vec![space()];
    spaces.push(Space::of_ordinary_user().filter(busybox_root).map(with_nodes));
    for space in spaces.into_iter().flatten() {
        let mut typist = Typist::new(&space, &["shell", "base"]);
        typist.resize(33, 77);
        // Answers are made so that they differ from what is typed, which is shown as well.
        typist.types("test -t 0 && test -t 1 && test -c /dev/pts/0 && echo it $((40 + 2))\n");
        typist.sees("it 42");
        typist.types("/bin/busybox stty size; echo $((1 + 1))-$TERM\n");
        typist.sees("33 77");
        typist.sees("2-vt100");
        typist.types("/bin/busybox tty; echo tty=$((3 + 4))\n");
        typist.sees("/dev/pts/0");
        typist.sees("tty=7");
        typist.resize(40, 120);
        typist.types("sleep 0.3; /bin/busybox stty size\n");
        typist.sees("40 120");
        typist.types("sleep 1000\n");
        std::thread::sleep(Duration::from_millis(300));
        typist.types("\u{3}");
        typist.types("echo after=$((5 + 5))\n");
        typist.sees("after=10");
        typist.types("exit 7\n");
        assert_eq!(typist.ends(), Some(7));
    }
}

#[test]
fn a_failed_command_hands_over_its_terminal() {
    let Some(space) = space() else { return };
    let mut typist = Typist::new(&space, &["shell", "node", "--failed"]);
    typist.types("cat /second; echo $((20 + 3))\n");
    typist.sees("second");
    typist.sees("23");
    typist.types("exit 3\n");
    assert_eq!(typist.ends(), Some(3));
    let mut typist = Typist::new(&space, &["run", "base", "--", "/bin/sh"]);
    typist.types("echo $((20 + 4)); exit 8\n");
    typist.sees("24");
    assert_eq!(typist.ends(), Some(8));
}

/// Whoever sits there may be killed.
#[test]
fn nothing_is_left_of_a_killed_session() {
    let Some(space) = space() else { return };
    let mut typist = Typist::new(&space, &["shell", "base"]);
    typist.types("sleep 77301\n");
    let is_running = || {
        std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
            let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            words.split(|&byte| byte == 0).any(|word| word == b"77301")
        })
    };
    let wait = |until: bool| {
        let start = Instant::now();
        while is_running() != until {
            assert!(start.elapsed() < Duration::from_secs(30), "it never came to be");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait(true);
    typist.child.kill().unwrap();
    typist.child.wait().unwrap();
    wait(false);
    space.ok(&["build", "base"]);
    let work = std::fs::read_dir(space.store().join("work")).into_iter().flatten().count();
    assert_eq!(work, 0);
}
