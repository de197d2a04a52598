//! `Tier`: one place that keeps records by key and objects by digest. `laws.rs` says what every tier owes.

use std::sync::Arc;

use crate::base::digest::ActionKey;
use crate::store::object::{Object, StoreError};
use crate::store::record::Record;

/// What a tier gives is verified, or it is not given. It may forget anything at any time.
pub trait Tier: Send + Sync {
    /// As reports show it.
    fn name(&self) -> &'static str;

    /// `None` also where what was kept is damaged; it is put aside then.
    fn load(&self, key: ActionKey) -> Result<Option<Record>, StoreError>;

    /// Replaces what the key had.
    fn save(&self, key: ActionKey, record: &Record) -> Result<(), StoreError>;

    /// The whole object; `None` where the tier has it not. Damaged ones are put aside and an error.
    fn read(&self, object: Object) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// `bytes` must be what the digest says.
    fn write(&self, object: Object, bytes: &[u8]) -> Result<(), StoreError>;

    /// Those of `objects` that the tier has not, in their order. Reads none.
    fn missing(&self, objects: &[Object]) -> Result<Vec<Object>, StoreError>;
}
