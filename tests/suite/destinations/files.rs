//! Layouts, archives and plain files.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::space::{Space, have, run, tool};

const IMAGES: &str = r#"memobuild 1
image app {
    name "example.org/team/app:1.2" "example.org/team/app:latest"
    from scratch
    file "/etc/app" "app"
    annotation title=one
    entrypoint "/bin/app"
    cmd "serve"
    env A="b" C="d e"
    user "1000:1000"
    workdir "/srv"
    label x.y="z"
    expose 8080
    expose 53 protocol=udp
    volume "/data"
    stop-signal "SIGINT"
    shell "/bin/ash" "-c"
    healthcheck interval="30s" timeout="5s" retries=3 { exec "/bin/app" "--health"; }
    author "Jo"
    onbuild "RUN true"
    format docker
    created "2001-09-09T01:46:40Z"
}
image many {
    name "many:1"
    platforms "linux/s390x" "linux/amd64" "linux/arm64"
    from scratch
    file "/etc/arch" "${platform.arch}" expand=#true
    annotation a=manifest
    annotation b=index on=index
    annotation c=descriptor on=descriptor
}
image foreign {
    platforms "linux/s390x" "linux/ppc64le"
    from scratch
    file "/etc/arch" "${platform.arch}" expand=#true
}
"#;

fn space() -> Space {
    let space = Space::new();
    space.file("memobuild.kdl", IMAGES);
    space
}

fn read_json(space: &Space, name: &str) -> Value {
    serde_json::from_slice(&fs::read(space.path().join(name)).unwrap()).unwrap()
}

fn blob(space: &Space, layout: &str, descriptor: &Value) -> Value {
    let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    read_json(space, &format!("{layout}/blobs/sha256/{hex}"))
}

fn tags(index: &Value) -> Vec<&str> {
    let manifests = index["manifests"].as_array().unwrap().iter();
    manifests
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect()
}

