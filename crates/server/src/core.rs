//! The one task that owns the node's changes, and the handle by which everybody else reads it.
//!
//! **Invariants.** Only the task takes the write lock, and nobody holds any lock across an await.
//! Nothing leaves before it is durable: replies are held until their lsn is, reads wait until
//! what they saw is. After the store failed nothing is answered any more: the task ends with the
//! error, and whoever reads or waits is told. What waits for the task or for the disk is bounded in
//! bytes.
//!
//! **Must not know:** HTTP, gRPC, Raft, what a command means.
//!
//! Start reading at [`Task::run`].

mod files;
mod journal;
mod task;

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crdt::{NodeId, VersionVector, dominates, lag};
use identity::{
    Caller, Command, ConflictEvent, ControlChange, NewAccessKey, Reply, RequestContext,
};
use model::{AccountId, Timestamp};
use node::{Answer, Fence, Input, Node, NodeWait, Refusal, Scope, Stage, TokenError, WaitOutcome};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};
use wire::{Message as _, v1};

pub use self::{journal::Journal, task::Task};
use crate::{
    clock::Clock,
    metrics::{ConflictKind, Metrics},
    random,
};

/// Inputs that wait for the task, at most; who brings more waits.
pub const INPUTS_MAX: usize = 1024;
/// Frames that wait for one stream; a stream that lets more wait is closed. More than a peer is
/// sent without having said that it has them: who is slow is waited for.
pub const FRAMES_MAX: usize = 512;
/// Frames behind which a heartbeat waits, so that the next takes its place.
pub const FRAMES_BEFORE_HEARTBEAT_MAX: usize = 16;
/// Bytes of peers' frames that wait for the task, at most; a longer frame waits alone.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Events of conflicts that wait for whoever watches, at most; who is slower misses some.
pub const CONFLICT_EVENTS_MAX: usize = 1024;

/// What the task is sent.
enum Message {
    Input { input: Input, room: Room },
    Execute { request: Box<Execute>, reply: oneshot::Sender<Result<Executed, Refusal>> },
    RootKey { request: RootKey, reply: oneshot::Sender<Result<Answer<NewAccessKey>, Refusal>> },
    Wait { ticket: u64, request: WaitRequest, handle: WaitSender },
    PeerUp { peer: NodeId, session: u64, frames: mpsc::Sender<v1::Frame> },
    Stop,
}

/// The room that an input takes up until it is handled; `None` for inputs of a few bytes.
type Room = Option<OwnedSemaphorePermit>;

/// A command of a client.
pub struct Execute {
    /// Who asks.
    pub caller: Caller,
    /// From where, how.
    pub request: RequestContext,
    /// The API call's id.
    pub request_id: String,
    /// What.
    pub command: Command,
}

/// The first key of a new account.
struct RootKey {
    account: AccountId,
    request_id: String,
}

/// What a command came to.
#[derive(Debug)]
pub enum Executed {
    /// It is done and durable.
    Done(Answer<Reply>),
    /// The control plane has to agree; then the reply is the answer.
    Propose {
        /// To what.
        change: ControlChange,
        /// The answer.
        reply: Reply,
    },
}

/// What is waited for.
#[derive(Clone, Debug)]
pub struct WaitRequest {
    /// What must be reached.
    pub token: VersionVector,
    /// By whom.
    pub scope: Scope,
    /// How far.
    pub stage: Stage,
    /// For how long.
    pub timeout: Duration,
}

struct WaitSender {
    progress: watch::Sender<Vec<NodeWait>>,
    outcome: oneshot::Sender<WaitOutcome>,
}

/// A wait under way; dropping it cancels it.
pub struct Wait {
    /// Who is there: the newest news only.
    pub progress: watch::Receiver<Vec<NodeWait>>,
    /// How it ended.
    pub outcome: oneshot::Receiver<WaitOutcome>,
    _cancel: Cancel,
}

struct Cancel {
    ticket: u64,
    sender: mpsc::Sender<Message>,
}

