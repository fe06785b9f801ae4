//! One node: inputs in, effects out; and the rules of the control plane.
//!
//! **Invariants.** No clock, no IO, no randomness: all of it comes in. The effects of one input keep
//! their order.
//!
//! **Must not know:** sockets, disks, Raft, AWS's wire format.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod control;
pub mod token;
