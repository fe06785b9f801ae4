//! openraft's types as bytes, in its log, its values and its messages.
//!
//! **Invariants.** The first byte is the format. openraft is pinned: a version with other types
//! takes another number here and reads this one too. What decodes was consumed to its last byte.
//!
//! **Must not know:** where the bytes go.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// postcard of openraft 0.9's types.
const FORMAT: u8 = 1;

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CodecError {
    #[error("a raft record of unknown format")]
    Format,
    #[error("a malformed raft record")]
    Malformed,
    #[error("a raft record that cannot be encoded")]
    Encode,
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    postcard::to_extend(value, vec![FORMAT]).map_err(|_| CodecError::Encode)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        Some((&FORMAT, body)) => {
            let (value, rest) =
                postcard::take_from_bytes(body).map_err(|_| CodecError::Malformed)?;
            if rest.is_empty() { Ok(value) } else { Err(CodecError::Malformed) }
        }
        Some(_) | None => Err(CodecError::Format),
    }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload};

    use super::*;
    use crate::raft::types::{Command, Entry, LogId};

    #[test]
    fn only_whole_records_of_a_known_format_decode() {
        let log_id = LogId::new(CommittedLeaderId::new(3, 1), 7);
        let entry = Entry { log_id, payload: EntryPayload::Normal(Command(vec![1, 2, 3])) };
        let bytes = encode(&entry).unwrap();
        assert_eq!(decode::<Entry>(&bytes), Ok(entry));
        for cut in 0..bytes.len() {
            assert!(decode::<Entry>(&bytes[..cut]).is_err(), "{cut}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode::<Entry>(&longer), Err(CodecError::Malformed));
        let mut newer = bytes;
        newer[0] = 2;
        assert_eq!(decode::<Entry>(&newer), Err(CodecError::Format));
    }
}
