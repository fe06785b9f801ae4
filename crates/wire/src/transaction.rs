//! Transactions and version vectors: domain types ⇄ bytes.
//!
//! **Invariants.** What decodes is well formed: ids parse, keys are keys, `deps` covers the
//! origin's previous transaction and not this one.

use std::sync::Arc;

use crdt::{Dot, Hlc, NodeId, VersionVector};
use model::{Author, Credential, Key, Timestamp};
use prost::Message;
use thiserror::Error;

use crate::v1;

/// What is known of a transaction besides its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The origin's hybrid logical clock, for display.
    pub hlc: Hlc,
    /// Who made the call.
    pub author: Author,
    /// The API call's request id.
    pub request_id: String,
    /// The API call's action.
    pub action: String,
}

/// A transaction of the identity store.
pub type Transaction = crdt::Transaction<Meta>;

/// The greatest encoded transaction that is accepted, in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 20;
/// The greatest number of writes in a transaction that is accepted.
pub const WRITES_MAX: usize = 10_000;

/// Bytes that are not a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not the protobuf message.
    #[error("not a transaction message: {0}")]
    Protobuf(prost::DecodeError),
    /// Longer than [`TRANSACTION_BYTES_MAX`] or with more than [`WRITES_MAX`] writes.
    #[error("a transaction over the limit of {TRANSACTION_BYTES_MAX} bytes or {WRITES_MAX} writes")]
    TooLarge,
    /// A required field is missing or malformed.
    #[error("a transaction whose `{0}` is missing or malformed")]
    Field(&'static str),
}

/// Encodes a new transaction. Only its origin does, once.
pub fn encode(transaction: &Transaction) -> Arc<[u8]> {
    let Meta { hlc, author, request_id, action } = &*transaction.meta;
    let message = v1::Transaction {
        dot: Some(encode_dot(transaction.dot)),
        deps: Some(encode_vector(&transaction.deps)),
        hlc: hlc.to_bits(),
        author: Some(encode_author(author)),
        request_id: request_id.clone(),
        action: action.clone(),
        writes: transaction
            .writes
            .iter()
            .map(|write| v1::Write {
                key: write.key.to_vec(),
                value: write.value.as_ref().map(|value| value.to_vec()),
            })
            .collect(),
    };
    message.encode_to_vec().into()
}

/// Decodes a transaction from a peer or from disk.
pub fn decode(bytes: &[u8]) -> Result<Transaction, DecodeError> {
    if bytes.len() > TRANSACTION_BYTES_MAX {
        return Err(DecodeError::TooLarge);
    }
    let message = v1::Transaction::decode(bytes).map_err(DecodeError::Protobuf)?;
    if message.writes.len() > WRITES_MAX {
        return Err(DecodeError::TooLarge);
    }
    let dot = message.dot.as_ref().and_then(decode_dot).ok_or(DecodeError::Field("dot"))?;
    let deps = decode_vector(message.deps.as_ref().ok_or(DecodeError::Field("deps"))?);
    if deps.get(&dot.actor).checked_add(1) != Some(dot.counter) {
        return Err(DecodeError::Field("deps"));
    }
    let author = message.author.and_then(decode_author).ok_or(DecodeError::Field("author"))?;
    let writes = message.writes.into_iter().map(decode_write).collect::<Result<_, _>>()?;
    let meta = Meta {
        hlc: Hlc::from_bits(message.hlc),
        author,
        request_id: message.request_id,
        action: message.action,
    };
    Ok(Transaction { dot, deps, meta: Arc::new(meta), writes })
}

fn decode_write(write: v1::Write) -> Result<crdt::Write, DecodeError> {
    Key::from_bytes(&write.key).map_err(|_| DecodeError::Field("key"))?;
    Ok(crdt::Write { key: write.key.into(), value: write.value.map(Into::into) })
}

/// A dot as a message.
pub fn encode_dot(dot: Dot) -> v1::Dot {
    v1::Dot { node: dot.actor.0, seq: dot.counter }
}

pub(crate) fn decode_dot(dot: &v1::Dot) -> Option<Dot> {
    (dot.seq > 0).then(|| Dot::new(NodeId(dot.node), dot.seq))
}

/// A version vector as a message, nodes ascending.
pub fn encode_vector(vector: &VersionVector) -> v1::VersionVector {
    v1::VersionVector {
        dots: vector.iter().map(|dot| v1::Dot { node: dot.actor.0, seq: dot.counter }).collect(),
    }
}

/// A version vector from a message; of a node named twice the greater seq counts.
pub fn decode_vector(message: &v1::VersionVector) -> VersionVector {
    let mut vector = VersionVector::new();
    for dot in message.dots.iter().filter_map(decode_dot) {
        crdt::advance(&mut vector, dot);
    }
    vector
}

pub(crate) fn encode_author(author: &Author) -> v1::Author {
    use v1::author::{Credential as C, Session};
    let credential = match &author.credential {
        Credential::AccessKey(key) => C::AccessKey(key.to_string()),
        Credential::Session { key, issued } => {
            C::Session(Session { key: key.to_string(), issued_ms: issued.ms() })
        }
        Credential::Certificate(fingerprint) => C::Certificate(fingerprint.clone()),
        Credential::Node(node) => C::Node(*node),
    };
    v1::Author { principal: author.principal.to_string(), credential: Some(credential) }
}

pub(crate) fn decode_author(author: v1::Author) -> Option<Author> {
    use v1::author::Credential as C;
    let credential = match author.credential? {
        C::AccessKey(key) => Credential::AccessKey(key.parse().ok()?),
        C::Session(session) => Credential::Session {
            key: session.key.parse().ok()?,
            issued: Timestamp::from_ms(session.issued_ms),
        },
        C::Certificate(fingerprint) => Credential::Certificate(fingerprint),
        C::Node(node) => Credential::Node(node),
    };
    Some(Author { principal: author.principal.parse().ok()?, credential })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::UniqueId;

    fn sample() -> Transaction {
        let account = "123456789012".parse().unwrap();
        let root = UniqueId::root(account);
        let key = Key::new(account, root, 3, "x").to_bytes();
        let deps = [Dot::new(NodeId(1), 4), Dot::new(NodeId(2), 9)].into_iter().collect();
        let author = Author { principal: root, credential: Credential::Node(2) };
        let meta =
            Meta { hlc: Hlc::from_bits(77), author, request_id: "r".into(), action: "A".into() };
        let writes = vec![
            crdt::Write { key: key.clone(), value: Some((*b"v").into()) },
            crdt::Write { key, value: None },
        ];
        Transaction { dot: Dot::new(NodeId(1), 5), deps, meta: Arc::new(meta), writes }
    }

    #[test]
    fn a_transaction_decodes_to_itself() {
        let transaction = sample();
        assert_eq!(decode(&encode(&transaction)), Ok(transaction));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let good = encode(&sample());
        for cut in 0..good.len() {
            // Cutting off whole trailing writes leaves a shorter, well-formed message.
            let _ = decode(good.get(..cut).unwrap_or_default());
        }
        let mut gap = sample();
        gap.dot = Dot::new(NodeId(1), 6);
        assert_eq!(decode(&encode(&gap)), Err(DecodeError::Field("deps")));
        let mut short = sample();
        short.writes = vec![crdt::Write { key: (*b"short").into(), value: None }];
        assert_eq!(decode(&encode(&short)), Err(DecodeError::Field("key")));
        assert_eq!(decode(&vec![0; TRANSACTION_BYTES_MAX + 1]), Err(DecodeError::TooLarge));
    }
}
