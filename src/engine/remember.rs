//! Between actions and the memo: values as records, records as values.

use crate::base::digest::ActionKey;
use crate::engine::values::{Outputs, objects};
use crate::exec::executor::{ExecError, Executor, Made};
use crate::graph::action::Action;
use crate::store::memo::Memo;
use crate::store::record::Record;
use crate::tree::whole::is_whole;

pub struct Recalled {
    pub outputs: Outputs,
    pub record: Record,
    pub tier: &'static str,
}

/// How far a record is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Its objects are verified when they are read.
    Record,
    /// Everything it names is read and verified first: after damage was found.
    Nothing,
}

/// What the memo knows of the key, if `executor` would make it just so.
pub fn recall(
    memo: &Memo,
    executor: &dyn Executor,
    key: ActionKey,
    trust: Trust,
) -> Result<Option<Recalled>, ExecError> {
    let Some((record, tier)) = memo.recall_from(key)? else { return Ok(None) };
    let outputs: Option<Outputs> = record
        .outputs
        .iter()
        .map(|(name, value)| Some((name.clone(), serde_json::from_value(value.clone()).ok()?)))
        .collect();
    let Some(outputs) = outputs else { return Ok(None) };
    if let Some(rung) = &record.rung
        && !executor.accepts(rung)?
    {
        return Ok(None);
    }
    if !executor.would_reach(&record.traffic) {
        return Ok(None);
    }
    for &object in &record.objects {
        let there = match trust {
            Trust::Record => memo.has(object),
            Trust::Nothing => is_whole(memo, object)?,
        };
        if !there {
            return Ok(None);
        }
    }
    Ok(Some(Recalled { outputs, record, tier }))
}

pub fn remember(
    memo: &Memo,
    key: ActionKey,
    action: &Action,
    made: &Made,
    seconds: f64,
) -> Result<Record, ExecError> {
    let json = |value| serde_json::to_value(value).expect("bug: values are always JSON");
    let record = Record {
        outputs: made.outputs.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
        objects: made.outputs.values().flat_map(objects).collect(),
        facts: action.facts(),
        log: made.log,
        seconds,
        rung: made.rung.clone(),
        shareable: made.shareable,
        node: action.node.clone(),
        lost: made.lost.clone(),
        traffic: made.traffic.clone(),
        attempts: made.attempts,
    };
    memo.remember(key, &record)?;
    Ok(record)
}

/// Why an action has to execute, in one line, from the record of the node's last run.
pub fn why(previous: Option<&Record>, action: &Action) -> String {
    if action.op.reruns() {
        return "it says `rerun always`".to_owned();
    }
    let Some(previous) = previous else { return "first time here".to_owned() };
    let facts = action.facts();
    let changed = changed_facts(&previous.facts, &facts);
    match changed.as_slice() {
        [] => {
            "its result was no longer whole in the store, or made in a weaker sandbox or under another policy"
                .to_owned()
        }
        [one] => format!("{one} changed"),
        [first, rest @ ..] => format!("{first} and {} more changed", rest.len()),
    }
}

/// Names of facts that differ; the content of an input goes by the input's slot.
fn changed_facts(old: &[(String, String)], new: &[(String, String)]) -> Vec<String> {
    let named = |facts: &[(String, String)]| -> Vec<(String, String)> {
        let mut slot = None;
        let mut named = Vec::new();
        for (name, value) in facts {
            match name.as_str() {
                "input" => slot = Some(value.clone()),
                "inputs" => {}
                _ => {
                    let label = slot.as_ref().map_or_else(|| name.clone(), |slot| format!("`{slot}`"));
                    named.push((label, value.clone()));
                }
            }
        }
        named
    };
    let (old, new) = (named(old), named(new));
    let mut changed = Vec::new();
    let differs = |fact: &(String, String), other: &[(String, String)]| !other.contains(fact);
    let in_new = new.iter().filter(|fact| differs(fact, &old));
    let in_old = old.iter().filter(|fact| differs(fact, &new));
    for (label, _) in in_new.chain(in_old) {
        if !changed.contains(label) {
            changed.push(label.clone());
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_slot() {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let old =
            [fact("op", "run"), fact("command", "a"), fact("input", "mount /src"), fact("content", "1")];
        let new =
            [fact("op", "run"), fact("command", "b"), fact("input", "mount /src"), fact("content", "2")];
        assert_eq!(changed_facts(&old, &new), ["command", "`mount /src`"]);
        assert!(changed_facts(&old, &old).is_empty());
    }
}
