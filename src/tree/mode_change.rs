//! Changes of file modes as `chmod` writes them: `u=rwX,go=rX`, `a+x`, `g=u`. Where nobody is named all are
//! meant: there is no umask here, so that a text means the same everywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SET_IDS: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const EXECUTE: u32 = 0o111;
const EVERYONE: u32 = 0o7777;

/// Clauses that are carried out from left to right. Keeps its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeChange {
    text: String,
    actions: Vec<Action>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadModeChange {
    #[error("`{0}` is no change of a mode: it ends where `+`, `-` or `=` should follow")]
    NoOperator(String),
    #[error("`{text}` is no change of a mode: `{character}` means nothing there")]
    Unknown { text: String, character: char },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Action {
    /// The bits of those it is about.
    who: u32,
    operator: Operator,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Bits {
        bits: u32,
        /// `X`: execute too, for folders and for what somebody may execute already.
        execute_where_fit: bool,
    },
    /// What these may do: `g=u`.
    CopyOf(u32),
}

impl ModeChange {
    /// Clauses with commas between; each names whom it is about (`ugoa`), then one or more times `+`, `-` or
    /// `=` and what they may do (`rwxXst`, or one of `ugo` to copy). Octal modes are not read here.
    pub fn parse(text: &str) -> Result<ModeChange, BadModeChange> {
        let mut actions = Vec::new();
        for clause in text.split(',') {
            read_clause(text, clause, &mut actions)?;
        }
        Ok(ModeChange { text: text.to_owned(), actions })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The permission bits, set ids and sticky bit of `mode` (`0o7777`) after the change.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        self.actions.iter().fold(mode & EVERYONE, |mode, action| action.apply(mode, is_directory))
    }
}

fn read_clause(text: &str, clause: &str, actions: &mut Vec<Action>) -> Result<(), BadModeChange> {
    let start = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let who = match clause.len() - start.len() {
        0 => EVERYONE,
        length => clause[..length].chars().map(bits_of).fold(0, |all, bits| all | bits),
    };
    let mut rest = start.chars().peekable();
    loop {
        let operator = match rest.next() {
            Some('+') => Operator::Add,
            Some('-') => Operator::Remove,
            Some('=') => Operator::Set,
            Some(character) => return Err(BadModeChange::Unknown { text: text.to_owned(), character }),
            None => return Err(BadModeChange::NoOperator(text.to_owned())),
        };
        let what = match rest.next_if(|character| matches!(character, 'u' | 'g' | 'o')) {
            Some(from) => What::CopyOf(bits_of(from)),
            None => read_bits(&mut rest),
        };
        actions.push(Action { who, operator, what });
        if rest.peek().is_none() {
            return Ok(());
        }
    }
}

fn read_bits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> What {
    let (mut bits, mut execute_where_fit) = (0, false);
    while let Some(character) = rest.next_if(|character| "rwxXst".contains(*character)) {
        match character {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= EXECUTE,
            's' => bits |= SET_IDS,
            't' => bits |= STICKY,
            _ => execute_where_fit = true,
        }
    }
    What::Bits { bits, execute_where_fit }
}

/// What is somebody's: their permissions, and the bit that sets their id.
const fn bits_of(who: char) -> u32 {
    match who {
        'u' => 0o4700,
        'g' => 0o2070,
        'o' => 0o1007,
        _ => EVERYONE,
    }
}

impl Action {
    fn apply(self, mode: u32, is_directory: bool) -> u32 {
        let may_execute = is_directory || mode & EXECUTE != 0;
        let value = match self.what {
            What::CopyOf(from) => spread(mode & from & 0o777),
            What::Bits { bits, execute_where_fit } => {
                bits | if execute_where_fit && may_execute { EXECUTE } else { 0 }
            }
        };
        // The set ids of a folder stay unless they are named.
        let named = match self.what {
            What::Bits { bits, .. } => bits,
            What::CopyOf(_) => 0,
        };
        let kept = if is_directory { SET_IDS & !named } else { 0 };
        let value = value & self.who & !kept;
        match self.operator {
            Operator::Add => mode | value,
            Operator::Remove => mode & !value,
            Operator::Set => (mode & (!self.who | kept)) | value,
        }
    }
}

/// What one may do, for all three.
const fn spread(permissions: u32) -> u32 {
    let one = (permissions >> 6 | permissions >> 3 | permissions) & 0o7;
    one << 6 | one << 3 | one
}

impl FromStr for ModeChange {
    type Err = BadModeChange;

    fn from_str(text: &str) -> Result<ModeChange, BadModeChange> {
        ModeChange::parse(text)
    }
}

impl fmt::Display for ModeChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Serialize for ModeChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ModeChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModeChange, D::Error> {
        let text = String::deserialize(deserializer)?;
        ModeChange::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_changes() {
        let check = |text: &str, before: u32, file: u32, folder: u32| {
            let change = ModeChange::parse(text).unwrap();
            assert_eq!(
                change.apply(before, false),
                file,
                "{text} on a file: {:o}",
                change.apply(before, false)
            );
            assert_eq!(
                change.apply(before, true),
                folder,
                "{text} on a folder: {:o}",
                change.apply(before, true)
            );
        };
        check("u=rwX,go=rX", 0o600, 0o644, 0o755);
        check("u=rwX,go=rX", 0o711, 0o755, 0o755);
        check("a+x", 0o644, 0o755, 0o755);
        check("+x", 0o644, 0o755, 0o755);
        check("g-w,o=", 0o666, 0o640, 0o640);
        check("g=u", 0o750, 0o770, 0o770);
        check("g=u,o=g", 0o640, 0o666, 0o666);
        check("u+s,g+s,+t", 0o755, 0o7755, 0o7755);
        check("o+t,u+t", 0o755, 0o1755, 0o1755);
        check("a=", 0o7777, 0, 0o6000);
        check("a=s", 0o777, 0o6000, 0o6000);
        check("u=rwx+s-r", 0o000, 0o4300, 0o4300);
        check("u+r-w=x", 0o200, 0o100, 0o100);
        check("g+", 0o123, 0o123, 0o123);
        check("u=rwx", 0o100_644, 0o744, 0o744);
    }

    #[test]
    fn what_is_no_change() {
        let ends = |text: &str| BadModeChange::NoOperator(text.to_owned());
        let unknown = |text: &str, character| BadModeChange::Unknown { text: text.to_owned(), character };
        for (text, expected) in [
            ("", ends("")),
            ("u", ends("u")),
            ("u+x,", ends("u+x,")),
            (",u+x", ends(",u+x")),
            ("rwx", unknown("rwx", 'r')),
            ("u+rg", unknown("u+rg", 'g')),
            ("g=ur", unknown("g=ur", 'r')),
            ("u + x", unknown("u + x", ' ')),
            ("755", unknown("755", '7')),
            ("u+755", unknown("u+755", '7')),
            ("u+é", unknown("u+é", 'é')),
        ] {
            assert_eq!(ModeChange::parse(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn is_its_text() {
        let change: ModeChange = "u=rwX,go=rX".parse().unwrap();
        assert_eq!(change.to_string(), "u=rwX,go=rX");
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(json, "\"u=rwX,go=rX\"");
        assert_eq!(serde_json::from_str::<ModeChange>(&json).unwrap(), change);
        assert!(serde_json::from_str::<ModeChange>("\"7\"").is_err());
    }

    /// What `chmod` makes of `mode` without a umask; `None` where it refuses the text.
    fn changed(path: &Path, mode: u32, text: &str) -> Option<u32> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let script = "umask 0; exec chmod -- \"$1\" \"$2\"";
        let output = Command::new("sh").args(["-c", script, "sh", text]).arg(path).output().unwrap();
        output.status.success().then(|| fs::metadata(path).unwrap().permissions().mode() & 0o7777)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn means_what_chmod_means(
            text in "[ugoa]{0,3}([-+=]([rwxXst]{0,4}|[ugo])){1,3}(,[ugoa]{0,2}[-+=]([rwxXst]{0,3}|[ugo])){0,2}",
            mode in 0_u32..0o10000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (file, inner) = (folder.path().join("file"), folder.path().join("folder"));
            fs::write(&file, "").unwrap();
            fs::create_dir(&inner).unwrap();
            let change = ModeChange::parse(&text).unwrap();
            prop_assert_eq!(Some(change.apply(mode, false)), changed(&file, mode, &text), "{} on {:o}", text, mode);
            prop_assert_eq!(Some(change.apply(mode, true)), changed(&inner, mode, &text), "{} on {:o}", text, mode);
        }

        #[test]
        fn refuses_what_chmod_refuses(text in "[ugoarwxXst+=,-]{1,7}") {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("file");
            fs::write(&file, "").unwrap();
            let known = changed(&file, 0o644, &text).is_some();
            prop_assert_eq!(ModeChange::parse(&text).is_ok(), known, "{}", text);
        }
    }
}
