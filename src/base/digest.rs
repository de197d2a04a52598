//! Names of content and of questions. `…Digest` names bytes, `…Key` names a question whose answer
//! is a record. Everything is BLAKE3, but where the OCI specification demands SHA-256.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// 32 bytes that name something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            hex.push(DIGITS[usize::from(byte >> 4)] as char);
            hex.push(DIGITS[usize::from(byte & 15)] as char);
        }
        hex
    }

    /// Accepts exactly 64 lower-case hexadecimal digits, so that every digest has one spelling.
    pub fn from_hex(hex: &str) -> Result<Digest, BadDigest> {
        let bad = || BadDigest(hex.to_owned());
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(bad()),
        };
        let digits: &[u8; 64] = hex.as_bytes().try_into().map_err(|_| bad())?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// A text that is not the hexadecimal form of a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest")]
pub struct BadDigest(String);

macro_rules! named_digest {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Digest);

        impl $name {
            pub const fn from_bytes(bytes: [u8; 32]) -> $name {
                $name(Digest::from_bytes(bytes))
            }

            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// The hexadecimal digits alone, as file names use them.
            pub fn to_hex(self) -> String {
                self.0.to_hex()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadDigest;

            fn from_str(text: &str) -> Result<$name, BadDigest> {
                match text.strip_prefix($prefix) {
                    Some(hex) => Digest::from_hex(hex).map($name),
                    None => Err(BadDigest(text.to_owned())),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

named_digest!(
    /// Plain BLAKE3 of a file's bytes, as `b3sum` prints it.
    BlobDigest,
    ""
);
named_digest!(
    /// Domain-separated BLAKE3 of a directory's canonical encoding (`tree/encode.rs`).
    TreeDigest,
    ""
);
named_digest!(
    /// BLAKE3 of an action's facts: the question that a record answers.
    ActionKey,
    ""
);
named_digest!(
    /// SHA-256 as OCI descriptors spell it, `sha256:…` (image-spec, descriptor.md, "Digests").
    OciDigest,
    "sha256:"
);

impl BlobDigest {
    pub fn of(bytes: &[u8]) -> BlobDigest {
        BlobDigest::from_bytes(*blake3::hash(bytes).as_bytes())
    }
}

impl TreeDigest {
    /// `encoding` is the canonical form of one directory.
    pub fn of(encoding: &[u8]) -> TreeDigest {
        const CONTEXT: &str = "memobuild 2026-11-28 directory v1";
        TreeDigest::from_bytes(blake3::derive_key(CONTEXT, encoding))
    }
}

impl OciDigest {
    pub fn of(bytes: &[u8]) -> OciDigest {
        OciDigest::from_bytes(sha2::Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_round_trip() {
        let oci = OciDigest::of(b"");
        assert_eq!(
            oci.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(oci.to_string().parse(), Ok(oci));
        let blob = BlobDigest::of(b"");
        assert_eq!(blob.to_string(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(blob.to_string().parse(), Ok(blob));
    }

    #[test]
    fn one_spelling_only() {
        let hex = BlobDigest::of(b"x").to_hex();
        assert!(hex.to_uppercase().parse::<BlobDigest>().is_err());
        assert!(hex[1..].parse::<BlobDigest>().is_err());
        assert!(hex.parse::<OciDigest>().is_err());
        assert!(format!("{}é", &hex[2..]).parse::<BlobDigest>().is_err());
    }
}
