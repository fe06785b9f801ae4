//! Consistency tokens: version vectors that clients carry and cannot forge.
//!
//! Base64url without padding of: version (1 byte), cluster tag (4), in version 2 the node and seq
//! of the write that was answered, pairs of node and seq as varints, nodes ascending, then
//! HMAC-SHA256 of all that, truncated to 16 bytes. Version 1 is of an answer to a read.
//!
//! **Invariants.** A token has one text; any other text is refused. The vector of a token that
//! opens was put in by a node of this cluster.
//!
//! **Must not know:** what the token is waited for.

use std::cmp::Ordering;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use crdt::{Dot, NodeId, VersionVector, advance, dominates};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

const READ: u8 = 1;
const WRITE: u8 = 2;
const TAG_BYTES: usize = 4;
const MAC_BYTES: usize = 16;
/// The longest token that is looked at, in characters; room for hundreds of nodes.
pub const TOKEN_CHARS_MAX: usize = 8_192;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not a token, or changed, or of another cluster's key.
    #[error("the consistency token is not valid")]
    Invalid,
    /// Of a later version of tokens.
    #[error("the consistency token is of version {0}, which this node does not know")]
    Version(u8),
    /// Of another cluster.
    #[error("the consistency token is of another cluster")]
    Cluster,
    /// This node has not got the cluster's keys yet.
    #[error("this node has not got the cluster's token key yet")]
    NoKey,
}

/// Makes and opens the tokens of one cluster.
#[derive(Clone, Default)]
pub struct Tokens {
    tag: [u8; TAG_BYTES],
    key: Option<Hmac<Sha256>>,
}

impl Tokens {
    /// For a cluster and the key ring's MAC key; an empty key makes and opens nothing.
    pub fn new(cluster_id: &str, mac_key: &[u8]) -> Self {
        let hash = Sha256::digest(cluster_id.as_bytes());
        let tag = hash.first_chunk().copied().unwrap_or_default();
        let key = (!mac_key.is_empty())
            .then(|| Hmac::new_from_slice(mac_key).expect("HMAC takes keys of any length"));
        Self { tag, key }
    }

    /// The token of a version vector; `None` without a key.
    pub fn seal(&self, vector: &VersionVector) -> Option<String> {
        self.seal_answer(None, vector)
    }

    /// The token of the answer to a write, which the vector covers; `None` without a key.
    pub fn seal_write(&self, write: Dot, vector: &VersionVector) -> Option<String> {
        self.seal_answer(Some(write), vector)
    }

