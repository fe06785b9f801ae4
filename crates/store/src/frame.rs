//! Every byte the store keeps in sled: keys, record frames, the state record.
//!
//! A record is sealed into a frame, and the frame is cut into parts of at most `PART_BYTES_MAX`,
//! because sled keeps larger values in files that it never syncs. Formats (integers big endian):
//!
//! ```text
//! key     space u8 | number u64 | part u32                     transactions, Raft's log
//!         space u8 | length u8 | name | part u32               Raft's named values
//!         space u8                                             the state record
//! frame   version u8 = 1 | body length u32 | check [8] | body
//! check   SHA-256(version | length u32 of stem | stem | body length | body), its first 8 bytes;
//!         the stem is the key without its part
//! body    transactions: chained hash [16] | bytes              the rest: bytes
//! chain   SHA-256(previous chained hash | bytes), its first 16 bytes; zeros before the first
//! ```
//!
//! **Invariants.** Keys sort as (space, number, part). A frame opens only under the key it was
//! sealed for. Every version ever released opens. Malformed bytes are refused, never a panic.
//!
//! **Must not know:** sled, files, what a record means.

use std::{fmt, ops::Range};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Bytes of a frame in one sled value. sled splits a leaf at 16 entries and moves one of over
/// 128 KiB to a file of its own that is never synced; 16 parts stay below.
pub(crate) const PART_BYTES_MAX: usize = 6 * 1024;
/// Bytes of a frame before its body.
pub(crate) const HEADER_BYTES: usize = 1 + 4 + CHECK_BYTES;
const CHECK_BYTES: usize = 8;
const VERSION: u8 = 1;

/// A chained hash: of a transaction and, through its predecessor's, of all before it.
pub(crate) type ChainHash = [u8; 16];

/// What a key is about. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    State = 1,
    Transactions = 2,
    RaftMeta = 3,
    RaftLog = 4,
}

impl Space {
    /// The space a key is in.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        [Self::State, Self::Transactions, Self::RaftMeta, Self::RaftLog]
            .into_iter()
            .find(|space| key.first() == Some(&(*space as u8)))
    }
}

/// A key without its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stem(Vec<u8>);

impl Stem {
    /// A record of one of the two logs.
    pub(crate) fn number(space: Space, number: u64) -> Self {
        let mut bytes = vec![space as u8];
        bytes.extend(number.to_be_bytes());
        Self(bytes)
    }

    /// A named value of Raft. Names are at most 255 bytes; the committer refuses longer ones.
    pub(crate) fn name(name: &str) -> Self {
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![Space::RaftMeta as u8, length];
        bytes.extend(&name.as_bytes()[..usize::from(length)]);
        Self(bytes)
    }

    /// Splits a key; `None` for keys this module does not make. The state record is no stem.
    pub(crate) fn split(key: &[u8]) -> Option<(Self, u32)> {
        let (stem, part) = key.split_last_chunk::<4>()?;
        let well_formed = match Space::of(stem)? {
            Space::State => false,
            Space::Transactions | Space::RaftLog => stem.len() == 9,
            Space::RaftMeta => stem.get(1).is_some_and(|len| usize::from(*len) + 2 == stem.len()),
        };
        well_formed.then(|| (Self(stem.to_vec()), u32::from_be_bytes(*part)))
    }

    /// Which record of a log; `None` for named values.
    pub(crate) fn as_number(&self) -> Option<u64> {
        match Space::of(&self.0)? {
            Space::Transactions | Space::RaftLog => {
                self.0.get(1..).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes)
            }
            Space::State | Space::RaftMeta => None,
        }
    }

    /// The key of one part.
    pub(crate) fn part(&self, part: u32) -> Vec<u8> {
        let mut key = self.0.clone();
        key.extend(part.to_be_bytes());
        key
    }

    /// All parts of the record. Nothing else sorts between: numbers have one length, names carry
    /// theirs, and a frame has fewer than `u32::MAX` parts.
    pub(crate) fn parts(&self) -> Range<Vec<u8>> {
        self.part(0)..self.part(u32::MAX)
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.as_number().unwrap_or_default();
        match Space::of(&self.0) {
            Some(Space::Transactions) => write!(f, "transaction {number}"),
            Some(Space::RaftLog) => write!(f, "raft entry {number}"),
            Some(Space::RaftMeta) | Some(Space::State) | None => {
                let name = self.0.get(2..).unwrap_or_default();
                write!(f, "raft value `{}`", name.escape_ascii())
            }
        }
    }
}

/// Stored bytes that do not open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("a part is missing or has the wrong length")]
    Length,
    #[error("its checksum is wrong")]
    Check,
    #[error("it has format {0}, which this release does not know")]
    Version(u8),
}

