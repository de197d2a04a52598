//! `secret` lines, from where a workspace or a command line says: that runs have them, and that they are in nothing
//! that a build leaves behind, nor on a disk while it goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::sandbox::site::Site;
use crate::space::{BUSYBOX_ROOT, Space, User, busybox_root, ordinary_user, run};

const NODES: &str = r##"
workspace here {
    secret variable from-env="THE_TOKEN"
    secret file from-file="../token"
    secret program from-command="cat ../said && echo >> ../count"
}
run uses {
    from root
    secret variable env="A"
    secret file at="/run/secrets/file"
    secret program at="/program" mode=0o444
    secret given env="GIVEN"
    sh "echo $A; echo $A >&2; cat /run/secrets/file /program; echo -n $GIVEN | busybox base64; echo $GIVEN | busybox md5sum > /sum; MORE"
    output sum "/sum" type=file
}
run again { from root; secret program env="P"; sh "test -n $P"; }
image all { from scratch; copy uses.sum to="/sum"; }
"##;

const VALUES: [&str; 4] =
    ["value-of-a-variable", "value-of-a-file", "value-of-a-program", "value-of-the-command-line"];

fn space(user: User, more: &str) -> Option<Space> {
    let space = Space::of(user);
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{}", NODES.replace("MORE", more)));
        let own = |name: &str, content: &str| {
            fs::write(space.path().join(name), content).unwrap();
            if let User::Id(id) = user {
                std::os::unix::fs::chown(space.path().join(name), Some(id), Some(id)).unwrap();
            }
        };
        own("token", VALUES[1]);
        own("said", VALUES[2]);
        space
    })
}

fn command(space: &Space, arguments: &[&str]) -> std::process::Command {
    let mut command = space.command(arguments);
    command.env("THE_TOKEN", VALUES[0]).env("GIVEN_ELSEWHERE", VALUES[3]);
    command
}

/// Files below the space that hold one of the values, but for those that they came from.
fn holders(space: &Space) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![space.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap()) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if !["token", "said"].iter().any(|name| path == space.path().join(name)) {
                // What goes while it is looked at is not there.
                let bytes = fs::read(&path).unwrap_or_default();
                let forms = ["value-of-", "dmFsdWUtb2Yt"];
                if forms.iter().any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes())) {
                    found.push(path);
                }
            }
        }
    }
    found
}

/// Command lines of all processes that hold one.
fn told_to_processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains("value-of-a-") {
            found.push(line);
        }
    }
    found
}

#[test]
fn they_are_in_nothing_that_a_build_leaves() {
    for user in [Some(User::Current), ordinary_user()].into_iter().flatten() {
        let Some(space) = space(user, "true") else { return };
        let build = |more: &[&str]| {
            let mut arguments = vec!["build", "all", "again", "--secret", "given=env:GIVEN_ELSEWHERE"];
            arguments.extend(["--report", "report.json", "--progress", "plain"]);
            arguments.extend(more);
            run(&mut command(&space, &arguments))
        };
        let ran = build(&["-o", "all=oci:image"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!ran.stderr.contains("value-of") && ran.stderr.contains("│ ***"), "{}", ran.stderr);
        let log = space.ok(&["log", "uses"]).stdout;
        assert!(!log.contains("value-of") && log.matches("***").count() >= 3, "{log}");
        for told in [&["show"][..], &["plan"], &["graph"], &["show", "--format", "json"], &["cache", "ls"]] {
            let told = run(&mut command(&space, told));
            assert!(
                !told.stdout.contains("value-of-") && !told.stderr.contains("value-of-"),
                "{}",
                told.stderr
            );
        }
        assert_eq!(holders(&space), [""; 0].map(PathBuf::from));
        assert_eq!(fs::read_to_string(space.path().join("count")).unwrap(), "\n", "asked once");
        // Other values are no reason to run again, nor is it one that there are none.
        let ran = run(&mut space.command(&["build", "all", "again", "--report", "report.json"]));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(space.with_outcome("executed").is_empty());
        assert_eq!(fs::read_to_string(space.path().join("count")).unwrap(), "\n");
    }
}

#[test]
fn a_failure_shows_none() {
    let Some(space) = space(User::Current, "exit 1") else { return };
    let arguments = [
        "build",
        "uses",
        "--secret",
        "given=env:GIVEN_ELSEWHERE",
        "--report",
        "report.json",
        "--progress",
        "json",
    ];
    let ran = run(&mut command(&space, &arguments));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(!ran.stderr.contains("value-of") && ran.stderr.contains("***"), "{}", ran.stderr);
    assert_eq!(holders(&space), [""; 0].map(PathBuf::from));
}

/// While the run goes on, whether it is killed or not.
#[test]
fn none_is_ever_on_a_disk_or_on_a_command_line() {
    let Some(space) = space(User::Current, "sleep 30") else { return };
    let arguments = ["build", "uses", "--secret", "given=env:GIVEN_ELSEWHERE"];
    let mut building =
        command(&space, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let is_sleeping = || {
        fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line == b"sleep\x0030\0" && String::from_utf8_lossy(&environment).contains(VALUES[3])
        })
    };
    while !is_sleeping() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not begin");
        sleep(Duration::from_millis(20));
    }
    assert_eq!(holders(&space), [""; 0].map(PathBuf::from));
    assert_eq!(told_to_processes(), [""; 0]);
    building.kill().unwrap();
    building.wait().unwrap();
    assert_eq!(holders(&space), [""; 0].map(PathBuf::from));
}

