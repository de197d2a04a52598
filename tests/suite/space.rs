//! `Space`: a temporary folder with a workspace and a store, and the real binary run in it.

use crate::skipped::skipped;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_memobuild");

pub(crate) struct Space {
    folder: TempDir,
    user: User,
}

/// Who runs the binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Current,
    /// Root drops to this id for it.
    Id(u32),
}

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Space {
    pub(crate) fn new() -> Space {
        Space::of(User::Current)
    }

    pub(crate) fn of(user: User) -> Space {
        let folder = tempfile::Builder::new().prefix("memobuild-test-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let space = Space { folder, user };
        fs::create_dir(space.workspace()).unwrap();
        if let User::Id(id) = user {
            std::os::unix::fs::chown(space.folder.path(), Some(id), Some(id)).unwrap();
            std::os::unix::fs::chown(space.workspace(), Some(id), Some(id)).unwrap();
        }
        space
    }

    /// A space whose user may not do everything; `None`, aloud, where root cannot become one.
    pub(crate) fn of_ordinary_user() -> Option<Space> {
        if is_root() { ordinary_user().map(Space::of) } else { Some(Space::new()) }
    }

    /// A space with a copy of one of the project's examples.
    pub(crate) fn example(name: &str) -> Space {
        let space = Space::new();
        space.copy_example(name);
        space
    }

    pub(crate) fn copy_example(&self, name: &str) {
        self.copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name), Path::new(""));
    }

    /// A folder's files to a place in the workspace.
    fn copy(&self, folder: &Path, at: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let place = at.join(path.file_name().unwrap());
            if path.is_dir() {
                self.copy(&path, &place);
            } else {
                let copy = self.file(place.to_str().unwrap(), fs::read(&path).unwrap());
                fs::set_permissions(copy, fs::metadata(&path).unwrap().permissions()).unwrap();
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Writes a file of the workspace.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.workspace().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        if let User::Id(id) = self.user {
            let mut at = path.as_path();
            while at != self.folder.path() {
                std::os::unix::fs::chown(at, Some(id), Some(id)).unwrap();
                at = at.parent().unwrap();
            }
        }
        path
    }

    /// The command as the space's user would give it, in the space's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.user {
            User::Current => Command::new(BINARY),
            User::Id(id) => {
                let mut command = Command::new("setpriv");
                let id = id.to_string();
                command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", BINARY]);
                command
            }
        };
        command
            .args(["-C".as_ref(), self.workspace().as_os_str(), "--store".as_ref(), self.store().as_os_str()])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("SOURCE_DATE_EPOCH")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("DOCKER_CONFIG")
            .env_remove("MEMOBUILD_PROFILE")
            .env_remove("MEMOBUILD_JOBS")
            .env_remove("MEMOBUILD_PROGRESS")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "memobuild {arguments:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// Builds and gives the outcome of each node.
    pub(crate) fn build(&self, arguments: &[&str]) -> BTreeMap<String, String> {
        let mut all = vec!["build", "--report", "report.json"];
        all.extend(arguments);
        self.ok(&all);
        self.outcomes()
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path().join("report.json")).unwrap()).unwrap()
    }

    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        let report = self.report();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let nodes = report["nodes"].as_array().unwrap();
        nodes.iter().map(|node| (text(&node["name"]), text(&node["outcome"]))).collect()
    }

    /// Names of the nodes with that outcome in the last report.
    pub(crate) fn with_outcome(&self, outcome: &str) -> Vec<String> {
        self.outcomes().into_iter().filter(|(_, found)| found == outcome).map(|(name, _)| name).collect()
    }
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Output of a program that must succeed.
pub(crate) fn tool(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let ran = run(command.args(arguments));
    assert_eq!(ran.code, Some(0), "{command:?}\n{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Whether the programs are there; tells on stderr what is skipped for want of them.
pub(crate) fn have(programs: &[&str]) -> bool {
    let there = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !there(program)).collect();
    if !missing.is_empty() {
        skipped(&format!("{missing:?} not installed"));
    }
    missing.is_empty()
}

/// Whether commands can run in a sandbox here; tells on stderr what is skipped where not.
pub(crate) fn can_run() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    let can = *CAN.get_or_init(|| {
        let ran = Space::new().run(&["doctor", "--format", "json"]);
        let doctor: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        doctor["rung"].is_string()
    });
    if !can {
        skipped("no isolation on this machine");
    }
    can
}

/// A root filesystem with busybox's commands as the node `root`, for workspaces that have no base image.
/// `false`, aloud, where busybox is not installed.
pub(crate) fn busybox_root(space: &Space) -> bool {
    if !have(&["busybox"]) || !can_run() {
        return false;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let busybox =
        std::env::split_paths(&path).map(|folder| folder.join("busybox")).find(|path| path.is_file());
    let file = space.file("busybox", fs::read(busybox.unwrap()).unwrap());
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    true
}

/// Declares `root`, on what `busybox_root` put into the workspace.
pub(crate) const BUSYBOX_ROOT: &str = r#"memobuild 1

tree root {
    from scratch
    copy "./busybox" to="/bin/busybox"
    symlink "/bin/sh" target="busybox"
    symlink "/bin/cat" target="busybox"
    symlink "/bin/cp" target="busybox"
    symlink "/bin/grep" target="busybox"
    symlink "/bin/sleep" target="busybox"
    symlink "/bin/stat" target="busybox"
    symlink "/bin/mkdir" target="busybox"
    symlink "/bin/ls" target="busybox"
    symlink "/bin/chmod" target="busybox"
    dir "/tmp"
}
"#;

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| {
        use std::os::unix::fs::MetadataExt as _;
        metadata.uid() == 0
    })
}

/// An ordinary user for a test that root drops to; `None`, aloud, where the tests run as one already.
pub(crate) fn ordinary_user() -> Option<User> {
    if is_root() && have(&["setpriv"]) {
        return Some(User::Id(54321));
    }
    skipped("only root can become a second user");
    None
}