    fn seal_answer(&self, write: Option<Dot>, vector: &VersionVector) -> Option<String> {
        let mut bytes = vec![if write.is_some() { WRITE } else { READ }];
        bytes.extend(self.tag);
        if let Some(Dot { actor: NodeId(node), counter }) = write {
            put_varint(&mut bytes, node.into());
            put_varint(&mut bytes, counter);
        }
        for dot in vector.iter() {
            put_varint(&mut bytes, u64::from(dot.actor.0));
            put_varint(&mut bytes, dot.counter);
        }
        let mac = self.key.clone()?.chain_update(&bytes).finalize().into_bytes();
        bytes.extend(mac.into_iter().take(MAC_BYTES));
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The version vector of a token.
    ///
    /// # Errors
    /// When it is not a token of this cluster, to the bit.
    pub fn open(&self, text: &str) -> Result<VersionVector, TokenError> {
        self.open_answer(text).map(|(_, vector)| vector)
    }

    /// Of the token of the answer to a write, which write that was.
    ///
    /// # Errors
    /// When it is not a token of this cluster, to the bit.
    pub fn write_of(&self, text: &str) -> Result<Option<Dot>, TokenError> {
        self.open_answer(text).map(|(write, _)| write)
    }

    fn open_answer(&self, text: &str) -> Result<(Option<Dot>, VersionVector), TokenError> {
        let key = self.key.clone().ok_or(TokenError::NoKey)?;
        if text.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Invalid)?;
        let (signed, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(TokenError::Invalid)?;
        let (version, rest) = signed.split_first().ok_or(TokenError::Invalid)?;
        if ![READ, WRITE].contains(version) {
            return Err(TokenError::Version(*version));
        }
        let (tag, mut rest) = rest.split_first_chunk().ok_or(TokenError::Invalid)?;
        if *tag != self.tag {
            return Err(TokenError::Cluster);
        }
        key.chain_update(signed).verify_truncated_left(mac).map_err(|_| TokenError::Invalid)?;
        let write = match *version {
            WRITE => Some(take_dot(&mut rest)?),
            _ => None,
        };
        let mut vector = VersionVector::new();
        while !rest.is_empty() {
            advance(&mut vector, take_dot(&mut rest)?);
        }
        Ok((write, vector))
    }

    /// The token of all that any of `texts` covers; `None` without a key.
    ///
    /// # Errors
    /// When one of them is not a token of this cluster.
    pub fn merge(&self, texts: &[&str]) -> Result<Option<String>, TokenError> {
        let mut all = VersionVector::new();
        for text in texts {
            for dot in self.open(text)? {
                advance(&mut all, dot);
            }
        }
        Ok(self.seal(&all))
    }

    /// How two tokens relate: `Less` if the second covers all of the first and more; `None` if each
    /// covers something that the other does not.
    ///
    /// # Errors
    /// When one of them is not a token of this cluster.
    pub fn compare(&self, one: &str, other: &str) -> Result<Option<Ordering>, TokenError> {
        let (one, other) = (self.open(one)?, self.open(other)?);
        Ok(match (dominates(&one, &other), dominates(&other, &one)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// LEB128.
fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn take_dot(bytes: &mut &[u8]) -> Result<Dot, TokenError> {
    let node = take_varint(bytes).and_then(|node| u32::try_from(node).ok());
    let (Some(node), Some(seq)) = (node, take_varint(bytes)) else {
        return Err(TokenError::Invalid);
    };
    Ok(Dot::new(NodeId(node), seq))
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << shift;
        if shifted >> shift != bits {
            return None;
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new("c", &[7; 32])
    }

    fn vector(dots: &[(u32, u64)]) -> VersionVector {
        dots.iter().map(|(node, seq)| Dot::new(NodeId(*node), *seq)).collect()
    }

    #[test]
    fn a_token_opens_to_what_was_sealed() {
        for dots in [&[][..], &[(1, 1)], &[(1, 127), (2, 128), (300, u64::MAX), (u32::MAX, 1)]] {
            let token = tokens().seal(&vector(dots)).unwrap();
            assert_eq!(tokens().open(&token), Ok(vector(dots)));
            assert_eq!(tokens().write_of(&token), Ok(None));
            let write = Dot::new(NodeId(7), 300);
            let token = tokens().seal_write(write, &vector(dots)).unwrap();
            assert_eq!(tokens().open(&token), Ok(vector(dots)));
            assert_eq!(tokens().write_of(&token), Ok(Some(write)));
        }
    }

    #[test]
    fn every_flipped_bit_every_prefix_and_every_suffix_is_refused() {
        let tokens = tokens();
        let token = tokens.seal(&vector(&[(1, 5), (2, 300)])).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(tokens.open(&URL_SAFE_NO_PAD.encode(flipped)).is_err(), "bit {bit}");
        }
        for bit in 0..token.len() * 8 {
            let mut flipped = token.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(flipped) = String::from_utf8(flipped) {
                assert!(tokens.open(&flipped).is_err(), "{flipped}");
            }
        }
        for cut in 0..token.len() {
            assert!(tokens.open(&token[..cut]).is_err());
        }
        for suffix in ["A", "=", "AA", "AAAA", "\n", " "] {
            assert!(tokens.open(&format!("{token}{suffix}")).is_err());
            assert!(tokens.open(&format!("{suffix}{token}")).is_err());
        }
        assert_eq!(tokens.open(&"A".repeat(TOKEN_CHARS_MAX + 1)), Err(TokenError::Invalid));
    }

    #[test]
    fn other_clusters_keys_and_versions_are_told_apart() {
        let token = tokens().seal(&vector(&[(1, 1)])).unwrap();
        assert_eq!(Tokens::new("d", &[7; 32]).open(&token), Err(TokenError::Cluster));
        assert_eq!(Tokens::new("c", &[8; 32]).open(&token), Err(TokenError::Invalid));
        assert_eq!(Tokens::new("c", &[]).open(&token), Err(TokenError::NoKey));
        assert_eq!(Tokens::new("c", &[]).seal(&vector(&[])), None);
        assert_eq!(tokens().open(&URL_SAFE_NO_PAD.encode([9; 40])), Err(TokenError::Version(9)));
    }

    #[test]
    fn tokens_merge_and_compare() {
        let tokens = tokens();
        let seal = |dots| tokens.seal(&vector(dots)).unwrap();
        let (one, two) = (seal(&[(1, 2)]), seal(&[(1, 1), (2, 1)]));
        let both = tokens.merge(&[&one, &two]).unwrap().unwrap();
        assert_eq!(both, seal(&[(1, 2), (2, 1)]));
        assert_eq!(tokens.compare(&one, &two), Ok(None));
        assert_eq!(tokens.compare(&one, &both), Ok(Some(Ordering::Less)));
        assert_eq!(tokens.compare(&both, &two), Ok(Some(Ordering::Greater)));
        assert_eq!(tokens.compare(&both, &both), Ok(Some(Ordering::Equal)));
        assert!(tokens.merge(&[&one, "x"]).is_err());
    }
}