impl Drop for Cancel {
    fn drop(&mut self) {
        let cancel =
            Message::Input { input: Input::CancelWait { ticket: self.ticket }, room: None };
        // If there is no room the wait goes on unheard until its deadline.
        let _full = self.sender.try_send(cancel);
    }
}

/// The node does not answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this node is stopping")]
pub struct Stopping;

/// Why a state that a token asks for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotReached {
    /// The token is none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The node has not got there in time.
    #[error("this node is {lag} transactions behind the consistency token after {waited_ms} ms")]
    Behind {
        /// Transactions missing.
        lag: u64,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// The node does not answer any more.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

/// How far the node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Grows with every change of the node.
    changes: u64,
    /// Everything up to here is durable.
    durable_lsn: u64,
    /// The task is gone: nothing changes any more.
    ended: bool,
}

/// The state that a read saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its consistency token.
    pub token: String,
    /// An answer from it may leave once this is durable.
    pub lsn: u64,
}

/// What the task and the handles share.
struct Shared {
    node: RwLock<Node>,
    progress: watch::Sender<Progress>,
    tickets: AtomicU64,
    clock: Clock,
    metrics: Arc<Metrics>,
    fence: watch::Sender<Option<Fence>>,
    conflicts: broadcast::Sender<ConflictEvent>,
}

/// Reads the node and sends it inputs.
#[derive(Clone)]
pub struct Core {
    shared: Arc<Shared>,
    sender: mpsc::Sender<Message>,
    frame_bytes: Arc<Semaphore>,
}

/// The handle and the task of a node whose log was replayed.
pub fn new(node: Node, journal: impl Journal, metrics: Arc<Metrics>) -> (Core, Task) {
    with_clock(node, journal, metrics, Clock::start())
}

fn with_clock(
    node: Node,
    journal: impl Journal,
    metrics: Arc<Metrics>,
    clock: Clock,
) -> (Core, Task) {
    let (sender, receiver) = mpsc::channel(INPUTS_MAX);
    let progress = Progress { changes: 0, durable_lsn: node.durable_lsn(), ended: false };
    let shared = Arc::new(Shared {
        node: RwLock::new(node),
        progress: watch::channel(progress).0,
        tickets: AtomicU64::new(1),
        clock,
        metrics,
        fence: watch::channel(None).0,
        conflicts: broadcast::channel(CONFLICT_EVENTS_MAX).0,
    });
    let frame_bytes = Arc::new(Semaphore::new(FRAME_BYTES_MAX));
    let core = Core { shared: Arc::clone(&shared), sender, frame_bytes };
    (core, Task::new(shared, receiver, Arc::new(journal)))
}

impl Core {
    /// Reads the node as it is, durable or not: for what nobody is told. Whoever is told anything
    /// that depends on transactions gets it by [`Self::read`].
    ///
    /// # Errors
    /// When the node's task has ended.
    pub fn peek<T>(&self, read: impl FnOnce(&Node) -> T) -> Result<T, Stopping> {
        if self.shared.progress.borrow().ended {
            return Err(Stopping);
        }
        let node = self.shared.node.read().map_err(|_| Stopping)?;
        Ok(read(&node))
    }

    /// Reads the node as it is. Nobody may be told before [`Self::durable`] has returned: several
    /// reads then wait for the disk once.
    ///
    /// # Errors
    /// When the node is stopping.
    pub fn look<T>(&self, read: impl FnOnce(&Node) -> T) -> Result<(T, Seen), Stopping> {
        self.peek(|node| (read(node), Seen { token: node.token(), lsn: node.applied_lsn() }))
    }

    /// Waits until everything up to `lsn` is durable.
    ///
    /// # Errors
    /// When the node is stopping: it may never be.
    pub async fn durable(&self, lsn: u64) -> Result<(), Stopping> {
        let mut progress = self.shared.progress.subscribe();
        let waited = progress.wait_for(|progress| progress.ended || progress.durable_lsn >= lsn);
        let durable = waited.await.map_err(|_| Stopping)?.durable_lsn >= lsn;
        durable.then_some(()).ok_or(Stopping)
    }

