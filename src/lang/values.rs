//! What the names in `${…}` stand for: parameters, coordinates, tables, platforms, and what lies outside
//! of the files.

use std::rc::Rc;

use crate::base::suggest;
use crate::lang::budget;
use crate::lang::code::Code;
use crate::lang::decl::param::Rule;
use crate::lang::interpolate::{BadValue, Found, Plain, Substituted, substitute};
use crate::lang::label::is_name;
use crate::lang::mistake::{Mistake, shorten};
use crate::lang::platform;
use crate::lang::scope::{Env, Param, ScopeId, World};
use crate::lang::syntax::{Entry, Node, Value};
use crate::oci::image::Platform;

const PLATFORM_FIELDS: [&str; 3] = ["os", "arch", "variant"];
const GIT_FIELDS: [&str; 5] = ["commit", "tag", "describe", "time", "dirty"];
const NAMESPACES: [&str; 7] = ["param", "matrix", "map", "platform", "build", "from", "git"];

impl<'a> World<'a> {
    /// The value of a name such as `param.version`.
    pub fn find(&self, name: &str, env: Env<'_>) -> Result<Found, BadValue> {
        let Some((namespace, field)) = name.split_once('.') else { return Err(no_namespace(name)) };
        let found = match namespace {
            "param" => self.find_parameter(field, env),
            "matrix" => env.coordinate.get(field).map(|value| Found::Plain(Plain::Text(value.clone()))),
            "map" => return self.find_in_map(name, field, env),
            "platform" => platform_field(self.target(env), field),
            "build" => platform_field(&self.request.platform, field),
            "from" => field.strip_prefix("env.").map(|variable| Found::FromEnv(variable.to_owned())),
            "git" if GIT_FIELDS.contains(&field) => return self.find_in_git(name, field, env),
            _ => None,
        };
        match found {
            _ if !self.pays_for(found.as_ref()) => Ok(Found::Poisoned),
            Some(_) if env.is_dead => Ok(Found::Poisoned),
            Some(found) => Ok(found),
            None if env.is_dead && namespace == "matrix" => Ok(Found::Poisoned),
            None => Err(self.unknown(name, env)),
        }
    }

