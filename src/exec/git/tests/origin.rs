//! A repository to fetch from, made by git itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::base::skipped::skipped;

pub(super) struct Origin {
    folder: PathBuf,
}

impl Origin {
    /// `None`, aloud, where git is not installed.
    pub(super) fn new(folder: &Path, format: &str) -> Option<Origin> {
        fs::create_dir_all(folder).unwrap();
        let origin = Origin { folder: folder.to_owned() };
        if Command::new("git").arg("--version").output().is_err() {
            skipped("`git` is not installed");
            return None;
        }
        origin.git(&["init", "-q", "-b", "main", "--template=", &format!("--object-format={format}")]);
        Some(origin)
    }

    pub(super) fn url(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn file(&self, name: &str, content: &str) -> &Origin {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(super) fn executable(&self, name: &str, content: &str) -> &Origin {
        self.file(name, content);
        fs::set_permissions(self.folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(super) fn link(&self, name: &str, target: &str) -> &Origin {
        std::os::unix::fs::symlink(target, self.folder.join(name)).unwrap();
        self
    }

    /// An entry for a submodule, whatever `.gitmodules` says.
    pub(super) fn submodule(&self, path: &str, commit: &str) -> &Origin {
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
        self
    }

    /// All files, as one commit.
    pub(super) fn commit(&self) -> String {
        self.git(&["add", "-A", "--", ":/"]);
        self.commit_index()
    }

    pub(super) fn commit_index(&self) -> String {
        self.git(&["commit", "-q", "--allow-empty", "-m", "words"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// An object of any content, however odd.
    pub(super) fn object(&self, kind: &str, content: &[u8]) -> String {
        self.run(&["hash-object", "-t", kind, "-w", "--literally", "--stdin"], content)
    }

    /// A commit of the tree, and the branch `main` on it.
    pub(super) fn commit_tree(&self, tree: &str) -> String {
        let commit = self.git(&["commit-tree", "-m", "words", tree]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
        commit
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        self.run(arguments, b"")
    }

    fn run(&self, arguments: &[&str], stdin: &[u8]) -> String {
        use std::io::Write as _;
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false"]);
        command.args(arguments).current_dir(&self.folder).env("HOME", &self.folder);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_DIR");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}