    /// Reads the node, and waits until what was read is durable. Gives the token of that state too.
    ///
    /// # Errors
    /// When the node is stopping.
    pub async fn read<T>(&self, read: impl FnOnce(&Node) -> T) -> Result<(T, String), Stopping> {
        let (value, Seen { token, lsn }) = self.look(read)?;
        self.durable(lsn).await?;
        Ok((value, token))
    }

    /// The time by which the node's inputs are timed: only with it may be compared what the node
    /// says it heard when.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Waits until the state covers all that a token covers.
    ///
    /// # Errors
    /// When it is no token, or the state does not get there within `limit`.
    pub async fn reached(&self, token: &str, limit: Duration) -> Result<(), NotReached> {
        let target = self.peek(|node| node.open_token(token))??;
        let mut progress = self.shared.progress.subscribe();
        let reached = async {
            loop {
                progress.mark_unchanged();
                if self.peek(|node| dominates(node.vector(), &target))? {
                    return Ok(());
                }
                progress.changed().await.map_err(|_| Stopping)?;
            }
        };
        match tokio::time::timeout(limit, reached).await {
            Ok(result) => result.map_err(NotReached::Stopping),
            Err(_) => {
                let lag = self.peek(|node| lag(&target, node.vector()))?;
                let waited_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                Err(NotReached::Behind { lag, waited_ms })
            }
        }
    }

