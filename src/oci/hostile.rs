//! Archives that mean harm, or only differ from ours: each as a table row.

use std::collections::BTreeMap;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::oci::error::OciError;
use crate::oci::fixture::{directory, file, memo, of};
use crate::oci::tar_header::{Kind, encode, padding};
use crate::oci::unpack::{Budget, unpack};
use crate::store::memo::Memo;
use crate::tree::encode::load;
use crate::tree::tree::{Content, Entry, Metadata};

/// An archive built entry by entry, with any name.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn add(mut self, path: &str, kind: Kind<'_>, content: &[u8]) -> Tar {
        encode(path.as_bytes(), &Metadata::plain(0o640), kind, &mut self.0).unwrap();
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len() + padding(content.len() as u64), 0);
        self
    }

    fn file(self, path: &str, content: &str) -> Tar {
        self.add(path, Kind::File { size: content.len() as u64 }, content.as_bytes())
    }

    fn folder(self, path: &str) -> Tar {
        self.add(path, Kind::Directory, b"")
    }

    fn symlink(self, path: &str, target: &str) -> Tar {
        self.add(path, Kind::Symlink { target: target.as_bytes() }, b"")
    }

    fn link(self, path: &str, target: &str) -> Tar {
        self.add(path, Kind::HardLink { target: target.as_bytes() }, b"")
    }

    /// PAX records for the next entry.
    fn pax(self, records: &str) -> Tar {
        self.raw(b'x', records.len() as u64, records.as_bytes())
    }

    /// A header of any type and size, with the bytes that really follow it.
    fn raw(mut self, kind: u8, size: u64, content: &[u8]) -> Tar {
        let mut header = tar::Header::new_ustar();
        header.set_path("raw").unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len() + padding(content.len() as u64), 0);
        self
    }

    fn unpack(&self, memo: &Memo, lower: &[TreeDigest]) -> Result<TreeDigest, OciError> {
        unpack(memo, &mut &self.0[..], lower, Budget { bytes: 1 << 20, entries: 100, names: 1 << 16 })
    }
}

/// Path to what is there, in a line each.
fn listing(memo: &Memo, tree: TreeDigest) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    list_below(memo, tree, &TreePath::root(), &mut lines);
    lines
}

fn list_below(memo: &Memo, tree: TreeDigest, path: &TreePath, lines: &mut BTreeMap<String, String>) {
    for (name, entry) in load(memo, tree).unwrap().entries {
        let path = path.join(&name);
        let mode = entry.metadata.mode;
        let line = match entry.content {
            Content::File { size, link, .. } => {
                format!("file {mode:o} {size}{}", if link.is_some() { " linked" } else { "" })
            }
            Content::Directory { tree, opaque } => {
                list_below(memo, tree, &path, lines);
                format!("folder {mode:o}{}", if opaque { " opaque" } else { "" })
            }
            Content::Symlink { .. } => "symlink".to_owned(),
            Content::Fifo => "fifo".to_owned(),
            Content::Device { .. } => "device".to_owned(),
            Content::Whiteout => "whiteout".to_owned(),
        };
        lines.insert(path.to_string(), line);
    }
}

fn refused(tar: &Tar, message: &str) {
    let (_folder, memo) = memo();
    assert_eq!(tar.unpack(&memo, &[]).unwrap_err().to_string(), message);
}

fn accepted(tar: &Tar, expected: &[(&str, &str)]) {
    let (_folder, memo) = memo();
    let tree = tar.unpack(&memo, &[]).unwrap();
    let expected = expected.iter().map(|(path, line)| ((*path).to_owned(), (*line).to_owned())).collect();
    assert_eq!(listing(&memo, tree), expected);
}

