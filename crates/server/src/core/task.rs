//! The task: takes inputs in batches, lets the node handle them, carries the effects out in order.
//!
//! **Invariants.** One append is under way at the store at a time; what comes meanwhile goes
//! together with the next, so that one flush serves all that waited for it. No answer, be it a
//! refusal or a proposal to the control plane, leaves before all it was derived from is durable.
//! While [`Limits::waiting_bytes_max`] bytes wait for the disk, nothing further is taken in: who
//! sends waits.
//!
//! **Must not know:** what the node decides.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use crdt::NodeId;
use identity::{ConflictEvent, NewAccessKey, conflict::Change};
use model::Timestamp;
use node::{Answer, Effect, Input, Node, Refusal};
use store::LogRecord;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use wire::v1;

use super::{
    Executed, FRAMES_BEFORE_HEARTBEAT_MAX, Journal, Message, Progress, Room, Shared, WaitSender,
    count, execute_input,
    files::{Files, Job},
    root_key_input, wait_input,
};

/// Inputs that are handled under one lock, at most: readers wait as long.
const BATCH_MAX: usize = 128;
/// Records that one read of the log gives, at most.
const READ_RECORDS_MAX: usize = 1024;
/// How long the task sleeps at most when nothing is pending.
const IDLE: Duration = Duration::from_secs(1);

/// How much may wait for the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of records that are not durable, after which nothing is taken in; what the node makes
    /// of one more input may go beyond.
    pub(super) waiting_bytes_max: usize,
    /// Bytes of one append; a longer record goes alone.
    pub(super) append_bytes_max: usize,
}

const LIMITS: Limits = Limits { waiting_bytes_max: 8 << 20, append_bytes_max: 4 << 20 };

type Executes = Result<Executed, Refusal>;
type RootKeys = Result<Answer<NewAccessKey>, Refusal>;

/// A piece of the log for a peer's stream, or why there is none.
struct LogRead {
    peer: NodeId,
    session: u64,
    records: Result<Vec<LogRecord>, String>,
}

/// Where a stream's frames go.
pub(super) struct Outlet {
    frames: mpsc::Sender<v1::Frame>,
    /// The newest, while too much is before it.
    heartbeat: Option<v1::Frame>,
}

impl Outlet {
    pub(super) fn new(frames: mpsc::Sender<v1::Frame>) -> Self {
        Self { frames, heartbeat: None }
    }

    /// Sends the heartbeat that waits, if there is room for it.
    pub(super) fn send_heartbeat(&mut self) {
        if let Some(heartbeat) = self.heartbeat.take() {
            // A stream that is gone is told so by whoever carries it.
            let _gone = self.send(heartbeat);
        }
    }

    /// Whether the stream takes the frame, or will.
    pub(super) fn send(&mut self, frame: v1::Frame) -> bool {
        let waiting = self.frames.max_capacity() - self.frames.capacity();
        let is_heartbeat = matches!(frame.frame, Some(v1::frame::Frame::Heartbeat(_)));
        if is_heartbeat && waiting >= FRAMES_BEFORE_HEARTBEAT_MAX {
            self.heartbeat = Some(frame);
            return true;
        }
        if is_heartbeat {
            self.heartbeat = None;
        }
        self.frames.try_send(frame).is_ok()
    }
}

/// An answer that may not leave yet.
enum Held {
    Execute(oneshot::Sender<Executes>, Executes),
    RootKey(oneshot::Sender<RootKeys>, RootKeys),
    Conflicts(Vec<ConflictEvent>),
}

impl Held {
    /// Who asked may have gone: that is theirs to decide.
    fn release(self, shared: &Shared) {
        match self {
            Self::Execute(replier, answer) => drop(replier.send(answer)),
            Self::RootKey(replier, answer) => drop(replier.send(answer)),
            Self::Conflicts(events) => events.into_iter().for_each(|event| {
                let ConflictEvent { account: _, id, kind, change } = event;
                let what = match change {
                    Change::Appeared => "a conflict appeared",
                    Change::Gone => "a conflict is gone",
                };
                tracing::info!(conflict = %id, kind = kind.word(), what, "conflict");
                // Nobody may be watching.
                drop(shared.conflicts.send(event));
            }),
        }
    }
}

/// What the store's committer has told.
#[derive(Clone, Debug)]
enum Durable {
    Upto(u64),
    Failed(store::Error),
}