    /// Carries a command out; the answer is durable.
    ///
    /// # Errors
    /// When the node is stopping; the inner result is the node's.
    pub async fn execute(&self, request: Execute) -> Result<Result<Executed, Refusal>, Stopping> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Execute { request: Box::new(request), reply }).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Writes the first key of an account that the control plane knows.
    ///
    /// # Errors
    /// When the node is stopping; the inner result is the node's.
    pub async fn root_key(
        &self,
        account: AccountId,
        request_id: String,
    ) -> Result<Result<Answer<NewAccessKey>, Refusal>, Stopping> {
        let (reply, answer) = oneshot::channel();
        let request = RootKey { account, request_id };
        self.send(Message::RootKey { request, reply }).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Begins a wait.
    ///
    /// # Errors
    /// When the node is stopping.
    pub async fn wait(&self, request: WaitRequest) -> Result<Wait, Stopping> {
        let ticket = self.ticket();
        let (progress, progress_seen) = watch::channel(Vec::new());
        let (outcome, outcome_seen) = oneshot::channel();
        let handle = WaitSender { progress, outcome };
        self.send(Message::Wait { ticket, request, handle }).await?;
        let cancel = Cancel { ticket, sender: self.sender.clone() };
        Ok(Wait { progress: progress_seen, outcome: outcome_seen, _cancel: cancel })
    }

    /// Tells the node of a stream. Frames for it come out of the receiver, which ends when the node
    /// closes the stream.
    ///
    /// # Errors
    /// When the node is stopping.
    pub async fn peer_up(
        &self,
        peer: NodeId,
    ) -> Result<(u64, mpsc::Receiver<v1::Frame>), Stopping> {
        let session = self.ticket();
        let (frames, receiver) = mpsc::channel(FRAMES_MAX);
        self.send(Message::PeerUp { peer, session, frames }).await?;
        Ok((session, receiver))
    }

    /// Hands an input to the node; waits while it is busy.
    ///
    /// # Errors
    /// When the node is stopping.
    pub async fn input(&self, input: Input) -> Result<(), Stopping> {
        let room = match &input {
            Input::PeerFrame { frame, .. } => Some(self.room(frame.encoded_len()).await?),
            Input::Execute(_)
            | Input::RootKey { .. }
            | Input::Persisted { .. }
            | Input::PeerUp { .. }
            | Input::PeerDown { .. }
            | Input::LogRead { .. }
            | Input::Control { .. }
            | Input::Wait { .. }
            | Input::CancelWait { .. }
            | Input::Snapshots { .. }
            | Input::SnapshotRead { .. }
            | Input::SnapshotWritten { .. }
            | Input::SnapshotFinished { .. }
            | Input::SnapshotFailed { .. }
            | Input::Freeze
            | Input::Copied { .. }
            | Input::Thaw
            | Input::Removed { .. }
            | Input::Tick => None,
        };
        self.send(Message::Input { input, room }).await
    }

    /// Waits until so many bytes of frames may wait for the task.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Stopping> {
        let bytes = u32::try_from(bytes.clamp(1, FRAME_BYTES_MAX)).map_err(|_| Stopping)?;
        let room = Arc::clone(&self.frame_bytes).acquire_many_owned(bytes);
        room.await.map_err(|_| Stopping)
    }

    /// Tells the task to end once what was taken in is durable.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn stop(&self) -> Result<(), Stopping> {
        self.send(Message::Stop).await
    }

    /// Brings the gauges that are read off the node up to date.
    pub fn refresh_gauges(&self) {
        let metrics = self.metrics();
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        metrics.inputs_waiting.set(count(waiting));
        let read = |node: &Node| {
            let conflicts = node.identity().conflict_counts();
            let provisional = node.identity().provisional_names();
            let staleness_ms = node.staleness_ms(self.now());
            metrics.mending.set(u64::from(node.is_mending()));
            metrics.mended.set(node.mended_slots());
            (node.applied_lsn(), node.unstable(), staleness_ms, conflicts, provisional)
        };
        // Of a node that ended the last values stay.
        if let Ok((lsn, unstable, staleness_ms, conflicts, provisional)) = self.peek(read) {
            metrics.names_provisional.set(count(provisional));
            for (kind, open) in conflicts {
                let kind = ConflictKind { kind: kind.word() };
                metrics.conflicts.get_or_create(&kind).set(open);
            }
            metrics.log_last.set(lsn);
            metrics.unstable.set(unstable);
            metrics.staleness.set(Duration::from_millis(staleness_ms).as_secs_f64());
        }
    }

    /// Resolves when the node has changed since the last call on this receiver.
    pub fn changes(&self) -> Changes {
        Changes(self.shared.progress.subscribe())
    }

    /// Tells when the node must never write or answer again.
    pub fn fences(&self) -> watch::Receiver<Option<Fence>> {
        self.shared.fence.subscribe()
    }

    /// Tells of conflicts that appear or are gone, once that is durable.
    pub fn conflicts(&self) -> broadcast::Receiver<ConflictEvent> {
        self.shared.conflicts.subscribe()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    fn ticket(&self) -> u64 {
        self.shared.tickets.fetch_add(1, Ordering::Relaxed)
    }

    async fn send(&self, message: Message) -> Result<(), Stopping> {
        self.sender.send(message).await.map_err(|_| Stopping)
    }
}

/// Tells that the node has changed.
pub struct Changes(watch::Receiver<Progress>);

impl Changes {
    /// Returns after the next change.
    ///
    /// # Errors
    /// When the node is stopping.
    pub async fn changed(&mut self) -> Result<(), Stopping> {
        let ended = |changes: &Self| changes.0.borrow().ended;
        if ended(self) {
            return Err(Stopping);
        }
        self.0.changed().await.map_err(|_| Stopping)?;
        if ended(self) { Err(Stopping) } else { Ok(()) }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn execute_input(ticket: u64, request: Execute) -> Input {
    let Execute { caller, request, request_id, command } = request;
    let entropy = random::entropy();
    Input::Execute(Box::new(node::Execute {
        ticket,
        caller,
        request,
        entropy,
        request_id,
        command,
    }))
}

fn root_key_input(ticket: u64, RootKey { account, request_id }: RootKey) -> Input {
    Input::RootKey { ticket, account, entropy: random::entropy(), request_id }
}

fn wait_input(ticket: u64, request: WaitRequest, now: Timestamp) -> Input {
    let WaitRequest { token, scope, stage, timeout } = request;
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    Input::Wait { ticket, token, scope, stage, deadline: now.plus_ms(timeout_ms) }
}

#[cfg(test)]
mod tests;
