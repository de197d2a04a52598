//! In which forms a value may turn up in a log: as it is, line by line, and as tools write what they are given.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter lines of a longer value stand everywhere.
const SHORTEST_LINE: usize = 6;
/// Shorter pieces of text in base64 or in hexadecimal digits stand everywhere.
const SHORTEST_CODE: usize = 6;

/// Each form of `value`, none of them empty.
pub(super) fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![value.to_owned()];
    let lines: Vec<&[u8]> = value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).collect();
    if lines.len() > 1 {
        let long = lines.into_iter().filter(|line| line.len() >= SHORTEST_LINE);
        forms.extend(long.map(<[u8]>::to_owned));
    }
    forms.extend(json(value));
    forms.extend([percent(value, "0123456789ABCDEF"), percent(value, "0123456789abcdef")]);
    let hex = |digits: &str| value.iter().flat_map(|&byte| pair(byte, digits)).collect::<Vec<u8>>();
    let codes = (0..3).flat_map(|before| [base64(value, before, false), base64(value, before, true)]);
    let codes = codes.chain([hex("0123456789abcdef"), hex("0123456789ABCDEF")]);
    forms.extend(codes.filter(|code| code.len() >= SHORTEST_CODE));
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// As a string of JSON holds it, without quotes.
fn json(value: &[u8]) -> Option<Vec<u8>> {
    let quoted = serde_json::to_string(std::str::from_utf8(value).ok()?).ok()?;
    Some(quoted.as_bytes()[1..quoted.len() - 1].to_owned())
}

/// As addresses have it (RFC 3986, section 2.1).
fn percent(value: &[u8], digits: &str) -> Vec<u8> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = value.iter().flat_map(|&byte| {
        if is_plain(byte) { vec![byte] } else { std::iter::once(b'%').chain(pair(byte, digits)).collect() }
    });
    encoded.collect()
}

fn pair(byte: u8, digits: &str) -> [u8; 2] {
    let digit = |number: u8| digits.as_bytes()[usize::from(number)];
    [digit(byte >> 4), digit(byte & 15)]
}

/// The letters that only the value decides, where `before` bytes stand before it, and anything behind it
/// (RFC 4648, section 4).
fn base64(value: &[u8], before: usize, url: bool) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend(value);
    let text = if url { URL_SAFE_NO_PAD.encode(&bytes) } else { STANDARD_NO_PAD.encode(&bytes) };
    bytes.fill(0);
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    text.as_bytes().get(first..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn has(value: &[u8], form: &str) -> bool {
        forms(value).iter().any(|found| found == form.as_bytes())
    }

    #[test]
    fn usual_forms() {
        assert!(has(b"s3cr3t\n", "s3cr3t"));
        assert!(has(b"a\"b\\c", "a\\\"b\\\\c"));
        assert!(has(b"p@ss/word", "p%40ss%2Fword") && has(b"p@ss/word", "p%40ss%2fword"));
        assert!(has(b"token", "746f6b656e"));
        assert!(has(b"first line\nsecond line\n}", "second line"));
        assert!(!has(b"first line\nsecond line\n}", "}"));
        assert!(forms(b" \n").is_empty());
    }

    proptest! {
        /// Wherever it lies in what is encoded, a form of it is in the result.
        #[test]
        fn base64_is_found(
            before in proptest::collection::vec(any::<u8>(), 0..7),
            value in "[!-~]{8,40}",
            behind in proptest::collection::vec(any::<u8>(), 0..7),
        ) {
            let text = STANDARD.encode([&before, value.as_bytes(), &behind].concat());
            let forms = forms(value.as_bytes());
            prop_assert!(forms.iter().any(|form| text.contains(std::str::from_utf8(form).unwrap())));
        }
    }
}
