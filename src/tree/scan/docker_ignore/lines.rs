//! The text of a `.dockerignore` as its patterns, cut, trimmed and cleaned as Docker's builder does.
//! Lines are bytes: what is no UTF-8 is kept.

/// The longest line that Docker's builder reads, in bytes.
const LONGEST: usize = 65_535;

/// A pattern, with `!` before it where it is an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    pub(super) pattern: Vec<u8>,
}

/// Passes over comments (`#` in the first column only) and empty lines. `Err`: the number of the first
/// line that is too long.
pub(super) fn lines(text: &[u8]) -> Result<Vec<Line>, usize> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        if line.len() > LONGEST {
            return Err(number);
        }
        let trimmed = trim(line);
        if !line.starts_with(b"#") && !trimmed.is_empty() {
            lines.push(Line { number, pattern: without_root(trimmed) });
        }
    }
    Ok(lines)
}

/// `/a` and `a` are the same.
fn without_root(line: &[u8]) -> Vec<u8> {
    let (exception, path) = match line {
        [b'!', rest @ ..] => (&b"!"[..], trim(rest)),
        path => (&b""[..], path),
    };
    let cleaned = if path.is_empty() { Vec::new() } else { clean(path) };
    let relative = match cleaned.as_slice() {
        [b'/', rest @ ..] if !rest.is_empty() => rest,
        cleaned => cleaned,
    };
    [exception, relative].concat()
}

/// The shortest path to the same place: no `//`, `.`, `name/..` or slash at the end.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.last().is_some_and(|last| *last != b"..") => {
                names.pop();
            }
            b".." if rooted => {}
            name => names.push(name),
        }
    }
    let joined = names.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// Without Unicode's white space at both ends.
pub(super) fn trim(mut line: &[u8]) -> &[u8] {
    while let Some(length) = (1..=3).find(|&length| line.get(..length).is_some_and(is_space)) {
        line = &line[length..];
    }
    while let Some(end) =
        (1..=3).filter_map(|length| line.len().checked_sub(length)).find(|&end| is_space(&line[end..]))
    {
        line = &line[..end];
    }
    line
}

/// Whether the bytes are one character of white space. None takes more than three bytes.
fn is_space(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        let mut characters = text.chars();
        characters.next().is_some_and(char::is_whitespace) && characters.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let check = |text: &[u8], expected: &[(usize, &[u8])]| {
            let read = lines(text).unwrap();
            let read: Vec<(usize, &[u8])> =
                read.iter().map(|line| (line.number, line.pattern.as_slice())).collect();
            assert_eq!(read, expected, "{:?}", String::from_utf8_lossy(text));
        };
        check(b"", &[]);
        check(b"\n \t\r\n", &[]);
        check(b"#a\n #b\n# c\n\\#d", &[(2, b"#b"), (4, b"\\#d")]);
        check(b"\xef\xbb\xbf#a\nb", &[(2, b"b")]);
        check(b"a\n\xef\xbb\xbf#b", &[(1, b"a"), (2, b"\xef\xbb\xbf#b")]);
        check(b"  a b \r\n\tc\x0b", &[(1, b"a b"), (2, b"c")]);
        check("\u{a0}\u{2003}a\u{3000}\u{85}".as_bytes(), &[(1, b"a")]);
        check(b"\xffa \xff", &[(1, b"\xffa \xff")]);
        check(
            b"/a/b/\n./c\nd//e/./f\ng/../h\n../i\n/../j",
            &[(1, b"a/b"), (2, b"c"), (3, b"d/e/f"), (4, b"h"), (5, b"../i"), (6, b"j")],
        );
        check(
            b"! /a/\n!\n! \n!/\n!!b\n/!c\n./!d",
            &[(1, b"!a"), (2, b"!"), (3, b"!"), (4, b"!/"), (5, b"!!b"), (6, b"!c"), (7, b"!d")],
        );
        check(b"/\n.\n..\na/..", &[(1, b"/"), (2, b"."), (3, b".."), (4, b".")]);
    }

    #[test]
    fn lines_that_are_too_long() {
        let of = |length: usize| format!("a\n{}\n", "b".repeat(length));
        assert_eq!(lines(of(LONGEST).as_bytes()).map(|lines| lines.len()), Ok(2));
        assert_eq!(lines(of(LONGEST + 1).as_bytes()), Err(2));
    }
}
