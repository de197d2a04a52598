//! Reads a layer's or another archive's tar as a stream: one entry after another, PAX records and GNU long names applied.
//! Never seeks, never believes a length: memory grows with bytes that are really there. The `tar`
//! crate's own reader is not used since it divides PAX records at newlines, which binary xattrs hold.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::Header;

use crate::oci::error::OciError;
use crate::oci::sparse::{Form, Run, Sparse};
use crate::oci::tar_header::{BLOCK, padding};
use crate::oci::xattr_records::{SCHILY, xattrs};

/// What a layer may cost at most; the error names what ran out.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of the unpacked tar.
    pub bytes: u64,
    /// Entries, and folders that they imply.
    pub entries: u64,
    /// Bytes of names and xattrs, all together: they stay in memory until the layer is read.
    pub names: u64,
}

impl Budget {
    pub const DEFAULT: Budget = Budget { bytes: 64 << 30, entries: 4_000_000, names: 1 << 30 };
}

/// Bytes of one PAX header; Linux allows an xattr 64 KiB, and a file about as much in all.
const RECORDS_MOST: u64 = 1 << 20;
/// Bytes of one path: as much as Linux takes.
const PATH_MOST: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    Device { block: bool, major: u32, minor: u32 },
}

#[derive(Debug, Clone)]
pub(crate) struct TarEntry {
    /// As written, with whatever slashes and dots.
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// `Read` gives the content of the current entry.
pub(crate) struct TarReader<R> {
    input: R,
    budget: Budget,
    read: u64,
    entries: u64,
    names: u64,
    /// Of the current entry: content not read yet, and the zeros after it.
    content: u64,
    padding: u64,
    /// Of a sparse file: what of it that content is.
    sparse: Option<Sparse>,
}

/// What the headers before an entry say about it.
#[derive(Default)]
struct Ahead {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R, budget: Budget) -> TarReader<R> {
        TarReader { input, budget, read: 0, entries: 0, names: 0, content: 0, padding: 0, sparse: None }
    }

