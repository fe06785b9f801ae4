//! The replicated state ⇄ bytes, as a stream.
//!
//! ```text
//! stream  "writ state" | format u8 = 1 | head | slot* | part* | end
//! head    dots | (node | seq)* | collected | digest [16]          nodes ascending
//! slot    1 | shared | bytes of the key behind those | siblings | sibling*      keys ascending
//! sibling node | seq | 0, or 1 | bytes of the Meta                dots ascending
//!         | 0, or 1 | bytes of the value
//! part    2 | bytes; all together they are the v1::Doubts message
//! end     0 | slots
//! ```
//!
//! Numbers are LEB128, bytes have their length before them. `shared` is how many bytes the key has
//! in common with the one before it. A transaction's meta stands with the first sibling of it.
//!
//! **Invariants.** Equal states give equal bytes. What decodes is a whole state with the digest it
//! says; whatever is cut off, surplus, changed or unknown is refused. Every version ever released
//! decodes: a sibling or a state that holds more than this gets another format, so that no older
//! reader drops a restriction that it does not know.
//!
//! **Must not know:** what a value means, where the bytes are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crdt::{Dot, Hlc, NodeId, Restore, RestoreError, Sibling, State, Summary, VersionVector};
use model::Key;
use prost::Message;
use thiserror::Error;

use crate::{
    transaction::{Meta, decode_author, encode_author},
    v1,
};

const MAGIC: &[u8] = b"writ state";
const FORMAT: u8 = 1;
/// Bytes of a part of the doubts.
const PART_BYTES: usize = 1 << 20;
/// No message begins with a zero.
const JOIN: &[u8] = b"\0join\x01";
/// Bytes of the head, or of one slot, that are accepted.
pub const PIECE_BYTES_MAX: usize = 64 << 20;

/// Bytes that are not a state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not this kind of stream.
    #[error("not a snapshot of the state")]
    Magic,
    /// Written by a release that knows more.
    #[error("a snapshot of format {0}, which this release does not know")]
    Format(u8),
    /// It ends too early.
    #[error("a snapshot that is cut off")]
    CutOff,
    /// Something behind its end.
    #[error("a snapshot with something behind its end")]
    Surplus,
    /// A field is malformed.
    #[error("a snapshot whose `{0}` is malformed")]
    Field(&'static str),
    /// A piece of it is over [`PIECE_BYTES_MAX`].
    #[error("a snapshot with a piece of over {PIECE_BYTES_MAX} bytes")]
    TooLarge,
    /// What it holds is no state.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Encodes a state piece by piece.
#[derive(Debug)]
pub struct Encoder {
    told: BTreeSet<(NodeId, u64)>,
    last: Vec<u8>,
    slots: u64,
}

impl Encoder {
    /// Begins a stream.
    pub fn new(summary: &Summary, out: &mut Vec<u8>) -> Self {
        let Summary { vector, collected, digest } = summary;
        out.extend(MAGIC);
        out.push(FORMAT);
        put_number(out, vector.dots.len() as u64);
        for (node, seq) in &vector.dots {
            put_number(out, node.0.into());
            put_number(out, *seq);
        }
        put_number(out, *collected);
        out.extend(digest);
        Self { told: BTreeSet::new(), last: Vec::new(), slots: 0 }
    }

    /// The next slot, in the order of the keys.
    pub fn slot(&mut self, key: &[u8], siblings: &[Sibling<Meta>], out: &mut Vec<u8>) {
        let shared = self.last.iter().zip(key).take_while(|(last, next)| last == next).count();
        out.push(1);
        put_number(out, shared as u64);
        put_bytes(out, key.get(shared..).unwrap_or_default());
        put_number(out, siblings.len() as u64);
        for Sibling { dot, meta, value } in siblings {
            put_number(out, dot.actor.0.into());
            put_number(out, dot.counter);
            let meta = self
                .told
                .insert((dot.actor, dot.counter))
                .then(|| meta_message(meta).encode_to_vec());
            put_option(out, meta.as_deref());
            put_option(out, value.as_deref());
        }
        self.last = key.to_vec();
        self.slots += 1;
    }

    /// After the last slot: what is kept of the transactions that are not stable.
    pub fn doubts(&mut self, doubts: &v1::Doubts, out: &mut Vec<u8>) {
        for part in doubts.encode_to_vec().chunks(PART_BYTES) {
            out.push(2);
            put_bytes(out, part);
        }
    }

    /// The end.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.push(0);
        put_number(out, self.slots);
    }
}

