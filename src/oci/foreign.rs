//! Archives that GNU tar wrote, in each of its formats: the same files come out of them.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::base::digest::BlobDigest;
use crate::base::skipped::skipped;
use crate::oci::fixture::memo;
use crate::oci::unpack::{Budget, unpack};
use crate::store::memo::Memo;
use crate::tree::encode::load;
use crate::tree::tree::{Content, Directory};

/// `None`, said aloud, where there is no GNU tar.
fn packed(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("tar");
    command.args(["--sort=name", "-C"]).arg(folder).args(arguments).args(["-cf", "-", "."]);
    let output = match command.env("LC_ALL", "C").output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped("`tar` is not installed");
            return None;
        }
        Err(error) => panic!("tar: {error}"),
    };
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn unpacked(memo: &Memo, tar: &[u8]) -> Directory {
    let tree = unpack(memo, &mut &tar[..], &[], Budget::DEFAULT).unwrap();
    load(memo, tree).unwrap()
}

/// Data here and there, and a hole at the end.
fn write_sparse(path: &Path, pieces: u64, end: u64) -> Vec<u8> {
    let mut file = File::create(path).unwrap();
    for piece in 0..pieces {
        file.seek(SeekFrom::Start(piece * 128 * 1024 + 4096)).unwrap();
        file.write_all(&[b'a' + (piece % 26) as u8; 5000]).unwrap();
    }
    file.set_len(end).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn sparse_files_of_all_four_formats() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [
        ("all-hole", write_sparse(&folder.path().join("all-hole"), 0, 1 << 20)),
        ("few", write_sparse(&folder.path().join("few"), 3, 1 << 20)),
        ("many", write_sparse(&folder.path().join("many"), 60, 60 * 128 * 1024 + 7)),
        ("short", write_sparse(&folder.path().join("short"), 1, 9_096)),
    ];
    fs::write(folder.path().join("zz-plain"), "behind them").unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let Some(tar) = packed(folder.path(), &[format, &["--sparse"]].concat()) else { return };
        assert!(tar.len() < 1 << 20, "{format:?} is not sparse");
        let (_folder, memo) = memo();
        let directory = unpacked(&memo, &tar);
        assert_eq!(directory.entries.len(), expected.len() + 1, "{format:?}");
        for (name, content) in &expected {
            let Content::File { blob, size, .. } = &directory.entries[name.as_bytes()].content else {
                panic!("{format:?}: {name} is no file");
            };
            assert_eq!((*blob, *size), (BlobDigest::of(content), content.len() as u64), "{format:?}: {name}");
        }
    }
}

#[test]
fn names_modes_owners_and_links_of_each_format() {
    let folder = tempfile::tempdir().unwrap();
    let (long, target) = ("n".repeat(180), "t/".repeat(90));
    fs::write(folder.path().join(&long), "long").unwrap();
    fs::hard_link(folder.path().join(&long), folder.path().join("zz-second")).unwrap();
    symlink(&target, folder.path().join("link")).unwrap();
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(folder.path().join(bytes), "bytes").unwrap();
    let tool = folder.path().join("tool");
    fs::write(&tool, "tool").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
    for format in ["gnu", "posix"] {
        let format = format!("--format={format}");
        let owner = ["--owner=:3000000000", "--group=:7"];
        let Some(tar) = packed(folder.path(), &[&format, owner[0], owner[1]]) else { return };
        let (_folder, memo) = memo();
        let directory = unpacked(&memo, &tar);
        let names: Vec<_> = directory.entries.keys().map(Vec::as_slice).collect();
        assert_eq!(names, [&b"link"[..], long.as_bytes(), b"tool", b"zz-second", b"\xff\xfe"], "{format}");
        let of = |name: &[u8]| &directory.entries[name];
        assert_eq!(of(b"tool").metadata.mode, 0o4755);
        assert_eq!((of(b"tool").metadata.uid, of(b"tool").metadata.gid), (3_000_000_000, 7), "{format}");
        assert_eq!(of(b"link").content, Content::Symlink { target: target.clone().into_bytes() });
        assert_eq!(of(long.as_bytes()).content, of(b"zz-second").content, "{format}: one file");
        assert!(matches!(of(b"zz-second").content, Content::File { link: Some(_), .. }));
    }
}