#[test]
fn escapes_are_refused() {
    let tar = Tar::default;
    let parent = |path: &str| format!("archive entry `{path}`: its path leaves the archive by `..`");
    refused(&tar().file("../a", ""), &parent("../a"));
    refused(&tar().file("a/../../b", ""), &parent("a/../../b"));
    refused(&tar().file("a/..", ""), &parent("a/.."));
    refused(&tar().file("../.wh.a", ""), &parent("../a"));
    refused(&tar().file("a", "").link("b", "../a"), &parent("../a"));
    let through = "archive entry `/a/b` would be written through `/a`, which is no directory";
    refused(&tar().symlink("a", "/etc").file("a/b", ""), through.replace("/a/b", "/a").as_str());
    refused(
        &tar().file("a", "").folder("a/b/c"),
        "archive entry `/a/b` would be written through `/a`, which is no directory",
    );
    let linked = |target| {
        format!(
            "archive entry `/b` is a hard link to `{target}`, which is not a file of this archive or of a layer below it"
        )
    };
    refused(&tar().link("b", "/etc/passwd"), &linked("/etc/passwd"));
    refused(&tar().link("b", "b"), &linked("/b"));
    refused(&tar().folder("a").link("b", "a"), &linked("/a"));
    refused(&tar().symlink("s", "a").file("a/f", "").link("b", "s/f"), &linked("/s/f"));
    refused(&tar().file(".wh.", ""), "archive entry `.wh.`: it removes nothing that has a name");
    refused(&tar().file(".wh...", ""), "archive entry `/..`: its path leaves the archive by `..`");
}

#[test]
fn lies_about_sizes_are_noticed() {
    let tar = Tar::default;
    refused(&tar().raw(b'x', 1 << 40, b""), "the archive has more than 1048576 bytes of PAX records");
    refused(&tar().raw(b'L', 1 << 40, b""), "the archive has more than 4096 bytes in a path");
    refused(&tar().raw(b'x', 7, b"9 a=bc\n"), "archive entry ``: a PAX record is malformed");
    refused(&tar().raw(b'0', 1 << 30, b""), "unpacking a file: the archive ends in an entry");
    refused(&tar().raw(b'x', 1000, b""), "reading a layer: the archive ends in an entry");
    let beyond = tar().raw(b'x', 36, b"18 GNU.sparse.map=18 GNU.sparse.map=");
    refused(&beyond, "archive entry ``: a PAX record is malformed");
    refused(&tar().raw(b'Z', 0, b""), "archive entry `raw`: its type is unknown");
    refused(&Tar(vec![1; 512]), &OciError::entry(&[1; 100], "its header has a wrong checksum").to_string());
    refused(&Tar(vec![1; 100]), "archive entry ``: the archive ends in a header");
}

#[test]
fn bombs_run_into_a_budget() {
    let many = (0..101).fold(Tar::default(), |tar, n| tar.file(&n.to_string(), ""));
    refused(&many, "the archive has more than 100 entries");
    refused(&Tar::default().file("a", &"x".repeat(2 << 20)), "the archive has more than 1048576 bytes");
    refused(&Tar(vec![0; 2 << 20]), "the archive has more than 1048576 bytes");
    let long = (0..60).fold(Tar::default(), |tar, n| tar.folder(&format!("{n}/{}", "y/".repeat(600))));
    refused(&long, "the archive has more than 512 names in one path");
    let implied = (0..4).fold(Tar::default(), |tar, n| tar.folder(&format!("{n}/{}", "y/".repeat(40))));
    refused(&implied, "the archive has more than 100 folders");
    let named = (0..60).fold(Tar::default(), |tar, n| tar.symlink(&n.to_string(), &"z".repeat(3000)));
    refused(&named, "the archive has more than 65536 bytes of names and xattrs");
}

#[test]
fn names_are_relative_and_later_entries_win() {
    let tar = Tar::default;
    accepted(&tar().file("/abs", "1"), &[("/abs", "file 640 1")]);
    accepted(&tar().folder(".").file("./a//b", ""), &[("/a", "folder 755"), ("/a/b", "file 640 0")]);
    accepted(&tar().file("a", "1").file("a", "22"), &[("/a", "file 640 2")]);
    accepted(&tar().file("d/a", "").folder("d"), &[("/d", "folder 640"), ("/d/a", "file 640 0")]);
    accepted(&tar().file("d/a", "").symlink("d", "x"), &[("/d", "symlink")]);
    accepted(
        &tar().symlink("d", "x").folder("d").file("d/a", ""),
        &[("/d", "folder 640"), ("/d/a", "file 640 0")],
    );
    accepted(
        &tar().file("a", "1").link("b", "a").file("a", "22"),
        &[("/a", "file 640 2"), ("/b", "file 640 1")],
    );
    accepted(
        &tar().file("a", "1").link("b", "a"),
        &[("/a", "file 640 1 linked"), ("/b", "file 640 1 linked")],
    );
    let global = tar().raw(b'g', 17, b"17 comment=hello\n").file("a", "");
    accepted(&global, &[("/a", "file 640 0")]);
    let gnu = tar().raw(b'L', 5, b"long\0").raw(b'0', 1, b"x");
    accepted(&gnu, &[("/long", "file 644 1")]);
}

