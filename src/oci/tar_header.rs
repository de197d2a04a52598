//! The bytes before a file's content in a layer: a ustar header, preceded by PAX records for whatever
//! does not fit it (POSIX.1-2017, pax, "pax Interchange Format"). Never reads or writes anything.
//! Every time is 1980 and no owner has a name, so that equal trees give equal bytes.

use tar::{EntryType, Header};

use crate::tree::tree::Metadata;

/// Bytes; headers and contents fill whole blocks.
pub(crate) const BLOCK: usize = 512;

/// 1980-01-01T00:00:00Z: zip refuses earlier times.
pub(crate) const TIME: u64 = 315_532_800;

/// What follows the last entry.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    File { size: u64 },
    HardLink { target: &'a [u8] },
    Directory,
    Symlink { target: &'a [u8] },
    Fifo,
    Device { block: bool, major: u32, minor: u32 },
}

/// Appends the header of the entry to `out`; `Err` says what no archive can hold.
pub(crate) fn encode(
    path: &[u8],
    metadata: &Metadata,
    kind: Kind<'_>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let mut header = blank(metadata.mode);
    let mut records = Vec::new();
    let mut name = path.to_vec();
    if kind == Kind::Directory {
        name.push(b'/');
    }
    if !set_name(&mut header, &name) {
        record("path", &name, &mut records);
    }
    set_kind(&mut header, kind, &mut records)?;
    for (key, value, field) in [
        ("uid", metadata.uid, Header::set_uid as fn(&mut Header, u64)),
        ("gid", metadata.gid, Header::set_gid),
    ] {
        field(&mut header, number(key, u64::from(value), MOST_SMALL, &mut records));
    }
    if !matches!(kind, Kind::HardLink { .. }) {
        xattr_records(metadata, &mut records)?;
    }
    if !records.is_empty() {
        put_records(&records, out);
    }
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    Ok(())
}

/// Zeros to fill the last block of `size` bytes.
pub(crate) const fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// The largest number of a field of eight bytes, and of one of twelve.
const MOST_SMALL: u64 = 0o777_7777;
const MOST_SIZE: u64 = 0o777_7777_7777;

fn blank(mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(TIME);
    header
}

/// The number itself where the field can hold it; else a record, and zero in the field.
fn number(key: &str, value: u64, most: u64, records: &mut Vec<u8>) -> u64 {
    if value <= most {
        return value;
    }
    record(key, value.to_string().as_bytes(), records);
    0
}

fn set_kind(header: &mut Header, kind: Kind<'_>, records: &mut Vec<u8>) -> Result<(), &'static str> {
    header.set_entry_type(match kind {
        Kind::File { .. } => EntryType::Regular,
        Kind::HardLink { .. } => EntryType::Link,
        Kind::Directory => EntryType::Directory,
        Kind::Symlink { .. } => EntryType::Symlink,
        Kind::Fifo => EntryType::Fifo,
        Kind::Device { block: true, .. } => EntryType::Block,
        Kind::Device { block: false, .. } => EntryType::Char,
    });
    match kind {
        Kind::File { size } => header.set_size(number("size", size, MOST_SIZE, records)),
        Kind::HardLink { target } | Kind::Symlink { target } => {
            if target.contains(&0) {
                return Err("its target has a NUL byte");
            }
            if !fill(&mut header.as_old_mut().linkname, target) {
                record("linkpath", target, records);
            }
        }
        Kind::Device { major, minor, .. } => {
            if u64::from(major.max(minor)) > MOST_SMALL {
                return Err("its device number has more than 21 bits");
            }
            for set in [header.set_device_major(major), header.set_device_minor(minor)] {
                set.expect("bug: a ustar header has device numbers");
            }
        }
        Kind::Directory | Kind::Fifo => {}
    }
    Ok(())
}

/// Whether the name fits, whole or divided at a slash.
fn set_name(header: &mut Header, name: &[u8]) -> bool {
    let ustar = header.as_ustar_mut().expect("bug: the header was made as ustar");
    if fill(&mut ustar.name, name) {
        return true;
    }
    let divisions = (1..name.len().saturating_sub(1)).rev().filter(|&at| name[at] == b'/');
    for at in divisions {
        let (prefix, rest) = (&name[..at], &name[at + 1..]);
        if prefix.len() <= ustar.prefix.len() && rest.len() <= ustar.name.len() {
            return fill(&mut ustar.prefix, prefix) && fill(&mut ustar.name, rest);
        }
    }
    fill(&mut ustar.name, &name[..100]);
    false
}

fn fill(field: &mut [u8], bytes: &[u8]) -> bool {
    match field.get_mut(..bytes.len()) {
        Some(start) => {
            start.copy_from_slice(bytes);
            true
        }
        None => false,
    }
}

fn xattr_records(metadata: &Metadata, records: &mut Vec<u8>) -> Result<(), &'static str> {
    for (name, value) in &metadata.xattrs {
        if name.contains(&b'=') || name.contains(&0) {
            return Err("an xattr's name has `=` or a NUL byte");
        }
        let key = [b"SCHILY.xattr.", name.as_slice()].concat();
        byte_record(&key, value, records);
    }
    Ok(())
}

fn record(key: &str, value: &[u8], records: &mut Vec<u8>) {
    byte_record(key.as_bytes(), value, records);
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn byte_record(key: &[u8], value: &[u8], records: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn put_records(records: &[u8], out: &mut Vec<u8>) {
    let mut header = blank(0o644);
    fill(&mut header.as_old_mut().name, b"PaxHeader");
    header.set_entry_type(EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(records);
    out.resize(out.len() + padding(records.len() as u64), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(path: &[u8], kind: Kind<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(path, &Metadata::plain(0o644), kind, &mut out).unwrap();
        out
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for (value, expected) in [
            (vec![b'x'; 1], "6 k=x\n".to_owned()),
            (vec![b'x'; 4], "9 k=xxxx\n".to_owned()),
            (vec![b'x'; 5], "11 k=xxxxx\n".to_owned()),
            (vec![b'x'; 94], format!("101 k={}\n", "x".repeat(94))),
        ] {
            let mut records = Vec::new();
            record("k", &value, &mut records);
            assert_eq!(String::from_utf8(records.clone()).unwrap(), expected);
            assert_eq!(records.len(), expected.len());
        }
    }

    #[test]
    fn records_only_where_the_header_is_too_small() {
        let long = vec![b'n'; 101];
        let divided = [&[b'p'; 155][..], b"/", &[b'n'; 100]].concat();
        for (path, kind, blocks) in [
            (&b"a"[..], Kind::File { size: 0 }, 1),
            (&long, Kind::File { size: 0 }, 3),
            (&long[1..], Kind::File { size: 0 }, 1),
            (&long[1..], Kind::Directory, 3),
            (&divided, Kind::Fifo, 1),
            (b"big", Kind::File { size: MOST_SIZE }, 1),
            (b"big", Kind::File { size: MOST_SIZE + 1 }, 3),
            (b"l", Kind::Symlink { target: &long }, 3),
            (b"l", Kind::Symlink { target: &long[1..] }, 1),
        ] {
            assert_eq!(encoded(path, kind).len(), blocks * BLOCK, "{kind:?}");
        }
    }

    #[test]
    fn what_no_archive_can_hold() {
        let mut out = Vec::new();
        let mut metadata = Metadata::plain(0o644);
        let device = Kind::Device { block: true, major: 1 << 21, minor: 0 };
        assert!(encode(b"d", &metadata, device, &mut out).is_err());
        metadata.xattrs.insert(b"user.a=b".to_vec(), vec![]);
        assert!(encode(b"f", &metadata, Kind::Fifo, &mut out).is_err());
    }
}