fn check_of(version: u8, stem: &Stem, body: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let length: usize = body.iter().map(|piece| piece.len()).sum();
    let mut hash = Sha256::new();
    hash.update([version]);
    hash.update((stem.0.len() as u32).to_be_bytes());
    hash.update(&stem.0);
    hash.update((length as u32).to_be_bytes());
    body.iter().for_each(|piece| hash.update(piece));
    truncated(hash)
}

fn truncated<const N: usize>(hash: Sha256) -> [u8; N] {
    let digest = hash.finalize();
    std::array::from_fn(|at| digest[at])
}

/// The sled keys and values of a record whose body is the pieces one after another. Bodies are
/// below 4 GiB: submissions are limited far below that.
pub(crate) fn seal(stem: &Stem, body: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let length: usize = body.iter().map(|piece| piece.len()).sum();
    let mut frame = Vec::with_capacity(HEADER_BYTES + length);
    frame.push(VERSION);
    frame.extend((length as u32).to_be_bytes());
    frame.extend(check_of(VERSION, stem, body));
    body.iter().for_each(|piece| frame.extend(*piece));
    (0..).zip(frame.chunks(PART_BYTES_MAX)).map(|(n, part)| (stem.part(n), part.into())).collect()
}

/// How many parts the frame has that begins with this part.
pub(crate) fn part_count(first: &[u8]) -> Result<u32, FrameError> {
    let (version, length) = header(first)?;
    match version {
        1 => Ok((HEADER_BYTES + length).div_ceil(PART_BYTES_MAX) as u32),
        other => Err(FrameError::Version(other)),
    }
}

fn header(frame: &[u8]) -> Result<(u8, usize), FrameError> {
    let (version, rest) = frame.split_first().ok_or(FrameError::Length)?;
    let length = rest.first_chunk::<4>().ok_or(FrameError::Length)?;
    Ok((*version, u32::from_be_bytes(*length) as usize))
}

/// The body of a frame put together from its parts.
pub(crate) fn open(stem: &Stem, mut frame: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    let (version, length) = header(&frame)?;
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    if frame.len() != HEADER_BYTES + length {
        return Err(FrameError::Length);
    }
    let body = frame.split_off(HEADER_BYTES);
    if frame.get(5..) == Some(check_of(version, stem, &[&body]).as_slice()) {
        Ok(body)
    } else {
        Err(FrameError::Check)
    }
}

/// The chained hash of a transaction that follows one with `previous`.
pub(crate) fn chain(previous: &ChainHash, bytes: &[u8]) -> ChainHash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(bytes);
    truncated(hash)
}

/// A transaction's body taken apart: its chained hash and its bytes.
pub(crate) fn split_transaction(body: &[u8]) -> Result<(ChainHash, &[u8]), FrameError> {
    let (hash, bytes) = body.split_first_chunk().ok_or(FrameError::Length)?;
    Ok((*hash, bytes))
}

/// What one key and its value add to the digest of Raft's records. The digest is the wrapping sum,
/// so that it follows every change without a walk over all records.
pub(crate) fn digest_of(key: &[u8], value: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    hash.update((key.len() as u32).to_be_bytes());
    hash.update(key);
    hash.update(value);
    u128::from_be_bytes(truncated(hash))
}

/// Everything one commit leaves behind, in one record that is written with it: what the other
/// records are verified against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Commits so far.
    pub(crate) commit: u64,
    /// The first transaction kept; one past the last if all were trimmed.
    pub(crate) first_lsn: u64,
    /// The chained hash of the one before it.
    pub(crate) base: ChainHash,
    /// The last transaction, 0 before the first.
    pub(crate) last_lsn: u64,
    /// Its chained hash.
    pub(crate) hash: ChainHash,
    /// Raft's log.
    pub(crate) raft: Range<u64>,
    /// The wrapping sum of `digest_of` over Raft's log and named values.
    pub(crate) raft_digest: u128,
}

impl State {
    const BYTES: usize = 1 + 8 + 8 + 16 + 8 + 16 + 8 + 8 + 16 + CHECK_BYTES;

    /// Before anything was written.
    pub(crate) fn empty() -> Self {
        Self {
            commit: 0,
            first_lsn: 1,
            base: [0; 16],
            last_lsn: 0,
            hash: [0; 16],
            raft: 0..0,
            raft_digest: 0,
        }
    }

    /// The key of the state record.
    pub(crate) fn key() -> Vec<u8> {
        vec![Space::State as u8]
    }

