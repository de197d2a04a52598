//! `param`: a value that the command line may set, used as `${param.NAME}`; in templates also a node,
//! used by its bare name.

use std::rc::Rc;

use crate::base::suggest::ticked;
use crate::base::tree_path::TreePath;
use crate::lang::code::Code;
use crate::lang::interpolate::Plain;
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::table::{DOC, Line, Often, Slot, Wants, any, may, one, some};
use crate::lang::{platform, size, time};

pub const LINE: Line = Line {
    word: "param",
    doc: "A value that `--param NAME=VALUE` may set, used as `${param.NAME}`. Without `default` it must be set.",
    example: "param port default=8080 min=1 max=65535",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        may(
            "type",
            Slot::Word(&TYPES),
            "May be left out when `default` shows it; else `text`. The last three are nodes, in templates and fragments only.",
        ),
        may("default", Slot::Plain, "The value when nothing else gives one."),
        may("min", Slot::Int { min: i64::MIN, max: i64::MAX }, "The least integer."),
        may("max", Slot::Int { min: i64::MIN, max: i64::MAX }, "The greatest integer."),
        may("pattern", Slot::Regex, "A regular expression that a text matches."),
        may("env", Slot::Text, "The environment variable that gives the value, where no flag does."),
        may("shared", Slot::Bool, "In the root file: whether all packages see it; default #false."),
    ],
    body: &[&VALUES, &DEFAULT, &DOC],
    ..Line::EMPTY
};

const TYPES: [&str; 12] = [
    "text", "int", "bool", "path", "duration", "size", "enum", "platform", "list", "tree", "rootfs", "image",
];

const VALUES: Line = Line {
    word: "values",
    doc: "The only texts that are allowed.",
    example: "values debug release",
    often: Often::Maybe,
    arguments: &[some("TEXT", Slot::Choice)],
    ..Line::EMPTY
};

const DEFAULT: Line = Line {
    word: "default",
    doc: "The values of a list; without any, it is empty.",
    example: "default \"a\" \"b\"",
    often: Often::Maybe,
    arguments: &[any("TEXT", Slot::Text)],
    ..Line::EMPTY
};

/// What a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// With a regular expression that it matches.
    Text(Option<String>),
    Int {
        min: i64,
        max: i64,
    },
    Bool,
    Path,
    Duration,
    Size,
    Platform,
    List,
    OneOf(Vec<String>),
    /// A node that gives such a value.
    Graph(Wants),
}

/// Where a value comes from that is not the file's own default: in the order in which they win.
#[derive(Debug, Default)]
pub struct Outer {
    /// Each `--param`; the last one wins, a list takes them all.
    pub flags: Vec<String>,
    pub environment: Option<String>,
    pub profile: Option<Plain>,
}

/// The value of a parameter of a file; `None` when something was reported.
pub fn settle(item: &Item, rule: &Rule, outer: &Outer, findings: &mut Findings) -> Option<Plain> {
    let before = findings.count();
    let name = item.text().unwrap_or_default();
    let default = default(item, rule, findings);
    let value = if let Some(last) = outer.flags.last() {
        let all = if *rule == Rule::List { outer.flags.as_slice() } else { std::slice::from_ref(last) };
        from_text(item, rule, all, &format!("--param {name}="), findings)
    } else if let Some(text) = &outer.environment {
        let variable = item.property("env").and_then(Given::text).unwrap_or_default();
        from_text(item, rule, std::slice::from_ref(text), &format!("{variable}="), findings)
    } else if let Some(value) = &outer.profile {
        checked(item, rule, value.clone(), &format!("the profile's value of `{name}`"), findings)
    } else {
        default.or_else(|| missing(item, name, before, findings))
    };
    if findings.count() == before { value } else { None }
}