    /// The platform, for what then differs between platforms.
    fn target<'e>(&self, env: Env<'e>) -> &'e Platform {
        self.asked_platform.set(true);
        env.platform
    }

    /// Values are copied to wherever they are used.
    fn pays_for(&self, found: Option<&Found>) -> bool {
        let length = match found {
            Some(Found::Plain(Plain::Text(text))) => text.len(),
            Some(Found::Plain(Plain::List(texts))) => {
                texts.iter().map(|text| text.len() + budget::NAME).sum()
            }
            _ => 0,
        };
        self.budget.pay(budget::NAME + length)
    }

    /// Whether a script that holds `${NAME}` was meant to hold its value.
    pub fn is_value(&self, name: &str, env: Env<'_>) -> bool {
        match name.split_once('.') {
            Some(("param", param)) => self.use_parameter(param, env.scope).is_some(),
            Some(("matrix", axis)) => self.axes.contains_key(axis),
            Some(("map", field)) => {
                let map = field.split('.').next().unwrap_or_default();
                self.map(map, env.scope).is_some()
            }
            Some(("platform" | "build", field)) => PLATFORM_FIELDS.contains(&field),
            Some(("git", field)) => GIT_FIELDS.contains(&field),
            Some(("from", field)) => field.starts_with("env."),
            _ => false,
        }
    }

    /// The nearest parameter of that name; those of the root file that are shared are seen everywhere.
    pub fn parameter(&self, name: &str, scope: ScopeId) -> Option<(ScopeId, &Param<'a>)> {
        let near = self.around(scope).find_map(|scope| Some((scope, self.scope(scope).params.get(name)?)));
        near.or_else(|| {
            let root = self.root()?;
            match self.scope(root).params.get(name)? {
                param @ Param::Known { shared: true, .. } => Some((root, param)),
                _ => None,
            }
        })
    }

    /// The parameter that a name means: something uses it.
    pub fn use_parameter(&self, name: &str, scope: ScopeId) -> Option<(ScopeId, &Param<'a>)> {
        let found = self.parameter(name, scope)?;
        if let Param::Known { used, .. } = found.1 {
            used.set(true);
        }
        Some(found)
    }

    fn find_parameter(&self, name: &str, env: Env<'_>) -> Option<Found> {
        let (owner, param) = self.use_parameter(name, env.scope)?;
        Some(match param {
            Param::Poisoned => Found::Poisoned,
            Param::Known { value, .. } => Found::Plain(value.clone()),
            Param::Given { .. } if self.scope(owner).is_trial => Found::Poisoned,
            Param::Given { line, scope, rule } => {
                let given = self.given(line, rule, Env { scope: *scope, ..env });
                given.ok().flatten().map_or(Found::Poisoned, Found::Plain)
            }
        })
    }

    /// The value of a line of `use`. `None` where something in it has no value, for a reason that is told
    /// elsewhere; an error says what is expected.
    pub fn given(&self, line: &'a Node, rule: &Rc<Rule>, env: Env<'_>) -> Result<Option<Plain>, Given<'a>> {
        let mut values = Vec::new();
        for entry in line.arguments() {
            match self.entry(entry, env) {
                Err(bad) => return Err(Given { entry: Some(entry), problem: Problem::Value(Box::new(bad)) }),
                Ok(None) => return Ok(None),
                Ok(Some(value)) => values.push((entry, value)),
            }
        }
        let value = match (&**rule, values.as_slice()) {
            (Rule::List, _) => Plain::List(values.iter().map(|(_, value)| value.to_text()).collect()),
            (_, [(_, value)]) => value.clone(),
            (_, []) => return Err(Given { entry: None, problem: Problem::Missing }),
            (_, [_, (second, _), ..]) => return Err(Given { entry: Some(second), problem: Problem::Extra }),
        };
        match rule.check(&value) {
            Ok(()) => Ok(Some(value)),
            Err(expected) => {
                let entry = values.first().map(|(entry, _)| *entry);
                Err(Given { entry, problem: Problem::Type(expected) })
            }
        }
    }

    /// A written value, after substitution; `None` where it has none.
    pub fn entry(&self, entry: &Entry, env: Env<'_>) -> Result<Option<Plain>, BadValue> {
        Ok(match &entry.value {
            Value::Text(text) => match substitute(text, &mut |name| self.find(name, env))? {
                Substituted::Plain(plain) => Some(plain),
                Substituted::Late(_) | Substituted::Poisoned => None,
            },
            Value::Int(number) => i64::try_from(*number).ok().map(Plain::Int),
            Value::Bool(truth) => Some(Plain::Bool(*truth)),
            Value::Float(_) | Value::Null => None,
        })
    }

    pub fn map(&self, name: &str, scope: ScopeId) -> Option<(ScopeId, &'a Node)> {
        self.around(scope).find_map(|scope| Some((scope, *self.scope(scope).maps.get(name)?)))
    }

    fn find_in_map(&self, name: &str, field: &str, env: Env<'_>) -> Result<Found, BadValue> {
        let Some((map, field)) = field.split_once('.') else { return Err(self.unknown(name, env)) };
        let Some((scope, node)) = self.map(map, env.scope) else { return Err(self.unknown(name, env)) };
        let env = Env { scope, ..env };
        // Rows and fields are looked through.
        if !self.budget.pay(budget::NAME + node.children().len() + node.entries.len()) {
            return Ok(Found::Poisoned);
        }
        let row = match node.property("by") {
            None => node,
            Some(by) => {
                let by = by.value.text().unwrap_or_default();
                let key = match self.find_key(by, env)? {
                    Found::Plain(value) => value.to_text(),
                    _ => return Ok(Found::Poisoned),
                };
                self.budget.pay(row(node, &key).map_or(0, |row| row.entries.len()));
                match row(node, &key) {
                    Some(row) => row,
                    None if env.is_dead => return Ok(Found::Poisoned),
                    // That the map lacks the row is told there.
                    None if self.is_possible(by, &key, env) => return Ok(Found::Poisoned),
                    None => return Err(no_row(name, map, &key)),
                }
            }
        };
        match row.property(field).filter(|_| field != "by") {
            _ if env.is_dead => Ok(Found::Poisoned),
            Some(entry) => {
                let found = self.field(entry, env).map_or(Found::Poisoned, Found::Plain);
                Ok(if self.pays_for(Some(&found)) { found } else { Found::Poisoned })
            }
            None => Err(no_field(name, map, field, row)),
        }
    }

    fn is_possible(&self, name: &str, value: &str, env: Env<'_>) -> bool {
        let found = self.find(name, env).unwrap_or(Found::Poisoned);
        self.possible(name, &found, env).is_some_and(|all| all.iter().any(|possible| possible == value))
    }

    /// What a map is looked up by.
    fn find_key(&self, by: &str, env: Env<'_>) -> Result<Found, BadValue> {
        match by {
            "platform" => Ok(Found::Plain(Plain::Text(platform::short(self.target(env))))),
            by if by.starts_with("map.") => Ok(Found::Poisoned),
            by => self.find(by, env),
        }
    }

    /// Texts of a map hold parameters at most, never other maps.
    fn field(&self, entry: &Entry, env: Env<'_>) -> Option<Plain> {
        let Value::Text(text) = &entry.value else { return self.entry(entry, env).ok().flatten() };
        let mut find = |name: &str| match name.starts_with("map.") {
            true => Ok(Found::Poisoned),
            false => self.find(name, env),
        };
        match substitute(text, &mut find) {
            Ok(Substituted::Plain(plain)) => Some(plain),
            _ => None,
        }
    }

    fn find_in_git(&self, name: &str, field: &str, env: Env<'_>) -> Result<Found, BadValue> {
        if env.is_dead {
            return Ok(Found::Poisoned);
        }
        if let Some(mistake) = self.settings.policy.git_value(&format!("${{{name}}}")) {
            return Err(bad(name, mistake));
        }
        match (self.outside().git)(field) {
            Ok(value) => Ok(Found::Plain(value)),
            Err(reason) => {
                let help = "such values need a git repository around the workspace, and git on PATH";
                Err(bad(name, Mistake::new(Code::ValueGit, reason, help)))
            }
        }
    }

    fn unknown(&self, name: &str, env: Env<'_>) -> BadValue {
        let (namespace, field) = name.split_once('.').unwrap_or((name, ""));
        if !NAMESPACES.contains(&namespace) {
            return no_namespace(name);
        }
        if namespace == "matrix" && self.axes.contains_key(field) {
            let message = format!("`${{{name}}}` has a value only where a node has the axis `{field}`");
            let help = format!("add a line: matrix {field}");
            return bad(name, Mistake::new(Code::ValueUnknown, message, help));
        }
        let known = self.known_names(env);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let help = suggest::help(name, &known, |name| format!("${{{name}}}"), "values");
        let message = format!("there is no value `{}`", shorten(&format!("${{{name}}}")));
        bad(name, Mistake::new(Code::ValueUnknown, message, help))
    }

    fn known_names(&self, env: Env<'_>) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        for scope in self.around(env.scope) {
            let scope = self.scope(scope);
            known.extend(scope.params.keys().map(|name| format!("param.{name}")));
            for (name, map) in &scope.maps {
                let row = map.children().first().filter(|_| map.property("by").is_some()).unwrap_or(map);
                let fields = row.properties().filter(|(key, _)| key.text != "by");
                known.extend(fields.map(|(key, _)| format!("map.{name}.{}", key.text)));
            }
        }
        known.extend(env.coordinate.keys().map(|axis| format!("matrix.{axis}")));
        known.extend(PLATFORM_FIELDS.map(|field| format!("platform.{field}")));
        known.extend(["build.os", "build.arch"].map(str::to_owned));
        known.extend(GIT_FIELDS.map(|field| format!("git.{field}")));
        known
    }
}

