//! How a field reads: what its siblings say together.
//!
//! **Invariants.** Equal siblings are one. A value that cannot be decoded reads as a side that says
//! nothing, so that the field is contested and nothing can rely on it.
//!
//! **Must not know:** what a field means.

use crdt::Sibling;
use wire::Message;

/// How any field reads (DESIGN §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// Never written, or removed.
    Absent,
    /// One value, beyond doubt.
    Known(T),
    /// Concurrent writes disagree. `None` is a removal, by ascending dot.
    Contested(Vec<Option<T>>),
}

impl<T> Read<T> {
    /// The value, if it is beyond doubt: what a caller may rely on.
    pub fn must(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Contested(_) => None,
        }
    }

    /// All values it may have.
    pub fn may(&self) -> impl Iterator<Item = &T> {
        let (one, many) = match self {
            Self::Absent => (None, None),
            Self::Known(value) => (Some(value), None),
            Self::Contested(sides) => (None, Some(sides)),
        };
        one.into_iter().chain(many.into_iter().flatten().flatten())
    }

    /// The value to show: of contested ones that with the least dot.
    pub fn shown(&self) -> Option<&T> {
        self.may().next()
    }

    /// Whether it may have a value. What cannot be decoded may.
    pub fn is_possible(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// Reads the siblings of a slot.
pub(crate) fn read<T: Message + Default, M>(siblings: &[Sibling<M>]) -> Read<T> {
    let mut sides: Vec<Option<&[u8]>> = Vec::new();
    for sibling in siblings {
        let side = sibling.value.as_deref();
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    let decode = |bytes: &[u8]| T::decode(bytes).ok();
    match sides.as_slice() {
        [] | [None] => Read::Absent,
        [Some(bytes)] => match decode(bytes) {
            Some(value) => Read::Known(value),
            None => Read::Contested(vec![None]),
        },
        _ => Read::Contested(sides.into_iter().map(|side| side.and_then(decode)).collect()),
    }
}
