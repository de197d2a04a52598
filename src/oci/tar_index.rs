//! The members of a tar file by name, with where their bytes stand: its headers are read once, its contents when they
//! are wanted, from any place and by any number of threads. For archives that hold images: only names, sizes and
//! symbolic links count.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use tar::{EntryType, Header};

use crate::oci::error::OciError;
use crate::oci::tar_header::{BLOCK, padding};

pub(crate) struct TarIndex {
    file: Arc<File>,
    members: BTreeMap<Vec<u8>, Member>,
}

enum Member {
    File { at: u64, size: u64 },
    Symlink(Vec<u8>),
}

/// A part of a file.
#[derive(Clone)]
pub(crate) struct Span {
    file: Arc<File>,
    at: u64,
    left: u64,
}

/// Members of an archive, all together.
const MEMBERS_MOST: usize = 200_000;
/// Bytes of a header that goes on in others.
const EXTENDED_MOST: u64 = 64 << 10;
/// Links that lead to links.
const LINKS_MOST: usize = 8;

impl TarIndex {
    pub(crate) fn open(path: &Path) -> Result<TarIndex, OciError> {
        // A fifo would keep us waiting.
        let metadata = fs::metadata(path).map_err(OciError::io("cannot open the archive", path))?;
        if !metadata.is_file() {
            return Err(OciError::Archive("it is not a file".to_owned()));
        }
        let file = File::open(path).map_err(OciError::io("cannot open the archive", path))?;
        let mut start = [0; 6];
        let count = file.read_at(&mut start, 0).map_err(OciError::io("cannot read the archive", path))?;
        if matches!(&start[..count], [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [b'B', b'Z', b'h', ..])
        {
            return Err(OciError::Archive("it is compressed as a whole: unpack it first".to_owned()));
        }
        let whole = Span { file: Arc::new(file), at: 0, left: metadata.len() };
        let members = read_members(&whole)?;
        Ok(TarIndex { file: whole.file, members })
    }

    /// `None` where there is no such file.
    pub(crate) fn get(&self, name: &str) -> Option<Span> {
        let mut name = plain(name.as_bytes());
        for _ in 0..LINKS_MOST {
            match self.members.get(&name)? {
                Member::File { at, size } => {
                    return Some(Span { file: self.file.clone(), at: *at, left: *size });
                }
                Member::Symlink(target) => {
                    let folder = name.rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
                    name = plain(&[folder, b"/", target].concat());
                }
            }
        }
        None
    }
}

impl Span {
    pub(crate) fn of_file(file: File) -> io::Result<Span> {
        let left = file.metadata()?.len();
        Ok(Span { file: Arc::new(file), at: 0, left })
    }

