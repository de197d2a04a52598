//! `kill -9` at any moment, of any process that a build is made of: nothing of it is left, and what the next build
//! makes is right. `MEMOBUILD_LONG=1` kills many more; `MEMOBUILD_SEED` brings the moments back that a failure tells.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, setsid};

use crate::places::{Place, Rights, command_at, digest_of, roots_places, store_at};
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, is_root};
use crate::traces::{children, groups, is_of_sandbox, wait_until_none, work_folders};

/// What every rung runs. The salt makes all of it run again, and come to the same.
const WORK: &str = r##"
files source { include "in/**"; }
run one {
    from root
    mount source at="/src"
    cache kept at="/kept"
    limits memory="1GiB" pids=200
    env MARK="MARKED"
    salt "SALT"
    sh "cat /src/in/* > /one; echo >> /kept/lines; sleep 0.05"
}
run two { from one; env MARK="MARKED"; salt "SALT"; sh "cat /one /one > /two; sleep 0.1"; output two "/two" type=file; }
run three {
    from root
    mount source at="/src"
    env MARK="MARKED"
    salt "SALT"
    sh "(sleep 60 &); sleep 0.05; cp -r /src/in /out/"
    output out "/out"
}
image all { from two; copy three.out to="/three"; copy two.two to="/two-again"; }
"##;

/// What takes namespaces.
const MORE: &str = r##"
run out { from root; network; tmpfs "/memory"; env MARK="MARKED"; salt "SALT"; sh "cp /bin/sh /memory/; sleep 0.05"; }
image server { from root; cmd "/bin/busybox" "nc" "-ll" "-p" "8080" "-e" "/bin/cat"; }
test served {
    from root
    service api from=server port=8080 { env MARK="MARKED"; }
    env MARK="MARKED"
    salt "SALT"
    sh "sleep 0.05; echo | busybox nc api 8080"
}
workspace acme { policy { network "a.example"; }; }
"##;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Main,
    Zygote,
    Helper,
    Init,
}

const VICTIMS: [Victim; 4] = [Victim::Main, Victim::Zygote, Victim::Helper, Victim::Init];

/// Numbers that nobody could have chosen, and that can be had again.
struct Chance(u64);

impl Chance {
    /// Tells the seed to whoever reads why a test failed.
    fn new() -> Chance {
        let told = std::env::var("MEMOBUILD_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = told.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64);
        eprintln!("to have it again: MEMOBUILD_SEED={seed}");
        Chance(seed)
    }

    /// Between nothing and one.
    fn part(&mut self) -> f64 {
        // Knuth's multiplier; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> Option<T> {
        these.get((self.part() * these.len() as f64) as usize).copied()
    }
}

/// A workspace and its store, somewhere.
struct Yard {
    space: Space,
    place: Option<Place>,
}

impl Yard {
    /// `None`, aloud, where nothing can be built.
    fn new(place: Option<Place>) -> Option<Yard> {
        let space = Space::new();
        if !busybox_root(&space) {
            return None;
        }
        for number in 0..20 {
            space.file(&format!("in/{number}"), format!("content {number}\n"));
        }
        Some(Yard { space, place })
    }

    fn has_namespaces(&self) -> bool {
        self.place.is_none_or(|place| place.rights != Rights::Container)
    }

    fn salt(&self, salt: u32) {
        let more = if self.has_namespaces() { MORE } else { "" };
        let name = self.space.path().file_name().unwrap().to_str().unwrap();
        let text = format!("{BUSYBOX_ROOT}{WORK}{more}").replace("MARKED", name);
        self.space.file("memobuild.kdl", text.replace("SALT", &salt.to_string()));
    }

    fn command(&self) -> Command {
        let mut words = vec!["build", "all", "-o", "all=oci:image"];
        if self.has_namespaces() {
            words.extend(["out", "served"]);
        }
        command_at(self.place, &self.space, &words)
    }

    fn store(&self) -> PathBuf {
        store_at(self.place, &self.space)
    }

