//! `${…}` in data. What the names stand for is asked of the caller. Scripts are never substituted.

use crate::graph::late::{LateText, Piece};
use crate::lang::code::Code;
use crate::lang::mistake::Mistake;

/// A plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    Text(String),
    Int(i64),
    Bool(bool),
    /// Spliced into a slot that takes several values.
    List(Vec<String>),
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Plain(Plain),
    /// A variable of the node in `from`, which only the build knows.
    FromEnv(String),
    /// It was declared wrongly, or where nothing has a value: what uses it is not reported.
    Poisoned,
}

/// A text after substitution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Substituted {
    Plain(Plain),
    Late(LateText),
    Poisoned,
}

/// A `${…}` that has no value; `written` is it as it stands in the text.
#[derive(Debug)]
pub struct BadValue {
    pub written: String,
    pub mistake: Mistake,
}

impl Plain {
    pub fn to_text(&self) -> String {
        match self {
            Plain::Text(text) => text.clone(),
            Plain::Int(number) => number.to_string(),
            Plain::Bool(truth) => truth.to_string(),
            Plain::List(values) => values.join(" "),
        }
    }
}

/// A text that is exactly one `${…}` keeps the type of the value.
pub fn substitute(
    text: &str,
    find: &mut dyn FnMut(&str) -> Result<Found, BadValue>,
) -> Result<Substituted, BadValue> {
    if !text.contains("${") {
        return Ok(Substituted::Plain(Plain::Text(text.to_owned())));
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut poisoned = false;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            pieces.push(Piece::Text(format!("{before}${{")));
            rest = &rest[start + 2..];
            continue;
        }
        let from = &rest[start..];
        let Some(end) = from.find('}') else { return Err(unclosed(from)) };
        pieces.push(Piece::Text(rest[..start].to_owned()));
        match find(&from[2..end])? {
            Found::Plain(value) if from.len() == text.len() && end + 1 == text.len() => {
                return Ok(Substituted::Plain(value));
            }
            Found::Plain(Plain::List(_)) => return Err(list_in_text(&from[..=end])),
            Found::Plain(value) => pieces.push(Piece::Text(value.to_text())),
            Found::FromEnv(name) => pieces.push(Piece::FromEnv(name)),
            Found::Poisoned => poisoned = true,
        }
        rest = &from[end + 1..];
    }
    pieces.push(Piece::Text(rest.to_owned()));
    let whole = LateText::new(pieces);
    Ok(match poisoned {
        true => Substituted::Poisoned,
        false if whole.is_known() => Substituted::Plain(Plain::Text(whole.known().to_owned())),
        false => Substituted::Late(whole),
    })
}

/// The first `${…}` in a script that would have been a value.
pub fn value_in_script<'a>(script: &'a str, is_value: &dyn Fn(&str) -> bool) -> Option<&'a str> {
    let mut rest = script;
    while let Some(start) = rest.find("${") {
        let from = &rest[start..];
        let end = from.find('}')?;
        if is_value(&from[2..end]) {
            return Some(&from[..=end]);
        }
        rest = &from[2..];
    }
    None
}

fn unclosed(from: &str) -> BadValue {
    let help = "write ${param.NAME}; for the text itself, write $${";
    let mistake = Mistake::new(Code::ValueForm, "`${` is never closed", help);
    BadValue { written: from[..2].to_owned(), mistake }
}

fn list_in_text(written: &str) -> BadValue {
    let message = format!("`{written}` is a list, and cannot be a part of a text");
    let help = format!("let it stand alone, where several values may stand: \"{written}\"");
    BadValue { written: written.to_owned(), mistake: Mistake::new(Code::ValueForm, message, help) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> Result<Found, BadValue> {
        Ok(match name {
            "param.port" => Found::Plain(Plain::Int(80)),
            "param.list" => Found::Plain(Plain::List(vec!["a".into()])),
            "platform.arch" => Found::Plain(Plain::Text("amd64".into())),
            "from.env.PATH" => Found::FromEnv("PATH".into()),
            "param.broken" => Found::Poisoned,
            _ => {
                let mistake = Mistake::new(Code::ValueUnknown, "unknown", "");
                return Err(BadValue { written: name.to_owned(), mistake });
            }
        })
    }

    #[test]
    fn substitution() {
        let text = |text: &str| Substituted::Plain(Plain::Text(text.into()));
        let late = LateText::new([Piece::Text("/x:".into()), Piece::FromEnv("PATH".into())]);
        for (written, expected) in [
            ("plain $x $$", text("plain $x $$")),
            ("${param.port}", Substituted::Plain(Plain::Int(80))),
            ("${param.list}", Substituted::Plain(Plain::List(vec!["a".into()]))),
            (":${param.port}/${platform.arch}", text(":80/amd64")),
            ("$${param.port}", text("${param.port}")),
            ("a$${b}${param.port}", text("a${b}80")),
            ("x${param.broken}", Substituted::Poisoned),
            ("/x:${from.env.PATH}", Substituted::Late(late)),
        ] {
            assert_eq!(substitute(written, &mut find).unwrap(), expected, "{written}");
        }
    }

    #[test]
    fn what_has_no_value() {
        for (written, code) in
            [("${HOME}", Code::ValueUnknown), ("a ${b", Code::ValueForm), ("a${param.list}", Code::ValueForm)]
        {
            assert_eq!(substitute(written, &mut find).unwrap_err().mistake.code, code, "{written}");
        }
    }

    #[test]
    fn scripts_may_use_shell_variables() {
        let is_value = |name: &str| name == "param.port";
        assert_eq!(value_in_script("echo ${HOME} ${x.y} ${", &is_value), None);
        assert_eq!(value_in_script("a ${B} ${param.port}", &is_value), Some("${param.port}"));
    }
}