#[test]
fn markers() {
    let tar = Tar::default;
    accepted(&tar().file("d/.wh.a", ""), &[("/d", "folder 755"), ("/d/a", "whiteout")]);
    accepted(&tar().file("d/.wh..wh..opq", ""), &[("/d", "folder 755 opaque")]);
    accepted(&tar().file(".wh..wh.plnk", ""), &[]);
    // A removed name that comes again: the file is new, the folder shows nothing from below.
    accepted(&tar().file("a", "").file(".wh.a", ""), &[("/a", "file 640 0")]);
    accepted(&tar().file(".wh.d", "").folder("d"), &[("/d", "folder 640 opaque")]);
    let long = "l".repeat(255);
    accepted(&tar().file(&format!(".wh.{long}"), ""), &[(&format!("/{long}"), "whiteout")]);
}

#[test]
fn layers_below_are_looked_at() {
    let (_folder, memo) = memo();
    let mut sticky = Entry::directory(directory(&memo, vec![(b"f", file(&memo, b"low", 0o600))]));
    sticky.metadata.mode = 0o1777;
    let first = directory(&memo, vec![(b"tmp", sticky), (b"gone", file(&memo, b"", 0o644))]);
    let second = directory(
        &memo,
        vec![(b"gone", Entry::whiteout()), (b"s", of(Content::Symlink { target: b"tmp".to_vec() }))],
    );
    let lower = [first, second];
    let tree = Tar::default().file("tmp/new", "").link("copy", "tmp/f").unpack(&memo, &lower).unwrap();
    let expected = [("/copy", "file 600 3"), ("/tmp", "folder 1777"), ("/tmp/new", "file 640 0")];
    assert_eq!(listing(&memo, tree), expected.map(|(path, line)| (path.to_owned(), line.to_owned())).into());
    assert!(matches!(Tar::default().link("x", "gone").unpack(&memo, &lower), Err(OciError::HardLink { .. })));
    let tree = Tar::default().file(".wh..wh..opq", "").file("s", "").unpack(&memo, &lower).unwrap();
    let expected = [("/gone", "whiteout"), ("/s", "file 640 0"), ("/tmp", "whiteout")];
    assert_eq!(listing(&memo, tree), expected.map(|(path, line)| (path.to_owned(), line.to_owned())).into());
}

/// Docker and containerd unpack a layer into a folder of its own, where the links of the layers below are not: what is
/// written through one comes to lie in a real folder, which hides the link. Whoever unpacks onto a merged root follows
/// the link instead; images are run by the former, so this is what they mean.
#[test]
fn a_lower_layers_link_becomes_a_folder() {
    let (_folder, memo) = memo();
    let lib = directory(&memo, vec![(b"old", file(&memo, b"", 0o644))]);
    let link = of(Content::Symlink { target: b"usr/lib".to_vec() });
    let usr = directory(&memo, vec![(b"lib", Entry::directory(lib))]);
    let lower = [directory(&memo, vec![(b"lib", link), (b"usr", Entry::directory(usr))])];
    let tree = Tar::default().file("lib/new", "").unpack(&memo, &lower).unwrap();
    let expected = [("/lib", "folder 755"), ("/lib/new", "file 640 0")];
    assert_eq!(listing(&memo, tree), expected.map(|(path, line)| (path.to_owned(), line.to_owned())).into());
}

/// A class of known vulnerabilities, an archive of that kind, and what the error says.
type Class = (&'static str, Tar, &'static str);