#[test]
fn every_name_counts_unless_another_is_asked_for() {
    let space = space();
    space.ok(&["build", "app", "-o", "oci:own", "-o", "oci:other:x", "-o", "docker-archive:own.tar"]);
    assert_eq!(tags(&read_json(&space, "own/index.json")), ["1.2", "latest"]);
    assert_eq!(tags(&read_json(&space, "other/index.json")), ["x"]);
    space.ok(&["build", "app", "-o", "docker-archive:other.tar:else/where"]);
    for (archive, names) in [
        ("own.tar", json!(["example.org/team/app:1.2", "example.org/team/app:latest"])),
        ("other.tar", json!(["else/where:latest"])),
    ] {
        let archive = space.path().join(archive);
        let listed = tool("tar", &["-xOf", archive.to_str().unwrap(), "manifest.json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed[0]["RepoTags"], names);
    }
}

#[test]
fn every_line_of_the_configuration_is_in_the_image() {
    let space = space();
    if !have(&["skopeo"]) {
        return;
    }
    space.ok(&["build", "app", "-o", "oci:layout:v1", "-o", "docker-archive:app.tar:v1"]);
    for image in ["oci:layout:v1", "docker-archive:app.tar"] {
        let mut skopeo = Command::new("skopeo");
        let inspected = run(skopeo.args(["inspect", "--config", "--raw", image]).current_dir(space.path()));
        let config: Value = serde_json::from_str(&inspected.stdout).unwrap();
        let expected = json!({
            "Cmd": ["serve"],
            "Entrypoint": ["/bin/app"],
            "Env": ["A=b", "C=d e"],
            "ExposedPorts": { "53/udp": {}, "8080/tcp": {} },
            "Healthcheck": {
                "Test": ["CMD", "/bin/app", "--health"],
                "Interval": 30_000_000_000_u64,
                "Timeout": 5_000_000_000_u64,
                "Retries": 3,
            },
            "Labels": { "x.y": "z" },
            "OnBuild": ["RUN true"],
            "Shell": ["/bin/ash", "-c"],
            "StopSignal": "SIGINT",
            "User": "1000:1000",
            "Volumes": { "/data": {} },
            "WorkingDir": "/srv",
        });
        assert_eq!(config["config"], expected, "{image}");
        assert_eq!((&config["author"], &config["created"]), (&json!("Jo"), &json!("2001-09-09T01:46:40Z")));
        let history = json!([{ "created": "2001-09-09T01:46:40Z", "created_by": "image app # memobuild" }]);
        assert_eq!(config["history"], history);
    }
    let index = read_json(&space, "layout/index.json");
    let inner = blob(&space, "layout", &index["manifests"][0]);
    let manifest = blob(&space, "layout", &inner["manifests"][0]);
    assert_eq!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(manifest["annotations"], json!({ "title": "one" }));
}

#[test]
fn platforms_are_one_index_in_the_order_of_the_line() {
    let space = space();
    space.ok(&["build", "many", "-o", "oci:layout", "--metadata-file", "metadata.json"]);
    let index = read_json(&space, "layout/index.json");
    assert_eq!(tags(&index), ["1"]);
    let many = blob(&space, "layout", &index["manifests"][0]);
    assert_eq!(many["annotations"], json!({ "b": "index" }));
    let listed = many["manifests"].as_array().unwrap();
    let architectures = ["s390x", "amd64", "arm64"];
    assert_eq!(listed.len(), architectures.len());
    for (entry, architecture) in listed.iter().zip(architectures) {
        assert_eq!(entry["platform"]["architecture"], architecture);
        assert_eq!(entry["annotations"], json!({ "c": "descriptor" }));
        let manifest = blob(&space, "layout", entry);
        assert_eq!(manifest["annotations"], json!({ "a": "manifest" }));
        assert_eq!(blob(&space, "layout", &manifest["config"])["architecture"], architecture);
    }
    let metadata = read_json(&space, "metadata.json");
    let output = &metadata["outputs"][0];
    assert_eq!(output["image"]["digest"], index["manifests"][0]["digest"]);
    assert_eq!(output["references"], json!(["1"]));
    let manifests: Vec<&Value> =
        output["platforms"].as_array().unwrap().iter().map(|of| &of["manifest"]["digest"]).collect();
    assert_eq!(manifests, listed.iter().map(|entry| &entry["digest"]).collect::<Vec<_>>());
    // Whoever names them one by one, in whatever order, gets the same.
    let all =
        ["'many[platform=linux/arm64]'", "'many[platform=linux/amd64]'", "'many[platform=linux/s390x]'"];
    let all = all.map(|name| name.trim_matches('\''));
    space.ok(&[&["build", "-o", "oci:again"], all.as_slice()].concat());
    assert_eq!(read_json(&space, "again/index.json"), index);
}

#[test]
fn one_platform_is_taken_where_only_one_can_be() {
    let space = space();
    space.ok(&["build", "-o", "many[platform=linux/arm64]=oci:arm", "--metadata-file", "metadata.json"]);
    let metadata = read_json(&space, "metadata.json");
    let platforms = metadata["outputs"][0]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 1);
    assert_eq!(platforms[0]["platform"], "linux/arm64/v8");
    space.ok(&["build", "-o", "foreign[platform=linux/s390x]=files:s390x"]);
    assert_eq!(fs::read_to_string(space.path().join("s390x/etc/arch")).unwrap(), "s390x");
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        _ => return,
    };
    space.ok(&["build", "-o", "many=files:own", "-o", "many=docker-archive:own.tar"]);
    assert_eq!(fs::read_to_string(space.path().join("own/etc/arch")).unwrap(), own);
    let refused = space.run(&["build", "-o", "foreign=docker-archive:foreign.tar"]);
    assert_eq!(refused.code, Some(2));
    let expected = "`foreign` is for linux/s390x, linux/ppc64le, none of which is this machine's";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let help = "-o 'foreign[platform=linux/s390x]=docker-archive:foreign.tar'";
    assert!(refused.stderr.contains(help), "{}", refused.stderr);
}

#[test]
fn files_leave_as_a_tar_that_is_always_the_same() {
    let space = space();
    space.file(
        "memobuild.kdl",
        format!("{IMAGES}tree files {{ file \"/b/c\" \"c\"; symlink \"/a\" target=\"b\"; }}\n"),
    );
    let ran = space.command(&["build", "-o", "files=tar:-"]).output().unwrap();
    assert!(ran.status.success());
    space.ok(&["build", "-o", "files=tar:files.tar", "-o", "app=tar:app.tar"]);
    assert!(
        ran.stdout == fs::read(space.path().join("files.tar")).unwrap(),
        "stdout has nothing but the tar"
    );
    let list = |name: &str| {
        let path = space.path().join(name);
        tool("tar", &["--utc", "--numeric-owner", "--full-time", "-tvf", path.to_str().unwrap()])
    };
    let expected = "lrwxrwxrwx 0/0               0 1980-01-01 00:00:00 a -> b\n\
                    drwxr-xr-x 0/0               0 1980-01-01 00:00:00 b/\n\
                    -rw-r--r-- 0/0               1 1980-01-01 00:00:00 b/c\n";
    assert_eq!(list("files.tar"), expected);
    assert!(list("app.tar").ends_with(" etc/app\n"), "{}", list("app.tar"));
    let foreign = space.file("../mine", "no archive");
    let refused = space.run(&["build", "-o", "files=tar:mine"]);
    assert_eq!((refused.code, fs::read_to_string(foreign).unwrap().as_str()), (Some(2), "no archive"));
}

