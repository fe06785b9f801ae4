//! One node: inputs in, effects out; and the rules of the control plane.
//!
//! **Invariants.** No clock, no IO, no randomness: all of it comes in with an [`Input`]. The
//! effects of one input keep their order. Only what is durable leaves: the shell holds replies back
//! until their lsn is, and frames carry nothing else.
//!
//! **Must not know:** sockets, disks, Raft, AWS's wire format.
//!
//! Start reading at [`Node::handle`].

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod control;
mod frame;
mod input;
mod names;
mod node;
mod repair;
mod scope;
mod snapshot;
mod start;
mod status;
pub mod token;

pub use control::{ControlState, NodeState, Role, RosterEntry};
pub use input::{Answer, Effect, Execute, Fence, Input, Refusal, WriterAddress};
pub use node::Node;
pub use replication::{
    DigestState, NodeWait, Outcome as WaitOutcome, Piece, Scope, Snapshot, Stage,
};
pub use scope::{ScopeError, parse_scope};
pub use snapshot::Frozen;
pub use start::ReplayError;
pub use status::NodeStatus;
pub use token::{TokenError, Tokens};
