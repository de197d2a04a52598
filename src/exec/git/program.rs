//! The git program, which is used as a transport and as a reader of objects, and for nothing else: nothing is ever
//! checked out, so no filter, hook or attribute of a repository counts.
//!
//! What the machine's own git configuration says holds: credentials, proxies, certificates, keys, and `url.insteadOf`
//! as well, since the commit decides what is fetched, not the place. What a surrounding git left in the environment
//! does not.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal, setsid};

use crate::base::cancel::Cancel;
use crate::exec::git::error::GitError;

/// Which ways to other repositories git may go (git-config(1), `GIT_ALLOW_PROTOCOL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nowhere.
    Nothing,
    Network,
    /// This machine's disk, as the user wrote it.
    Disk,
}

pub(super) struct Git<'g> {
    pub(super) cancel: &'g Cancel,
    /// A folder for what git says.
    pub(super) work: &'g Path,
}

pub(super) struct Ran {
    pub(super) is_success: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Bytes of what git says about a failure that are looked at.
const MOST_SAID: u64 = 64 << 10;

impl Git<'_> {
    /// Runs it to its end. Output goes to files, since a helper that lives on may hold a pipe open for ever.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        reach: Reach,
        repository: Option<&Path>,
        arguments: &[A],
        stdin: &[u8],
    ) -> Result<Ran, GitError> {
        let [mut input, mut stdout, mut stderr] = [self.file()?, self.file()?, self.file()?];
        input.write_all(stdin)?;
        input.rewind()?;
        let mut command = command(reach, repository);
        command.args(arguments).stdin(input).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let mut running = Running::start(&mut command)?;
        let is_success = running.wait(self.cancel)?;
        let (mut out, mut said) = (Vec::new(), Vec::new());
        stdout.rewind()?;
        stdout.read_to_end(&mut out)?;
        stderr.rewind()?;
        stderr.take(MOST_SAID).read_to_end(&mut said)?;
        Ok(Ran { is_success, stdout: out, stderr: String::from_utf8_lossy(&said).into_owned() })
    }

    /// Starts it with pipes to talk to it.
    pub(super) fn converse(&self, repository: &Path, arguments: &[&str]) -> Result<Running, GitError> {
        let mut command = command(Reach::Nothing, Some(repository));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Running::start(&mut command)
    }

    /// Has no name, so that nothing of it is left.
    fn file(&self) -> Result<File, GitError> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(self.work, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(file.into()),
            // Some filesystems have no files without names.
            Err(_) => {
                let path = self.work.join("said");
                let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
                std::fs::remove_file(&path)?;
                Ok(file)
            }
        }
    }
}

/// A git process, killed with all that it started when it is dropped before its end.
pub(super) struct Running {
    pub(super) child: Child,
    has_ended: bool,
}

impl Running {
    fn start(command: &mut Command) -> Result<Running, GitError> {
        let prepare = || -> io::Result<()> {
            // Without a terminal nobody can ask for a password and wait for ever; and a group of its own can be killed.
            setsid()?;
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        };
        // SAFETY: two system calls, which are all that may be done between fork and exec.
        unsafe { command.pre_exec(prepare) };
        match command.spawn() {
            Ok(child) => Ok(Running { child, has_ended: false }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(GitError::NoProgram),
            Err(error) => Err(GitError::Io(error)),
        }
    }

    /// Whether it ended well.
    fn wait(&mut self, cancel: &Cancel) -> Result<bool, GitError> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                return Ok(status.success());
            }
            if cancel.is_raised() {
                return Err(GitError::Cancelled);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

fn command(reach: Reach, repository: Option<&Path>) -> Command {
    let mut command = Command::new("git");
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    for mistake in NO_MATTER {
        command.args(["-c".to_owned(), format!("fetch.fsck.{mistake}=ignore")]);
    }
    if let Some(path) = repository {
        command.arg("--git-dir").arg(path);
    }
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    let protocols = match reach {
        Reach::Nothing => "none",
        Reach::Network => "https:http:ssh:git",
        Reach::Disk => "file",
    };
    command
        .current_dir("/")
        .env("GIT_ALLOW_PROTOCOL", protocols)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("LC_ALL", "C");
    command
}

/// They hold against every configuration file.
const SETTINGS: [&str; 15] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    "transfer.bundleURI=false",
    "gc.auto=0",
    "maintenance.auto=false",
    // A server that sends nothing for two minutes is not waited for.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
    // It would hold the address, with its login.
    "core.logAllRefUpdates=false",
];

/// Mistakes in who wrote a commit when (git-fsck(1)), of which old repositories are full: only a commit's tree counts.
const NO_MATTER: [&str; 11] = [
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "multipleAuthors",
    "zeroPaddedDate",
];

/// What a git that started this program, a hook for one, says of its own repository; and what would write into what
/// git says.
const NOT_INHERITED: [&str; 30] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_TEMPLATE_DIR",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_REF_PARANOIA",
    "GIT_EXTERNAL_DIFF",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_TRACE_SETUP",
    "GIT_TRACE2",
    "GIT_CURL_VERBOSE",
    "GIT_FLUSH",
    "LANGUAGE",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The process and what it started: `sleep` would outlive git.
    #[test]
    fn a_cancelled_git_leaves_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let pid = folder.path().join("pid");
        let script = format!("!sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 600; true'", pid.display());
        let (git, raised) = (Git { cancel: &cancel, work: folder.path() }, cancel.clone());
        let waited = pid.clone();
        let watcher = std::thread::spawn(move || {
            while !waited.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            raised.raise();
        });
        let arguments = ["-c".to_owned(), format!("alias.wait={script}"), "wait".to_owned()];
        let ran = git.run(Reach::Nothing, None, &arguments, b"");
        if matches!(ran, Err(GitError::NoProgram)) {
            crate::base::skipped::skipped("`git` is not installed");
            return cancel_watcher(&pid, watcher);
        }
        assert!(matches!(ran, Err(GitError::Cancelled)));
        watcher.join().unwrap();
        let process = Path::new("/proc").join(std::fs::read_to_string(&pid).unwrap().trim());
        let gone = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !process.exists() || is_zombie(&process)
        });
        assert!(gone, "{} lives on", process.display());
    }

    fn cancel_watcher(pid: &Path, watcher: std::thread::JoinHandle<()>) {
        std::fs::write(pid, "").unwrap();
        watcher.join().unwrap();
    }

    fn is_zombie(process: &Path) -> bool {
        std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z"))
    }

    #[test]
    fn what_it_is_told_on_stdin_and_says_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let git = Git { cancel: &cancel, work: folder.path() };
        match git.run(Reach::Nothing, None, &["hash-object", "--stdin"], b"") {
            Err(GitError::NoProgram) => crate::base::skipped::skipped("`git` is not installed"),
            ran => {
                let ran = ran.unwrap();
                assert!(ran.is_success, "{}", ran.stderr);
                assert_eq!(ran.stdout, b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n");
            }
        }
    }
}
