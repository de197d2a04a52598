//! Names of git's objects: SHA-1 or SHA-256 of a header and the content (gitformat-hash). Every object that is used is
//! hashed here once more: what a kept repository or the git program hands over is believed no further than that.

use std::fmt;

use sha2::Digest as _;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Oid {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

/// How a repository names its objects: all in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Sha1,
    Sha256,
}

impl Format {
    /// As `git init --object-format` takes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Format::Sha1 => "sha1",
            Format::Sha256 => "sha256",
        }
    }

    /// Bytes of a name.
    pub(super) const fn length(self) -> usize {
        match self {
            Format::Sha1 => 20,
            Format::Sha256 => 32,
        }
    }
}

impl Oid {
    /// Of 40 or 64 lower-case hexadecimal digits.
    pub(super) fn from_hex(hex: &str) -> Option<Oid> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let bytes: Option<Vec<u8>> =
            hex.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
        Oid::from_bytes(&bytes?)
    }

    /// 20 or 32 bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Oid> {
        match bytes.len() {
            20 => Some(Oid::Sha1(bytes.try_into().ok()?)),
            32 => Some(Oid::Sha256(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    pub(super) const fn format(self) -> Format {
        match self {
            Oid::Sha1(_) => Format::Sha1,
            Oid::Sha256(_) => Format::Sha256,
        }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Oid::Sha1(bytes) => bytes,
            Oid::Sha256(bytes) => bytes,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names an object while it passes.
pub(super) enum Hasher {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// `kind` is git's own word, `size` in bytes.
    pub(super) fn new(format: Format, kind: &str, size: u64) -> Hasher {
        let mut hasher = match format {
            Format::Sha1 => Hasher::Sha1(sha1::Sha1::default()),
            Format::Sha256 => Hasher::Sha256(sha2::Sha256::default()),
        };
        hasher.update(format!("{kind} {size}\0").as_bytes());
        hasher
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Oid {
        match self {
            Hasher::Sha1(hasher) => Oid::Sha1(hasher.finalize().into()),
            Hasher::Sha256(hasher) => Oid::Sha256(hasher.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `git hash-object` names the empty blob.
    #[test]
    fn names_are_gits() {
        for (format, expected) in [
            (Format::Sha1, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            (Format::Sha256, "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"),
        ] {
            let found = Hasher::new(format, "blob", 0).finish();
            assert_eq!(found.to_string(), expected);
            assert_eq!(Oid::from_hex(expected), Some(found));
            assert_eq!(found.format(), format);
            assert_eq!(expected.len(), 2 * format.length());
        }
    }

    #[test]
    fn one_spelling_only() {
        let hex = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        for text in ["", "e69de29", &hex[1..], &hex.to_uppercase(), &format!("{hex}0"), "--upload-pack=x"] {
            assert_eq!(Oid::from_hex(text), None, "{text}");
        }
    }
}