    fn build(&self) -> String {
        let _ = std::fs::remove_dir_all(self.space.path().join("image"));
        let ran = crate::space::run(&mut self.command());
        assert_eq!(ran.code, Some(0), "{:?}: {}", self.place, ran.stderr);
        digest_of(&self.space.path().join("image"))
    }

    /// One build that is killed; whether there was anybody to kill.
    fn strike(&self, victim: Victim, moment: Duration, chance: &mut Chance) -> bool {
        let mut command = self.command();
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(moment);
        let is_struck = strike(victim, &mut child, chance);
        let session = child.id();
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        let tells =
            |words: &[&str]| assert!(words.iter().any(|words| told.contains(words)), "{victim:?}: {told}");
        match (ended.status.code(), is_struck) {
            (Some(0), _) => {}
            (None, true) => assert!(matches!(victim, Victim::Main), "{told}"),
            (Some(3), true) => {
                tells(&["process ended without a word", "was killed", "the service `api` is gone"]);
            }
            // A service may end for reasons of its own.
            (Some(1), true) => tells(&["its service `api` had ended", "its service `api` was killed"]),
            other => panic!("{victim:?}: {other:?}: {told}"),
        }
        wait_until_none(&self.space, &[session]);
        is_struck
    }
}

/// Waits for such a process; there is none any more where the build is over.
fn strike(victim: Victim, child: &mut Child, chance: &mut Chance) -> bool {
    let of_sandbox = |parents: Vec<u32>| -> Vec<u32> {
        parents.into_iter().flat_map(children).filter(|&id| is_of_sandbox(id)).collect()
    };
    while child.try_wait().unwrap().is_none() {
        let main = vec![child.id()];
        let these = match victim {
            Victim::Main => main,
            Victim::Zygote => of_sandbox(main),
            Victim::Helper => of_sandbox(of_sandbox(main)),
            Victim::Init => of_sandbox(of_sandbox(of_sandbox(main))),
        };
        let chosen = chance.one_of(&these).and_then(|id| Pid::from_raw(id.cast_signed()));
        if chosen.is_some_and(|chosen| kill_process(chosen, Signal::KILL).is_ok()) {
            return true;
        }
    }
    false
}

fn left_in(store: &Path) -> Vec<PathBuf> {
    [work_folders(store), groups(store)].concat()
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_and_nothing_wrong() {
    let mut chance = Chance::new();
    let times = if std::env::var_os("MEMOBUILD_LONG").is_some() { 25 } else { 1 };
    for place in roots_places() {
        // Of each victim.
        let kills = if is_root() && place.is_none() { 4 } else { 2 };
        let Some(yard) = Yard::new(place) else { return };
        yard.salt(0);
        let right = yard.build();
        yard.salt(1);
        let began = Instant::now();
        yard.build();
        let whole = began.elapsed();
        let mut struck = 0;
        for number in 0..kills * times * 4 {
            let victim = VICTIMS[number as usize % VICTIMS.len()];
            yard.salt(number + 2);
            struck += u32::from(yard.strike(victim, whole.mul_f64(chance.part()), &mut chance));
            // Groups that were made are gone when the next build has run, whatever is written down of them then.
            let made = groups(&yard.store());
            assert_eq!(yard.build(), right, "{place:?}, after the death of {victim:?}");
            wait_until_none(&yard.space, &[]);
            let left: Vec<PathBuf> = left_in(&yard.store())
                .into_iter()
                .chain(made.into_iter().filter(|path| path.exists()))
                .collect();
            assert_eq!(left, Vec::<PathBuf>::new(), "{place:?}, after the death of {victim:?}");
        }
        assert!(struck * 4 > kills * times * 4, "{place:?}: only {struck} were killed");
        eprintln!("{place:?}: {struck} kills, a build takes {whole:?}");
        if place.is_none() {
            yard.space.ok(&["cache", "verify"]);
        }
    }
}
