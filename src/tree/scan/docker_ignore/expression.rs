//! Regular expressions as Go reads them, said in the dialect of the `regex` crate. Docker's builder makes
//! one of each pattern and lets much of the user's text through, so that `a|b*` is a choice, `x{2}?` counts
//! and `\d` is a digit. Only what can get through is understood: the text never groups.

/// What stands before a place in the expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Atom,
    Repetition,
}

/// An expression, and how many characters and repetitions a matcher is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) text: String,
    pub(super) weight: usize,
}

struct Reader<'a> {
    rest: &'a str,
    output: String,
    weight: usize,
}

/// `Err`: why it is none.
pub(super) fn translate(expression: &str) -> Result<Expression, &'static str> {
    let mut reader = Reader { rest: expression, output: String::new(), weight: 0 };
    let mut before = Before::Nothing;
    while let Some(character) = reader.next() {
        before = match character {
            '(' => reader.put("(?:", Before::Nothing),
            ')' => reader.put(")", Before::Atom),
            '|' => reader.put("|", Before::Nothing),
            '.' => reader.put(".", Before::Atom),
            '^' => reader.put("\\A", Before::Atom),
            '$' => reader.put("\\z", Before::Atom),
            '*' => reader.repeat("*", before)?,
            '?' => reader.repeat("?", before)?,
            '{' => match reader.counts()? {
                Some(counts) => reader.repeat(&counts, before)?,
                None => reader.literal('{'),
            },
            '[' => reader.class()?,
            '\\' => reader.escape(before)?,
            character => reader.literal(character),
        };
    }
    Ok(Expression { text: reader.output, weight: reader.weight })
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn put(&mut self, text: &str, after: Before) -> Before {
        self.output.push_str(text);
        self.weight += 1;
        after
    }

    fn literal(&mut self, character: char) -> Before {
        self.put(&code(character), Before::Atom)
    }

    fn repeat(&mut self, repetition: &str, before: Before) -> Result<Before, &'static str> {
        match before {
            Before::Nothing => Err("nothing stands before a repetition"),
            Before::Repetition => Err("a repetition stands after another"),
            Before::Atom => {
                // Whether as few as possible are taken makes no difference to what matches.
                self.take("?");
                Ok(self.put(repetition, Before::Repetition))
            }
        }
    }

    /// `{2}`, `{2,}` or `{2,5}`, after the brace. `None` where it is an ordinary one.
    fn counts(&mut self) -> Result<Option<String>, &'static str> {
        let Some((inner, rest)) = self.rest.split_once('}') else { return Ok(None) };
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        let is_number = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_digit())
                && (text.len() == 1 || !text.starts_with('0'))
        };
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            return Ok(None);
        }
        let value = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= 1000);
        let least = value(least).ok_or("a repetition is more than 1000 times")?;
        let most = if most.is_empty() { Some(least) } else { value(most) };
        let most = most.ok_or("a repetition is more than 1000 times")?;
        if most < least {
            return Err("a repetition has more at least than at most");
        }
        self.weight += most as usize;
        self.rest = rest;
        Ok(Some(format!("{{{inner}}}")))
    }

    /// After the backslash, outside of brackets.
    fn escape(&mut self, before: Before) -> Result<Before, &'static str> {
        let (known, length) = match self.rest.chars().next() {
            Some('A') => ("\\A", 1),
            Some('z') => ("\\z", 1),
            Some('b') => ("(?-u:\\b)", 1),
            Some('B') => ("(?-u:\\B)", 1),
            Some('Q') => return Ok(self.quote(before)),
            _ => ("", 0),
        };
        self.rest = &self.rest[length..];
        if length > 0 {
            return Ok(self.put(known, Before::Atom));
        }
        if let Some(set) = self.set()? {
            return Ok(self.put(&format!("[{set}]"), Before::Atom));
        }
        let character = self.escaped()?;
        Ok(self.literal(character))
    }

    /// `\Q…\E`: all in it stands for itself.
    fn quote(&mut self, before: Before) -> Before {
        self.take("Q");
        let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        for character in quoted.chars() {
            self.literal(character);
        }
        match before {
            Before::Nothing if quoted.is_empty() => Before::Nothing,
            _ => Before::Atom,
        }
    }

    /// A set that one letter names, after the backslash.
    fn set(&mut self) -> Result<Option<&'static str>, &'static str> {
        let mut ahead = self.rest.chars();
        let set = match ahead.next() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('s') => "\\t\\n\\x0C\\r ",
            Some('S') => "[^\\t\\n\\x0C\\r ]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some(sign @ ('p' | 'P')) => {
                let set = category(sign, ahead.next()).ok_or("it names an unknown set of characters")?;
                self.next();
                set
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(set))
    }

    /// One character, after the backslash.
    fn escaped(&mut self) -> Result<char, &'static str> {
        const UNKNOWN: &str = "`\\` stands before a letter or digit that has no meaning there";
        let octal = |character: &char| character.is_digit(8);
        let character = self.next().ok_or("it ends in `\\`")?;
        match character {
            '0'..='7' if character == '0' || self.rest.chars().next().as_ref().is_some_and(octal) => {
                let mut value = character.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|next| next.to_digit(8)) else {
                        break;
                    };
                    value = value * 8 + digit;
                    self.next();
                }
                char::from_u32(value).ok_or(UNKNOWN)
            }
            'x' => {
                let digits =
                    self.rest.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(UNKNOWN)?;
                self.rest = &self.rest[2..];
                Ok(char::from(value))
            }
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            character if character.is_ascii() && !character.is_ascii_alphanumeric() => Ok(character),
            _ => Err(UNKNOWN),
        }
    }

    /// `[…]`, after the bracket.
    fn class(&mut self) -> Result<Before, &'static str> {
        let mut class = String::from(if self.take("^") { "[^" } else { "[" });
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            match self.named()? {
                Some(set) => class.push_str(set),
                None => {
                    let (low, high) = self.range()?;
                    class.push_str(&format!("{}-{}", code(low), code(high)));
                }
            }
        }
        self.take("]");
        class.push(']');
        Ok(self.put(&class, Before::Atom))
    }

    /// A set in brackets: `[:alpha:]` or `\d`.
    fn named(&mut self) -> Result<Option<&'static str>, &'static str> {
        if let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
            self.rest = rest;
            return posix(name).map(Some).ok_or("it names an unknown set of characters");
        }
        let start = self.rest;
        if self.take("\\")
            && let Some(set) = self.set()?
        {
            return Ok(Some(set));
        }
        self.rest = start;
        Ok(None)
    }

    /// One character, or two with `-` between them.
    fn range(&mut self) -> Result<(char, char), &'static str> {
        let low = self.class_character()?;
        if !self.rest.starts_with('-') || self.rest.starts_with("-]") || self.rest == "-" {
            return Ok((low, low));
        }
        self.next();
        let high = self.class_character()?;
        if low <= high { Ok((low, high)) } else { Err("a range in brackets runs backwards") }
    }

    fn class_character(&mut self) -> Result<char, &'static str> {
        match self.next() {
            Some('\\') => self.escaped(),
            Some(character) => Ok(character),
            None => Err("a `[` has no `]`"),
        }
    }
}

