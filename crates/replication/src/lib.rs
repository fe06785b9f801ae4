//! The streams between nodes as a state machine: who is sent what, who has what, and whether all
//! that agree on what they have also hold the same state.
//!
//! A receiver subscribes at each peer to all origins but those it is connected to itself; so in a
//! full mesh a transaction travels once to each node, and when a link fails, its origin is had by
//! relay from the others.
//!
//! **Invariants.**
//! - A transaction is handed over ([`Effect::Apply`]) once, after everything it depends on.
//! - Only durable transactions leave, and only durable ones are claimed as durable or visible.
//! - Whatever peers fill is bounded: early transactions, the window of each stream, the waits.
//! - A wait says `propagated` only if every node of its scope has said so itself.
//!
//! **Must not know:** what a transaction means, how frames are encoded, sockets, clocks: time comes
//! in as `now_ms`.
//!
//! Start reading at [`Replication`].

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod agreement;
mod bootstrap;
mod early;
mod frame;
mod gap;
mod heartbeat;
mod log;
mod receive;
mod repair;
mod replication;
mod roster;
mod scope;
mod sender;
mod stability;
mod stream;
mod wait;

pub use agreement::DigestState;
pub use bootstrap::{FETCH_BYTES, FETCHES_AHEAD_MAX, FETCHES_MAX};
pub use crdt::NodeId;
pub use early::{EARLY_BYTES_MAX, EARLY_ITEMS_MAX};
pub use frame::{
    Compare, Digest, Fetch, Frame, Heartbeat, Hello, Item, Part, Piece, Progress, Snapshot,
    Subscribe,
};
pub use heartbeat::{HEARTBEAT_COALESCE_MS, HEARTBEAT_IDLE_MS};
pub use log::{RECENT_BYTES_MAX, RECENT_ITEMS_MAX};
pub use repair::Mended;
pub use replication::{Effect, PeerStatus, ReplayError, Replication};
pub use roster::{Member, MemberState, Role, Roster};
pub use scope::{SCOPE_NODES_MAX, Scope};
pub use sender::{
    BATCH_BYTES_MAX, BATCH_ITEMS_MAX, READ_BYTES_MAX, WINDOW_BATCHES_MAX, WINDOW_BYTES_MAX,
};
pub use stability::Stability;
pub use stream::SILENCE_MS_MAX;
pub use wait::{NodeWait, Outcome, Stage, WAITS_MAX, WaitRequest};

use crdt::{Dot, VersionVector};

/// Raises `vector` to cover all that `other` covers.
fn join(vector: &mut VersionVector, other: &VersionVector) {
    for (node, seq) in &other.dots {
        crdt::advance(vector, Dot::new(*node, *seq));
    }
}