#[test]
fn a_destination_that_is_not_there_is_told_before_anything_is_built() {
    let space = space();
    for (output, expected) in [
        ("app=docker-daemon:", "there is no Docker daemon at `/no/socket`"),
        ("foreign[platform=linux/s390x]=docker-daemon:", "names no image"),
        ("app=docker://UPPER/app", "names no image"),
        ("app=oci:no/folder", "there is no folder"),
    ] {
        let mut command = space.command(&["build", "--report", "report.json", "-o", output]);
        let refused = run(command.env("DOCKER_HOST", "unix:///no/socket"));
        assert!(matches!(refused.code, Some(2 | 3)), "{output}");
        assert!(refused.stderr.contains(expected), "{output}: {}", refused.stderr);
        assert!(refused.stderr.contains("  help: "), "{output}: {}", refused.stderr);
        assert!(!space.path().join("report.json").exists());
    }
    let mut command = space.command(&["build", "-o", "app=docker-daemon:"]);
    let refused = run(command.env("DOCKER_HOST", "tcp://127.0.0.1:1"));
    assert!(refused.stderr.contains("no socket of this machine"), "{}", refused.stderr);
    let empty = space.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (output, program) in [("app=containerd:", "ctr"), ("app=containers-storage:", "skopeo")] {
        let refused = run(space.command(&["build", "-o", output]).env("PATH", &empty));
        assert!(refused.stderr.contains(&format!("`{program}` is not installed")), "{}", refused.stderr);
    }
}

/// Archives of ours, and of skopeo, which packs and names otherwise.
#[test]
fn archives_are_pulled_and_pinned() {
    let maker = space();
    maker.ok(&["build", "app", "-o", "oci-archive:oci.tar", "-o", "docker-archive:docker.tar"]);
    let space = Space::new();
    let mut pulls = vec![
        "oci-archive:oci.tar".to_owned(),
        "oci-archive:oci.tar:1.2".to_owned(),
        "docker-archive:docker.tar:example.org/team/app".to_owned(),
    ];
    let archives = ["oci.tar", "docker.tar"];
    for archive in archives {
        fs::copy(maker.path().join(archive), space.workspace().join(archive)).unwrap();
    }
    if have(&["skopeo"]) {
        let at = |name: &str| space.workspace().join(name).display().to_string();
        let source = format!("oci-archive:{}:1.2", at("oci.tar"));
        let made = format!("docker-archive:{}:other/app:3", at("skopeo.tar"));
        tool("skopeo", &["copy", "-q", "--insecure-policy", &source, &made]);
        pulls.push("docker-archive:skopeo.tar:other/app:3".to_owned());
        pulls.push("docker-archive:skopeo.tar".to_owned());
    }
    for (number, pull) in pulls.iter().enumerate() {
        let text = format!(
            "memobuild 1\npull base \"{pull}\"\nimage top {{ from base; file \"/etc/more\" \"more\"; }}\ndefault top\n"
        );
        space.file("memobuild.kdl", text);
        let out = format!("out{number}");
        space.ok(&["build", "-o", &format!("files:{out}"), "-o", &format!("oci:layout{number}:x")]);
        let text = |name: &str| fs::read_to_string(space.path().join(&out).join(name)).unwrap();
        assert_eq!((text("etc/app"), text("etc/more")), ("app".to_owned(), "more".to_owned()), "{pull}");
        let index = read_json(&space, &format!("layout{number}/index.json"));
        let manifest = blob(&space, &format!("layout{number}"), &index["manifests"][0]);
        let config = blob(&space, &format!("layout{number}"), &manifest["config"]);
        assert_eq!(config["config"]["Healthcheck"]["Retries"], 3, "{pull}");
        let history: Vec<&Value> =
            config["history"].as_array().unwrap().iter().map(|entry| &entry["created_by"]).collect();
        assert_eq!(history, ["image app # memobuild", "image top # memobuild"], "{pull}");
        space.ok(&["lock"]);
        let lock = fs::read_to_string(space.workspace().join("memobuild.lock")).unwrap();
        assert!(lock.contains(&format!("image \"{pull}\" digest=\"sha256:")), "{lock}");
        space.ok(&["build"]);
        // What is pinned may not become another.
        let before = fs::read(space.workspace().join("docker.tar")).unwrap();
        if pull.starts_with("docker-archive:docker.tar") {
            let other = maker.path().join("other.tar");
            maker.ok(&["build", "many", "-o", "docker-archive:other.tar:example.org/team/app"]);
            fs::copy(other, space.workspace().join("docker.tar")).unwrap();
            let refused = space.run(&["build"]);
            assert_eq!(refused.code, Some(2), "{}", refused.stderr);
            fs::write(space.workspace().join("docker.tar"), before).unwrap();
        }
        fs::remove_file(space.workspace().join("memobuild.lock")).unwrap();
    }
}