    /// The stored form: the fields in order behind the version, then a check over them.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Self { commit, first_lsn, base, last_lsn, hash, raft, raft_digest } = self;
        let mut bytes = vec![VERSION];
        bytes.extend(commit.to_be_bytes());
        bytes.extend(first_lsn.to_be_bytes());
        bytes.extend(base);
        bytes.extend(last_lsn.to_be_bytes());
        bytes.extend(hash);
        bytes.extend(raft.start.to_be_bytes());
        bytes.extend(raft.end.to_be_bytes());
        bytes.extend(raft_digest.to_be_bytes());
        let check = check_of(VERSION, &Stem(Self::key()), &[&bytes]);
        bytes.extend(check);
        bytes
    }

    /// Parses the stored form.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        let version = *bytes.first().ok_or(FrameError::Length)?;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let (fields, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(FrameError::Length)?;
        if bytes.len() != Self::BYTES {
            return Err(FrameError::Length);
        }
        if *check != check_of(version, &Stem(Self::key()), &[fields]) {
            return Err(FrameError::Check);
        }
        let mut fields = fields.get(1..).ok_or(FrameError::Length)?;
        Ok(Self {
            commit: u64::from_be_bytes(take(&mut fields)?),
            first_lsn: u64::from_be_bytes(take(&mut fields)?),
            base: take(&mut fields)?,
            last_lsn: u64::from_be_bytes(take(&mut fields)?),
            hash: take(&mut fields)?,
            raft: u64::from_be_bytes(take(&mut fields)?)..u64::from_be_bytes(take(&mut fields)?),
            raft_digest: u128::from_be_bytes(take(&mut fields)?),
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], FrameError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(FrameError::Length)?;
    *bytes = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(parts: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        parts.iter().flat_map(|(_, value)| value.clone()).collect()
    }

    #[test]
    fn a_frame_is_cut_one_past_the_limit_of_a_part() {
        let stem = Stem::number(Space::Transactions, 7);
        let room = PART_BYTES_MAX - HEADER_BYTES;
        for (bytes, parts) in [(0, 1), (room, 1), (room + 1, 2), (room + PART_BYTES_MAX, 2)] {
            let body = vec![0xa5; bytes];
            let sealed = seal(&stem, &[&body]);
            assert_eq!(sealed.len(), parts, "{bytes} bytes");
            assert_eq!(part_count(&sealed[0].1), Ok(parts as u32));
            assert!(sealed.iter().all(|(_, value)| value.len() <= PART_BYTES_MAX));
            assert_eq!(open(&stem, joined(&sealed)), Ok(body));
        }
    }

    #[test]
    fn a_frame_opens_only_whole_unchanged_and_under_its_own_key() {
        let stem = Stem::number(Space::Transactions, 7);
        let frame = joined(&seal(&stem, &[b"ab", b"cd"]));
        assert_eq!(open(&stem, frame.clone()), Ok(b"abcd".to_vec()));
        assert_eq!(
            open(&Stem::number(Space::Transactions, 8), frame.clone()),
            Err(FrameError::Check)
        );
        assert_eq!(open(&Stem::number(Space::RaftLog, 7), frame.clone()), Err(FrameError::Check));
        for at in 0..frame.len() {
            assert!(open(&stem, frame[..at].to_vec()).is_err(), "cut at {at}");
            let mut flipped = frame.clone();
            flipped[at] ^= 1;
            assert!(open(&stem, flipped).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn every_released_version_opens() {
        let stem = Stem::number(Space::RaftLog, 1);
        let version_1 =
            [&[1, 0, 0, 0, 2][..], &[0xdc, 0xe9, 0x43, 0xab, 0x6e, 0x97, 0x8a, 0xce], b"ok"]
                .concat();
        assert_eq!(joined(&seal(&stem, &[b"ok"])), version_1);
        assert_eq!(open(&stem, version_1), Ok(b"ok".to_vec()));
        assert_eq!(open(&stem, vec![2, 0, 0, 0, 0]), Err(FrameError::Version(2)));
    }

    #[test]
    fn stems_split_back_and_foreign_keys_are_refused() {
        for stem in [
            Stem::number(Space::Transactions, u64::MAX),
            Stem::number(Space::RaftLog, 0),
            Stem::name("vote"),
            Stem::name(""),
        ] {
            assert_eq!(Stem::split(&stem.part(3)), Some((stem, 3)));
        }
        for key in [&b""[..], &[1], &[2; 12], &[2; 14], &[3, 9, 1, 0, 0, 0, 0], &[5; 13]] {
            assert_eq!(Stem::split(key), None, "{key:?}");
        }
    }

    #[test]
    fn the_state_parses_back_and_no_flipped_bit_passes() {
        let state = State {
            commit: 1,
            first_lsn: 2,
            base: [3; 16],
            last_lsn: 4,
            hash: [5; 16],
            raft: 6..7,
            raft_digest: 8,
        };
        let bytes = state.to_bytes();
        assert_eq!(bytes.len(), State::BYTES);
        assert_eq!(State::from_bytes(&bytes), Ok(state));
        for at in 0..bytes.len() {
            assert!(State::from_bytes(&bytes[..at]).is_err());
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x80;
            assert!(State::from_bytes(&flipped).is_err());
        }
    }
}