/// The file's own default, checked.
pub fn default(item: &Item, rule: &Rule, findings: &mut Findings) -> Option<Plain> {
    let name = item.text().unwrap_or_default();
    if let Some(line) = item.only("default") {
        return Some(Plain::List(line.texts()));
    }
    let given = item.property("default")?;
    let value = given.plain()?;
    if let Err(expected) = rule.check(&value) {
        let message = format!("the default of `{name}` is not {expected}");
        let mistake = Mistake::new(Code::ParamValue, message, format!("default={}", rule.example()));
        findings.add(mistake.at(given.span.clone(), format!("not {expected}")));
        return None;
    }
    Some(value)
}

fn missing(item: &Item, name: &str, before: usize, findings: &mut Findings) -> Option<Plain> {
    if findings.count() == before {
        let flag = format!("memobuild … --param {name}=VALUE");
        let help = match item.property("env").and_then(Given::text) {
            Some(variable) => {
                format!("{flag}, or set {variable} in the environment, or write a default here")
            }
            None => format!("{flag}, or write a default here"),
        };
        let message = format!("the parameter `{name}` has no value");
        findings.add(Mistake::new(Code::ParamRequired, message, help).at(name_span(item), "has no default"));
    }
    None
}

/// From the command line or the environment, where everything is text.
fn from_text(
    item: &Item,
    rule: &Rule,
    texts: &[String],
    written: &str,
    findings: &mut Findings,
) -> Option<Plain> {
    let text = texts.last()?;
    let value = match rule {
        Rule::Int { .. } => text.parse().map_or_else(|_| Plain::Text(text.clone()), Plain::Int),
        Rule::Bool => text.parse().map_or_else(|_| Plain::Text(text.clone()), Plain::Bool),
        // `--param NAME=` is how a list is made empty.
        Rule::List => Plain::List(texts.iter().filter(|text| !text.is_empty()).cloned().collect()),
        _ => Plain::Text(text.clone()),
    };
    match rule.check(&value) {
        Ok(()) => Some(value),
        Err(expected) => {
            let message = format!("`{written}{}` is not {expected}", shorten(text));
            let help = format!("{written}{}", rule.example().trim_matches(['"', '#']));
            findings.add(Mistake::new(Code::ParamValue, message, help).at(name_span(item), "declared here"));
            None
        }
    }
}

fn checked(item: &Item, rule: &Rule, value: Plain, what: &str, findings: &mut Findings) -> Option<Plain> {
    match rule.check(&value) {
        Ok(()) => Some(value),
        Err(expected) => {
            let message = format!("{what} is not {expected}");
            let help = format!("write {}", rule.example());
            findings.add(Mistake::new(Code::ParamValue, message, help).at(name_span(item), "declared here"));
            None
        }
    }
}

pub fn name_span(item: &Item) -> Span {
    item.argument(0).map_or(item.word.clone(), |given| given.span.clone())
}

/// What the line of a parameter says that it takes.
pub fn rule(item: &Item, findings: &mut Findings) -> Rc<Rule> {
    check_values(item, findings);
    Rc::new(rule_of(item))
}

/// `values` and `type=enum` go together.
fn check_values(item: &Item, findings: &mut Findings) {
    let given = item.property("type");
    match (item.only("values"), given.and_then(Given::text)) {
        (None, Some("enum")) => {
            let message = "an `enum` needs a line `values`: those that are allowed";
            let mistake = Mistake::new(Code::SlotMissing, message, "{ values debug release; }");
            findings.add(mistake.at(name_span(item), "has none"));
        }
        (Some(values), Some(other)) if other != "enum" => {
            let message = format!("`values` lists the words of an `enum`, and this is of type `{other}`");
            let mistake = Mistake::new(Code::TypeValue, message, "write type=enum, or remove one of the two");
            findings.add(mistake.at(values.word.clone(), "not for this type"));
        }
        _ => {}
    }
}

