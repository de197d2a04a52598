//! How wide a text is. No font is asked: the widths are those of the widest fonts that a reader may have
//! (DejaVu), so that a text may leave room but never sticks out.

/// Pixels of a text in a monospaced font.
pub(super) fn mono(text: &str, size: f64) -> f64 {
    text.chars().map(|letter| wide(letter).unwrap_or(0.605)).sum::<f64>() * size
}

/// Pixels of a text in a proportional font.
pub(super) fn sans(text: &str, size: f64) -> f64 {
    text.chars().map(|letter| wide(letter).unwrap_or_else(|| narrow(letter))).sum::<f64>() * size
}

/// At most `most` letters; from a longer text the middle is left out, since names differ at both ends.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let tail = (most - 1) / 2;
    let head = most - 1 - tail;
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

/// Letters that no usual font has at its usual width, in em.
fn wide(letter: char) -> Option<f64> {
    match u32::from(letter) {
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F => Some(0.0),
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE4F => Some(1.05),
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x20000.. => Some(1.05),
        0x2600..=0x27BF | 0x1F000..=0x1FFFF => Some(1.4),
        // Indic and other scripts with wide letters and joined ones.
        0x0700..=0x109F | 0x1200..=0x1FFF => Some(1.1),
        _ => None,
    }
}

fn narrow(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | ' ' | '!' => 0.41,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' | 'I' => 0.46,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '—' => 1.02,
        'A'..='Z' | '_' | '+' | '=' | '<' | '>' | '~' | '#' | '&' => 0.84,
        _ => 0.65,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("./assets/picture.png", 9), "./as….png");
        assert_eq!(shortened("ééééééé", 4), "éé…é");
    }

    #[test]
    fn wide_letters_get_more_room() {
        assert!(mono("建造", 10.0) > mono("ab", 10.0) * 1.5);
        assert!(sans("will", 10.0) < sans("mmmm", 10.0));
        assert!((mono("e\u{301}", 10.0) - mono("e", 10.0)).abs() < 0.01);
    }
}
