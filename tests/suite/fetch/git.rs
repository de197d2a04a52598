//! Commits over git's transports: both ways over HTTP, with a login, and paths; pinned, and without a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fetch::assert_not_written;
use crate::fetch::server::Server;
use crate::space::{Space, have, run, tool};

/// A repository in a folder of its own beside the workspace.
pub(super) struct Origin(pub(super) PathBuf);

impl Origin {
    /// Bare, below `served/`, as servers have them; with one commit of one file.
    pub(super) fn new(space: &Space, name: &str) -> Origin {
        let folder = space.path().join("served").join(name);
        fs::create_dir_all(&folder).unwrap();
        let origin = Origin(folder);
        origin.git(&["init", "-q", "--bare", "-b", "main", "--template=", "."]);
        origin
    }

    /// The commit of one more file, on `main`.
    pub(super) fn commit(&self, name: &str, text: &str) -> String {
        let list = self.0.join("list");
        let mut lines = self.try_git(&["ls-tree", "main"]).unwrap_or_default();
        fs::write(&list, text).unwrap();
        let blob = self.git(&["hash-object", "-w", list.to_str().unwrap()]);
        lines = lines
            .lines()
            .filter(|line| !line.ends_with(&format!("\t{name}")))
            .map(|line| format!("{line}\n"))
            .collect();
        self.commit_lines(&format!("{lines}100644 blob {blob}\t{name}\n"))
    }

    /// The commit of a submodule beside what is there.
    pub(super) fn submodule(&self, name: &str, commit: &str) -> String {
        let lines = self.git(&["ls-tree", "main"]);
        self.commit_lines(&format!("{lines}\n160000 commit {commit}\t{name}\n"))
    }

    fn commit_lines(&self, lines: &str) -> String {
        fs::write(self.0.join("list"), lines).unwrap();
        let tree =
            tool("sh", &["-c", &format!("git -C '{0}' mktree --missing < '{0}/list'", self.0.display())]);
        let parent = self.try_git(&["rev-parse", "--verify", "-q", "main"]);
        let parent: Vec<&str> = parent.iter().flat_map(|parent| ["-p", parent]).collect();
        let commit = self.git(&[&["commit-tree", "-m", "words", tree.trim()][..], &parent].concat());
        self.git(&["update-ref", "refs/heads/main", &commit]);
        self.git(&["update-server-info"]);
        commit
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        self.try_git(arguments).unwrap_or_else(|| panic!("git {arguments:?}"))
    }

