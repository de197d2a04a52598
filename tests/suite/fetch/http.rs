//! Files of URLs: checked, unpacked, resumed, pinned, and there without a network.

use std::fs;
use std::path::PathBuf;

use crate::fetch::assert_not_written;
use crate::fetch::git::refused;
use crate::fetch::server::{At, Server};
use crate::space::{Space, have, tool};

/// Bytes that no two of which are alike soon.
fn content(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(size)
    .collect()
}

fn sha256(space: &Space, bytes: &[u8]) -> String {
    let path = space.path().join("bytes-to-hash");
    fs::write(&path, bytes).unwrap();
    let line = tool("sha256sum", &[path.to_str().unwrap()]);
    line.split(' ').next().unwrap().to_owned()
}

/// Builds a tree with a copy of `node`, and gives its folder.
fn built(space: &Space, node: &str) -> PathBuf {
    space.file(
        "memobuild.kdl",
        format!("memobuild 1\n{node}\ntree out {{ copy file to=\"/\"; }}\ndefault out\n"),
    );
    let out = space.path().join("out");
    let _ = fs::remove_dir_all(&out);
    space.ok(&["build", "-o", &format!("files:{}", out.display())]);
    out
}

#[test]
fn a_file_has_its_name_and_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let (space, server) = (Space::new(), Server::start());
    server.put("/a/tool-1.2?x=y", At::File(content(300_000)));
    let url = server.url("/a/tool-1.2?x=y");
    for (properties, name, mode) in
        [("", "tool-1.2", 0o644), ("mode=0o755", "tool-1.2", 0o755), ("name=\"other\"", "other", 0o644)]
    {
        let out = built(&space, &format!("http file \"{url}\" {properties}"));
        assert!(fs::read(out.join(name)).unwrap() == content(300_000));
        assert_eq!(fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o7777, mode);
    }
}

