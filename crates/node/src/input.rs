//! What goes into a node and what comes out.
//!
//! **Invariants.** A ticket that came in with an input is answered once.
//!
//! **Must not know:** who stands behind a ticket.

use std::sync::Arc;

use crdt::{NodeId, VersionVector};
use identity::{
    Caller, Command, ConflictEvent, ControlChange, Identity, NewAccessKey, Reply, RequestContext,
};
use model::{AccountId, Entropy, Timestamp};
use replication::{NodeWait, Outcome, Piece, Scope, Snapshot, Stage};
use thiserror::Error;
use wire::v1;

/// Something happened.
pub enum Input {
    /// A client wants something written; [`Effect::Reply`] or [`Effect::Control`] answers.
    Execute(Box<Execute>),
    /// An account was created; its root user's first key is to be written.
    /// [`Effect::RootKeyReply`] answers.
    RootKey {
        /// Names the request.
        ticket: u64,
        /// The account.
        account: AccountId,
        /// Fresh.
        entropy: Entropy,
        /// The API call's id.
        request_id: String,
    },
    /// Every record up to this lsn is durable.
    Persisted {
        /// The last of them.
        lsn: u64,
    },
    /// A stream to a peer, whose certificate was checked, is open.
    PeerUp {
        /// Who.
        peer: NodeId,
        /// Never used before for this peer.
        session: u64,
    },
    /// A stream is gone.
    PeerDown {
        /// Whose.
        peer: NodeId,
        /// Which.
        session: u64,
    },
    /// A frame has come on a stream.
    PeerFrame {
        /// From whom.
        peer: NodeId,
        /// On which.
        session: u64,
        /// What.
        frame: v1::Frame,
    },
    /// The answer to [`Effect::ReadLog`]: records by lsn, ascending, without a hole.
    LogRead {
        /// As in the effect.
        peer: NodeId,
        /// As in the effect.
        session: u64,
        /// Empty if reading failed.
        items: Vec<(u64, Arc<[u8]>)>,
    },
    /// The control plane's newest state.
    Control {
        /// The state.
        state: Box<v1::ControlState>,
        /// Its data keys, unsealed; empty at a replica.
        data_keys: Vec<(u32, [u8; 32])>,
    },
    /// Someone wants to know when nodes have reached a token; [`Effect::WaitOutcome`] answers.
    Wait {
        /// Names the wait.
        ticket: u64,
        /// What must be reached.
        token: VersionVector,
        /// By whom.
        scope: Scope,
        /// How far.
        stage: Stage,
        /// When to give up.
        deadline: Timestamp,
    },
    /// Nobody wants to know any more.
    CancelWait {
        /// The wait.
        ticket: u64,
    },
    /// The snapshots of this node that are kept, and how much of the log may be kept.
    /// [`Effect::TrimLog`] and [`Effect::KeepFetched`] may follow.
    Snapshots {
        /// The newest, and up to which lsn it has the log's effect.
        newest: (Snapshot, u64),
        /// Up to which lsn all that are kept have it, once there are enough of them; else 0.
        in_all: u64,
        /// The first record in the log on the disk.
        first_lsn: u64,
        /// What members lack is kept in the log up to so many bytes; then they get a snapshot.
        log_bytes_max: u64,
    },
    /// The answer to [`Effect::ReadSnapshot`].
    SnapshotRead {
        /// As in the effect.
        peer: NodeId,
        /// As in the effect.
        session: u64,
        /// Without bytes if the snapshot is not kept.
        piece: Piece,
    },
    /// The answer to [`Effect::WriteSnapshot`].
    SnapshotWritten {
        /// Of which.
        hash: [u8; 32],
        /// Everything before is written.
        upto: u64,
    },
    /// A good answer to [`Effect::FinishSnapshot`].
    SnapshotFinished {
        /// Of which.
        hash: [u8; 32],
        /// What it holds.
        identity: Box<Identity>,
    },
    /// A bad answer to [`Effect::WriteSnapshot`] or [`Effect::FinishSnapshot`]: nothing is kept.
    SnapshotFailed {
        /// Of which.
        hash: [u8; 32],
        /// Why.
        why: String,
    },
    /// Somebody copies the state: keep it as it is ([`crate::Node::frozen_slots`]) until
    /// [`Input::Thaw`].
    Freeze,
    /// The slots up to this key were copied.
    Copied {
        /// The last of them.
        upto: Box<[u8]>,
    },
    /// Nobody copies the state any more.
    Thaw,
    /// A member has said that the cluster has removed this node. The transport has proved who says
    /// it.
    Removed {
        /// The member.
        by: NodeId,
    },
    /// Time has passed.
    Tick,
}

/// A command of a client.
pub struct Execute {
    /// Names the request.
    pub ticket: u64,
    /// Who asks, authenticated.
    pub caller: Caller,
    /// From where, how.
    pub request: RequestContext,
    /// Fresh.
    pub entropy: Entropy,
    /// The API call's id.
    pub request_id: String,
    /// What is asked.
    pub command: Command,
}

