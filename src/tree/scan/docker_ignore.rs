//! A `.dockerignore` with the meaning that Docker's builder gives it, oddities included: the last pattern
//! that matches wins, one that matches a folder holds for all below it, `!` takes back.
//!
//! The builder walks a context from the top and remembers which patterns matched each folder. A pattern
//! that cannot change the verdict on a folder is not tried there, and then counts below only where it
//! matches anew. So a path is judged name by name here too, never at once.

mod expression;
mod lines;
mod pattern;

use crate::tree::scan::docker_ignore::lines::lines;
use crate::tree::scan::docker_ignore::pattern::Pattern;

#[cfg(test)]
mod tests;

/// What the patterns of one file may weigh together (`Expression::weight`): some 50 MiB, compiled.
const HEAVIEST: usize = 100_000;

/// A file's rules. Paths are bytes relative to where they hold, without a slash at their end.
#[derive(Debug, Default)]
pub struct DockerIgnore {
    rules: Vec<Rule>,
    /// What may come back from below a folder that is left out.
    exceptions: Exceptions,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    line: usize,
    /// The line as it was read.
    text: String,
}

/// Why a file is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    pub pattern: String,
    pub reason: String,
}

/// A folder during a walk.
#[derive(Debug, Clone)]
pub struct Position<'a> {
    ignore: &'a DockerIgnore,
    /// Which patterns hold for it and so for all below. Empty at the top, where none does.
    holding: Vec<bool>,
    left_out: bool,
}

/// The pattern that leaves a path out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason<'a> {
    /// From 1.
    pub line: usize,
    pub pattern: &'a str,
}

impl DockerIgnore {
    pub fn parse(text: &[u8]) -> Result<DockerIgnore, BadLine> {
        let too_long = |line| BadLine {
            line,
            pattern: String::new(),
            reason: "the line is longer than 65,535 bytes".to_owned(),
        };
        let mut rules = Vec::new();
        let mut weight = 0;
        for line in lines(text).map_err(too_long)? {
            let text = String::from_utf8_lossy(&line.pattern).into_owned();
            match Pattern::new(&line.pattern) {
                Ok(Some(pattern)) => {
                    weight += pattern.weight;
                    rules.push(Rule { pattern, line: line.number, text });
                }
                Ok(None) => {}
                Err(reason) => return Err(BadLine { line: line.number, pattern: text, reason }),
            }
            if weight > HEAVIEST {
                let reason = "the patterns so far are too large to be compiled".to_owned();
                return Err(BadLine { line: line.number, pattern: String::new(), reason });
            }
        }
        let exceptions = Exceptions::new(&rules);
        Ok(DockerIgnore { rules, exceptions })
    }

    /// The patterns in a text, cleaned, with `!` before exceptions. `Err`: the number of a line too long.
    pub fn patterns(text: &[u8]) -> Result<Vec<Vec<u8>>, usize> {
        lines(text).map(|lines| lines.into_iter().map(|line| line.pattern).collect())
    }

    /// Where the rules hold.
    pub const fn top(&self) -> Position<'_> {
        Position { ignore: self, holding: Vec::new(), left_out: false }
    }

    pub fn at(&self, directory: &[u8]) -> Position<'_> {
        let mut position = self.top();
        let slashes = directory.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(place, _)| place);
        for end in slashes.chain([directory.len()]).filter(|end| *end > 0) {
            position = position.below(&directory[..end]);
        }
        position
    }
}

impl<'a> Position<'a> {
    /// Whether the folder itself is left out.
    pub const fn is_left_out(&self) -> bool {
        self.left_out
    }

    /// Why a path directly in the folder is left out.
    pub fn leaves_out(&self, path: &[u8]) -> Option<Reason<'a>> {
        let rule = &self.ignore.rules[self.judge(path, &mut |_| ())?];
        Some(Reason { line: rule.line, pattern: &rule.text })
    }

    /// Whether a folder directly in this one is in, or holds what may be.
    pub fn enters(&self, directory: &[u8]) -> bool {
        self.judge(directory, &mut |_| ()).is_none() || self.ignore.exceptions.may_match_below(directory)
    }

    fn below(&self, directory: &[u8]) -> Position<'a> {
        let mut holding = Vec::with_capacity(self.ignore.rules.len());
        let left_out = self.judge(directory, &mut |holds| holding.push(holds)).is_some();
        Position { ignore: self.ignore, holding, left_out }
    }

    /// The rule that leaves `path` out. Tells of each rule whether it holds for the path.
    fn judge(&self, path: &[u8], tell: &mut dyn FnMut(bool)) -> Option<usize> {
        let mut verdict = None;
        for (number, Rule { pattern, .. }) in self.ignore.rules.iter().enumerate() {
            let holds = self.holding.get(number).copied().unwrap_or(false)
                || (pattern.exception == verdict.is_some() && pattern.matches(path));
            tell(holds);
            if holds {
                verdict = (!pattern.exception).then_some(number);
            }
        }
        verdict
    }
}

/// Which folders that are left out are walked all the same.
#[derive(Debug, Default)]
struct Exceptions {
    /// Each with `/` at its end.
    starts: Vec<Vec<u8>>,
    /// No exception has a special character, but for `/*` or `/**` at its end. Docker's builder then
    /// goes down to what they name, and no further: what they would match deeper stays out.
    plain: bool,
}

impl Exceptions {
    fn new(rules: &[Rule]) -> Exceptions {
        let texts = || rules.iter().map(|rule| &rule.pattern).filter(|pattern| pattern.exception);
        let plain = texts().all(|pattern| !without_end(&pattern.text).iter().any(|byte| is_special(*byte)));
        let start = |pattern: &Pattern| match plain {
            true => [without_end(&pattern.text), b"/"].concat(),
            false => literal_start(&pattern.text).to_vec(),
        };
        Exceptions { starts: texts().map(start).collect(), plain }
    }

    fn may_match_below(&self, directory: &[u8]) -> bool {
        let directory = [directory, b"/"].concat();
        self.starts
            .iter()
            .any(|start| start.starts_with(&directory) || (!self.plain && directory.starts_with(start)))
    }
}

fn without_end(pattern: &[u8]) -> &[u8] {
    let pattern = pattern.strip_suffix(b"/**").unwrap_or(pattern);
    pattern.strip_suffix(b"/*").unwrap_or(pattern)
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'[' | b']' | b'?' | b'^' | b'\\')
}

/// What all matches begin with.
fn literal_start(pattern: &[u8]) -> &[u8] {
    if pattern.iter().any(|byte| matches!(byte, b'|' | b'{')) || !pattern.is_ascii() {
        return b"";
    }
    let end = pattern.iter().position(|byte| is_special(*byte));
    &pattern[..end.unwrap_or(pattern.len())]
}
