//! One pattern as git matches it: bytes, `*` and `?` are not `/`, `**` between slashes is any number of
//! folders, `[…]` with ranges and `[:names:]`, `\` quotes. Text that is no pattern matches nothing.

/// Compiled once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wild(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// Any but `/`.
    One,
    Set(Box<Set>),
    /// Any number of bytes but `/`.
    Name,
    /// Any number of bytes.
    Path,
    /// Nothing, or any number of bytes and a `/`.
    Folders,
    Never,
}

/// Bytes, 64 in each number.
type Set = [u64; 4];

impl Wild {
    pub(crate) fn new(pattern: &[u8]) -> Wild {
        let mut tokens = Vec::new();
        let mut place = 0;
        while let Some(&byte) = pattern.get(place) {
            let (token, next) = match byte {
                b'\\' => (pattern.get(place + 1).map_or(Token::Never, |byte| Token::Byte(*byte)), place + 2),
                b'?' => (Token::One, place + 1),
                b'*' => stars(pattern, place),
                b'[' => match set(pattern, place + 1) {
                    Some((set, next)) => (Token::Set(Box::new(set)), next),
                    None => return Wild(vec![Token::Never]),
                },
                byte => (Token::Byte(byte), place + 1),
            };
            tokens.push(token);
            place = next;
        }
        Wild(tokens)
    }

    /// Goes back to the last `*` only, and from there to the last `**`: where what lies between two of
    /// them matches first is the best place for all that follows.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let (mut token, mut place) = (0, 0);
        let (mut name, mut deep) = (None, None);
        loop {
            match self.0.get(token) {
                None if place == path.len() => return true,
                Some(Token::Name) => {
                    token += 1;
                    name = Some((token, place));
                    continue;
                }
                Some(any @ (Token::Path | Token::Folders)) => {
                    token += 1;
                    deep = Some((token, place, *any == Token::Folders));
                    name = None;
                    continue;
                }
                Some(one) if path.get(place).is_some_and(|byte| one.takes(*byte)) => {
                    token += 1;
                    place += 1;
                    continue;
                }
                _ => {}
            }
            if let Some((after, start)) = name
                && path.get(start).is_some_and(|byte| *byte != b'/')
            {
                (token, place) = (after, start + 1);
                name = Some((token, place));
                continue;
            }
            let Some((after, start, folders)) = deep else { return false };
            let skipped = match folders {
                true => path[start..].iter().position(|byte| *byte == b'/'),
                false => (start < path.len()).then_some(0),
            };
            let Some(skipped) = skipped else { return false };
            (token, place) = (after, start + skipped + 1);
            (name, deep) = (None, Some((token, place, folders)));
        }
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Byte(only) => *only == byte,
            Token::One => byte != b'/',
            Token::Set(set) => byte != b'/' && has(set, byte),
            Token::Name | Token::Path | Token::Folders | Token::Never => false,
        }
    }
}

/// A run of `*` at `place`, and where the pattern goes on.
fn stars(pattern: &[u8], place: usize) -> (Token, usize) {
    let count = pattern[place..].iter().take_while(|byte| **byte == b'*').count();
    let end = place + count;
    let starts = place == 0 || pattern[place - 1] == b'/';
    match &pattern[end..] {
        _ if count == 1 || !starts => (Token::Name, end),
        [b'/', ..] => (Token::Folders, end + 1),
        [] | [b'\\', b'/', ..] => (Token::Path, end),
        _ => (Token::Name, end),
    }
}

