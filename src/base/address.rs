//! Addresses (`scheme://user:password@host/path?query`) as they may be shown: without what gets one in. Knows no more
//! of their grammar than that takes, so that nothing it cannot parse is shown whole.

const HIDDEN: &str = "***";

/// Parts of names of query parameters whose values are keys to something.
const SECRET_WORDS: [&str; 8] =
    ["token", "secret", "password", "passwd", "signature", "credential", "auth", "key"];

/// For messages, logs, facts and lists: passwords and tokens read `***`.
pub fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", shown_user(scheme, user)),
        None => authority.to_owned(),
    };
    format!("{scheme}://{authority}{}", shown_query(path))
}

/// Whether `shown` hides something of it.
pub fn holds_secret(address: &str) -> bool {
    shown(address) != address
}

/// Over HTTP a user's name may be a token; over ssh it only says whose key counts.
fn shown_user(scheme: &str, user: &str) -> String {
    let is_http = matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https");
    match user.split_once(':') {
        _ if is_http => HIDDEN.to_owned(),
        Some((name, _)) => format!("{name}:{HIDDEN}"),
        None => user.to_owned(),
    }
}

fn shown_query(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
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
}
