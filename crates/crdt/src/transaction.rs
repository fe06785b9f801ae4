//! The unit of change.

use std::sync::Arc;

use crate::{Dot, VersionVector};

/// One API call: applied whole or not at all, removals included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction<M> {
    /// Its name.
    pub dot: Dot,
    /// What its origin had applied when it was made; covers the origin's previous transaction. All
    /// siblings that this covers are overwritten.
    pub deps: VersionVector,
    /// What the application says of it: author, time. Decides nothing here.
    pub meta: Arc<M>,
    /// At most one for a key; of several, the last counts.
    pub writes: Vec<Write>,
}

/// A write to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key, encoded.
    pub key: Box<[u8]>,
    /// The value, encoded; `None` is a removal that others can see.
    pub value: Option<Arc<[u8]>>,
}
