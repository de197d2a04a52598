//! Questions for the addresses of names, and what they are answered (RFC 1035). Reads one question at a time and
//! knows nobody to pass it on to.

use std::net::Ipv4Addr;

/// Where names are asked for (section 4.2).
pub(super) const PORT: u16 = 53;
/// A question has a header of 12 bytes, a name of at most 255, type and class. Whatever follows may be lost.
pub(super) const LONGEST: usize = 512;

/// Types: an address, and all there is (sections 3.2.2 and 3.2.3).
const A: u16 = 1;
const ANY: u16 = 255;
/// Seconds for which an address is believed: longer than any run.
const LIFE: u32 = 86_400;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// In lower case; `None` where it holds what no machine's name holds.
    pub name: Option<String>,
    kind: u16,
    /// Header and question, as an answer begins with them.
    head: Vec<u8>,
}

/// Sections 4.1.1.
#[derive(Clone, Copy)]
enum Code {
    Fine = 0,
    Failure = 2,
    NoSuchName = 3,
}

impl Question {
    /// Sections 4.1.1 and 4.1.2.
    pub(super) fn read(bytes: &[u8]) -> Option<Question> {
        let header: &[u8; 12] = bytes.first_chunk()?;
        let is_plain_question = header[2] & 0xf8 == 0 && header[4..6] == [0, 1];
        if !is_plain_question {
            return None;
        }
        let (mut labels, mut at) = (Vec::new(), header.len());
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1;
            match length {
                0 => break,
                1..=63 => labels.push(bytes.get(at..at + length)?),
                _ => return None,
            }
            at += length;
        }
        let head = bytes.get(..at + 4)?.to_vec();
        let kind = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        Some(Question { name: name(&labels), kind, head })
    }

    /// Whether an address of the older kind answers it.
    pub(super) fn wants_address(&self) -> bool {
        matches!(self.kind, A | ANY)
    }

    pub(super) fn no_such_name(&self) -> Vec<u8> {
        self.answer(Code::NoSuchName, 0)
    }

    /// There is such a name, and nothing of what is asked for.
    pub(super) fn nothing(&self) -> Vec<u8> {
        self.answer(Code::Fine, 0)
    }

    /// Nothing can be told now.
    pub(super) fn failure(&self) -> Vec<u8> {
        self.answer(Code::Failure, 0)
    }

    pub(super) fn address(&self, address: Ipv4Addr) -> Vec<u8> {
        let mut answer = self.answer(Code::Fine, 1);
        // The name is the one at byte 12 (section 4.1.4).
        answer.extend([0xc0, 12]);
        answer.extend([A, 1].map(u16::to_be_bytes).concat());
        answer.extend(LIFE.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
        answer
    }

    /// From one that could have asked others.
    fn answer(&self, code: Code, count: u8) -> Vec<u8> {
        let mut answer = self.head.clone();
        answer[2] |= 0x80;
        answer[3] = 0x80 | code as u8;
        answer[6..12].fill(0);
        answer[7] = count;
        answer
    }
}

fn name(labels: &[&[u8]]) -> Option<String> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let is_name = !labels.is_empty() && labels.iter().all(|label| label.iter().all(is_plain));
    is_name.then(|| String::from_utf8_lossy(&labels.join(&b'.')).to_lowercase())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    pub(in crate::exec) fn question(labels: &[&str]) -> Vec<u8> {
        // Number 0x1234, recursion desired, one question, one additional record.
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in labels {
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes());
        }
        bytes.extend([0, 0, 1, 0, 1]);
        bytes
    }

    #[test]
    fn a_question_is_answered_with_itself() {
        let asked = question(&["Registry", "example"]);
        let mut with_more = asked.clone();
        with_more.extend([0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 0]);
        let question = Question::read(&with_more).unwrap();
        assert_eq!(question.name.as_deref(), Some("registry.example"));
        let mut expected = asked;
        (expected[2], expected[3], expected[11]) = (0x81, 0x83, 0);
        assert_eq!(question.no_such_name(), expected);
        expected[3] = 0x80;
        assert_eq!(question.nothing(), expected);
        expected[7] = 1;
        expected.extend([0xc0, 12, 0, 1, 0, 1, 0, 1, 0x51, 0x80, 0, 4, 127, 64, 0, 1]);
        assert_eq!(question.address(Ipv4Addr::new(127, 64, 0, 1)), expected);
    }

    #[test]
    fn only_addresses_are_answered_with_one() {
        let mut asked = question(&["a"]);
        let kind = asked.len() - 3;
        for (number, expected) in [(1, true), (255, true), (28, false), (15, false), (65, false)] {
            asked[kind] = number;
            assert_eq!(Question::read(&asked).unwrap().wants_address(), expected, "{number}");
        }
    }

    #[test]
    fn noise_has_no_answer() {
        let asked = question(&["a", "b"]);
        for length in 0..asked.len() {
            assert_eq!(Question::read(&asked[..length]), None, "{length} bytes");
        }
        for (place, value) in [(2, 0x80), (2, 0x08), (5, 2), (5, 0), (12, 64), (12, 0xc0)] {
            let mut broken = asked.clone();
            broken[place] = value;
            assert_eq!(Question::read(&broken), None, "byte {place}");
        }
        assert_eq!(Question::read(&question(&["a\u{1b}[2J", "b"])).unwrap().name, None);
        assert_eq!(Question::read(&question(&[])).unwrap().name, None);
    }

    proptest! {
        /// Whatever is sent, an answer is a question that came, and its name can be shown.
        #[test]
        fn no_bytes_do_harm(mut bytes in vec(any::<u8>(), 0..80), like_a_question in any::<bool>()) {
            if like_a_question && bytes.len() > 12 {
                bytes[2] &= 0x07;
                bytes[4..6].copy_from_slice(&[0, 1]);
                bytes[12..].iter_mut().for_each(|byte| *byte %= 5);
            }
            if let Some(question) = Question::read(&bytes) {
                let answer = question.no_such_name();
                prop_assert_eq!(&answer[12..], &bytes[12..answer.len()]);
                let Question { name, .. } = question;
                prop_assert!(name.is_none_or(|name| name.chars().all(|c| c.is_ascii_graphic())));
            }
        }
    }
}
