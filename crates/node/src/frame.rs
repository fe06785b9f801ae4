//! Frames: messages of `wire::v1` ⇄ replication's own.
//!
//! **Invariants.** A batch decodes whole or not at all. A frame of a kind that this version does
//! not know is ignored, as a newer node may send it.
//!
//! **Must not know:** what is done with a frame.

use std::sync::Arc;

use crdt::NodeId;
use replication::{
    Compare, Digest, Fetch, Frame, Heartbeat, Hello, Item, Part, Piece, Progress, Snapshot,
    Subscribe,
};
use thiserror::Error;
use wire::{
    transaction::{self, DecodeError, Transaction, decode_vector, encode_vector},
    v1::{self, frame::Frame as F},
};

/// The level of features this version speaks.
const FEATURE_LEVEL: u32 = 1;

/// A frame that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("a batch with {0}")]
    Transaction(DecodeError),
    #[error("a frame whose `{0}` is missing or malformed")]
    Field(&'static str),
}

pub(crate) fn to_message(frame: Frame<Arc<[u8]>>) -> v1::Frame {
    let frame = match frame {
        Frame::Hello(Hello { cluster_id, node, epoch }) => {
            F::Hello(v1::Hello { cluster_id, node: node.0, epoch, feature_level: FEATURE_LEVEL })
        }
        Frame::Subscribe(Subscribe { have, exclude, generation }) => F::Subscribe(v1::Subscribe {
            have: Some(encode_vector(&have)),
            exclude: exclude.into_iter().map(|node| node.0).collect(),
            generation,
        }),
        Frame::Batch(batch) => F::Batch(v1::Batch {
            transactions: batch.into_iter().map(|bytes| bytes.to_vec()).collect(),
        }),
        Frame::Heartbeat(Heartbeat { progress, digest, hlc }) => F::Heartbeat(v1::Heartbeat {
            progress: progress.iter().map(progress_message).collect(),
            digest: digest.map(|Digest { at, collected, total }| v1::Digest {
                at: Some(encode_vector(&at)),
                total: total.to_vec(),
                collected,
            }),
            hlc,
        }),
        Frame::Offer(Snapshot { hash, bytes }) => {
            F::Offer(v1::Snapshot { hash: hash.to_vec(), bytes })
        }
        Frame::Fetch(Fetch { hash, offset, length }) => {
            F::Fetch(v1::Fetch { hash: hash.to_vec(), offset, length })
        }
        Frame::Piece(Piece { hash, offset, bytes }) => {
            F::Piece(v1::Piece { hash: hash.to_vec(), offset, bytes: bytes.to_vec() })
        }
        Frame::Compare(Compare { sums, after }) => {
            F::Compare(v1::Compare { sums: sums.to_vec(), after: after.map(|key| key.to_vec()) })
        }
        Frame::Part(Part { at, bytes }) => {
            F::Part(v1::Part { at: Some(encode_vector(&at)), slots: bytes.to_vec() })
        }
    };
    v1::Frame { frame: Some(frame) }
}

fn progress_message((node, progress): &(NodeId, Progress)) -> v1::NodeProgress {
    let Progress { received, durable, visible, epoch } = progress;
    v1::NodeProgress {
        node: node.0,
        received: Some(encode_vector(received)),
        durable: Some(encode_vector(durable)),
        visible: Some(encode_vector(visible)),
        epoch: *epoch,
    }
}

/// `None` for a frame of an unknown kind.
pub(crate) fn from_message(
    frame: v1::Frame,
) -> Result<Option<Frame<Item<Transaction>>>, FrameError> {
    let Some(frame) = frame.frame else { return Ok(None) };
    Ok(Some(match frame {
        F::Hello(v1::Hello { cluster_id, node, epoch, feature_level: _ }) => {
            Frame::Hello(Hello { cluster_id, node: NodeId(node), epoch })
        }
        F::Subscribe(v1::Subscribe { have, exclude, generation }) => Frame::Subscribe(Subscribe {
            have: decode_vector(&have.ok_or(FrameError::Field("have"))?),
            exclude: exclude.into_iter().map(NodeId).collect(),
            generation,
        }),
        F::Batch(v1::Batch { transactions }) => {
            Frame::Batch(transactions.into_iter().map(item).collect::<Result<_, _>>()?)
        }
        F::Heartbeat(v1::Heartbeat { progress, digest, hlc }) => Frame::Heartbeat(Heartbeat {
            progress: progress.iter().map(progress_of).collect(),
            digest: digest.map(digest_of).transpose()?,
            hlc,
        }),
        F::Offer(v1::Snapshot { hash, bytes }) => {
            Frame::Offer(Snapshot { hash: hash_of(hash)?, bytes })
        }
        F::Fetch(v1::Fetch { hash, offset, length }) => {
            Frame::Fetch(Fetch { hash: hash_of(hash)?, offset, length })
        }
        F::Piece(v1::Piece { hash, offset, bytes }) => {
            Frame::Piece(Piece { hash: hash_of(hash)?, offset, bytes: bytes.into() })
        }
        F::Compare(v1::Compare { sums, after }) => {
            Frame::Compare(Compare { sums: sums.into(), after: after.map(Into::into) })
        }
        F::Part(v1::Part { at, slots }) => {
            let at = decode_vector(&at.ok_or(FrameError::Field("at"))?);
            Frame::Part(Part { at, bytes: slots.into() })
        }
    }))
}

/// A transaction with its bytes, ready to be judged.
pub(crate) fn item(bytes: Vec<u8>) -> Result<Item<Transaction>, FrameError> {
    let payload = transaction::decode(&bytes).map_err(FrameError::Transaction)?;
    Ok(Item { dot: payload.dot, deps: payload.deps.clone(), bytes: bytes.into(), payload })
}

fn hash_of(hash: Vec<u8>) -> Result<[u8; 32], FrameError> {
    hash.try_into().map_err(|_| FrameError::Field("hash"))
}

fn progress_of(message: &v1::NodeProgress) -> (NodeId, Progress) {
    let vector =
        |vector: &Option<v1::VersionVector>| vector.as_ref().map(decode_vector).unwrap_or_default();
    let v1::NodeProgress { node, received, durable, visible, epoch } = message;
    let progress = Progress {
        received: vector(received),
        durable: vector(durable),
        visible: vector(visible),
        epoch: *epoch,
    };
    (NodeId(*node), progress)
}

fn digest_of(v1::Digest { at, total, collected }: v1::Digest) -> Result<Digest, FrameError> {
    let total = total.try_into().map_err(|_| FrameError::Field("digest"))?;
    let at = decode_vector(&at.ok_or(FrameError::Field("digest"))?);
    Ok(Digest { at, collected, total })
}
