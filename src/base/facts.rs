//! Facts: the named values that decide a result. What writes facts writes them once, in order,
//! into whichever sink it is given: one hashes them into a key, another keeps them to explain.

use crate::base::digest::Digest;

/// Takes the facts that decide a result, in order.
pub trait FactSink {
    fn fact(&mut self, name: &str, value: &[u8]);
}

/// Hashes facts, each framed by the lengths of its name and value (64 bits, little-endian), so that
/// no two different lists of facts feed the hash the same bytes.
pub struct HashSink(blake3::Hasher);

impl HashSink {
    /// `context` separates kinds of keys (BLAKE3 key derivation), and holds the format's number.
    pub fn new(context: &str) -> HashSink {
        HashSink(blake3::Hasher::new_derive_key(context))
    }

    pub fn finish(self) -> Digest {
        Digest::from_bytes(*self.0.finalize().as_bytes())
    }
}

impl FactSink for HashSink {
    fn fact(&mut self, name: &str, value: &[u8]) {
        self.0.update(&(name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(&(value.len() as u64).to_le_bytes());
        self.0.update(value);
    }
}

/// Keeps facts as text, so that two lists can be compared and the difference told.
#[derive(Default)]
pub struct ListSink(pub Vec<(String, String)>);

impl FactSink for ListSink {
    fn fact(&mut self, name: &str, value: &[u8]) {
        let text = match std::str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            Err(_) => value.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        self.0.push((name.to_owned(), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(facts: &[(&str, &[u8])]) -> Digest {
        let mut sink = HashSink::new("test");
        for (name, value) in facts {
            sink.fact(name, value);
        }
        sink.finish()
    }

    #[test]
    fn framing_tells_lists_apart() {
        assert_ne!(hash(&[("ab", b"c")]), hash(&[("a", b"bc")]));
        assert_ne!(hash(&[("a", b""), ("b", b"")]), hash(&[("a", b"b")]));
        assert_ne!(hash(&[("a", b"1"), ("b", b"2")]), hash(&[("b", b"2"), ("a", b"1")]));
    }
}
