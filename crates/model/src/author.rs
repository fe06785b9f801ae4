//! Who made a change.

use crate::{Timestamp, UniqueId};

/// The author of a transaction: a principal, and the credential it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The principal: a user, a role or the root user.
    pub principal: UniqueId,
    /// What it proved itself with.
    pub credential: Credential,
}

/// What a principal proved itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A long-term access key.
    AccessKey(UniqueId),
    /// A session's temporary key, and when the session was issued.
    Session {
        /// The temporary key's id.
        key: UniqueId,
        /// When STS issued it; a revocation of older sessions compares with this.
        issued: Timestamp,
    },
    /// A client certificate; the hex SHA-256 of its subject public key info.
    Certificate(String),
    /// The node itself, on behalf of an operator's control-plane command (an account's first key).
    Node(u32),
}
