//! The form of numbers in KDL 2.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Valid,
    Malformed,
    /// More than 128 bits.
    TooLarge,
}

pub fn begins_like_one(word: &str) -> bool {
    let word = word.strip_prefix(['+', '-']).unwrap_or(word);
    word.strip_prefix('.').unwrap_or(word).starts_with(|symbol: char| symbol.is_ascii_digit())
}

pub fn form(word: &str) -> Number {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let radix = match unsigned.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    let digits = if radix == 10 { unsigned } else { &unsigned[2..] };
    if are_digits(digits, radix) {
        return match i128::from_str_radix(&digits.replace('_', ""), radix) {
            Ok(_) => Number::Valid,
            Err(_) => Number::TooLarge,
        };
    }
    if radix == 10 && is_float(digits) { Number::Valid } else { Number::Malformed }
}

fn are_digits(text: &str, radix: u32) -> bool {
    text.starts_with(|symbol: char| symbol.is_digit(radix))
        && text.chars().all(|symbol| symbol == '_' || symbol.is_digit(radix))
}

fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => are_digits(whole, 10) && are_digits(fraction, 10),
        None => are_digits(mantissa, 10),
    };
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    mantissa && exponent.is_none_or(|exponent| are_digits(exponent, 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (word, expected) in [
            ("1", Number::Valid),
            ("-1_000", Number::Valid),
            ("+0.5", Number::Valid),
            ("1e10", Number::Valid),
            ("1.5E-3", Number::Valid),
            ("0o755", Number::Valid),
            ("-0xfF", Number::Valid),
            ("0b1_0", Number::Valid),
            ("0x", Number::Malformed),
            ("1.", Number::Malformed),
            (".5", Number::Malformed),
            ("1e", Number::Malformed),
            ("3.10.1", Number::Malformed),
            ("10m", Number::Malformed),
            ("0o8", Number::Malformed),
            ("1é", Number::Malformed),
            ("0é", Number::Malformed),
        ] {
            assert_eq!(form(word), expected, "{word}");
            assert!(begins_like_one(word), "{word}");
        }
        assert_eq!(form(&"9".repeat(40)), Number::TooLarge);
        assert!(!begins_like_one("-") && !begins_like_one("a1") && !begins_like_one(".a"));
    }
}