    /// The next entry; what was not read of the last one is skipped.
    pub(crate) fn next_entry(&mut self) -> Result<Option<TarEntry>, OciError> {
        let mut ahead = Ahead::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else { return Ok(None) };
            self.entries += 1;
            within("entries", self.entries, self.budget.entries)?;
            let size =
                number(&header.as_old().size).ok_or_else(|| malformed(&header, "its size is no number"))?;
            match header.entry_type().as_byte() {
                b'x' => ahead.records = records(&self.small(size, RECORDS_MOST, "bytes of PAX records")?)?,
                b'L' => ahead.path = Some(until_nul(self.small(size, PATH_MOST, "bytes in a path")?)),
                b'K' => ahead.link = Some(until_nul(self.small(size, PATH_MOST, "bytes in a path")?)),
                // Global records: comments, in every archive met so far; Go's reader, by which layers
                // are judged, skips them too.
                b'g' => drop(self.small(size, RECORDS_MOST, "bytes of PAX records")?),
                kind => return self.entry(&header, kind, size, ahead).map(Some),
            }
        }
    }

    /// Reads to the end of the input, so that whoever hashes it has seen every byte.
    pub(crate) fn finish(mut self) -> Result<(), OciError> {
        let mut rest = vec![0; 64 << 10];
        while self.fill(&mut rest)? == rest.len() {}
        Ok(())
    }

    fn entry(&mut self, header: &Header, kind: u8, size: u64, ahead: Ahead) -> Result<TarEntry, OciError> {
        let Ahead { mut records, path, link } = ahead;
        let path = records.remove(&b"path"[..]).or(path);
        let path = records.remove(&b"GNU.sparse.name"[..]).or(path);
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let bad = |reason| OciError::entry(&path, reason);
        let sparse = Form::of(kind, &mut records);
        let decimal = |key: &[u8], field: &[u8]| match records.get(key) {
            Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            None => number(field),
        };
        let fields = header.as_old();
        let id = |key, field| decimal(key, field).and_then(|id| u32::try_from(id).ok());
        let uid = id(b"uid", &fields.uid).ok_or_else(|| bad("its uid is not a number of 32 bits"))?;
        let gid = id(b"gid", &fields.gid).ok_or_else(|| bad("its gid is not a number of 32 bits"))?;
        let mode = number(&fields.mode).ok_or_else(|| bad("its mode is no number"))?;
        let size = match records.get(&b"size"[..]) {
            Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            None => Some(size),
        }
        .ok_or_else(|| bad("its size is no number"))?;
        let kind = kind_of(header, kind, &path).ok_or_else(|| bad("its type is unknown"))?;
        // Go's reader gives only files a content, whatever size the header says.
        let size = if kind == Kind::File { size } else { 0 };
        if let Some(form) = sparse.filter(|_| kind == Kind::File) {
            self.sparse_content(header, form, size)?.ok_or_else(|| bad("its map of holes makes no sense"))?;
        } else {
            (self.content, self.padding) = (size, padding(size) as u64);
        }
        let link = records
            .remove(&b"linkpath"[..])
            .or(link)
            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let names = path.len() + link.len();
        let xattrs = xattrs(records).ok_or_else(|| bad("its xattrs are malformed"))?;
        let values: usize = xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.names += (names + values) as u64;
        within("bytes of names and xattrs", self.names, self.budget.names)?;
        Ok(TarEntry { path, link, kind, mode: (mode & 0o7777) as u32, uid, gid, xattrs })
    }

    /// `None` where what the archive says of its holes is no file.
    fn sparse_content(&mut self, header: &Header, form: Form, size: u64) -> Result<Option<()>, OciError> {
        // Blocks of the old format stand before the content and are no part of it.
        self.content = if matches!(form, Form::Old) { u64::MAX } else { size };
        let Some((sparse, map)) =
            form.read(header, size, self).map_err(OciError::stream("reading a layer"))?
        else {
            return Ok(None);
        };
        (self.content, self.padding) = (size - map, padding(size) as u64);
        self.sparse = Some(sparse);
        Ok(Some(()))
    }

    /// `None` at the end: two blocks of zeros, or nothing more.
    fn header(&mut self) -> Result<Option<Header>, OciError> {
        let mut header = Header::new_old();
        match self.fill(header.as_mut_bytes())? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(OciError::entry(b"", "the archive ends in a header")),
        }
        if header.as_bytes().iter().all(|&byte| byte == 0) {
            let mut second = [0; BLOCK];
            self.fill(&mut second)?;
            return match second.iter().all(|&byte| byte == 0) {
                true => Ok(None),
                false => Err(OciError::entry(b"", "one block of zeros stands among the entries")),
            };
        }
        if number(&header.as_old().cksum) != Some(checksum(&header)) {
            return Err(malformed(&header, "its header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    /// The content of a header that describes the next entry.
    fn small(&mut self, size: u64, most: u64, what: &'static str) -> Result<Vec<u8>, OciError> {
        within(what, size, most)?;
        self.content = size;
        self.padding = padding(size) as u64;
        let mut bytes = Vec::new();
        self.by_ref().take(size).read_to_end(&mut bytes).map_err(OciError::stream("reading a layer"))?;
        Ok(bytes)
    }

    fn skip_content(&mut self) -> Result<(), OciError> {
        self.sparse = None;
        let rest = self.content.saturating_add(std::mem::take(&mut self.padding));
        self.content = rest;
        io::copy(&mut self.by_ref().take(rest), &mut io::sink())
            .map_err(OciError::stream("reading a layer"))?;
        Ok(())
    }

    /// Fewer bytes than asked only at the input's end.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, OciError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(OciError::stream("reading a layer")(error)),
            }
        }
        self.read += filled as u64;
        within("bytes", self.read, self.budget.bytes)?;
        Ok(filled)
    }
}

/// The current entry's content, holes as zeros; an archive that ends inside it is an error.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(sparse) = &self.sparse else { return self.read_stored(buffer) };
        let (Some(Run::Zeros(run) | Run::Stored(run)), len) = (sparse.next(), buffer.len()) else {
            return Ok(0);
        };
        let buffer = &mut buffer[..usize::try_from(run).unwrap_or(usize::MAX).min(len)];
        let count = match sparse.next() {
            Some(Run::Stored(_)) => self.read_stored(buffer)?,
            _ => self.read_hole(buffer)?,
        };
        self.sparse.iter_mut().for_each(|sparse| sparse.advance(count as u64));
        Ok(count)
    }
}

impl<R: Read> TarReader<R> {
    /// Holes count as much as bytes: they become some.
    fn read_hole(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        self.count(buffer.len())
    }

    fn read_stored(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in an entry"));
        }
        self.content -= count as u64;
        self.count(count)
    }

    fn count(&mut self, bytes: usize) -> io::Result<usize> {
        self.read += bytes as u64;
        within("bytes", self.read, self.budget.bytes).map_err(io::Error::other)?;
        Ok(bytes)
    }
}

