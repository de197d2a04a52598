//! What follows from bytes alone, such as an unpacked archive: remembered in the memo beside the results of actions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::digest::ActionKey;
use crate::base::facts::{FactSink as _, HashSink, ListSink};
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::store::record::{Lost, Record};
use crate::store::traffic::Traffic;

/// What is asked for, and all that decides the answer.
pub(crate) struct Question {
    /// Of the key: another one where the answer to equal facts changes.
    pub(crate) context: &'static str,
    /// The name of the answer in its record.
    pub(crate) output: &'static str,
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Question {
    pub(crate) fn key(&self) -> ActionKey {
        let mut hash = HashSink::new(self.context);
        self.facts.iter().for_each(|(name, value)| hash.fact(name, value.as_bytes()));
        ActionKey(hash.finish())
    }

    /// The answer, if it is known and the objects that it names directly can be had.
    pub(crate) fn recall<T: DeserializeOwned>(&self, memo: &Memo) -> Result<Option<T>, StoreError> {
        let Some(record) = memo.recall(self.key())? else { return Ok(None) };
        Ok(record.outputs.get(self.output).and_then(|value| serde_json::from_value(value.clone()).ok()))
    }

    /// `objects` are those that `answer` names directly, and are in the store.
    pub(crate) fn remember<T: Serialize>(
        &self,
        memo: &Memo,
        answer: &T,
        objects: Vec<Object>,
        spent: Duration,
    ) -> Result<(), StoreError> {
        let mut facts = ListSink::default();
        self.facts.iter().for_each(|(name, value)| facts.fact(name, value.as_bytes()));
        let record = Record {
            outputs: BTreeMap::from([(self.output.to_owned(), serde_json::json!(answer))]),
            objects,
            facts: facts.0,
            log: None,
            seconds: spent.as_secs_f64(),
            rung: None,
            shareable: true,
            node: self.output.to_owned(),
            lost: Lost::default(),
            traffic: Traffic::default(),
            attempts: 1,
        };
        memo.remember(self.key(), &record)
    }
}