/// A line of `use` that gives no fitting value.
pub struct Given<'a> {
    pub entry: Option<&'a Entry>,
    pub problem: Problem,
}

pub enum Problem {
    Missing,
    Extra,
    /// What was expected.
    Type(String),
    Value(Box<BadValue>),
}

/// The row of a map for a key.
pub fn row<'a>(map: &'a Node, key: &str) -> Option<&'a Node> {
    let rows = map.children();
    rows.iter().find(|row| row.word == key).or_else(|| rows.iter().find(|row| row.word == "else"))
}

fn platform_field(platform: &Platform, field: &str) -> Option<Found> {
    let text = match field {
        "os" => platform.os.clone(),
        "arch" => platform.architecture.clone(),
        "variant" => platform.variant.clone().unwrap_or_default(),
        _ => return None,
    };
    Some(Found::Plain(Plain::Text(text)))
}

fn bad(name: &str, mistake: Mistake) -> BadValue {
    BadValue { written: format!("${{{name}}}"), mistake }
}

fn no_namespace(name: &str) -> BadValue {
    let written = format!("${{{name}}}");
    let shown = shorten(&written);
    let message = format!("`{shown}` names no value of this file");
    let help =
        format!("values are ${{param.NAME}} and ${{platform.os}}; for the text itself, write ${shown}");
    BadValue { written, mistake: Mistake::new(Code::ValueForm, message, help) }
}

fn no_row(name: &str, map: &str, key: &str) -> BadValue {
    let message = format!("the map `{map}` has no row for `{}`", shorten(key));
    let help = format!("add a row to it: {} …, or else …", row_word(key));
    bad(name, Mistake::new(Code::MapRow, message, help))
}

/// A row's word as it may be written.
pub fn row_word(key: &str) -> String {
    let is_keyword = ["true", "false", "null", "inf", "nan"].contains(&key);
    if is_name(key) && !is_keyword { key.to_owned() } else { format!("\"{}\"", shorten(key)) }
}

fn no_field(name: &str, map: &str, field: &str, row: &Node) -> BadValue {
    let fields: Vec<&str> =
        row.properties().map(|(key, _)| key.text.as_str()).filter(|field| *field != "by").collect();
    let help = suggest::help(field, &fields, |field| format!("${{map.{map}.{field}}}"), "its fields");
    let message = format!("the map `{map}` has no field `{}` there", shorten(field));
    bad(name, Mistake::new(Code::MapRow, message, help))
}