/// Owns the node's changes.
pub struct Task {
    shared: Arc<Shared>,
    receiver: mpsc::Receiver<Message>,
    journal: Arc<dyn Journal>,
    pub(super) limits: Limits,
    durable: watch::Sender<Durable>,
    /// Taken in and not handled: there is no room for what would come of them.
    inbox: VecDeque<(Input, Room)>,
    /// Records that wait for the append that is under way.
    records: VecDeque<LogRecord>,
    records_bytes: usize,
    /// Bytes of the append that is under way.
    appending: Option<usize>,
    /// The lsn of the last record that the node has made: what it says next is derived from it.
    applied_lsn: u64,
    stopping: bool,
    repliers: BTreeMap<u64, oneshot::Sender<Executes>>,
    root_keys: BTreeMap<u64, oneshot::Sender<RootKeys>>,
    held: BTreeMap<u64, Vec<Held>>,
    waits: BTreeMap<u64, WaitSender>,
    streams: BTreeMap<(NodeId, u64), Outlet>,
    reads: JoinSet<LogRead>,
    files: Files,
    /// Inputs that effects led to.
    next: Vec<Input>,
}

/// Why the task woke up.
enum Woken {
    Messages(usize),
    Durable,
    Read(LogRead),
    File(Option<Input>),
    Time,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        receiver: mpsc::Receiver<Message>,
        journal: Arc<dyn Journal>,
    ) -> Self {
        let durable_lsn = shared.progress.borrow().durable_lsn;
        Self {
            limits: LIMITS,
            files: Files::new(journal.store()),
            shared,
            receiver,
            journal,
            durable: watch::channel(Durable::Upto(durable_lsn)).0,
            inbox: VecDeque::new(),
            records: VecDeque::new(),
            records_bytes: 0,
            appending: None,
            // Everything that was replayed is durable.
            applied_lsn: durable_lsn,
            stopping: false,
            repliers: BTreeMap::new(),
            root_keys: BTreeMap::new(),
            held: BTreeMap::new(),
            waits: BTreeMap::new(),
            streams: BTreeMap::new(),
            reads: JoinSet::new(),
            next: Vec::new(),
        }
    }

    /// Runs until told to stop, or all handles are gone.
    ///
    /// # Errors
    /// When the store failed: the process must end, for nothing is durable any more.
    pub async fn run(mut self) -> Result<(), store::Error> {
        let mut durable = self.durable.subscribe();
        let mut messages = Vec::with_capacity(BATCH_MAX);
        loop {
            let (pause, takes_in) = (self.pause(), self.inbox.is_empty() && self.has_room());
            let woken = tokio::select! {
                biased;
                changed = durable.changed() => {
                    changed.expect("this task holds the sender");
                    Woken::Durable
                }
                Some(read) = self.reads.join_next() => {
                    Woken::Read(read.expect("what it does is to wait for another task"))
                }
                Some(input) = self.files.next() => Woken::File(input),
                count = self.receiver.recv_many(&mut messages, BATCH_MAX), if takes_in => {
                    Woken::Messages(count)
                }
                () = tokio::time::sleep(pause) => Woken::Time,
            };
            let mut inputs = std::mem::take(&mut self.next);
            match woken {
                Woken::Messages(0) => return Ok(()),
                Woken::Messages(_) => {
                    let now = self.shared.clock.now();
                    messages.drain(..).for_each(|message| self.take_in(now, message));
                }
                Woken::Durable => {
                    let told = durable.borrow_and_update().clone();
                    match told {
                        Durable::Upto(lsn) => inputs.push(Input::Persisted { lsn }),
                        Durable::Failed(error) => {
                            self.shared.metrics.store_poisoned.set(1);
                            return Err(error);
                        }
                    }
                    self.appending = None;
                }
                Woken::Read(read) => inputs.push(self.log_read(read)),
                Woken::File(input) => inputs.extend(input),
                Woken::Time => {}
            }
            self.handle(inputs);
            if self.stopping && self.appending.is_none() && self.inbox.is_empty() {
                return Ok(());
            }
        }
    }

    /// How long there is nothing to do.
    fn pause(&mut self) -> Duration {
        if !self.next.is_empty() {
            return Duration::ZERO;
        }
        let now = self.shared.clock.now();
        let wakeup = {
            let node = self.shared.node.read().unwrap_or_else(PoisonError::into_inner);
            node.next_wakeup()
        };
        wakeup.map_or(IDLE, |at| Duration::from_millis(at.since_ms(now)).min(IDLE))
    }

    /// Whether the node may be given more to write.
    fn has_room(&self) -> bool {
        self.waiting_bytes() < self.limits.waiting_bytes_max
    }

    /// Bytes of records that are not durable.
    fn waiting_bytes(&self) -> usize {
        self.records_bytes + self.appending.unwrap_or_default()
    }

    /// Puts a message into the inbox; who is to be answered is remembered.
    fn take_in(&mut self, now: Timestamp, message: Message) {
        let (input, room) = match message {
            Message::Input { input, room } => {
                if let Input::CancelWait { ticket } = input {
                    self.waits.remove(&ticket);
                }
                if let Input::PeerDown { peer, session } = input {
                    self.streams.remove(&(peer, session));
                    self.files.forget(peer, session);
                }
                (input, room)
            }
            Message::Execute { request, reply } => {
                let ticket = self.ticket();
                self.repliers.insert(ticket, reply);
                (execute_input(ticket, *request), None)
            }
            Message::RootKey { request, reply } => {
                let ticket = self.ticket();
                self.root_keys.insert(ticket, reply);
                (root_key_input(ticket, request), None)
            }
            Message::Wait { ticket, request, handle } => {
                self.waits.insert(ticket, handle);
                (wait_input(ticket, request, now), None)
            }
            Message::PeerUp { peer, session, frames } => {
                self.streams.insert((peer, session), Outlet::new(frames));
                (Input::PeerUp { peer, session }, None)
            }
            Message::Stop => {
                self.stopping = true;
                return;
            }
        };
        self.inbox.push_back((input, room));
    }

    fn ticket(&self) -> u64 {
        self.shared.tickets.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// Lets the node handle the inputs, and what was taken in as far as there is room, under one
    /// lock; then carries out what it says.
    fn handle(&mut self, inputs: Vec<Input>) {
        let now = self.shared.clock.now();
        let mut effects = Vec::new();
        let durable_lsn = {
            let shared = Arc::clone(&self.shared);
            let mut node = shared.node.write().unwrap_or_else(PoisonError::into_inner);
            for input in inputs {
                effects.extend(node.handle(now, input));
            }
            self.handle_inbox(now, &mut node, &mut effects);
            // Under load the task never sleeps: time passes all the same.
            if node.next_wakeup().is_some_and(|at| at <= now) {
                effects.extend(node.handle(now, Input::Tick));
            }
            node.durable_lsn()
        };
        for effect in effects {
            self.perform(effect);
        }
        self.send_heartbeats();
        self.append();
        let later = self.held.split_off(&durable_lsn.saturating_add(1));
        for held in std::mem::replace(&mut self.held, later).into_values().flatten() {
            held.release(&self.shared);
        }
        self.set_gauges();
        self.shared.progress.send_modify(|progress| {
            let Progress { changes, durable_lsn: known, ended: _ } = progress;
            *changes = changes.wrapping_add(1);
            *known = durable_lsn;
        });
    }

    fn set_gauges(&self) {
        let metrics = &self.shared.metrics;
        metrics.answers_held.set(count(self.held.values().map(Vec::len).sum()));
        metrics.disk_waiting.set(count(self.waiting_bytes()));
        metrics.streams_open.set(count(self.streams.len()));
        metrics.waits_open.set(count(self.waits.len()));
    }

    fn handle_inbox(&mut self, now: Timestamp, node: &mut Node, effects: &mut Vec<Effect>) {
        let mut waiting = self.waiting_bytes() + persisted_bytes(effects);
        while waiting < self.limits.waiting_bytes_max
            && let Some((input, room)) = self.inbox.pop_front()
        {
            let more = node.handle(now, input);
            waiting += persisted_bytes(&more);
            effects.extend(more);
            drop(room);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { lsn, bytes } => {
                self.applied_lsn = lsn;
                self.records_bytes += bytes.len();
                self.records.push_back((lsn, bytes));
            }
            Effect::Reply { ticket, result } => self.reply(ticket, result.map(Executed::Done)),
            Effect::RootKeyReply { ticket, result } => {
                if let Some(replier) = self.root_keys.remove(&ticket) {
                    self.hold(Held::RootKey(replier, result));
                }
            }
            Effect::Control { ticket, change, reply } => {
                self.reply(ticket, Ok(Executed::Propose { change, reply }));
            }
            Effect::Send { peer, session, frame } => self.send(peer, session, frame),
            Effect::ReadLog { peer, session, from_lsn, max_bytes } => {
                self.read_log(peer, session, from_lsn, max_bytes);
            }
            Effect::ReadSnapshot { peer, session, hash, offset, length } => {
                self.files.read((peer, session), hash, offset, length);
            }
            Effect::WriteSnapshot { snapshot, offset, bytes } => {
                self.files.push(Job::Write { snapshot, offset, bytes });
            }
            Effect::FinishSnapshot { snapshot } => self.files.push(Job::Finish { snapshot }),
            Effect::KeepFetched { hashes } => self.files.push(Job::Keep { hashes }),
            Effect::TrimLog { upto } => self.files.push(Job::Trim { upto }),
            Effect::CloseStream { peer, session, why } => {
                tracing::info!(peer = peer.0, why, "closing a stream");
                self.streams.remove(&(peer, session));
                self.files.forget(peer, session);
            }
            Effect::WaitProgress { ticket, nodes } => {
                if let Some(wait) = self.waits.get(&ticket) {
                    wait.progress.send_replace(nodes);
                }
            }
            Effect::WaitOutcome { ticket, outcome } => {
                if let Some(wait) = self.waits.remove(&ticket) {
                    drop(wait.outcome.send(outcome));
                }
            }
            Effect::Conflicts { events } => self.hold(Held::Conflicts(events)),
            Effect::Fence { fence } => drop(self.shared.fence.send_replace(Some(fence))),
            Effect::Alarm { what } => {
                self.shared.metrics.alarms.inc();
                tracing::error!(what, "alarm");
            }
        }
    }

    fn reply(&mut self, ticket: u64, result: Executes) {
        if let Some(replier) = self.repliers.remove(&ticket) {
            self.hold(Held::Execute(replier, result));
        }
    }

    /// Holds an answer until the state that it was derived from is durable.
    fn hold(&mut self, held: Held) {
        self.held.entry(self.applied_lsn).or_default().push(held);
    }

    /// INVARIANT: a frame is never dropped from a stream that goes on, but for heartbeats that a
    /// newer one takes the place of.
    fn send(&mut self, peer: NodeId, session: u64, frame: v1::Frame) {
        let Some(outlet) = self.streams.get_mut(&(peer, session)) else { return };
        if !outlet.send(frame) {
            tracing::info!(peer = peer.0, "a stream does not take its frames: closing it");
            self.streams.remove(&(peer, session));
            self.next.push(Input::PeerDown { peer, session });
        }
    }

    /// Sends the heartbeats that waited where there is room for them.
    fn send_heartbeats(&mut self) {
        self.streams.values_mut().for_each(Outlet::send_heartbeat);
    }

    pub(super) fn read_log(&mut self, peer: NodeId, session: u64, from_lsn: u64, max_bytes: usize) {
        let journal = Arc::clone(&self.journal);
        let read = tokio::task::spawn_blocking(move || {
            journal.read(from_lsn, READ_RECORDS_MAX, max_bytes)
        });
        self.reads.spawn(async move {
            let records = match read.await {
                // It was trimmed meanwhile: the node knows, and offers a snapshot.
                Ok(Err(store::Error::Trimmed { .. })) => Ok(Vec::new()),
                Ok(read) => read.map_err(|error| format!("record {from_lsn}: {error}")),
                Err(error) => Err(format!("record {from_lsn}: {error}")),
            };
            LogRead { peer, session, records }
        });
    }

    /// A stream whose next records cannot be read is closed: whoever dials opens another, which
    /// begins with what the peer lacks then.
    fn log_read(&mut self, LogRead { peer, session, records }: LogRead) -> Input {
        match records {
            Ok(items) => Input::LogRead { peer, session, items },
            Err(why) => {
                tracing::warn!(peer = peer.0, why, "closing a stream: the log cannot be read");
                self.streams.remove(&(peer, session));
                Input::PeerDown { peer, session }
            }
        }
    }

    /// Gives the store the records that wait, as many as go together, if it is not at work for us.
    fn append(&mut self) {
        if self.appending.is_some() || self.records.is_empty() {
            return;
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some((lsn, record)) = self.records.pop_front() {
            if !records.is_empty() && bytes + record.len() > self.limits.append_bytes_max {
                self.records.push_front((lsn, record));
                break;
            }
            bytes += record.len();
            records.push((lsn, record));
        }
        self.records_bytes -= bytes;
        self.appending = Some(bytes);
        let (durable, metrics) = (self.durable.clone(), Arc::clone(&self.shared.metrics));
        let (started, count) = (Instant::now(), records.len());
        let done: store::Done = Box::new(move |result| {
            metrics.committed(count, bytes, started.elapsed());
            durable.send_replace(match result {
                Ok(committed) => Durable::Upto(committed.last_lsn),
                Err(error) => Durable::Failed(error),
            });
        });
        self.journal.append(records, done);
    }
}

impl Drop for Task {
    /// Whoever reads or waits must not wait for what is gone.
    fn drop(&mut self) {
        self.shared.progress.send_modify(|progress| progress.ended = true);
    }
}

fn persisted_bytes(effects: &[Effect]) -> usize {
    let bytes = |effect: &Effect| match effect {
        Effect::Persist { bytes, .. } => bytes.len(),
        Effect::Reply { .. }
        | Effect::RootKeyReply { .. }
        | Effect::Control { .. }
        | Effect::Send { .. }
        | Effect::ReadLog { .. }
        | Effect::ReadSnapshot { .. }
        | Effect::WriteSnapshot { .. }
        | Effect::FinishSnapshot { .. }
        | Effect::KeepFetched { .. }
        | Effect::TrimLog { .. }
        | Effect::CloseStream { .. }
        | Effect::WaitProgress { .. }
        | Effect::WaitOutcome { .. }
        | Effect::Fence { .. }
        | Effect::Conflicts { .. }
        | Effect::Alarm { .. } => 0,
    };
    effects.iter().map(bytes).sum()
}