/// `[…]` after its bracket, and what follows it. `None` where it has no end or an unknown name.
fn set(pattern: &[u8], start: usize) -> Option<(Set, usize)> {
    let negated = matches!(pattern.get(start), Some(b'!' | b'^'));
    let mut place = start + usize::from(negated);
    let mut set = [0; 4];
    let mut before = None;
    loop {
        let byte = *pattern.get(place)?;
        let next = pattern.get(place + 1).copied();
        match (byte, before) {
            (b'\\', _) => {
                place += 1;
                before = Some(next?);
                add(&mut set, next?, next?);
            }
            (b'-', Some(low)) if next.is_some_and(|next| next != b']') => {
                place += if next == Some(b'\\') { 2 } else { 1 };
                add(&mut set, low, *pattern.get(place)?);
                before = None;
            }
            (b'[', _) if next == Some(b':') => {
                let length = pattern[place + 2..].iter().position(|byte| *byte == b']')?;
                match pattern[place + 2..place + 2 + length].strip_suffix(b":") {
                    Some(name) => {
                        let is_in = named(name)?;
                        (0..=127).filter(|byte| is_in(*byte)).for_each(|byte| add(&mut set, byte, byte));
                        place += 2 + length;
                        before = None;
                    }
                    None => {
                        add(&mut set, b'[', b'[');
                        before = Some(b'[');
                    }
                }
            }
            _ => {
                add(&mut set, byte, byte);
                before = Some(byte);
            }
        }
        place += 1;
        if pattern.get(place) == Some(&b']') {
            let set = if negated { set.map(|bits: u64| !bits) } else { set };
            return Some((set, place + 1));
        }
    }
}

fn named(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| byte == b' ' || byte.is_ascii_graphic(),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

fn add(set: &mut Set, low: u8, high: u8) {
    for byte in low..=high {
        set[usize::from(byte / 64)] |= 1 << (byte % 64);
    }
}

fn has(set: &Set, byte: u8) -> bool {
    set[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let wild = Wild::new(pattern.as_bytes());
            for path in yes {
                assert!(wild.matches(path.as_bytes()), "{pattern} on {path}");
            }
            for path in no {
                assert!(!wild.matches(path.as_bytes()), "{pattern} on {path}");
            }
        };
        check("a*c", &["ac", "abc", "abcc"], &["a/c", "abcd"]);
        check("*", &["a", ""], &["a/b"]);
        check("a?c", &["abc"], &["ac", "a/c"]);
        check("**/a", &["a", "b/a", "c/b/a"], &["ba", "a/b"]);
        check("a/**", &["a/", "a/b", "a/b/c"], &["a"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb"]);
        check("a/**\\/b", &["a//b", "a/x/b"], &["a/b"]);
        check("a**b", &["ab", "axb"], &["a/b"]);
        check("**a", &["a", "ba"], &["b/a"]);
        check("***/a", &["a", "b/a"], &["ba"]);
        check("**/a*b/c*/**/d", &["xa/ayb/cz/d", "ab/c/x/y/d"], &["ab/x/c/d", "ab/c"]);
        check("*x/*b", &["1x/2b"], &["1x/2x/3b"]);
        check("[a-c]x", &["ax", "cx"], &["dx", "-x"]);
        check("[!a]", &["b"], &["a", "/", ""]);
        check("[^a]", &["b"], &["a"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[!]a]", &["b"], &["]", "a"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[-a]", &["a", "-"], &["b"]);
        check("[\\]a]", &["]", "a"], &["\\"]);
        check("[a-\\d]", &["b", "d"], &["\\"]);
        check("[z-a]", &["z"], &["a", "m"]);
        check("[[:digit:]_]", &["1", "_"], &["a", ":"]);
        check("[[:x]", &["[", ":", "x"], &["a"]);
        check("[[:foo:]a]", &[], &["a"]);
        check("[a", &[], &["a", "[a"]);
        check("a\\", &[], &["a", "a\\"]);
        check("\\*", &["*"], &["a", "\\*"]);
        check("{a,b}", &["{a,b}"], &["a"]);
    }

    /// Patterns that make others slow.
    #[test]
    fn takes_no_longer_than_it_must() {
        let wild = Wild::new("*a".repeat(200).as_bytes());
        assert!(!wild.matches("a".repeat(4000).replace("aa", "ab").as_bytes()));
        assert!(!Wild::new("**/*a*a*a*b/".repeat(20).as_bytes()).matches("aaaa/".repeat(400).as_bytes()));
    }
}