#[test]
fn other_bytes_than_those_that_are_wanted_are_refused_and_not_kept() {
    let (space, server) = (Space::new(), Server::start());
    let (right, wrong) = (content(5000), content(5001));
    server.put("/file", At::File(wrong.clone()));
    let (url, right_hex, wrong_hex) = (server.url("/file"), sha256(&space, &right), sha256(&space, &wrong));
    let node = format!("http file \"{url}\" sha256=\"{right_hex}\"");
    let said = refused(&space, &node, 2).replace(['\n', '│'], " ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("memo::lock::differs"), "{said}");
    assert!(said.contains(&wrong_hex) && said.contains(&right_hex), "{said}");
    assert!(said.contains("memobuild lock --update file"), "{said}");
    let blobs = space.store().join("blobs");
    assert!(!blobs.exists() || fs::read_dir(blobs).unwrap().count() == 0, "something was kept");
    server.put("/file", At::File(right.clone()));
    assert!(fs::read(built(&space, &node).join("file")).unwrap() == right);
}

#[test]
fn what_breaks_off_goes_on_and_what_is_busy_is_asked_again() {
    let (space, server) = (Space::new(), Server::start());
    let bytes = content(1 << 20);
    let hex = sha256(&space, &bytes);
    server.put("/cut", At::Cut(bytes.clone(), 400_000));
    server.put("/busy", At::Busy(bytes.clone(), 2));
    server.put("/moved", At::Redirect(server.url("/busy")));
    let out = built(&space, &format!("http file \"{}\" sha256=\"{hex}\"", server.url("/cut")));
    assert!(fs::read(out.join("cut")).unwrap() == bytes);
    assert_eq!(server.requests(), ["GET /cut", "GET /cut Range"]);
    let other = Space::new();
    let out = built(&other, &format!("http file \"{}\"", server.url("/moved")));
    assert!(fs::read(out.join("moved")).unwrap() == bytes);
    let busy = server.requests().iter().filter(|request| *request == "GET /busy").count();
    assert_eq!(busy, 3, "twice in vain");
}

#[test]
fn what_is_not_there_is_told_in_the_build_file() {
    let (space, server) = (Space::new(), Server::start());
    let said = refused(&space, &format!("http file \"{}\"", server.url("/none")), 2);
    assert!(said.contains("/none") && said.contains("help:"), "{said}");
    let url = server.url("/none");
    server.stop();
    let said = refused(&space, &format!("http file \"{url}\" sha256=\"{}\"", "1".repeat(64)), 3);
    assert!(said.contains("cannot be reached"), "{said}");
}

/// Without a digest a build asks each time, with what the server said of the last one.
#[test]
fn an_unchanged_file_costs_one_small_request() {
    let (space, server) = (Space::new(), Server::start());
    server.put("/file", At::File(content(200_000)));
    let node = format!("http file \"{}\"", server.url("/file"));
    built(&space, &node);
    assert_eq!(server.requests(), ["GET /file"]);
    built(&space, &node);
    assert_eq!(server.requests(), ["GET /file If-None-Match"]);
    server.put("/file", At::File(content(200_001)));
    let out = built(&space, &node);
    assert!(fs::read(out.join("file")).unwrap() == content(200_001), "the old one was taken");
    server.requests();
    space.ok(&["plan"]);
    space.ok(&["check"]);
    assert_eq!(server.requests(), Vec::<String>::new(), "a plan asks nobody");
}

#[test]
fn what_is_locked_and_was_fetched_needs_no_network() {
    let (space, server) = (Space::new(), Server::start());
    let bytes = content(100_000);
    server.put("/file", At::File(bytes.clone()));
    let node = format!("http file \"{}\"", server.url("/file"));
    space.file("memobuild.kdl", format!("memobuild 1\n{node}\ndefault file\n"));
    let ran = space.run(&["lock", "--check"]);
    assert_eq!((ran.code, ran.stdout), (Some(2), format!("missing      http \"{}\"\n", server.url("/file"))));
    let ran = space.ok(&["lock"]);
    assert_eq!(ran.stdout, "memobuild.lock: 1 entry, 1 added, 0 changed, 0 removed\n");
    let locked = || fs::read_to_string(space.workspace().join("memobuild.lock")).unwrap();
    let line =
        format!("http \"{}\" sha256=\"{}\" size=100000\n", server.url("/file"), sha256(&space, &bytes));
    assert_eq!(locked(), format!("memobuild-lock 1\n{line}"));
    server.put("/file", At::File(content(100_001)));
    assert!(space.ok(&["lock"]).stdout.contains("0 added, 0 changed"), "only --update looks again");
    server.requests();
    space.ok(&["build", "--profile", "ci"]);
    assert_eq!(server.requests(), Vec::<String>::new(), "`lock` had downloaded it");
    assert!(space.ok(&["lock", "--update", "file"]).stdout.contains("1 changed"));
    assert!(locked().contains("size=100001"));
    server.stop();
    assert!(fs::read(built(&space, &node).join("file")).unwrap() == content(100_001));
}

/// One tar in each packing, and a zip.
#[test]
fn archives_are_unpacked() {
    use std::os::unix::fs::MetadataExt as _;
    if !have(&["tar", "gzip", "xz", "bzip2", "zstd", "python3"]) {
        return;
    }
    let (space, server) = (Space::new(), Server::start());
    let folder = space.path().join("made");
    fs::create_dir_all(folder.join("tool-1.2/bin")).unwrap();
    fs::write(folder.join("tool-1.2/bin/run"), "#!").unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let script = "import os, sys, zipfile; os.chdir(sys.argv[1]); \
        zipfile.ZipFile('a.zip', 'w').write('tool-1.2/bin/run')";
    for (name, packing) in
        [("a.tar", None), ("a.gz", Some("-z")), ("a.xz", Some("-J")), ("a.bz2", Some("-j"))]
    {
        let mut arguments: Vec<&str> = packing.into_iter().collect();
        let (archive, at) = (path(name), path(""));
        arguments.extend(["--owner=1000", "-c", "-f", &archive, "-C", &at, "tool-1.2"]);
        tool("tar", &arguments);
    }
    tool("zstd", &["-q", &path("a.tar"), "-o", &path("a.zst")]);
    tool("python3", &["-c", script, folder.to_str().unwrap()]);
    for name in ["a.tar", "a.gz", "a.xz", "a.bz2", "a.zst", "a.zip"] {
        server.put(&format!("/{name}"), At::File(fs::read(path(name)).unwrap()));
        let url = server.url(&format!("/{name}"));
        let out = built(&space, &format!("http file \"{url}\" extract=#true strip=1"));
        assert_eq!(fs::read(out.join("bin/run")).unwrap(), b"#!", "{name}");
        let owner = fs::metadata(&out).unwrap().uid();
        assert_eq!(
            fs::metadata(out.join("bin/run")).unwrap().uid(),
            owner,
            "{name}: it is as all that is fetched"
        );
    }
    server.put("/none", At::File(b"no archive".to_vec()));
    let said = refused(&space, &format!("http file \"{}\" extract=#true", server.url("/none")), 2);
    assert!(said.contains("archive"), "{said}");
}

#[test]
fn a_login_is_used_and_nowhere_told() {
    let (space, server) = (Space::new(), Server::start());
    server.put("/file", At::Private(b"for me".to_vec(), "bWU6cGFzc3dvcmQ="));
    let url = server.url("/file").replace("http://", "http://${param.login}@");
    let file = |more: &str| {
        format!("memobuild 1\nparam login default=\"you:nothing\"\nhttp file \"{url}\"{more}\ndefault file\n")
    };
    space.file("memobuild.kdl", file(""));
    let with = ["--param", "login=me:password"];
    let mut said = String::new();
    for command in
        [&["build"][..], &["show", "--format", "json"], &["show"], &["lock", "--check"], &["lock"], &["plan"]]
    {
        let ran = space.run(&[command, &with].concat());
        said += &format!("{}{}", ran.stdout, ran.stderr);
        let expected = if command[0] == "lock" { 2 } else { 0 };
        assert_eq!(ran.code, Some(expected), "{command:?}: {}", ran.stderr);
    }
    let ran = space.run(&["build"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    said += &ran.stderr;
    assert!(said.contains("http://***@"), "{said}");
    assert!(!said.contains("password"), "{said}");
    assert_not_written(&space.store(), "password");
    assert!(!space.workspace().join("memobuild.lock").exists());
    space.file("memobuild.lock", "memobuild-lock 1\nhttp \"http://me:pass@h/a\" sha256=\"1\"\n");
    assert!(space.run(&["check"]).stderr.contains("an address without a login"));
}
