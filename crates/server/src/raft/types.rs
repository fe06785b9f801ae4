//! What Raft carries, and what it is told about the machine that applies it.
//!
//! **Invariants.** A command shows only its length in `Debug`: the first one holds keys.
//!
//! **Must not know:** what a command says.

use std::{fmt, io::Cursor};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A node's id as openraft wants it.
pub(crate) type RaftId = u64;
pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<RaftId>;
pub(crate) type Membership = openraft::StoredMembership<RaftId, RaftNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<RaftId, RaftNode>;
pub(crate) type StorageError = openraft::StorageError<RaftId>;
pub(crate) type StorageIoError = openraft::StorageIOError<RaftId>;

openraft::declare_raft_types!(
    /// openraft's types, as Writ uses them.
    pub(crate) TypeConfig:
        D = Command,
        R = Reply,
        NodeId = RaftId,
        Node = RaftNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

/// An encoded `ControlCommand`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command(pub(crate) Vec<u8>);

/// An encoded `ControlReply`; empty for what is no command.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply(pub(crate) Vec<u8>);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.0.len())
    }
}

/// A member as Raft's configuration keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RaftNode {
    /// `host:port` of its gRPC listener when it was added.
    pub(crate) address: String,
}

/// A state that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a control plane's state that does not decode")]
pub struct Malformed;

/// A node that Raft's configuration should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub node: u32,
    /// `host:port` of its gRPC listener.
    pub address: String,
    /// How it takes part.
    pub part: Part,
}

/// How a node takes part in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Votes, if there is room among the voters.
    Voter,
    /// Receives the log only.
    Learner,
}

/// The control plane's rules: a deterministic machine that commands are applied to.
pub trait ControlMachine: Clone + Send + Sync + 'static {
    /// Applies an encoded `ControlCommand` and answers with an encoded `ControlReply`. Equal
    /// states and commands must give equal states and replies, on every node and version.
    fn apply(&mut self, command: &[u8]) -> Vec<u8>;
    /// The whole state.
    fn snapshot(&self) -> Vec<u8>;
    /// Takes a state that [`ControlMachine::snapshot`] gave.
    ///
    /// # Errors
    /// When it is none; the machine is then as it was.
    fn restore(&mut self, state: &[u8]) -> Result<(), Malformed>;
    /// Whom Raft's configuration should have. Empty before the cluster is initialized.
    fn members(&self) -> Vec<Member>;
}