/// A character that stands for itself, in brackets or not.
fn code(character: char) -> String {
    format!("\\x{{{:X}}}", u32::from(character))
}

/// A general category of Unicode.
fn category(sign: char, letter: Option<char>) -> Option<&'static str> {
    Some(match (sign, letter?) {
        ('p', 'C') => "\\pC",
        ('p', 'L') => "\\pL",
        ('p', 'M') => "\\pM",
        ('p', 'N') => "\\pN",
        ('p', 'P') => "\\pP",
        ('p', 'S') => "\\pS",
        ('p', 'Z') => "\\pZ",
        ('P', 'C') => "\\PC",
        ('P', 'L') => "\\PL",
        ('P', 'M') => "\\PM",
        ('P', 'N') => "\\PN",
        ('P', 'P') => "\\PP",
        ('P', 'S') => "\\PS",
        ('P', 'Z') => "\\PZ",
        _ => return None,
    })
}

fn posix(name: &str) -> Option<&'static str> {
    const SETS: &[(&str, &str, &str)] = &[
        ("alnum", "[:alnum:]", "[:^alnum:]"),
        ("alpha", "[:alpha:]", "[:^alpha:]"),
        ("ascii", "[:ascii:]", "[:^ascii:]"),
        ("blank", "[:blank:]", "[:^blank:]"),
        ("cntrl", "[:cntrl:]", "[:^cntrl:]"),
        ("digit", "[:digit:]", "[:^digit:]"),
        ("graph", "[:graph:]", "[:^graph:]"),
        ("lower", "[:lower:]", "[:^lower:]"),
        ("print", "[:print:]", "[:^print:]"),
        ("punct", "[:punct:]", "[:^punct:]"),
        ("space", "[:space:]", "[:^space:]"),
        ("upper", "[:upper:]", "[:^upper:]"),
        ("word", "[:word:]", "[:^word:]"),
        ("xdigit", "[:xdigit:]", "[:^xdigit:]"),
    ];
    let (plain, negated) = (name.trim_start_matches('^'), name.starts_with('^'));
    let set = SETS.iter().find(|set| set.0 == plain && name.len() - plain.len() <= 1)?;
    Some(if negated { set.2 } else { set.1 })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn what_go_matches() {
        let check = |expression: &str, yes: &[&str], no: &[&str]| {
            let regex = Regex::new(&translate(expression).unwrap().text).unwrap();
            for text in yes {
                assert!(regex.is_match(text), "{expression} on {text:?}");
            }
            for text in no {
                assert!(!regex.is_match(text), "{expression} on {text:?}");
            }
        };
        check("^(.*/)?x[^/]*$", &["x", "a/xy", "a/b/x"], &["ax", "x/a"]);
        check("^a.$", &["ab", "aé"], &["a\n", "a", "ab\n"]);
        check("^a|b$", &["ax", "xb"], &["xa"]);
        check("^a{2}b{1,}c{0,1}$", &["aab", "aabbc"], &["ab", "aabcc"]);
        check("^a{b}{,1}{01}$", &["a{b}{,1}{01}"], &["a"]);
        check("^\\d\\D\\s\\S\\w\\W$", &["1a ba-"], &["aaa"]);
        check("^\\pL\\PL$", &["é1"], &["1é", "ab"]);
        check("^a\\b.c\\B.$", &["a-cd"], &["abcd"]);
        check("^\\x41\\101\\07\\n\\.\\_\\<$", &["AA\x07\n._<"], &["x"]);
        check("^\\Q[^/]*\\E[^/]*$", &["[^/]*x"], &["x"]);
        check("^\\Qa$", &["a$"], &["a"]);
        check("^[a[^/]*]$", &["]", "a[^/]"], &["b]", "a"]);
        check("^[]a]$", &["]", "a"], &["b"]);
        check("^[^]a]$", &["b", "\n"], &["]"]);
        check("^[[:digit:]\\s\\-x&&y~~[.*?]$", &["1", " ", "-", "&", "~", "[", "?"], &["b"]);
        check("^[[:^digit:]]$", &["a"], &["1"]);
        check("^[[:x]$", &["[", ":"], &["a"]);
        check("^[+-]$", &["-", "+"], &[","]);
    }

    #[test]
    fn what_go_refuses() {
        for expression in [
            "^|{2}$",
            "^a{2}{3}$",
            "^[^/]*{2}$",
            "^a{1001}$",
            "^a{3,2}$",
            "^\\1$",
            "^\\q$",
            "^\\Z$",
            "^\\C$",
            "^\\é$",
            "^\\x4$",
            "^\\x\\{41\\}$",
            "^\\p\\{L\\}$",
            "^\\pX$",
            "^[\\b]$",
            "^[b-a]$",
            "^[a$",
            "^[[:foo:]]$",
            "^[[:^^alpha:]]$",
            "^[\\Qa]$",
            "^\\",
        ] {
            assert!(translate(expression).is_err(), "{expression}");
        }
    }
}
