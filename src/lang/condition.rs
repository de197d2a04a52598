//! `when` and `unless`: blocks that count where all of their values are equal to what is said.

use crate::base::suggest::{self, ticked};
use crate::lang::code::Code;
use crate::lang::decl::param::Rule;
use crate::lang::interpolate::{Found, Plain};
use crate::lang::matrix::written;
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::scope::{Env, Param, World};
use crate::lang::syntax::{Entry, Key, Node};

const NAMESPACES: [&str; 4] = ["param", "matrix", "platform", "build"];

impl World<'_> {
    /// Whether the block counts; `None` where that cannot be told, for a reason that `check_condition` tells.
    pub fn holds(&self, condition: &Node, env: Env<'_>) -> Option<bool> {
        let is_malformed = condition.properties().next().is_none() || condition.arguments().next().is_some();
        if is_malformed {
            return None;
        }
        let mut all = true;
        for (key, entry) in condition.properties() {
            match self.find(&key.text, env) {
                Ok(Found::Plain(value)) => all &= written(&entry.value)? == value.to_text(),
                _ => return None,
            }
        }
        Some(all == (condition.word == "when"))
    }

    /// What is wrong with a condition, whatever it comes to.
    pub fn check_condition(&self, condition: &Node, env: Env<'_>, findings: &mut Findings) {
        let word = &condition.word;
        if let Some(entry) = condition.arguments().next() {
            let message = format!("`{word}` takes pairs, as NAME=VALUE");
            let help = format!("{word} param.mode=release {{ … }}");
            findings.add(Mistake::new(Code::SlotExtra, message, help).at(entry.span.clone(), "not a pair"));
        } else if condition.properties().next().is_none() {
            let message = format!("`{word}` has no condition");
            let help = format!("{word} param.mode=release {{ … }}");
            let mistake = Mistake::new(Code::SlotMissing, message, help);
            findings.add(mistake.at(condition.word_span.clone(), "nothing follows"));
        }
        for (key, entry) in condition.properties() {
            self.check_pair(key, entry, env, findings);
        }
    }

    fn check_pair(&self, key: &Key, entry: &Entry, env: Env<'_>, findings: &mut Findings) {
        let namespace = key.text.split('.').next().unwrap_or_default();
        if !NAMESPACES.contains(&namespace) {
            let message = format!("a condition cannot ask for `{}`", shorten(&key.text));
            let help = "it asks for param.NAME, matrix.AXIS, platform.os, platform.arch or build.arch";
            findings
                .add(Mistake::new(Code::ConditionName, message, help).at(key.span.clone(), "not known here"));
            return;
        }
        match self.find(&key.text, env) {
            Err(bad) => findings.add(bad.mistake.at(key.span.clone(), "has no value")),
            Ok(_) if written(&entry.value).is_none() => {
                let message = "a condition compares with a text";
                let mistake = Mistake::new(Code::TypeValue, message, format!("{}=\"…\"", key.text));
                findings.add(mistake.at(entry.span.clone(), "not a text"));
            }
            Ok(found) => self.check_reachable(key, entry, &found, env, findings),
        }
    }

    /// A value that the name can never have is a slip of the pen.
    fn check_reachable(
        &self,
        key: &Key,
        entry: &Entry,
        found: &Found,
        env: Env<'_>,
        findings: &mut Findings,
    ) {
        let Some(value) = written(&entry.value) else { return };
        let legal = self.possible(&key.text, found, env);
        let Some(legal) = legal.filter(|legal| !legal.contains(&value)) else { return };
        let legal: Vec<&str> = legal.iter().map(String::as_str).collect();
        let message = format!("`{}` is never `{}`", key.text, shorten(&value));
        let help = suggest::help(&value, &legal, ticked, "its values");
        findings
            .add(Mistake::new(Code::ConditionValue, message, help).at(entry.span.clone(), "no such value"));
    }

    /// All values that a name can have, where they are known.
    pub fn possible(&self, name: &str, found: &Found, env: Env<'_>) -> Option<Vec<String>> {
        if let Found::Plain(Plain::Bool(_)) = found {
            return Some(vec!["true".to_owned(), "false".to_owned()]);
        }
        match name.split_once('.')? {
            ("matrix", axis) => {
                Some(self.axes.get(axis)?.values.iter().map(|value| (*value).to_owned()).collect())
            }
            ("param", param) => {
                let rule = match self.parameter(param, env.scope)?.1 {
                    Param::Known { rule, .. } | Param::Given { rule, .. } => rule,
                    Param::Poisoned => return None,
                };
                match &**rule {
                    Rule::OneOf(words) => Some(words.clone()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
