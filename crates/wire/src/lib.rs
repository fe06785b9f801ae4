//! Formats: every byte on the network and on disk that is not a library's own.
//!
//! `v1` holds the messages of `/proto/writ/v1` as prost generates them; [`transaction`] converts
//! the replicated unit, [`snapshot`] the replicated state, [`repair`] parts of it, `secret` blanks
//! the messages that carry secrets.
//!
//! **Invariants.** A transaction's bytes are made once, at its origin, and never re-encoded: prost
//! drops fields it does not know, and a re-encoding would erase a newer node's restrictions. A
//! reader takes every version ever released. Malformed input is an error, never a panic.
//!
//! **Must not know:** what a value means, who asks, where bytes are kept.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod repair;
mod secret;
pub mod snapshot;
pub mod transaction;

/// Version 1 of the messages.
#[expect(missing_docs, reason = "generated; see /proto/writ/v1")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/writ.v1.rs"));
}

pub use prost::Message;