/// What a stream holds.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The state.
    pub state: State<Meta>,
    /// What is kept of the transactions that are not stable.
    pub doubts: v1::Doubts,
}

/// A whole state at once.
pub fn encode(state: &State<Meta>, doubts: &v1::Doubts) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&state.summary(), &mut out);
    for (key, siblings) in state.range(&[]) {
        encoder.slot(&key, siblings, &mut out);
    }
    encoder.doubts(doubts, &mut out);
    encoder.finish(&mut out);
    out
}

/// A whole state at once.
///
/// # Errors
/// When the bytes are no whole state.
pub fn decode(bytes: &[u8]) -> Result<Restored, DecodeError> {
    let mut decoder = Decoder::default();
    decoder.push(bytes)?;
    decoder.finish()
}

/// The record of a node's log that says that a snapshot of a peer was joined at this place.
pub fn encode_join(hash: &[u8; 32]) -> Arc<[u8]> {
    [JOIN, hash].concat().into()
}

/// The snapshot that a record of a node's log names; `None` for a transaction.
pub fn decode_join(record: &[u8]) -> Option<[u8; 32]> {
    record.strip_prefix(JOIN)?.try_into().ok()
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    prost::encoding::encode_varint(number, out);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend(bytes);
}

fn put_option(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    bytes.into_iter().for_each(|bytes| put_bytes(out, bytes));
}

/// What is known of a transaction, as a message.
pub fn meta_message(meta: &Meta) -> v1::Meta {
    let Meta { hlc, author, request_id, action } = meta;
    v1::Meta {
        hlc: hlc.to_bits(),
        author: Some(encode_author(author)),
        request_id: request_id.clone(),
        action: action.clone(),
    }
}

/// From the message; `None` if its author is none.
pub fn meta_of(message: v1::Meta) -> Option<Meta> {
    let v1::Meta { hlc, author, request_id, action } = message;
    Some(Meta { hlc: Hlc::from_bits(hlc), author: decode_author(author?)?, request_id, action })
}

fn decode_meta(bytes: &[u8]) -> Option<Meta> {
    meta_of(v1::Meta::decode(bytes).ok()?)
}

/// Why a piece does not parse.
enum Stop {
    /// More bytes are needed.
    Short,
    Error(DecodeError),
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Error(error)
    }
}

/// Decodes a state from pieces of its stream, cut anywhere.
#[derive(Debug, Default)]
pub struct Decoder {
    waiting: Vec<u8>,
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Head,
    Slots(Box<Slots>),
    Ended(Box<Restored>),
}

#[derive(Debug)]
struct Slots {
    restore: Restore<Meta>,
    metas: BTreeMap<(NodeId, u64), Arc<Meta>>,
    last: Vec<u8>,
    count: u64,
    parts: Vec<u8>,
}

impl Decoder {
    /// The next bytes.
    ///
    /// # Errors
    /// When they cannot be of a state; the decoder is of no further use then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.waiting.extend(bytes);
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = waiting.as_slice();
        loop {
            let mut reader = Reader(rest);
            match self.piece(&mut reader) {
                Ok(()) => rest = reader.0,
                Err(Stop::Short) if rest.len() > PIECE_BYTES_MAX => {
                    return Err(DecodeError::TooLarge);
                }
                Err(Stop::Short) => break,
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        self.waiting = rest.to_vec();
        Ok(())
    }

    /// After the last bytes: the state.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn finish(self) -> Result<Restored, DecodeError> {
        match self.stage {
            Stage::Ended(restored) => Ok(*restored),
            Stage::Head | Stage::Slots(_) => Err(DecodeError::CutOff),
        }
    }

    fn piece(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        match std::mem::take(&mut self.stage) {
            Stage::Head => self.stage = Stage::Slots(Box::new(head(reader)?)),
            Stage::Slots(mut slots) => {
                let piece = slots.piece(reader);
                if let Ok(false) = piece {
                    self.stage = Stage::Ended(Box::new(slots.end()?));
                } else {
                    self.stage = Stage::Slots(slots);
                    piece?;
                }
            }
            stage @ Stage::Ended(_) => {
                self.stage = stage;
                let surplus = reader.0.is_empty();
                return Err(if surplus { Stop::Short } else { DecodeError::Surplus.into() });
            }
        }
        Ok(())
    }
}

