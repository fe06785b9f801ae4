//! Parts of the replicated state ⇄ messages, and the record of a node's log that says that slots
//! were taken on from another node.
//!
//! **Invariants.** What decodes has well-formed keys and metas; whether it is a part of a state is
//! for `crdt` to judge.
//!
//! **Must not know:** what a value means, who differs from whom.

use std::sync::Arc;

use crdt::{Buckets, Part, Sibling, Slot, VersionVector};
use model::Key;
use prost::Message;

use crate::{
    snapshot::{meta_message, meta_of},
    transaction::{Meta, decode_dot, decode_vector, encode_dot, encode_vector},
    v1,
};

/// No message begins with a zero.
const MEND: &[u8] = b"\0mend\x01";

/// A part as a message.
pub fn part_message(part: &Part<Meta>) -> v1::Part {
    let Part { at, collected, after, upto, buckets, slots } = part;
    let slots = v1::Slots {
        collected: *collected,
        buckets: buckets.bits().to_vec(),
        after: after.as_ref().map(|key| key.to_vec()),
        upto: upto.as_ref().map(|key| key.to_vec()),
        slots: slots.iter().map(slot_message).collect(),
    };
    v1::Part { at: Some(encode_vector(at)), slots: slots.encode_to_vec() }
}

fn slot_message((key, siblings): &Slot<Meta>) -> v1::slots::Slot {
    let sibling = |Sibling { dot, meta, value }: &Sibling<Meta>| v1::slots::Sibling {
        dot: Some(encode_dot(*dot)),
        meta: Some(meta_message(meta)),
        value: value.as_ref().map(|value| value.to_vec()),
    };
    v1::slots::Slot { key: key.to_vec(), siblings: siblings.iter().map(sibling).collect() }
}

/// From what the message says; `None` if it is malformed.
pub fn part_of(at: VersionVector, slots: &[u8]) -> Option<Part<Meta>> {
    let v1::Slots { collected, buckets, after, upto, slots } = v1::Slots::decode(slots).ok()?;
    Some(Part {
        at,
        collected,
        buckets: Buckets::from_bits(buckets.try_into().ok()?),
        after: after.map(Into::into),
        upto: upto.map(Into::into),
        slots: slots.into_iter().map(slot_of).collect::<Option<_>>()?,
    })
}

fn slot_of(v1::slots::Slot { key, siblings }: v1::slots::Slot) -> Option<Slot<Meta>> {
    Key::from_bytes(&key).ok()?;
    let sibling = |v1::slots::Sibling { dot, meta, value }: v1::slots::Sibling| {
        let meta = Arc::new(meta_of(meta?)?);
        Some(Sibling { dot: decode_dot(&dot?)?, meta, value: value.map(Into::into) })
    };
    let siblings = siblings.into_iter().map(sibling).collect::<Option<_>>()?;
    Some((key.into(), siblings))
}

/// The record of a node's log that says that it took on these slots at this place.
pub fn encode_mend(part: &Part<Meta>) -> Arc<[u8]> {
    [MEND, &part_message(part).encode_to_vec()].concat().into()
}

/// What a record of a node's log says to have been taken on; `None` if it says nothing of the kind,
/// or is malformed.
pub fn decode_mend(record: &[u8]) -> Option<Part<Meta>> {
    let v1::Part { at, slots } = v1::Part::decode(record.strip_prefix(MEND)?).ok()?;
    part_of(decode_vector(&at?), &slots)
}

#[cfg(test)]
mod tests {
    use crdt::{Dot, Hlc, NodeId};
    use model::{Author, Credential, UniqueId};

    use super::*;

    fn sample() -> Part<Meta> {
        let account = "123456789012".parse().unwrap();
        let root = UniqueId::root(account);
        let meta = Arc::new(Meta {
            hlc: Hlc::from_bits(7 << 20),
            author: Author { principal: root, credential: Credential::Node(2) },
            request_id: "r".into(),
            action: "Act".into(),
        });
        let sibling = |seq, value: Option<&[u8]>| Sibling {
            dot: Dot::new(NodeId(1), seq),
            meta: Arc::clone(&meta),
            value: value.map(Into::into),
        };
        let key = |tag| Key::new(account, root, tag, "x").to_bytes();
        let slots = vec![
            (key(1), vec![sibling(1, Some(b"v")), sibling(2, None)]),
            (key(2), vec![sibling(3, Some(b""))]),
            (key(3), Vec::new()),
        ];
        let buckets = Buckets::from_bits(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        let at = [Dot::new(NodeId(1), 9)].into_iter().collect();
        Part { at, collected: 4, after: Some(key(0)), upto: None, buckets, slots }
    }

    #[test]
    fn a_part_decodes_to_itself() {
        let part = sample();
        let v1::Part { at, slots } = part_message(&part);
        assert_eq!(part_of(decode_vector(&at.unwrap()), &slots), Some(part.clone()));
        assert_eq!(decode_mend(&encode_mend(&part)), Some(part));
    }

    #[test]
    fn a_record_of_a_mend_is_nothing_else() {
        let record = encode_mend(&sample());
        assert!(crate::transaction::decode(&record).is_err());
        assert_eq!(crate::snapshot::decode_join(&record), None);
        assert_eq!(decode_mend(&crate::snapshot::encode_join(&[7; 32])), None);
        assert_eq!(decode_mend(record.get(..record.len() - 1).unwrap()), None);
    }

    #[test]
    fn what_lacks_something_is_refused() {
        let part = sample();
        let whole = v1::Slots::decode(&*part_message(&part).slots).unwrap();
        let refused = |change: &dyn Fn(&mut v1::Slots)| {
            let mut slots = whole.clone();
            change(&mut slots);
            assert_eq!(part_of(part.at.clone(), &slots.encode_to_vec()), None);
        };
        refused(&|slots| slots.buckets.truncate(31));
        refused(&|slots| slots.slots[0].key.clear());
        refused(&|slots| slots.slots[0].siblings[0].dot = None);
        refused(&|slots| slots.slots[0].siblings[0].meta = None);
        assert_eq!(part_of(part.at.clone(), b"\xff"), None);
    }
}