    /// Bytes.
    pub(crate) fn len(&self) -> u64 {
        self.left
    }
}

impl Read for Span {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Without `.` and empty parts; `..` leads to the folder above, and nowhere above the archive.
fn plain(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// What headers say of the next one.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

fn read_members(whole: &Span) -> Result<BTreeMap<Vec<u8>, Member>, OciError> {
    let end = whole.left;
    let mut members = BTreeMap::new();
    let mut ahead = Ahead::default();
    let mut at = 0;
    while at + BLOCK as u64 <= end {
        let mut header = Header::new_old();
        whole.file.read_exact_at(header.as_mut_bytes(), at).map_err(OciError::stream(READING))?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(members);
        }
        at += BLOCK as u64;
        let size = match ahead.size.take() {
            Some(size) => size,
            None => size(&header)?,
        };
        if size > end - at {
            return Err(OciError::Archive("it ends in the middle of a member".to_owned()));
        }
        let extended = |what: &str| -> Result<Vec<u8>, OciError> {
            if size > EXTENDED_MOST {
                return Err(OciError::Archive(format!("its {what} has more than {EXTENDED_MOST} bytes")));
            }
            let mut bytes = Vec::new();
            let mut span = Span { at, left: size, ..whole.clone() };
            span.read_to_end(&mut bytes).map_err(OciError::stream(READING))?;
            Ok(bytes)
        };
        let kind = header.entry_type();
        match kind {
            EntryType::XHeader => read_records(&extended("PAX header")?, &mut ahead)?,
            EntryType::GNULongName => ahead.name = Some(until_nul(extended("long name")?)),
            EntryType::GNULongLink => ahead.link = Some(until_nul(extended("long link")?)),
            _ => {
                let Ahead { name, link, .. } = std::mem::take(&mut ahead);
                let name = plain(&name.unwrap_or_else(|| header.path_bytes().into_owned()));
                let link = link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
                let member = match (kind, link) {
                    (EntryType::Regular | EntryType::Continuous, _) => Some(Member::File { at, size }),
                    (EntryType::Symlink, Some(link)) => Some(Member::Symlink(link)),
                    _ => None,
                };
                if let Some(member) = member
                    && members.insert(name.clone(), member).is_some()
                {
                    return Err(OciError::entry(&name, "stands twice in the archive"));
                }
            }
        }
        if members.len() > MEMBERS_MOST {
            return Err(OciError::Budget { what: "members", most: MEMBERS_MOST as u64 });
        }
        at += size + padding(size) as u64;
    }
    Ok(members)
}

const READING: &str = "reading the archive";

fn size(header: &Header) -> Result<u64, OciError> {
    let sum: u64 = header.as_bytes().iter().enumerate().fold(0, |sum, (place, byte)| {
        sum + u64::from(if (148..156).contains(&place) { b' ' } else { *byte })
    });
    if header.cksum().map(u64::from).ok() != Some(sum) {
        return Err(OciError::Archive("it is no tar, or is damaged".to_owned()));
    }
    header.entry_size().map_err(|error| OciError::Archive(error.to_string()))
}

/// POSIX.1-2017, pax, "pax Extended Header": `LENGTH KEY=VALUE\n`.
fn read_records(mut bytes: &[u8], ahead: &mut Ahead) -> Result<(), OciError> {
    let broken = || OciError::Archive("a PAX header of it is malformed".to_owned());
    while !bytes.is_empty() {
        let digits = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = std::str::from_utf8(&bytes[..digits]).ok().and_then(|text| text.parse().ok());
        let length: usize = length.ok_or_else(broken)?;
        let record = bytes.get(digits + 1..length.wrapping_sub(1)).ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let value = &record[equals + 1..];
        match &record[..equals] {
            b"path" => ahead.name = Some(value.to_vec()),
            b"linkpath" => ahead.link = Some(value.to_vec()),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                ahead.size = Some(size.ok_or_else(broken)?);
            }
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(())
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, &[u8])], change: impl FnOnce(&mut Vec<u8>)) -> tempfile::NamedTempFile {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        let mut link = Header::new_gnu();
        link.set_entry_type(EntryType::Symlink);
        link.set_size(0);
        builder.append_link(&mut link, "two/link", "../one").unwrap();
        builder.append_link(&mut link.clone(), "loop", "loop").unwrap();
        let mut bytes = builder.into_inner().unwrap();
        change(&mut bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file
    }

    fn content(index: &TarIndex, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        index.get(name)?.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn members_are_read_from_any_place() {
        let long = "n".repeat(300);
        let file = archive(&[("one", b"1"), (&long, b"long"), ("./two/three", &[3; 2000])], |_| {});
        let index = TarIndex::open(file.path()).unwrap();
        for (name, expected) in [
            ("two/three", Some(vec![3; 2000])),
            ("one", Some(b"1".to_vec())),
            (&long, Some(b"long".to_vec())),
            ("two/link", Some(b"1".to_vec())),
            ("loop", None),
            ("two", None),
            ("../one", Some(b"1".to_vec())),
        ] {
            assert_eq!(content(&index, name), expected, "{name}");
        }
    }

    #[test]
    fn hostile_archives_are_refused() {
        let refused = |file: &tempfile::NamedTempFile, expected: &str| {
            let error = TarIndex::open(file.path()).map(drop).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(&archive(&[("a", b"1"), ("./a", b"2")], |_| {}), "`a`: stands twice");
        refused(&archive(&[("a", &[0; 600])], |bytes| bytes.truncate(1000)), "ends in the middle");
        refused(&archive(&[("a", b"1")], |bytes| bytes[0] ^= 1), "is no tar, or is damaged");
        refused(&archive(&[], |bytes| *bytes = b"\x1f\x8b\x08".to_vec()), "compressed as a whole");
        let huge = |bytes: &mut Vec<u8>| {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            header.set_size(EXTENDED_MOST + 1);
            header.set_cksum();
            *bytes = [header.as_bytes().as_slice(), &vec![b'1'; 1 << 20]].concat();
        };
        refused(&archive(&[], huge), "PAX header has more than");
        for records in ["5 x\n", "99 path=a\n", "9 path a\n", "1 \n", "x path=a\n"] {
            let mut ahead = Ahead::default();
            assert!(read_records(records.as_bytes(), &mut ahead).is_err(), "{records}");
        }
    }
}
