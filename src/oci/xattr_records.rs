//! Extended attributes in PAX records: `SCHILY.xattr.NAME` with the bytes as they are, and libarchive's
//! `LIBARCHIVE.xattr.NAME` with the name in percent escapes and the value in base 64.

use std::collections::BTreeMap;

pub(super) const SCHILY: &[u8] = b"SCHILY.xattr.";
const LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";

/// `None` where libarchive's escapes are malformed. Of both spellings of one attribute the plain one counts.
pub(super) fn xattrs(records: BTreeMap<Vec<u8>, Vec<u8>>) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut xattrs = BTreeMap::new();
    for (key, value) in &records {
        if let Some(name) = key.strip_prefix(LIBARCHIVE) {
            xattrs.insert(unescaped(name)?, from_base64(value)?);
        }
    }
    for (key, value) in records {
        if let Some(name) = key.strip_prefix(SCHILY) {
            xattrs.insert(name.to_vec(), value);
        }
    }
    Some(xattrs)
}

fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            byte => *byte,
        });
    }
    Some(bytes)
}

/// RFC 4648, section 4; libarchive leaves out the `=` at the end.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let mut bytes = Vec::with_capacity(end / 4 * 3 + 2);
    for group in text[..end].chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            bits = bits << 6 | u32::from(sextet(*byte)?);
        }
        let count = group.len() * 6 / 8;
        bits <<= 24 - 6 * group.len();
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=count]);
    }
    (end % 4 != 1).then_some(bytes)
}

fn sextet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        for (text, expected) in [
            (&b""[..], Some(&b""[..])),
            (b"Zg", Some(b"f")),
            (b"Zg==", Some(b"f")),
            (b"Zm8", Some(b"fo")),
            (b"Zm9v", Some(b"foo")),
            (b"Zm9vYmE=", Some(b"fooba")),
            (b"/+8A", Some(b"\xff\xef\0")),
            (b"Zm9vY", None),
            (b"Zm9*", None),
        ] {
            assert_eq!(from_base64(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn both_spellings_are_read_and_the_plain_one_counts() {
        let records = [
            (&b"LIBARCHIVE.xattr.user.a%25b"[..], &b"Zg"[..]),
            (b"LIBARCHIVE.xattr.user.c", b"Zg"),
            (b"SCHILY.xattr.user.c", b"plain"),
            (b"comment", b"none"),
        ];
        let records = records.map(|(key, value)| (key.to_vec(), value.to_vec())).into();
        let expected = [(&b"user.a%b"[..], &b"f"[..]), (b"user.c", b"plain")];
        let expected = expected.map(|(name, value)| (name.to_vec(), value.to_vec())).into();
        assert_eq!(xattrs(records), Some(expected));
        for (key, value) in [("LIBARCHIVE.xattr.a%2", "Zg"), ("LIBARCHIVE.xattr.a", "!")] {
            let records = BTreeMap::from([(key.into(), value.into())]);
            assert_eq!(xattrs(records), None, "{key}");
        }
    }
}
