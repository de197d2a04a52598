//! The stores of this machine: each is started by the test in a folder of its own, which only root can.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::skipped::skipped;
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, have, is_root, run};

const IMAGES: &str = r#"
image app {
    name "example.org/team/app:1"
    from root
    layer own { file "/own" "own"; }
    cmd "/bin/cat" "/own"
}
image more { from app; layer more { file "/more" "more"; }; cmd "/bin/cat" "/own" "/more"; }
image many {
    platforms "linux/amd64" "linux/arm64"
    from scratch
    file "/arch" "${platform.arch}" expand=#true
}
"#;

fn space() -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{IMAGES}"));
        space
    })
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = run(Command::new("kill").arg(self.0.id().to_string()));
        let _ = self.0.wait();
    }
}

/// `None`, aloud, where it does not begin to listen.
fn start(command: &mut Command, socket: &Path) -> Option<Server> {
    let log = socket.with_extension("log");
    let file = fs::File::create(&log).unwrap();
    let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let mut server = Server(child);
    let begin = Instant::now();
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        let is_over = server.0.try_wait().unwrap().is_some();
        if is_over || begin.elapsed() > Duration::from_secs(30) {
            let log = fs::read_to_string(log).unwrap_or_default();
            skipped(&format!("{command:?} does not start: {}", log.lines().last().unwrap_or_default()));
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(server)
}

fn may(programs: &[&str]) -> bool {
    if !is_root() {
        skipped("only root can start a container engine of its own");
    }
    is_root() && have(programs)
}

#[test]
fn containerd_gets_the_image_and_runs_it() {
    let Some(space) = space().filter(|_| may(&["containerd", "ctr", "runc"])) else { return };
    let folder = tempfile::Builder::new().prefix("memobuild-ctr-").tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let socket = at("sock");
    let config = format!(
        "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = \"{}\"\n",
        at("root").display(),
        at("state").display(),
        socket.display()
    );
    fs::write(at("config.toml"), config).unwrap();
    let mut containerd = Command::new("containerd");
    let Some(_server) = start(containerd.arg("-c").arg(at("config.toml")), &socket) else { return };
    let environment = [("CONTAINERD_ADDRESS", socket.to_str().unwrap()), ("CONTAINERD_NAMESPACE", "test")];
    let ctr = |arguments: &[&str]| run(Command::new("ctr").args(arguments).envs(environment));
    let build = |arguments: &[&str]| {
        let ran = run(space.command(arguments).envs(environment));
        assert_eq!(ran.code, Some(0), "{arguments:?} {}", ran.stderr);
    };
    build(&["build", "-o", "app=containerd:", "-o", "many=containerd:many:1"]);
    let listed = ctr(&["images", "ls"]).stdout;
    assert!(listed.contains("docker.io/library/many:1 "), "{listed}");
    assert!(listed.contains("linux/amd64,linux/arm64"), "an index stays whole: {listed}");
    // Of an image on top of it, only what is new.
    let held = || ctr(&["content", "ls", "-q"]).stdout.lines().count();
    let before = held();
    build(&["build", "-o", "more=containerd:more"]);
    assert!(held() > before);
    build(&["load", "more", "containerd:more", "containerd:again"]);
    for (name, expected) in [("example.org/team/app:1", "own"), ("docker.io/library/again:latest", "ownmore")]
    {
        let container = format!("memobuild-test-{}", std::process::id());
        let ran = ctr(&["run", "--rm", "--snapshotter", "native", name, &container]);
        let ran = if ran.code == Some(0) { ran } else { ctr(&["run", "--rm", name, &container]) };
        if ran.code != Some(0) {
            skipped(&format!("running under containerd: {}", ran.stderr.trim()));
            return;
        }
        assert_eq!(ran.stdout, expected);
    }
}

#[test]
fn the_docker_daemon_gets_the_image_and_runs_it() {
    let Some(space) = space().filter(|_| may(&["dockerd", "docker", "runc"])) else { return };
    let folder = tempfile::Builder::new().prefix("memobuild-docker-").tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let socket = at("sock");
    let host = format!("unix://{}", socket.display());
    let mut dockerd = Command::new("dockerd");
    dockerd.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("exec"));
    dockerd.arg("--pidfile").arg(at("pid")).args(["-H", &host, "--storage-driver", "vfs"]);
    dockerd.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
    let Some(_server) = start(&mut dockerd, &socket) else { return };
    let docker = |arguments: &[&str]| run(Command::new("docker").args(arguments).env("DOCKER_HOST", &host));
    let memobuild = |arguments: &[&str]| run(space.command(arguments).env("DOCKER_HOST", &host));
    let build = |arguments: &[&str]| {
        let ran = memobuild(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?} {}", ran.stderr);
        ran.stderr
    };
    let told = build(&["build", "-o", "app=docker-daemon:"]);
    let id = docker(&["image", "inspect", "-f", "{{.Id}}", "example.org/team/app:1"]).stdout;
    assert!(told.contains(&format!("wrote app=docker-daemon: {}", id.trim())), "{told}");
    // The names alone are new, then only a layer is.
    build(&["load", "app", "docker-daemon:other/app"]);
    build(&["build", "-o", "more=docker-daemon:more:2"]);
    build(&["build", "-o", "more=docker-daemon:more:2"]);
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", "other/app:latest"]).stdout, id);
    for (name, expected) in [("other/app", "own"), ("more:2", "ownmore")] {
        let ran = docker(&["run", "--rm", "--network", "none", name]);
        if ran.code != Some(0) {
            skipped(&format!("running under Docker: {}", ran.stderr.trim()));
            return;
        }
        assert_eq!(ran.stdout, expected);
    }
    let history = docker(&["history", "--format", "{{.CreatedBy}}", "more:2"]).stdout;
    assert_eq!(history, "image more # memobuild\nimage app # memobuild\ntree root # memobuild\n");
    build(&["build", "app", "-o", "docker-archive:app.tar:loaded:1"]);
    let archive = space.path().join("app.tar");
    assert_eq!(docker(&["load", "-i", archive.to_str().unwrap()]).code, Some(0));
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", "loaded:1"]).stdout, id);
}

#[test]
fn podmans_store_gets_the_image() {
    let Some(space) = space().filter(|_| may(&["skopeo", "podman"])) else { return };
    let folder = tempfile::Builder::new().prefix("memobuild-podman-").tempdir().unwrap();
    let (root, state) = (folder.path().join("root"), folder.path().join("run"));
    let (root, state) = (root.to_str().unwrap(), state.to_str().unwrap());
    let store = format!("containers-storage:[vfs@{root}+{state}]");
    let podman = |arguments: &[&str]| {
        let mut podman = Command::new("podman");
        podman.args(["--root", root, "--runroot", state, "--storage-driver", "vfs"]);
        run(podman.args(arguments))
    };
    let app = format!("app={store}example.org/app:1");
    space.ok(&["build", "-o", &app, "-o", "app=oci:layout"]);
    let found = podman(&["image", "inspect", "-f", "{{.Digest}}", "example.org/app:1"]);
    let index = fs::read_to_string(space.path().join("layout/index.json")).unwrap();
    assert!(
        !found.stdout.trim().is_empty() && index.contains(found.stdout.trim()),
        "{} {}",
        found.stdout,
        found.stderr
    );
    space.ok(&["build", "-o", &app]);
    space.ok(&["load", "more", &format!("{store}example.org/more")]);
    assert_eq!(podman(&["image", "exists", "example.org/more"]).code, Some(0));
}