/// Those of the classes that concern archives. What escapes is refused; what only looks as if it did is harmless here,
/// since nothing is ever written to a path of an archive.
fn classes() -> Vec<Class> {
    let tar = Tar::default;
    let pax = |text: &str| {
        let length = text.len() + 4 + usize::from(text.len() > 95) - usize::from(text.len() < 7);
        format!("{length} {text}\n")
    };
    let size = pax("GNU.sparse.size=1099511627776");
    let hole = format!("{}{}", pax("GNU.sparse.map=0,0"), size);
    vec![
        (
            "slip by `..` in a name (CVE-2026-28406, CVE-2026-24843)",
            tar().file("x/../../etc/cron", ""),
            "leaves",
        ),
        ("slip by `..` in a PAX path", tar().pax(&pax("path=../../etc")).file("x", ""), "leaves"),
        ("slip by `..` in a hard link (CVE-2026-17106)", tar().link("x", "../../etc/shadow"), "leaves"),
        ("slip by `..` in a PAX link", tar().pax(&pax("linkpath=../..")).link("x", "y"), "leaves"),
        ("hard link to the machine's file (CVE-2026-17106)", tar().link("x", "/etc/shadow"), "hard link"),
        ("write through a link (CVE-2020-10696)", tar().symlink("x", "/").file("x/etc/cron", ""), "through"),
        ("write through a link to itself", tar().symlink("x", ".").file("x/x/y", ""), "through"),
        (
            "link in place of a folder, then a write (GHSA-qq3r-w4hj-gjp6)",
            tar().folder("x").symlink("x", "/etc").file("x/passwd", ""),
            "through",
        ),
        ("hard link through a link", tar().symlink("x", "/").link("y", "x/etc/shadow"), "hard link"),
        ("folder through a link", tar().symlink("x", "/etc").folder("x/y/z"), "through"),
        ("whiteout of the parent", tar().file("x/.wh...", ""), "leaves"),
        ("whiteout of the folder itself", tar().file("x/.wh..", ""), "nothing that has a name"),
        ("whiteout outside", tar().file("../.wh.etc", ""), "leaves"),
        ("whiteout through a link", tar().symlink("x", "/etc").file("x/.wh.passwd", ""), "through"),
        ("opaque marker through a link", tar().symlink("x", "/etc").file("x/.wh..wh..opq", ""), "through"),
        ("NUL in a name", tar().pax(&pax("path=x\0/../y")).file("x", ""), "NUL"),
        ("bomb of bytes (apko 1.1.0)", tar().file("x", &"0".repeat(2 << 20)), "bytes"),
        ("bomb of holes", tar().pax(&hole).file("x", ""), "bytes"),
        ("bomb of zeros behind the end", Tar(vec![0; 2 << 20]), "bytes"),
        ("bomb of names", tar().folder(&"x/".repeat(600)), "names in one path"),
        ("long PAX records", tar().raw(b'x', 1 << 31, b""), "PAX records"),
        ("long GNU name", tar().raw(b'L', 1 << 31, b""), "bytes in a path"),
        ("size beyond the archive", tar().raw(b'0', 1 << 19, b"x"), "ends in an entry"),
        (
            "size that overflows",
            tar().pax(&pax("size=18446744073709551615")).file("x", ""),
            "ends in an entry",
        ),
        (
            "overlapping pieces of a sparse file",
            tar().pax(&(pax("GNU.sparse.map=0,1,0,1") + &size)).file("x", "ab"),
            "map of holes",
        ),
    ]
}

#[test]
fn each_class_is_refused() {
    for (class, tar, told) in classes() {
        let (_folder, memo) = memo();
        let refused = tar.unpack(&memo, &[]);
        let message = refused.map(|_| String::new()).map_err(|error| error.to_string());
        assert!(message.as_ref().is_err_and(|message| message.contains(told)), "{class}: {message:?}");
    }
}

/// A device, a program that changes its user, an absolute link: a layer may hold them, and they are entries of a tree.
#[test]
fn what_is_dangerous_only_on_disk_is_kept() {
    let device = Kind::Device { block: true, major: 8, minor: 0 };
    let tar = Tar::default().add("sda", device, b"").symlink("etc", "/etc").file("/etc2", "");
    accepted(&tar, &[("/etc", "symlink"), ("/etc2", "file 640 0"), ("/sda", "device")]);
}

/// Overlayfs would take these for its own.
#[test]
fn the_kernels_own_books_stay_out() {
    let (_folder, memo) = memo();
    let mut metadata = Metadata::plain(0o755);
    for name in ["trusted.overlay.opaque", "user.overlay.redirect", "user.kept"] {
        metadata.xattrs.insert(name.into(), b"y".to_vec());
    }
    let mut tar = Tar::default();
    encode(b"d", &metadata, Kind::Directory, &mut tar.0).unwrap();
    let tree = tar.unpack(&memo, &[]).unwrap();
    let found = &load(&memo, tree).unwrap().entries[&b"d"[..]];
    assert_eq!(found.metadata.xattrs, BTreeMap::from([(b"user.kept".to_vec(), b"y".to_vec())]));
}
