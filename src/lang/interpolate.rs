//! `${…}` in data: parameters and the target platform. Scripts are never substituted.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::suggest;
use crate::lang::code::Code;
use crate::lang::mistake::{Mistake, shorten};
use crate::oci::image::Platform;

/// A plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    Text(String),
    Int(i64),
    Bool(bool),
}

/// What `${…}` may name.
#[derive(Debug)]
pub struct Values {
    known: BTreeMap<String, Plain>,
    /// Names that were declared wrongly: what uses them is not reported.
    poisoned: BTreeSet<String>,
    used: RefCell<BTreeSet<String>>,
}

/// A text after substitution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Substituted {
    Plain(Plain),
    /// It uses a poisoned value.
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
        }
    }
}

impl Values {
    pub fn new(platform: &Platform) -> Values {
        let mut known = BTreeMap::from([
            ("platform.os".to_owned(), Plain::Text(platform.os.clone())),
            ("platform.arch".to_owned(), Plain::Text(platform.architecture.clone())),
        ]);
        let variant = platform.variant.clone().unwrap_or_default();
        known.insert("platform.variant".to_owned(), Plain::Text(variant));
        Values { known, poisoned: BTreeSet::new(), used: RefCell::default() }
    }

    pub fn declare(&mut self, parameter: &str, value: Option<Plain>) {
        let name = format!("param.{parameter}");
        match value {
            Some(value) => drop(self.known.insert(name, value)),
            None => drop(self.poisoned.insert(name)),
        }
    }

    pub fn is_parameter_used(&self, parameter: &str) -> bool {
        self.used.borrow().contains(&format!("param.{parameter}"))
    }

    /// The first `${…}` in a script that would have been a value.
    pub fn in_script<'a>(&self, script: &'a str) -> Option<&'a str> {
        let mut rest = script;
        while let Some(start) = rest.find("${") {
            let from = &rest[start..];
            let end = from.find('}')?;
            let name = &from[2..end];
            if self.known.contains_key(name) || self.poisoned.contains(name) {
                self.used.borrow_mut().insert(name.to_owned());
                return Some(&from[..=end]);
            }
            rest = &from[2..];
        }
        None
    }

    /// A text that is exactly one `${…}` keeps the type of the value.
    pub fn substitute(&self, text: &str) -> Result<Substituted, BadValue> {
        if !text.contains("${") {
            return Ok(Substituted::Plain(Plain::Text(text.to_owned())));
        }
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            if let Some(before) = rest[..start].strip_suffix('$') {
                result.push_str(before);
                result.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            let from = &rest[start..];
            let Some(end) = from.find('}') else { return Err(unclosed(from)) };
            let Some(value) = self.value(&from[2..end])? else { return Ok(Substituted::Poisoned) };
            if from.len() == text.len() && end + 1 == text.len() {
                return Ok(Substituted::Plain(value));
            }
            result.push_str(&rest[..start]);
            result.push_str(&value.to_text());
            rest = &from[end + 1..];
        }
        result.push_str(rest);
        Ok(Substituted::Plain(Plain::Text(result)))
    }

    /// `None` for a poisoned one.
    fn value(&self, name: &str) -> Result<Option<Plain>, BadValue> {
        self.used.borrow_mut().insert(name.to_owned());
        if self.poisoned.contains(name) {
            return Ok(None);
        }
        match self.known.get(name) {
            Some(value) => Ok(Some(value.clone())),
            None => Err(self.no_value(name)),
        }
    }

    fn no_value(&self, name: &str) -> BadValue {
        let written = format!("${{{name}}}");
        let shown = shorten(&written);
        let mistake = if name.contains('.') {
            let names: Vec<&str> = self.known.keys().map(String::as_str).collect();
            let help = suggest::help(name, &names, |name| format!("${{{name}}}"), "values");
            Mistake::new(Code::ValueUnknown, format!("there is no value `{shown}`"), help)
        } else {
            let message = format!("`{shown}` names no value of this file");
            let help = format!(
                "values are ${{param.NAME}} and ${{platform.os}}; for the text itself, write ${shown}"
            );
            Mistake::new(Code::ValueForm, message, help)
        };
        BadValue { written, mistake }
    }
}

fn unclosed(from: &str) -> BadValue {
    let help = "write ${param.NAME}; for the text itself, write $${";
    let mistake = Mistake::new(Code::ValueForm, "`${` is never closed", help);
    BadValue { written: from[..2].to_owned(), mistake }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
        let mut values = Values::new(&platform);
        values.declare("port", Some(Plain::Int(80)));
        values.declare("broken", None);
        values
    }

    #[test]
    fn substitution() {
        let text = |text: &str| Substituted::Plain(Plain::Text(text.into()));
        for (written, expected) in [
            ("plain $x $$", text("plain $x $$")),
            ("${param.port}", Substituted::Plain(Plain::Int(80))),
            (":${param.port}/${platform.arch}", text(":80/amd64")),
            ("$${param.port}", text("${param.port}")),
            ("a$${b}${param.port}", text("a${b}80")),
            ("x${param.broken}", Substituted::Poisoned),
        ] {
            assert_eq!(values().substitute(written).unwrap(), expected, "{written}");
        }
    }

    #[test]
    fn what_has_no_value() {
        for (written, code, help) in [
            ("${HOME}", Code::ValueForm, "$${HOME}"),
            ("${param.prot}", Code::ValueUnknown, "did you mean ${param.port}?"),
            ("${from.env.PATH}", Code::ValueUnknown, "values: "),
            ("a ${b", Code::ValueForm, "$${"),
        ] {
            let bad = values().substitute(written).unwrap_err();
            assert_eq!(bad.mistake.code, code);
            assert!(bad.mistake.help.contains(help), "{}", bad.mistake.help);
        }
    }

    #[test]
    fn scripts_may_use_shell_variables() {
        assert_eq!(values().in_script("echo ${HOME} ${x.y} ${"), None);
        assert_eq!(values().in_script("a ${B} ${param.port}"), Some("${param.port}"));
    }
}