fn head(reader: &mut Reader<'_>) -> Result<Slots, Stop> {
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(DecodeError::Magic.into());
    }
    match reader.byte()? {
        FORMAT => {}
        other => return Err(DecodeError::Format(other).into()),
    }
    let mut vector = VersionVector::new();
    for _ in 0..reader.number()? {
        let dot = reader.dot()?;
        let ascends = vector.dots.keys().next_back().is_none_or(|last| *last < dot.actor);
        if !ascends {
            return Err(DecodeError::Field("vector").into());
        }
        crdt::advance(&mut vector, dot);
    }
    let collected = reader.number()?;
    let digest = reader.take(16)?.try_into().map_err(|_| DecodeError::Field("digest"))?;
    let restore = Restore::new(Summary { vector, collected, digest });
    Ok(Slots { restore, metas: BTreeMap::new(), last: Vec::new(), count: 0, parts: Vec::new() })
}

impl Slots {
    /// Takes a slot, or the end: then `false`.
    fn piece(&mut self, reader: &mut Reader<'_>) -> Result<bool, Stop> {
        match reader.byte()? {
            0 => {
                let whole = reader.number()? == self.count;
                return if whole { Ok(false) } else { Err(DecodeError::Field("end").into()) };
            }
            1 if self.parts.is_empty() => {}
            2 => {
                let part = reader.bytes()?;
                if part.is_empty() {
                    return Err(DecodeError::Field("part").into());
                }
                self.parts.extend(part);
                return Ok(true);
            }
            _ => return Err(DecodeError::Field("piece").into()),
        }
        let shared = usize::try_from(reader.number()?).map_err(|_| DecodeError::Field("key"))?;
        let shared = self.last.get(..shared).ok_or(DecodeError::Field("key"))?;
        let key = [shared, reader.bytes()?].concat();
        Key::from_bytes(&key).map_err(|_| DecodeError::Field("key"))?;
        let (mut siblings, mut told) = (Vec::new(), Vec::new());
        for _ in 0..reader.number()? {
            let dot = reader.dot()?;
            let meta = match reader.option()? {
                Some(bytes) => {
                    let meta = decode_meta(bytes).ok_or(DecodeError::Field("meta"))?;
                    let meta = Arc::new(meta);
                    told.push((dot, Arc::clone(&meta)));
                    meta
                }
                None => Arc::clone(self.known(dot)?),
            };
            siblings.push(Sibling { dot, meta, value: reader.option()?.map(Into::into) });
        }
        for (dot, meta) in told {
            if self.metas.insert((dot.actor, dot.counter), meta).is_some() {
                return Err(DecodeError::Field("meta").into());
            }
        }
        self.restore.slot(&key, siblings).map_err(DecodeError::Restore)?;
        self.last = key;
        self.count += 1;
        Ok(true)
    }

    fn known(&self, dot: Dot) -> Result<&Arc<Meta>, DecodeError> {
        self.metas.get(&(dot.actor, dot.counter)).ok_or(DecodeError::Field("meta"))
    }

    fn end(self) -> Result<Restored, DecodeError> {
        let doubts = v1::Doubts::decode(self.parts.as_slice());
        let doubts = doubts.map_err(|_| DecodeError::Field("doubts"))?;
        Ok(Restored { state: self.restore.finish()?, doubts })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Stop::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.take(1)?.first().copied().ok_or(Stop::Short)
    }

    fn flag(&mut self) -> Result<bool, Stop> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Field("flag").into()),
        }
    }

    /// A number in its shortest form.
    fn number(&mut self) -> Result<u64, Stop> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let fits = bits << shift >> shift == bits;
            if !fits || (byte == 0 && shift > 0) {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError::Field("number").into())
    }

    fn bytes(&mut self) -> Result<&'a [u8], Stop> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > PIECE_BYTES_MAX {
            return Err(DecodeError::TooLarge.into());
        }
        self.take(length)
    }

    fn option(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        Ok(if self.flag()? { Some(self.bytes()?) } else { None })
    }

    fn dot(&mut self) -> Result<Dot, Stop> {
        let node = u32::try_from(self.number()?).map_err(|_| DecodeError::Field("node"))?;
        let seq = self.number()?;
        if seq == 0 {
            return Err(DecodeError::Field("seq").into());
        }
        Ok(Dot::new(NodeId(node), seq))
    }
}

#[cfg(test)]
mod tests {
    use model::{Author, Credential, UniqueId};

    use super::*;
    use crate::transaction::Transaction;