/// What the shell must do.
#[derive(Debug)]
pub enum Effect {
    /// Append a record to the log; [`Input::Persisted`] answers.
    Persist {
        /// One greater than the record's before it.
        lsn: u64,
        /// The record: an encoded transaction.
        bytes: Arc<[u8]>,
    },
    /// Answer a command, once `lsn` is durable.
    Reply {
        /// The command.
        ticket: u64,
        /// The answer.
        result: Result<Answer<Reply>, Refusal>,
    },
    /// Answer [`Input::RootKey`], once `lsn` is durable.
    RootKeyReply {
        /// The request.
        ticket: u64,
        /// The answer.
        result: Result<Answer<NewAccessKey>, Refusal>,
    },
    /// Propose to the control plane, then answer the command.
    Control {
        /// The command.
        ticket: u64,
        /// What to propose.
        change: ControlChange,
        /// The answer if it is accepted.
        reply: Reply,
    },
    /// Send a frame.
    Send {
        /// To whom.
        peer: NodeId,
        /// On which stream.
        session: u64,
        /// What.
        frame: v1::Frame,
    },
    /// Read records from the log, at least one; [`Input::LogRead`] answers.
    ReadLog {
        /// For whom.
        peer: NodeId,
        /// For which stream.
        session: u64,
        /// The first record.
        from_lsn: u64,
        /// Stop after so many bytes.
        max_bytes: usize,
    },
    /// Read a piece of one of this node's snapshots; [`Input::SnapshotRead`] answers. A stream goes
    /// on to read one that is not kept any more.
    ReadSnapshot {
        /// For whom.
        peer: NodeId,
        /// For which stream.
        session: u64,
        /// Which snapshot.
        hash: [u8; 32],
        /// From where.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// Write a piece of a peer's snapshot; [`Input::SnapshotWritten`] answers.
    WriteSnapshot {
        /// Of which.
        snapshot: Snapshot,
        /// From where.
        offset: u64,
        /// The piece.
        bytes: Arc<[u8]>,
    },
    /// Make a peer's snapshot durable and read it; [`Input::SnapshotFinished`] answers.
    FinishSnapshot {
        /// Which.
        snapshot: Snapshot,
    },
    /// Peers' snapshots on the disk that are not among these are not needed any more.
    KeepFetched {
        /// Their hashes.
        hashes: Vec<[u8; 32]>,
    },
    /// The log's records up to this lsn are not needed any more.
    TrimLog {
        /// The last of them.
        upto: u64,
    },
    /// Close a stream.
    CloseStream {
        /// Whose.
        peer: NodeId,
        /// Which.
        session: u64,
        /// For the log.
        why: String,
    },
    /// Who of a wait's scope is there.
    WaitProgress {
        /// The wait.
        ticket: u64,
        /// The scope's nodes.
        nodes: Vec<NodeWait>,
    },
    /// A wait is over.
    WaitOutcome {
        /// The wait.
        ticket: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// This node is fenced for ever: that must be remembered across restarts.
    Fence {
        /// Why.
        fence: Fence,
    },
    /// Conflicts appeared, or are gone: tell whoever watches, once what this node has made is
    /// durable.
    Conflicts {
        /// In the order in which they came.
        events: Vec<ConflictEvent>,
    },
    /// Something that must never happen did: log it as an error, count it.
    Alarm {
        /// What.
        what: String,
    },
}

/// A successful answer.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What the client is told.
    pub reply: T,
    /// The consistency token of the state that includes the change.
    pub token: String,
    /// The answer may leave when this lsn is durable; 0 means at once.
    pub lsn: u64,
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// IAM's reasons.
    #[error(transparent)]
    Identity(identity::Error),
    /// This node follows; ask a writer.
    #[error("this node is a read replica")]
    NotAWriter {
        /// One that can be asked, of the same region if there is one.
        writer: Option<WriterAddress>,
    },
    /// This node is no serving member, or does not know the roster yet.
    #[error("this node is not serving yet")]
    NotReady,
    /// This node was removed from the cluster.
    #[error("this node was removed from the cluster")]
    Removed,
    /// Others have transactions of this node that it lacks: it must join as a new node.
    #[error("this node's log was cut off")]
    CutOff,
    /// The change is longer than a transaction may be.
    #[error("the change is longer than a transaction may be")]
    TooLarge,
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(AccountId),
    /// The account has had its root key, or anything else.
    #[error("the account {0} exists already")]
    AccountInUse(AccountId),
}

/// Why a node must never write or answer again; it can only come back as a new node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fence {
    /// The cluster has removed it: nothing it would acknowledge reaches anybody.
    #[error("this node was removed from the cluster")]
    Removed,
    /// Others have transactions of this node that it lacks: it would bind their names again.
    #[error("this node's log was cut off")]
    CutOff,
}

impl From<Fence> for Refusal {
    fn from(fence: Fence) -> Self {
        match fence {
            Fence::Removed => Self::Removed,
            Fence::CutOff => Self::CutOff,
        }
    }
}

/// Where a writer is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterAddress {
    /// Its id.
    pub node: NodeId,
    /// For gRPC.
    pub grpc_address: String,
    /// For AWS clients; empty if none.
    pub aws_address: String,
}
