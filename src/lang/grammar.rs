//! Where in a line of KDL 2 a token may stand. The kdl crate recurses once for every token that is
//! out of place at file level, so that a long hostile file would overflow its stack: none gets there.

use crate::lang::token::Kind;

/// A token that may not stand where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misplaced {
    pub message: &'static str,
    pub label: &'static str,
    pub help: &'static str,
}

#[derive(Debug, Default)]
pub struct Grammar {
    place: Place,
    /// Where each open block's line goes on when it is closed, and whether that line is left out.
    after_blocks: Vec<(Place, bool)>,
    /// After `/-`: what follows is left out, and something must follow.
    commented_out: bool,
    /// The whole line is left out.
    line_left_out: bool,
    /// After `\`: the next end of line is none.
    continued: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the word of a line.
    #[default]
    Start,
    /// After the first word of a line.
    Word,
    /// After more of it.
    Rest,
    /// After `=`.
    Value,
    /// After the value of a property.
    Valued,
    /// After a block that is left out: the line may still have one.
    LeftOut,
    /// After the block of a line.
    Block,
}

pub const ORDER: &str = "a line is: a word, values, key=value pairs, and last perhaps one block { … }";

impl Grammar {
    pub fn is_continued(&self) -> bool {
        self.continued
    }

    /// Whether the token that was taken last is the first word of a line.
    pub fn is_first_word(&self) -> bool {
        self.place == Place::Word
    }

    /// Goes on behind the token also when that is misplaced.
    pub fn take(&mut self, kind: Kind) -> Result<(), Misplaced> {
        let before = self.place;
        match kind {
            Kind::Space | Kind::Comment { .. } => Ok(()),
            Kind::Continuation => {
                self.continued = true;
                Ok(())
            }
            Kind::Newline if std::mem::take(&mut self.continued) || self.commented_out => Ok(()),
            Kind::Newline => self.end(),
            Kind::Semicolon if self.line_left_out => {
                self.place = Place::Start;
                self.line_left_out = false;
                allowed(false, "a line that `/-` leaves out ends with its line", "ends it here")
            }
            Kind::Semicolon if before == Place::Start && !self.commented_out => {
                allowed(false, "a semicolon ends a line, and none has begun", "nothing stands before it")
            }
            Kind::Semicolon | Kind::Close => {
                let closed = self.end();
                if kind == Kind::Close {
                    (self.place, self.line_left_out) =
                        self.after_blocks.pop().unwrap_or((Place::Block, false));
                }
                closed
            }
            Kind::Slashdash => self.slashdash(),
            Kind::Equals => {
                self.place = Place::Value;
                allowed(
                    matches!(before, Place::Rest) && !self.commented_out,
                    "an equals sign stands between a key and its value",
                    "not expected",
                )
            }
            Kind::Word | Kind::Text { .. } | Kind::Stray | Kind::Forbidden => self.word(),
            Kind::Open => self.open(),
        }
    }

    /// At the end of a line, a block or the file.
    pub fn end(&mut self) -> Result<(), Misplaced> {
        self.place = Place::Start;
        self.line_left_out = false;
        let dangling = std::mem::take(&mut self.commented_out);
        allowed(!dangling, "`/-` leaves out what follows, and nothing does", "ends here")
    }

    fn slashdash(&mut self) -> Result<(), Misplaced> {
        self.line_left_out |= self.place == Place::Start;
        let twice = std::mem::replace(&mut self.commented_out, true);
        allowed(
            !twice && self.place != Place::Value,
            "`/-` stands before a line, a value or a block",
            "not expected",
        )
    }

    fn word(&mut self) -> Result<(), Misplaced> {
        let before = self.place;
        self.place = match before {
            Place::Start => Place::Word,
            Place::Value => Place::Valued,
            _ => Place::Rest,
        };
        self.commented_out = false;
        allowed(
            !matches!(before, Place::Block | Place::LeftOut),
            "a line ends after its block",
            "not expected",
        )
    }

    fn open(&mut self) -> Result<(), Misplaced> {
        let before = std::mem::replace(&mut self.place, Place::Start);
        let left_out = std::mem::take(&mut self.commented_out);
        let after = if left_out && before != Place::Block { Place::LeftOut } else { Place::Block };
        self.after_blocks.push((after, std::mem::take(&mut self.line_left_out)));
        match before {
            Place::Start => allowed(false, "a block follows a word", "nothing stands before it"),
            Place::Block => allowed(left_out, "a line has one block only", "a second one"),
            // That the property has no value is told already.
            Place::Value | Place::Word | Place::Rest | Place::Valued | Place::LeftOut => Ok(()),
        }
    }
}

fn allowed(fits: bool, message: &'static str, label: &'static str) -> Result<(), Misplaced> {
    if fits { Ok(()) } else { Err(Misplaced { message, label, help: ORDER }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::token::Tokens;

    /// The first misplaced token.
    fn check(text: &str, expected: Option<&str>) {
        let mut grammar = Grammar::default();
        let found = Tokens::new(text).find(|token| grammar.take(token.kind).is_err());
        assert_eq!(found.map(|token| &text[token.span]), expected, "{text}");
    }

    #[test]
    fn what_stands_where() {
        check("a b c=1 d = 2 { e; f { g; }\n }\nh {}; i\n", None);
        check("a \\\n b { c; }\n/- d e { f; }\n", None);
        check("a /- b /-c=1 /- {\n} {\n} /-{\n}\n/-\nb", None);
        check("{}", Some("{"));
        check("a {} {}", Some("{"));
        check("a {} b", Some("b"));
        check("a /-{} b", Some("b"));
        check("a = 1", Some("="));
        check("a b=/-1", Some("/-"));
        check("a b=1=2", Some("="));
        check("a /-;", Some(";"));
        check("a;;", Some(";"));
        check("/- a;", Some(";"));
        check("a { /- }", Some("}"));
        check("/- /- a", Some("/-"));
    }
}