fn kind_of(header: &Header, byte: u8, path: &[u8]) -> Option<Kind> {
    let device = |block| {
        let ustar = header.as_ustar().map(|ustar| (ustar.dev_major, ustar.dev_minor));
        let gnu = header.as_gnu().map(|gnu| (gnu.dev_major, gnu.dev_minor));
        let (major, minor) = ustar.or(gnu)?;
        let part = |field: &[u8]| number(field).and_then(|number| u32::try_from(number).ok());
        Some(Kind::Device { block, major: part(&major)?, minor: part(&minor)? })
    };
    match byte {
        // Before POSIX a directory was a file whose name ends with a slash.
        0 if path.ends_with(b"/") => Some(Kind::Directory),
        0 | b'0' | b'7' | b'S' => Some(Kind::File),
        b'1' => Some(Kind::HardLink),
        b'2' => Some(Kind::Symlink),
        b'3' => device(false),
        b'4' => device(true),
        b'5' => Some(Kind::Directory),
        b'6' => Some(Kind::Fifo),
        _ => None,
    }
}

/// `LENGTH KEY=VALUE\n` each; a value may hold any byte. An empty value takes a record back.
fn records(mut bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, OciError> {
    let bad = || OciError::entry(b"", "a PAX record is malformed");
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|&byte| byte == b' ').ok_or_else(bad)?;
        let length: usize =
            std::str::from_utf8(&bytes[..space]).ok().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
        let record = bytes.get(space + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match value {
            b"" if !key.starts_with(SCHILY) => drop(records.remove(key)),
            // In version 0.0 of sparse files these two come again and again; as one record they are version 0.1.
            value if key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes" => {
                let map: &mut Vec<u8> = records.entry(b"GNU.sparse.map".to_vec()).or_default();
                map.extend_from_slice(if map.is_empty() { b"" } else { b"," });
                map.extend_from_slice(value);
            }
            value => drop(records.insert(key.to_vec(), value.to_vec())),
        }
        bytes = &bytes[length..];
    }
    Ok(records)
}

/// Octal digits, or GNU's base 256 where the first bit is set; nothing at all is zero.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            rest.iter().try_fold(u64::from(first & 0x7f), |sum, &byte| {
                sum.checked_mul(256)?.checked_add(u64::from(byte))
            })
        }
        field => {
            let text = std::str::from_utf8(field).ok()?;
            match text.trim_matches(['\0', ' ']) {
                "" => Some(0),
                digits if digits.starts_with('+') => None,
                digits => u64::from_str_radix(digits, 8).ok(),
            }
        }
    }
}

/// The sum of the header's bytes, with the checksum itself as spaces.
fn checksum(header: &Header) -> u64 {
    let bytes = header.as_bytes();
    let sum = |part: &[u8]| part.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    sum(&bytes[..148]) + 8 * u64::from(b' ') + sum(&bytes[156..])
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn within(what: &'static str, count: u64, most: u64) -> Result<(), OciError> {
    if count > most { Err(OciError::Budget { what, most }) } else { Ok(()) }
}

fn malformed(header: &Header, reason: &'static str) -> OciError {
    OciError::entry(&header.path_bytes(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"\x80\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"-1\0", None),
            (b"+1\0", None),
            (b"9", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }

    #[test]
    fn records_are_read_by_length() {
        let value = b"a\nb=\0\xff";
        let text = [b"18 SCHILY.x=".as_slice(), b"y\n\n1=", b"\n"].concat();
        assert_eq!(records(&text).unwrap(), BTreeMap::from([(b"SCHILY.x".to_vec(), b"y\n\n1=".to_vec())]));
        let mut written = Vec::new();
        let mut metadata = crate::tree::tree::Metadata::plain(0o644);
        metadata.xattrs.insert(b"user.binary".to_vec(), value.to_vec());
        crate::oci::tar_header::encode(b"f", &metadata, crate::oci::tar_header::Kind::Fifo, &mut written)
            .unwrap();
        let entry = TarReader::new(&written[..], Budget::DEFAULT).next_entry().unwrap().unwrap();
        assert_eq!(entry.xattrs, metadata.xattrs);
    }

    #[test]
    fn lying_records_are_refused() {
        for text in [
            "99 a=b\n",
            "5 a=b\n",
            "6 a=b ",
            "x a=b\n",
            "18446744073709551616 a=b\n",
            "0 a=b\n",
            "3 a\n",
            "5 ab\n",
        ] {
            assert!(records(text.as_bytes()).is_err(), "{text}");
        }
    }
}
