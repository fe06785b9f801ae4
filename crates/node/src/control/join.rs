//! Joining: one-time tokens, known by their hash only.
//!
//! **Invariants.** A token admits one node, in the role it was made for, before it expires.
//!
//! **Must not know:** tokens themselves.

use model::Timestamp;
use wire::v1::{self, ControlRefusal};

use super::{Applied, ControlState, NodeState, Role, done};

/// Join tokens at a time, at most; the one that expires first makes room.
pub const JOIN_TOKENS_MAX: usize = 1_000;

/// SHA-256 of a join token.
pub type TokenHash = [u8; 32];

/// What a join token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// The role of the node it admits.
    pub role: Role,
    /// When it is no good any more.
    pub expires: Timestamp,
}

impl ControlState {
    /// Whether a token with this hash admits a node of this role at this time. All tokens are
    /// looked at, each to its last byte: how long it takes tells nothing of them.
    pub fn admits(&self, hash: &TokenHash, role: Role, now: Timestamp) -> bool {
        let mut admits = false;
        for (known, token) in &self.join_tokens {
            let differ = known.iter().zip(hash).fold(0, |differ, (a, b)| differ | (a ^ b));
            admits |= (differ == 0) & (token.role == role) & (now < token.expires);
        }
        admits
    }

    pub(super) fn create_join_token(&mut self, create: &v1::CreateJoinToken) -> Applied {
        let (hash, token) = Self::join_token(create).ok_or(ControlRefusal::Malformed)?;
        if self.join_tokens.contains_key(&hash) {
            return Err(ControlRefusal::Malformed);
        }
        if self.join_tokens.len() >= JOIN_TOKENS_MAX {
            let first = self.join_tokens.iter().min_by_key(|(_, token)| token.expires);
            if let Some(hash) = first.map(|(hash, _)| *hash) {
                self.join_tokens.remove(&hash);
            }
        }
        self.join_tokens.insert(hash, token);
        done()
    }

    pub(super) fn join_token(message: &v1::CreateJoinToken) -> Option<(TokenHash, JoinToken)> {
        let hash = TokenHash::try_from(message.hash.as_slice()).ok()?;
        let role = Role::from_message(message.role())?;
        Some((hash, JoinToken { role, expires: Timestamp::from_ms(message.expires_ms) }))
    }

    pub(super) fn add_node(&mut self, add: &v1::AddNode) -> Applied {
        let hash = TokenHash::try_from(add.token_hash.as_slice())
            .map_err(|_| ControlRefusal::TokenUnknown)?;
        let token = *self.join_tokens.get(&hash).ok_or(ControlRefusal::TokenUnknown)?;
        if Timestamp::from_ms(add.now_ms) >= token.expires {
            return Err(ControlRefusal::TokenExpired);
        }
        let entry = add.entry.as_ref().ok_or(ControlRefusal::Malformed)?;
        if Role::from_message(entry.role()) != Some(token.role) {
            return Err(ControlRefusal::TokenRole);
        }
        if self.next_node == u32::MAX {
            return Err(ControlRefusal::Malformed);
        }
        let entry = self.new_entry(entry, NodeState::Joining)?;
        self.join_tokens.remove(&hash);
        Ok(self.admit(entry))
    }
}
