//! The nearest of the words that would be legal: for "did you mean".

/// `None` when nothing is near enough to be meant.
pub fn nearest<'a>(written: &str, legal: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody misspells a word of 100 letters; the distance takes quadratic time.
    if written.len() > 100 {
        return None;
    }
    const MOST_COMPARED: usize = 1000;
    let allowed = written.chars().count().div_ceil(3);
    legal
        .into_iter()
        .take(MOST_COMPARED)
        .map(|word| (distance(written, word), word))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

/// `did you mean …?`, or what is legal at all. `show` writes a word as it would stand in the file.
pub fn help(written: &str, legal: &[&str], show: impl Fn(&str) -> String, what: &str) -> String {
    match nearest(written, legal.iter().copied()) {
        Some(word) => format!("did you mean {}?", show(word)),
        None => format!("{what}: {}", legal.join(", ")),
    }
}

pub fn ticked(word: &str) -> String {
    format!("`{word}`")
}

/// Insertions, deletions, substitutions and swaps of neighbours.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for i in 0..left.len() {
        let mut row = vec![i + 1];
        for j in 0..right.len() {
            let same = usize::from(left[i] != right[j]);
            let mut best = (above[j] + same).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && left[i] == right[j - 1] && left[i - 1] == right[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("run", "run", 0),
            ("rnu", "run", 1),
            ("att", "at", 1),
            ("", "abc", 3),
            ("bulid", "build", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("rnu", ["run", "tree"]), Some("run"));
        assert_eq!(nearest("template", ["run", "tree"]), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), ["run"]), None);
    }
}