    fn try_git(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(arguments).current_dir(&self.0);
        let ran = run(command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", &self.0));
        (ran.code == Some(0)).then(|| ran.stdout.trim_end().to_owned())
    }
}

/// Builds the files of `node`, called `file`, and gives their folder.
pub(super) fn built(space: &Space, node: &str) -> PathBuf {
    space.file("memobuild.kdl", format!("memobuild 1\n{node}\ndefault file\n"));
    let out = space.path().join("out");
    let _ = fs::remove_dir_all(&out);
    space.ok(&["build", "-o", &format!("files:{}", out.display())]);
    out
}

pub(super) fn refused(space: &Space, node: &str, code: i32) -> String {
    space.file("memobuild.kdl", format!("memobuild 1\n{node}\ndefault file\n"));
    let ran = space.run(&["build"]);
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    ran.stderr
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_branch_over_each_transport() {
    if !have(&["git"]) {
        return;
    }
    let (space, server) = (Space::new(), Server::start());
    let origin = Origin::new(&space, "a.git");
    let first = origin.commit("word", "one");
    origin.commit("word", "two");
    server.repositories(&space.path().join("served"));
    let path = origin.0.display().to_string();
    for url in [server.url("/git/a.git"), server.url("/dumb/a.git"), path.clone(), format!("file://{path}")] {
        let fresh = Space::new();
        assert_eq!(text(&built(&fresh, &format!("git file \"{url}\"")).join("word")), "two", "{url}");
        let fresh = Space::new();
        let node = format!("git file \"{url}\" commit=\"{first}\"");
        assert_eq!(text(&built(&fresh, &node).join("word")), "one", "{url}");
    }
}

#[test]
fn a_moved_branch_is_fetched_and_a_locked_one_is_not() {
    if !have(&["git"]) {
        return;
    }
    let (space, server) = (Space::new(), Server::start());
    let origin = Origin::new(&space, "a.git");
    let first = origin.commit("word", "one");
    server.repositories(&space.path().join("served"));
    let url = server.url("/git/a.git");
    let node = format!("git file \"{url}\" ref=\"main\"");
    assert_eq!(text(&built(&space, &node).join("word")), "one");
    let ran = space.ok(&["lock"]);
    assert_eq!(ran.stdout, "memobuild.lock: 1 entry, 1 added, 0 changed, 0 removed\n");
    let locked = || text(&space.workspace().join("memobuild.lock"));
    assert_eq!(locked(), format!("memobuild-lock 1\ngit \"{url}\" ref=\"main\" commit=\"{first}\"\n"));
    let second = origin.commit("word", "two");
    assert_eq!(text(&built(&space, &node).join("word")), "one");
    space.ok(&["lock", "--check", "--profile", "ci"]);
    assert!(space.ok(&["lock", "--update", "file"]).stdout.contains("1 changed"));
    assert!(locked().contains(&second));
    assert_eq!(text(&built(&space, &node).join("word")), "two");
    server.stop();
    assert_eq!(text(&built(&space, &node).join("word")), "two", "without a network");
    space.file("memobuild.lock", locked().replace(&second, &first));
    assert_eq!(text(&built(&space, &node).join("word")), "one", "it was fetched once");
}

#[test]
fn submodules_beside_it_and_no_local_ones() {
    if !have(&["git"]) {
        return;
    }
    let (space, server) = (Space::new(), Server::start());
    let (origin, library) = (Origin::new(&space, "a.git"), Origin::new(&space, "b.git"));
    let inner = library.commit("word", "inner");
    let module = |url: &str| format!("[submodule \"x\"]\n\tpath = lib\n\turl = {url}\n");
    origin.commit(".gitmodules", &module("../b.git"));
    let good = origin.submodule("lib", &inner);
    let local = origin.commit(".gitmodules", &module(&format!("file://{}", library.0.display())));
    server.repositories(&space.path().join("served"));
    let url = server.url("/git/a.git");
    let node = |commit: &str, more: &str| format!("git file \"{url}\" commit=\"{commit}\" {more}");
    assert_eq!(text(&built(&space, &node(&good, "submodules=#true")).join("lib/word")), "inner");
    assert_eq!(text(&built(&space, &node(&good, "submodules=#true path=\"lib\"")).join("word")), "inner");
    assert_eq!(fs::read_dir(built(&space, &node(&good, "")).join("lib")).unwrap().count(), 0);
    let said = refused(&space, &node(&local, "submodules=#true"), 2);
    assert!(said.contains("is a path of this machine"), "{said}");
}

#[test]
fn a_login_comes_from_a_credential_helper() {
    if !have(&["git"]) {
        return;
    }
    let (space, server) = (Space::new(), Server::start());
    let origin = Origin::new(&space, "a.git");
    origin.commit("word", "private");
    server.repositories(&space.path().join("served"));
    let url = server.url("/private/a.git");
    let node = format!("git file \"{url}\"");
    let said = refused(&space, &node, 3);
    assert!(said.contains("asks for a login, and git has none that it takes"), "{said}");
    let helper = "[credential]\n\thelper = \"!f() { echo username=me; echo password=pass; }; f\"\n";
    fs::write(space.path().join(".gitconfig"), helper).unwrap();
    assert_eq!(text(&built(&space, &node).join("word")), "private");
    fs::remove_file(space.path().join(".gitconfig")).unwrap();
}

#[test]
fn a_login_in_an_address_is_used_and_nowhere_told() {
    if !have(&["git"]) {
        return;
    }
    let (space, server) = (Space::new(), Server::start());
    let origin = Origin::new(&space, "a.git");
    origin.commit("word", "private");
    server.repositories(&space.path().join("served"));
    let url = server.url("/private/a.git").replace("http://", "http://${param.login}@");
    let file = |reference: &str| {
        format!(
            "memobuild 1\nparam login default=\"no:body\"\ngit file \"{url}\" ref=\"{reference}\"\ndefault file\n"
        )
    };
    fs::write(space.path().join(".gitconfig"), "[core]\n\tlogAllRefUpdates = always\n").unwrap();
    space.file("memobuild.kdl", file("main"));
    let with = ["--param", "login=me:pass"];
    let mut said = String::new();
    for (command, code) in [
        (&["build", "-o", "files:out"][..], 0),
        (&["show", "--format", "json"], 0),
        (&["lock"], 2),
        (&["lock", "--check"], 2),
    ] {
        let ran = space.run(&[command, &with].concat());
        assert_eq!(ran.code, Some(code), "{command:?}: {}", ran.stderr);
        said += &format!("{}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(text(&space.path().join("out/word")), "private");
    space.file("memobuild.kdl", file("none"));
    for (login, code) in [("login=me:pass", 2), ("login=me:passable", 3)] {
        let ran = space.run(&["build", "--param", login]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        said += &ran.stderr;
    }
    assert!(said.contains("http://***@127.0.0.1") && !said.contains("me:pass"), "{said}");
    assert_not_written(&space.store(), "me:pass");
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    if !have(&["git"]) {
        return;
    }
    let (space, server) = (Space::new(), Server::start());
    let origin = Origin::new(&space, "a.git");
    origin.commit("word", "one");
    server.repositories(&space.path().join("served"));
    let url = server.url("/git/a.git");
    for (node, code, expected) in [
        (format!("git file \"{url}\" ref=\"mian\""), 2, "did you mean ref=\"main\"?"),
        (format!("git file \"{url}\" commit=\"{}\"", "1".repeat(40)), 2, "has no commit 1111"),
        (format!("git file \"{}\"", server.url("/git/none.git")), 2, "there is no repository at"),
        (format!("git file \"{}\"", space.path().join("none").display()), 2, "there is no repository at"),
        (format!("git file \"{url}\" path=\"wrod\""), 2, "did you mean path=\"word\"?"),
        ("git file \"http://127.0.0.1:1/a\"".to_owned(), 3, "cannot be reached"),
        ("git file \"ext::sh -c true\"".to_owned(), 2, "is no address that git fetches here"),
        ("git file \"../a\"".to_owned(), 2, "leads out of the workspace"),
        ("git file \"https://h/a\" ref=\"--upload-pack=x\"".to_owned(), 2, "is no branch and no tag"),
    ] {
        let said = refused(&space, &node, code);
        assert!(said.contains(expected), "{node}: {said}");
    }
    // No program but this one is on the path.
    let mut command = space.command(&["build"]);
    space.file("memobuild.kdl", format!("memobuild 1\ngit file \"{url}\"\ndefault file\n"));
    let ran = run(command.env("PATH", space.path()));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("the program `git` is not installed"), "{}", ran.stderr);
}

/// A hook of a repository runs builds, too: what git tells its hooks is about that repository.
#[test]
fn a_surrounding_git_does_not_matter() {
    if !have(&["git"]) {
        return;
    }
    let space = Space::new();
    let (origin, other) = (Origin::new(&space, "a.git"), Origin::new(&space, "b.git"));
    origin.commit("word", "one");
    other.commit("word", "other");
    let node = format!("memobuild 1\ngit file \"{}\"\ndefault file\n", origin.0.display());
    space.file("memobuild.kdl", node);
    let mut command = space.command(&["build", "-o", "files:out"]);
    command.env("GIT_DIR", &other.0).env("GIT_OBJECT_DIRECTORY", other.0.join("objects"));
    let ran = run(command.env("GIT_CONFIG_PARAMETERS", "'core.bare=nonsense'").env("GIT_TRACE", "1"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(text(&space.path().join("out/word")), "one");
}

/// A server that says nothing; a cancelled build does not wait for it, and leaves no git behind.
#[test]
fn a_cancelled_fetch_ends_at_once() {
    if !have(&["git"]) {
        return;
    }
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a.git", silent.local_addr().unwrap());
    let space = Space::new();
    space.file("memobuild.kdl", format!("memobuild 1\ngit file \"{url}\"\ndefault file\n"));
    let mut command = space.command(&["build"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (_held, _) = silent.accept().unwrap();
    let began = Instant::now();
    tool("kill", &["-INT", &child.id().to_string()]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let lives = |entry: fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&url)
    };
    std::thread::sleep(Duration::from_millis(300));
    assert!(!fs::read_dir("/proc").unwrap().flatten().any(lives), "a git lives on");
}