    /// Two nodes that write, at times concurrently, and remove.
    fn sample() -> State<Meta> {
        let account = "123456789012".parse().unwrap();
        let root = UniqueId::root(account);
        let author = Author { principal: root, credential: Credential::Node(2) };
        let mut state = State::default();
        let mut clocks = [VersionVector::new(), VersionVector::new()];
        for step in 0..40_u64 {
            let node = NodeId(1 + u32::try_from(step % 2).unwrap());
            let mut deps = clocks[(step % 2) as usize].clone();
            if step % 5 == 0 {
                deps = state.vector().clone();
            }
            let meta = Meta {
                hlc: Hlc::from_bits(step << 20),
                author: author.clone(),
                request_id: format!("r{step}"),
                action: "Act".into(),
            };
            let key = |tag| Key::new(account, root, tag, "x").to_bytes();
            let value = (step % 7 != 0).then(|| vec![7; (step * step) as usize].into());
            let writes = [1, 2, u8::try_from(step % 9).unwrap() + 3]
                .map(|tag| crdt::Write { key: key(tag.into()), value: value.clone() });
            let dot = deps.inc(node);
            let meta = Arc::new(meta);
            let transaction = Transaction { dot, deps: deps.clone(), meta, writes: writes.into() };
            state.apply(&transaction).unwrap();
            crdt::advance(&mut deps, dot);
            clocks[(step % 2) as usize] = deps;
        }
        assert!(state.range(&[]).any(|(_, siblings)| siblings.len() > 1));
        state
    }

    fn doubts() -> v1::Doubts {
        let keys = vec![vec![7; 40]];
        let unsettled = v1::Unsettled { keys, ..v1::Unsettled::default() };
        v1::Doubts { unsettled: vec![unsettled], ..v1::Doubts::default() }
    }

    #[test]
    fn a_state_decodes_to_itself_however_its_bytes_are_cut() {
        let state = sample();
        let bytes = encode(&state, &doubts());
        for size in [1, 2, 7, 100, bytes.len()] {
            let mut decoder = Decoder::default();
            bytes.chunks(size).for_each(|piece| decoder.push(piece).unwrap());
            let Restored { state: restored, doubts } = decoder.finish().unwrap();
            assert_eq!(doubts, self::doubts());
            assert_eq!(restored.canonical_bytes(), state.canonical_bytes());
            assert_eq!(restored.digest(), state.digest());
            // The metas are not in the canonical bytes.
            assert!(restored.range(&[]).eq(state.range(&[])));
            assert_eq!(encode(&restored, &doubts), bytes);
        }
        let empty = State::default();
        let decoded = decode(&encode(&empty, &v1::Doubts::default())).unwrap();
        assert_eq!(decoded.state.canonical_bytes(), empty.canonical_bytes());
        assert_eq!(decoded.doubts, v1::Doubts::default());
    }

    #[test]
    fn a_record_of_a_join_is_no_transaction() {
        let record = encode_join(&[7; 32]);
        assert_eq!(decode_join(&record), Some([7; 32]));
        assert!(crate::transaction::decode(&record).is_err());
        let short = record.get(..record.len() - 1).unwrap_or_default();
        assert_eq!((decode_join(short), decode_join(b"")), (None, None));
    }

    #[test]
    fn a_transaction_s_meta_is_written_once() {
        let bytes = encode(&sample(), &doubts());
        let of = |id: &[u8]| bytes.windows(id.len()).filter(|window| *window == id).count();
        assert_eq!(of(b"r39"), 1);
    }

    #[test]
    fn what_is_cut_off_changed_or_surplus_is_refused() {
        let state = sample();
        let bytes = encode(&state, &doubts());
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]).unwrap_err(), DecodeError::CutOff, "{cut}");
        }
        assert_eq!(decode(&[&bytes[..], &[0]].concat()).unwrap_err(), DecodeError::Surplus);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            // The digest does not cover metas, doubts, nor the number of the barrier: the file's own
            // check does.
            if let Ok(other) = decode(&flipped) {
                assert_eq!(other.state.digest(), state.digest(), "{at}");
            }
        }
        let newer = [MAGIC, &[2]].concat();
        assert_eq!(decode(&newer).unwrap_err(), DecodeError::Format(2));
        assert_eq!(decode(b"writ stats\x01").unwrap_err(), DecodeError::Magic);
        let long = [MAGIC, &[1, 0x80, 0]].concat();
        assert_eq!(decode(&long).unwrap_err(), DecodeError::Field("number"));
        let last = [0xff; 9].into_iter().chain([1]).collect::<Vec<_>>();
        assert!(matches!(Reader(&last).number(), Ok(u64::MAX)));
        let over = [0xff; 9].into_iter().chain([2]).collect::<Vec<_>>();
        assert!(matches!(Reader(&over).number(), Err(Stop::Error(_))));
    }
}
