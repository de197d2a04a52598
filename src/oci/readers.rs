//! Programs that are not ours read what we write.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::base::digest::OciDigest;
use crate::oci::archive::ArchiveSink;
use crate::oci::export::{Exported, export};
use crate::oci::fixture::{directory, file, full_tree, image, memo, pull, tar_of};
use crate::oci::image::Compression;
use crate::oci::layout::LayoutSink;
use crate::oci::supply::Supply;
use crate::tree::tree::Entry;

/// What the program wrote to stdout, or `None`, said aloud, where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).env("LC_ALL", "C").output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            crate::base::skipped::skipped(&format!("`{program}` is not installed"));
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// One image in a layout and an archive.
fn written(folder: &Path, compression: Compression) -> Exported {
    let (_store, memo) = memo();
    let top = directory(&memo, vec![(b"second", Entry::whiteout()), (b"new", file(&memo, b"new", 0o644))]);
    let image = image(vec![full_tree(&memo), top], compression);
    let mut archive = ArchiveSink::open(&folder.join("archive.tar"), None).unwrap();
    export(&Supply::of(&memo), &image, 0, &mut archive).unwrap();
    let mut layout = LayoutSink::open(&folder.join("layout"), None).unwrap();
    export(&Supply::of(&memo), &image, 0, &mut layout).unwrap()
}

#[test]
fn skopeo_inspects_and_copies() {
    for compression in [Compression::None, Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let exported = written(folder.path(), compression);
        for source in [format!("oci:{}:1.0", at("layout")), format!("oci-archive:{}:1.0", at("archive.tar"))]
        {
            let Some(json) = run("skopeo", &["inspect", &source]) else { return };
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["Digest"], exported.manifest.to_string());
            assert_eq!(json["Created"], "2001-09-09T01:46:40Z");
            assert_eq!(json["Labels"]["a"], "1");
            let copy = at("copy");
            run("skopeo", &["copy", "-q", "--insecure-policy", &source, &format!("dir:{copy}")]).unwrap();
            let manifest = fs::read(folder.path().join("copy/manifest.json")).unwrap();
            assert_eq!(OciDigest::of(&manifest), exported.manifest, "skopeo had to rewrite the manifest");
            fs::remove_dir_all(copy).unwrap();
        }
    }
}

/// What skopeo writes is read: other compression, other JSON, the same trees.
#[test]
fn skopeo_writes_and_we_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let exported = written(folder.path(), Compression::None);
    let (source, copy) = (format!("oci:{}:1.0", at("layout")), format!("oci:{}:copied", at("copy")));
    let copied =
        run("skopeo", &["copy", "-q", "--insecure-policy", "--dest-compress-format", "zstd", &source, &copy]);
    if copied.is_none() {
        return;
    }
    let (_store, memo) = memo();
    let platform =
        crate::oci::image::Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let image = pull(&memo, &folder.path().join("copy"), Some("copied"), None, &platform).unwrap();
    let diff_ids: Vec<_> = image.rootfs.pulled().map(|layer| layer.diff_id).collect();
    assert_eq!(diff_ids, exported.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>());
}

/// umoci 0.4 knows neither zstd nor Docker's media types.
#[test]
fn umoci_unpacks() {
    for compression in [Compression::None, Compression::Gzip { level: 6 }] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        written(folder.path(), compression);
        let arguments = ["unpack", "--rootless", "--image", &format!("{}:1.0", at("layout")), &at("bundle")];
        if run("umoci", &arguments).is_none() {
            return;
        }
        let root = folder.path().join("bundle/rootfs");
        assert_eq!(fs::read(root.join("new")).unwrap(), b"new");
        assert_eq!(fs::read(root.join("etc/first")).unwrap(), b"linked");
        assert!(!root.join("second").exists());
        assert_eq!(fs::read(root.join("capable")).unwrap(), [7; 3000]);
    }
}

/// GNU tar agrees about every kind of entry, long names and all.
#[test]
fn tar_lists_a_layer() {
    let (_store, memo) = memo();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), tar_of(&memo, full_tree(&memo))).unwrap();
    let arguments = ["--utc", "--numeric-owner", "--full-time", "-tvf", &file.path().display().to_string()];
    let Some(listing) = run("tar", &arguments) else { return };
    insta::assert_snapshot!(listing);
}
