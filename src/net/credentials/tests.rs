//! Which credentials are found, in files as Docker and Podman write them and from helpers that are scripts.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::*;

const PODMAN: &str = r#"{"auths": {
    "h.io/team/app": {"auth": "YTE6cDE="},
    "h.io/team": {"auth": "YTI6cDI="},
    "h.io": {"auth": "YTM6cDM="},
    "h.io:5000": {"auth": "YTQ6cDp4"}}}"#;
const DOCKER: &str = r#"{"auths": {
    "https://index.docker.io/v1/": {"auth": "aHViOnA="},
    "https://old.io/v1/": {"auth": "b2xkOnA="},
    "token.io": {"auth": "dTpw", "identitytoken": "abc"},
    "empty.io": {}}, "HttpHeaders": {"User-Agent": "x"}}"#;

struct Machine {
    folder: tempfile::TempDir,
    places: Places,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let search_path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
        let places = Places {
            registry_auth_file: None,
            runtime_folder: path("run"),
            config_folder: path("config"),
            docker_config: None,
            home: path("home"),
            search_path: Some(search_path.into()),
        };
        Machine { folder, places }
    }

    fn with(self, name: &str, text: &str) -> Machine {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written by another process: a program that is open for writing in this one, or in a child that a parallel test
        // has just made, does not start.
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(Command::new("cp").arg(&draft).arg(&path).status().unwrap().success());
        self
    }

    /// `USER:SECRET FILE`, as far as there is one.
    fn find(&self, host: &str, repository: &str) -> String {
        let found = Credentials::new(self.places.clone()).find(host, repository, &Cancel::default());
        match found {
            Ok(None) => "none".to_owned(),
            Ok(Some(Credential { login: Login::Password { user, password }, .. })) => {
                format!("{user}:{}", password.0)
            }
            Ok(Some(Credential { login: Login::IdentityToken(token), .. })) => format!("token {}", token.0),
            Err(error) => error.to_string().replace(&self.folder.path().display().to_string(), ""),
        }
    }
}

#[test]
fn the_most_particular_entry_wins() {
    let machine =
        Machine::new().with("config/containers/auth.json", PODMAN).with("home/.docker/config.json", DOCKER);
    for (host, repository, expected) in [
        ("h.io", "team/app", "a1:p1"),
        ("h.io", "team/app/part", "a1:p1"),
        ("h.io", "team/other", "a2:p2"),
        ("h.io", "team", "a2:p2"),
        ("h.io", "teams/app", "a3:p3"),
        ("h.io:5000", "x", "a4:p:x"),
        ("docker.io", "library/alpine", "hub:p"),
        ("old.io", "x", "old:p"),
        ("token.io", "x", "token abc"),
        ("empty.io", "x", "none"),
        ("other.io", "x", "none"),
    ] {
        assert_eq!(machine.find(host, repository), expected, "{host}/{repository}");
    }
}

#[test]
fn files_are_asked_in_order() {
    let one = |user: &str| {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:p"));
        format!(r#"{{"auths": {{"h.io": {{"auth": "{auth}"}}}}}}"#)
    };
    let mut machine = Machine::new().with("home/.docker/config.json", &one("docker"));
    assert_eq!(machine.find("h.io", "x"), "docker:p");
    machine = machine.with("config/containers/auth.json", &one("config"));
    assert_eq!(machine.find("h.io", "x"), "config:p");
    machine = machine.with("run/containers/auth.json", &one("run")).with("mine.json", &one("mine"));
    assert_eq!(machine.find("h.io", "x"), "run:p");
    machine.places.registry_auth_file = Some(machine.folder.path().join("mine.json"));
    assert_eq!(machine.find("h.io", "x"), "mine:p");
    let mut docker =
        Machine::new().with("home/.docker/config.json", &one("home")).with("d/config.json", &one("d"));
    docker.places.docker_config = Some(docker.folder.path().join("d"));
    assert_eq!(docker.find("h.io", "x"), "d:p");
}

#[test]
fn what_is_wrong_with_a_file() {
    let check = |text: &str, expected: &str| {
        let found = Machine::new().with("home/.docker/config.json", text).find("h.io", "x");
        let start = "the registry's credentials in `/home/.docker/config.json` cannot be read: ";
        assert_eq!(found, format!("{start}{expected}"));
    };
    check(r#"{"auths": {"h.io": "secret"}}"#, "it is no JSON of that kind, line 1");
    check(r#"{"auths": {"h.io": {"auth": "secret!"}}}"#, "an `auth` in it is not `user:password` in base64");
    check(r#"{"auths": {"h.io": {"auth": "c2VjcmV0"}}}"#, "an `auth` in it is not `user:password` in base64");
    let mut machine = Machine::new();
    machine.places.registry_auth_file = Some(machine.folder.path().join("none.json"));
    assert!(machine.find("h.io", "x").contains("No such file"));
}

#[test]
fn helpers_are_asked() {
    let script = |name: &str| {
        let by_server = r#"case "$(cat)" in
            h.io) echo '{"ServerURL":"h.io","Username":"NAME","Secret":"s"}';;
            https://index.docker.io/v1/) echo '{"Username":"<token>","Secret":"NAME-token"}';;
            broken.io) echo 'no session for it'; exit 2;;
            silent.io) ;;
            *) echo 'credentials not found in native keychain'; exit 1;;
        esac"#;
        format!("#!/bin/sh\n[ \"$1\" = get ] || exit 3\n{}\n", by_server.replace("NAME", name))
    };
    let config = r#"{"credHelpers": {"own.io": "own", "h.io": "own", "gone.io": "gone", "bad.io": "../x"},
        "credsStore": "all"}"#;
    let machine = Machine::new()
        .with("home/.docker/config.json", config)
        .with("bin/docker-credential-own", &script("own"))
        .with("bin/docker-credential-all", &script("all"));
    for (host, expected) in [
        ("h.io", "own:s"),
        ("own.io", "none"),
        ("docker.io", "token all-token"),
        ("other.io", "none"),
        (
            "broken.io",
            "`docker-credential-all` gave no credentials for broken.io: exit status: 2 no session for it",
        ),
        (
            "silent.io",
            "`docker-credential-all` gave no credentials for silent.io: it printed no JSON with `Username` and `Secret`",
        ),
        ("gone.io", "`docker-credential-gone` gave no credentials for gone.io: there is no such program"),
        (
            "bad.io",
            "`docker-credential-../x` gave no credentials for bad.io: a helper's name has only letters, digits, `-`, `.` and `_`",
        ),
    ] {
        assert_eq!(machine.find(host, "x"), expected, "{host}");
    }
}

#[test]
fn a_helper_that_hangs_is_cancelled() {
    let config = r#"{"credsStore": "slow"}"#;
    let machine = Machine::new()
        .with("home/.docker/config.json", config)
        .with("bin/docker-credential-slow", "#!/bin/sh\nexec sleep 30\n");
    let (cancel, started) = (Cancel::default(), std::time::Instant::now());
    let other = cancel.clone();
    let raising = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        other.raise();
    });
    let found = Credentials::new(machine.places.clone()).find("h.io", "x", &cancel);
    assert!(matches!(found, Err(NetError::Cancelled)));
    assert!(started.elapsed().as_secs() < 10);
    raising.join().unwrap();
}

#[test]
fn nothing_shows_a_secret() {
    let login = Login::Password { user: "user".to_owned(), password: Secret("secret".to_owned()) };
    let credential = Credential { login, from: Used::Helper("x".to_owned()) };
    assert!(!format!("{credential:?}").contains("secret"));
}