#[test]
fn what_is_missing_is_told_with_what_to_do() {
    let Some(space) = space(User::Current, "true") else { return };
    let fails = |arguments: &[&str], code: i32, told: &str| {
        let ran = run(command(&space, arguments).env_remove("GIVEN_ELSEWHERE"));
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(!ran.stderr.contains("value-of"), "{}", ran.stderr);
    };
    fails(&["build", "uses"], 2, "pass --secret given=env:VARIABLE");
    fails(&["build", "uses", "--secret", "given=env:GIVEN_ELSEWHERE"], 3, "help: set GIVEN_ELSEWHERE");
    fails(&["build", "uses", "--secret", "given=file:nothing"], 3, "nothing` cannot be read");
    fails(&["build", "uses", "--secret", "given=value-of-it"], 2, "--secret NAME=env:VARIABLE");
    fs::remove_file(space.path().join("said")).unwrap();
    fails(&["build", "again"], 3, "the command `cat ../said && echo >> ../count` ");
    let file = Path::new("given");
    fs::write(space.path().join(file), VALUES[3]).unwrap();
    fs::write(space.path().join("said"), VALUES[2]).unwrap();
    assert_eq!(run(&mut command(&space, &["build", "uses", "--secret", "given=file:given"])).code, Some(0));
}

/// CVE class: credentials in what is told of a build and kept of it (CVE-2023-26054): those in addresses, and a proxy's.
#[test]
fn what_gets_one_into_servers_is_in_nothing_that_a_build_leaves() {
    let Some(site) = Site::start([("/a?token=value-of-a-query", "page\n")].into()) else { return };
    let space = Space::new();
    let address = |host: &str| format!("http://user:value-of-a-password@{host}/a?token=value-of-a-query");
    let host = format!("{}:{}", site.address, site.port);
    let file = |source: &str| {
        let text = format!(
            "memobuild 1\nhttp page {source:?}\nimage all {{ from scratch; copy page to=\"/page\"; }}\n\
             workspace acme {{ policy {{ network allow; }}; }}\n"
        );
        space.file("memobuild.kdl", text);
    };
    let ask = |arguments: &[&str]| {
        let mut command = space.command(arguments);
        let proxy = "http://user:value-of-a-proxy@127.0.0.1:9";
        command.env("http_proxy", proxy).env("https_proxy", proxy).env("no_proxy", site.address.to_string());
        run(&mut command)
    };
    file(&address(&host));
    let build = ["build", "all", "--report", "report.json", "--progress", "plain", "-o", "oci:image"];
    let mut told = Vec::new();
    for (arguments, code) in [(&build[..], 0), (&["lock"], 2), (&build[..], 0)] {
        let ran = ask(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        told.push(ran);
    }
    for arguments in [
        &["plan"][..],
        &["graph"],
        &["show"],
        &["show", "--format", "json"],
        &["list"],
        &["log", "page"],
        &["cache", "ls"],
    ] {
        told.push(ask(arguments));
    }
    // Servers and proxies that cannot be reached.
    for source in [address("127.0.0.1:9"), address("192.0.2.1:9"), address("none.invalid")] {
        file(&source);
        let ran = ask(&["build", "all", "--progress", "json"]);
        assert_ne!(ran.code, Some(0), "{source}");
        told.push(ran);
    }
    for ran in told {
        assert!(
            !ran.stdout.contains("value-of-") && !ran.stderr.contains("value-of-"),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let build_file = space.workspace().join("memobuild.kdl");
    let holders: Vec<PathBuf> = holders(&space).into_iter().filter(|path| *path != build_file).collect();
    assert_eq!(holders, [""; 0].map(PathBuf::from));
}
