//! Addresses (`scheme://user:password@host/path?query`) as they may be shown: without what gets one in. Knows no more
//! of their grammar than that takes, so that nothing it cannot parse is shown whole.

use std::ops::Range;

const HIDDEN: &str = "***";

/// Parts of names of query parameters whose values are keys to something.
const SECRET_WORDS: [&str; 8] =
    ["token", "secret", "password", "passwd", "signature", "credential", "auth", "key"];

/// For messages, logs, facts and lists: passwords and tokens read `***`.
pub fn shown(address: &str) -> String {
    let mut shown = address.to_owned();
    secrets(address).into_iter().rev().for_each(|secret| shown.replace_range(secret, HIDDEN));
    shown
}

/// Whether `shown` hides something of it.
pub fn holds_secret(address: &str) -> bool {
    !secrets(address).is_empty()
}

/// A text in which addresses stand somewhere, byte by byte as long as it was; `None` where there is nothing to hide.
pub fn blanked(text: &str) -> Option<String> {
    let mut hidden = Vec::new();
    for (at, _) in text.match_indices("://") {
        let is_of_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+.-".contains(letter);
        let start = text[..at].trim_end_matches(is_of_scheme).len();
        let ends = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '`');
        let end = text[at..].find(ends).map_or(text.len(), |length| at + length);
        hidden
            .extend(secrets(&text[start..end]).iter().map(|secret| start + secret.start..start + secret.end));
    }
    let mut blanked = (!hidden.is_empty()).then(|| text.to_owned())?;
    for secret in hidden {
        let length = secret.len();
        blanked.replace_range(secret, &"*".repeat(length));
    }
    Some(blanked)
}

/// What of an address gets one in, from left to right.
fn secrets(address: &str) -> Vec<Range<usize>> {
    let Some(scheme) = address.find("://") else { return Vec::new() };
    let start = scheme + "://".len();
    let end = address[start..].find(['/', '?', '#']).map_or(address.len(), |length| start + length);
    let user = address[start..end].rfind('@').map(|length| start..start + length);
    let mut secrets: Vec<_> =
        user.and_then(|user| secret_of_user(&address[..scheme], address, user)).into_iter().collect();
    let Some(question) = address[end..].find('?') else { return secrets };
    let mut at = end + question + 1;
    for parameter in address[at..].split('&') {
        if let Some((name, _)) = parameter.split_once('=').filter(|(name, _)| is_secret(name)) {
            secrets.push(at + name.len() + 1..at + parameter.len());
        }
        at += parameter.len() + 1;
    }
    secrets
}

/// Over HTTP a user's name may be a token; over ssh it only says whose key counts.
fn secret_of_user(scheme: &str, address: &str, user: Range<usize>) -> Option<Range<usize>> {
    if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return Some(user);
    }
    address[user.clone()].find(':').map(|length| user.start + length + 1..user.end)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "sig" || SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_one_in_is_not_shown() {
        for (address, expected) in [
            ("https://example.org/a.git", "https://example.org/a.git"),
            ("https://me:pass@example.org/a", "https://***@example.org/a"),
            ("https://token@example.org", "https://***@example.org"),
            ("HTTPS://a@b@example.org/x@y", "HTTPS://***@example.org/x@y"),
            ("ssh://git@example.org/a", "ssh://git@example.org/a"),
            ("ssh://git:pass@example.org/a", "ssh://git:***@example.org/a"),
            ("git@example.org:a/b", "git@example.org:a/b"),
            ("/srv/a?token=b", "/srv/a?token=b"),
            (
                "https://h/a?file=x&X-Amz-Signature=1&access_token=2",
                "https://h/a?file=x&X-Amz-Signature=***&access_token=***",
            ),
            ("https://h?sig=a/b", "https://h?sig=***"),
        ] {
            assert_eq!(shown(address), expected);
            assert_eq!(holds_secret(address), address != expected, "{address}");
        }
    }

    #[test]
    fn what_is_hidden_in_a_text_leaves_all_else_where_it_is() {
        for (text, expected) in [
            (
                "http a \"https://me:pass@h/a\" sha256=\"x\"",
                Some("http a \"https://*******@h/a\" sha256=\"x\""),
            ),
            ("git ssh://git:é@h/a https://h?key=1&b=2", Some("git ssh://git:**@h/a https://h?key=*&b=2")),
            ("a://b://c@d://u:p@h", Some("a://b://c@d://u:*@h")),
            ("http://h/a git@h:a ://", None),
        ] {
            assert_eq!(blanked(text).as_deref(), expected, "{text}");
        }
    }
}
