//! Sizes in bytes as text: a whole number with its unit, `512MiB`, `10KB`. A number alone is refused,
//! since people mean different units by it.

/// What a size looks like, for messages.
pub const EXAMPLES: &str = "\"512MiB\", \"40GiB\", \"10KB\"";

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Bytes. `None` for what is no size, or more than 64 bits count.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.find(|symbol: char| !symbol.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0B", Some(0)),
            ("7B", Some(7)),
            ("10KB", Some(10_000)),
            ("2KiB", Some(2048)),
            ("512MiB", Some(512 << 20)),
            ("3MB", Some(3_000_000)),
            ("40GiB", Some(40 << 30)),
            ("1GB", Some(1_000_000_000)),
            ("2TiB", Some(2 << 40)),
            ("2TB", Some(2_000_000_000_000)),
            ("16777215TiB", Some(16_777_215 << 40)),
            ("16777216TiB", None),
            ("99999999999999999999B", None),
            ("512", None),
            ("", None),
            ("GiB", None),
            ("1.5GiB", None),
            ("1 GiB", None),
            ("-1B", None),
            ("1gib", None),
            ("1k", None),
            ("1GiBs", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
