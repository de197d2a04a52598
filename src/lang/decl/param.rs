//! `param`: a value that the command line may set, used as `${param.NAME}`.

use std::collections::BTreeMap;

use crate::base::suggest::{self, ticked};
use crate::base::tree_path::TreePath;
use crate::lang::code::Code;
use crate::lang::interpolate::{Plain, Values};
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::table::{DOC, Line, Often, Slot, may, one, some};

pub const LINE: Line = Line {
    word: "param",
    doc: "A value that `--param NAME=VALUE` may set, used as `${param.NAME}`. Without `default` it must be set.",
    example: "param port default=8080 min=1 max=65535",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        may(
            "type",
            Slot::Word(&["text", "int", "bool", "path"]),
            "May be left out when `default` shows it; else `text`.",
        ),
        may("default", Slot::Plain, "The value when the command line gives none."),
        may("min", Slot::Int { min: i64::MIN, max: i64::MAX }, "The least integer."),
        may("max", Slot::Int { min: i64::MIN, max: i64::MAX }, "The greatest integer."),
    ],
    body: &[&VALUES, &DOC],
    ..Line::EMPTY
};

const VALUES: Line = Line {
    word: "values",
    doc: "The only texts that are allowed.",
    example: "values debug release",
    often: Often::Maybe,
    arguments: &[some("TEXT", Slot::Text)],
    ..Line::EMPTY
};

/// What a parameter takes.
#[derive(Debug)]
enum Rule {
    Text,
    Int { min: i64, max: i64 },
    Bool,
    Path,
    OneOf(Vec<String>),
}

/// Gives every declared parameter its value, from `given` (`--param`) or its default.
pub fn declare(items: &[Item], given: &[(String, String)], values: &mut Values, findings: &mut Findings) {
    let mut declared: BTreeMap<&str, Span> = BTreeMap::new();
    for item in items {
        let Some(name) = item.text() else { continue };
        let span = name_span(item);
        if let Some(first) = declared.insert(name, span.clone()) {
            let mistake = Mistake::new(
                Code::NameTaken,
                format!("there are two parameters `{name}`"),
                "rename one of them",
            );
            findings.add(mistake.at(span, "and again here").at(first, "first here"));
            continue;
        }
        let value = if item.whole { settle(item, name, given, findings) } else { None };
        values.declare(name, value);
    }
    let known: Vec<&str> = declared.keys().copied().collect();
    for (name, _) in given.iter().filter(|(name, _)| !declared.contains_key(name.as_str())) {
        let help = match known.as_slice() {
            [] => "the file declares none: remove the flag".to_owned(),
            known => suggest::help(name, known, |name| format!("`--param {name}=…`"), "parameters"),
        };
        findings.add(Mistake::new(
            Code::ParamUnknown,
            format!("there is no parameter `{}`", shorten(name)),
            help,
        ));
    }
}

/// A warning for each parameter that nothing uses.
pub fn unused(items: &[Item], values: &Values, warnings: &mut Findings) {
    for item in items {
        if let Some(name) = item.text()
            && !values.is_parameter_used(name)
        {
            let help = format!("use ${{param.{name}}}, or remove the line");
            let warning =
                Mistake::warning(Code::ParamUnused, format!("nothing uses the parameter `{name}`"), help);
            warnings.add(warning.at(name_span(item), "never used"));
        }
    }
}

fn name_span(item: &Item) -> Span {
    item.argument(0).map_or(item.word.clone(), |given| given.span.clone())
}

fn settle(item: &Item, name: &str, given: &[(String, String)], findings: &mut Findings) -> Option<Plain> {
    let before = findings.count();
    let rule = rule(item);
    let default = item.property("default");
    if let Some(default) = default
        && let Some(value) = default.plain()
        && let Err(expected) = rule.check(&value)
    {
        let message = format!("the default of `{name}` is not {expected}");
        let help = format!("default={}", rule.example());
        findings.add(
            Mistake::new(Code::ParamValue, message, help).at(default.span.clone(), format!("not {expected}")),
        );
    }
    // The last flag wins, as everywhere on the command line.
    let flag = given.iter().rev().find(|(key, _)| key == name);
    let value = match (flag, default) {
        (Some((_, text)), _) => from_flag(item, name, text, &rule, findings),
        (None, Some(default)) => default.plain(),
        (None, None) => {
            let help = format!("memobuild … --param {name}=VALUE, or write a default here");
            let message = format!("the parameter `{name}` has no value");
            findings
                .add(Mistake::new(Code::ParamRequired, message, help).at(name_span(item), "has no default"));
            None
        }
    };
    if findings.count() == before { value } else { None }
}

fn from_flag(item: &Item, name: &str, text: &str, rule: &Rule, findings: &mut Findings) -> Option<Plain> {
    let value = match rule {
        Rule::Int { .. } => text.parse().map_or_else(|_| Plain::Text(text.to_owned()), Plain::Int),
        Rule::Bool => text.parse().map_or_else(|_| Plain::Text(text.to_owned()), Plain::Bool),
        _ => Plain::Text(text.to_owned()),
    };
    match rule.check(&value) {
        Ok(()) => Some(value),
        Err(expected) => {
            let message = format!("`--param {name}={}` is not {expected}", shorten(text));
            let help = format!("--param {name}={}", rule.example().trim_matches(['"', '#']));
            findings.add(Mistake::new(Code::ParamValue, message, help).at(name_span(item), "declared here"));
            None
        }
    }
}

fn rule(item: &Item) -> Rule {
    if let Some(values) = item.only("values") {
        return Rule::OneOf(values.texts());
    }
    let bound = |name: &str| item.property(name).and_then(Given::int);
    let int = Rule::Int { min: bound("min").unwrap_or(i64::MIN), max: bound("max").unwrap_or(i64::MAX) };
    let default = item.property("default").and_then(Given::plain);
    match (item.property("type").and_then(Given::text), default) {
        (Some("int"), _) | (None, Some(Plain::Int(_))) => int,
        (Some("bool"), _) | (None, Some(Plain::Bool(_))) => Rule::Bool,
        (Some("path"), _) => Rule::Path,
        (None, None) if bound("min").or(bound("max")).is_some() => int,
        _ => Rule::Text,
    }
}

impl Rule {
    /// What was expected, if the value is not that.
    fn check(&self, value: &Plain) -> Result<(), String> {
        let fits = match (self, value) {
            (Rule::Text, Plain::Text(text)) => !text.contains('\0'),
            (Rule::Int { min, max }, Plain::Int(number)) => (min..=max).contains(&number),
            (Rule::Bool, Plain::Bool(_)) => true,
            (Rule::Path, Plain::Text(text)) => TreePath::parse(text).is_ok(),
            (Rule::OneOf(words), Plain::Text(text)) => words.contains(text),
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.expected()) }
    }

    fn expected(&self) -> String {
        match self {
            Rule::Text => "a text".to_owned(),
            Rule::Int { min, max } => Slot::Int { min: *min, max: *max }.takes(),
            Rule::Bool => "true or false".to_owned(),
            Rule::Path => "a path without `..`".to_owned(),
            Rule::OneOf(words) => words.iter().map(|word| ticked(word)).collect::<Vec<_>>().join(" or "),
        }
    }

    fn example(&self) -> String {
        match self {
            Rule::Text => "\"text\"".to_owned(),
            Rule::Int { min, max } => 1.clamp(*min, (*max).max(*min)).to_string(),
            Rule::Bool => "#true".to_owned(),
            Rule::Path => "\"src\"".to_owned(),
            Rule::OneOf(words) => words.first().cloned().unwrap_or_default(),
        }
    }
}