fn rule_of(item: &Item) -> Rule {
    if let Some(values) = item.only("values") {
        return Rule::OneOf(values.texts());
    }
    let bound = |name: &str| item.property(name).and_then(Given::int);
    let int = Rule::Int { min: bound("min").unwrap_or(i64::MIN), max: bound("max").unwrap_or(i64::MAX) };
    let text = Rule::Text(item.property("pattern").and_then(Given::text).map(str::to_owned));
    let default = item.property("default").and_then(Given::plain);
    match (item.property("type").and_then(Given::text), default) {
        (Some("int"), _) | (None, Some(Plain::Int(_))) => int,
        (Some("bool"), _) | (None, Some(Plain::Bool(_))) => Rule::Bool,
        (Some("path"), _) => Rule::Path,
        (Some("duration"), _) => Rule::Duration,
        (Some("size"), _) => Rule::Size,
        (Some("platform"), _) => Rule::Platform,
        (Some("list"), _) => Rule::List,
        (Some("tree"), _) => Rule::Graph(Wants::Tree),
        (Some("rootfs" | "image"), _) => Rule::Graph(Wants::Root),
        (None, None) if item.only("default").is_some() => Rule::List,
        (None, None) if bound("min").or(bound("max")).is_some() => int,
        _ => text,
    }
}

impl Rule {
    /// What was expected, if the value is not that.
    pub fn check(&self, value: &Plain) -> Result<(), String> {
        let fits = match (self, value) {
            (Rule::Text(pattern), Plain::Text(text)) => {
                !text.contains('\0') && pattern.as_ref().is_none_or(|pattern| matches(pattern, text))
            }
            (Rule::Int { min, max }, Plain::Int(number)) => (min..=max).contains(&number),
            (Rule::Bool, Plain::Bool(_)) | (Rule::List, Plain::List(_)) => true,
            (Rule::Path, Plain::Text(text)) => TreePath::parse(text).is_ok(),
            (Rule::Duration, Plain::Text(text)) => time::duration(text).is_some(),
            (Rule::Size, Plain::Text(text)) => size::size(text).is_some(),
            (Rule::Platform, Plain::Text(text)) => platform::parse(text).is_some(),
            (Rule::OneOf(words), Plain::Text(text)) => words.contains(text),
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.expected()) }
    }

    pub fn expected(&self) -> String {
        match self {
            Rule::Text(None) => "a text".to_owned(),
            Rule::Text(Some(pattern)) => format!("a text that matches {pattern}"),
            Rule::Int { min, max } => Slot::Int { min: *min, max: *max }.takes(),
            Rule::Bool => "true or false".to_owned(),
            Rule::Path => "a path without `..`".to_owned(),
            Rule::Duration => Slot::Duration.takes(),
            Rule::Size => Slot::Size.takes(),
            Rule::Platform => Slot::Platform.takes(),
            Rule::List => "a list".to_owned(),
            Rule::OneOf(words) => words.iter().map(|word| ticked(word)).collect::<Vec<_>>().join(" or "),
            Rule::Graph(wants) => wants.takes().to_owned(),
        }
    }

    pub fn example(&self) -> String {
        match self {
            Rule::Text(_) => "\"text\"".to_owned(),
            Rule::Int { min, max } => 1.clamp(*min, (*max).max(*min)).to_string(),
            Rule::Bool => "#true".to_owned(),
            Rule::Path => "\"src\"".to_owned(),
            Rule::Duration => Slot::Duration.example().to_owned(),
            Rule::Size => Slot::Size.example().to_owned(),
            Rule::Platform => Slot::Platform.example().to_owned(),
            Rule::List => "\"a\" \"b\"".to_owned(),
            Rule::OneOf(words) => words.first().cloned().unwrap_or_default(),
            Rule::Graph(wants) => Slot::Reference(*wants).example().to_owned(),
        }
    }

    /// The word of the type.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Text(_) => "text",
            Rule::Int { .. } => "int",
            Rule::Bool => "bool",
            Rule::Path => "path",
            Rule::Duration => "duration",
            Rule::Size => "size",
            Rule::Platform => "platform",
            Rule::List => "list",
            Rule::OneOf(_) => "enum",
            Rule::Graph(Wants::Tree) => "tree",
            Rule::Graph(_) => "rootfs",
        }
    }
}

/// The pattern's form was checked when its slot was read.
fn matches(pattern: &str, text: &str) -> bool {
    regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}
