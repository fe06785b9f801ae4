//! The task: takes inputs in batches, lets the node handle them, carries the effects out in order.
//!
//! **Invariants.** One append is under way at the store at a time; what comes meanwhile goes
//! together with the next, so that one flush serves all that waited for it.
//!
//! **Must not know:** what the node decides.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use crdt::NodeId;
use identity::{NewAccessKey, Reply};
use model::Timestamp;
use node::{Answer, Effect, Input, Refusal};
use store::{LogRecord, Op, StoreHandle};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use wire::v1;

use super::{
    Executed, Message, Progress, Shared, WaitSender, execute_input, root_key_input, wait_input,
};
use crate::clock::Clock;

/// Inputs that are handled under one lock, at most: readers wait as long.
const BATCH_MAX: usize = 128;
/// Records that one read of the log gives, at most.
const READ_RECORDS_MAX: usize = 1024;
/// How long the task sleeps at most when nothing is pending.
const IDLE: Duration = Duration::from_secs(1);

type Replier = oneshot::Sender<Result<Executed, Refusal>>;
type RootKeyReplier = oneshot::Sender<Result<Answer<NewAccessKey>, Refusal>>;
/// A piece of the log for a peer's stream.
type LogRead = (NodeId, u64, Vec<LogRecord>);

/// An answer that may not leave yet.
enum Held {
    Reply(Replier, Answer<Reply>),
    RootKey(RootKeyReplier, Answer<NewAccessKey>),
}

impl Held {
    /// Who asked may have gone: that is theirs to decide.
    fn release(self) {
        match self {
            Self::Reply(replier, answer) => drop(replier.send(Ok(Executed::Done(answer)))),
            Self::RootKey(replier, answer) => drop(replier.send(Ok(answer))),
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
    store: StoreHandle,
    clock: Clock,
    durable: watch::Sender<Durable>,
    /// Records that wait for the append that is under way.
    records: Vec<LogRecord>,
    appending: bool,
    stopping: bool,
    repliers: BTreeMap<u64, Replier>,
    root_keys: BTreeMap<u64, RootKeyReplier>,
    held: BTreeMap<u64, Vec<Held>>,
    waits: BTreeMap<u64, WaitSender>,
    streams: BTreeMap<(NodeId, u64), mpsc::Sender<v1::Frame>>,
    reads: JoinSet<LogRead>,
    /// Inputs that effects led to.
    next: Vec<Input>,
}

/// Why the task woke up.
enum Woken {
    Messages(usize),
    Durable,
    Read(Result<LogRead, tokio::task::JoinError>),
    Time,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        receiver: mpsc::Receiver<Message>,
        store: StoreHandle,
    ) -> Self {
        let durable_lsn = shared.progress.borrow().durable_lsn;
        Self {
            shared,
            receiver,
            store,
            clock: Clock::start(),
            durable: watch::channel(Durable::Upto(durable_lsn)).0,
            records: Vec::new(),
            appending: false,
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
            let pause = self.pause();
            let woken = tokio::select! {
                biased;
                changed = durable.changed() => {
                    changed.expect("this task holds the sender");
                    Woken::Durable
                }
                Some(read) = self.reads.join_next() => Woken::Read(read),
                count = self.receiver.recv_many(&mut messages, BATCH_MAX) => {
                    Woken::Messages(count)
                }
                () = tokio::time::sleep(pause) => Woken::Time,
            };
            let mut inputs = std::mem::take(&mut self.next);
            match woken {
                Woken::Messages(0) => return Ok(()),
                Woken::Messages(_) => {
                    let now = self.clock.now();
                    inputs.extend(
                        messages.drain(..).filter_map(|message| self.take_in(now, message)),
                    );
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
                    self.appending = false;
                }
                Woken::Read(Ok((peer, session, items))) => {
                    inputs.push(Input::LogRead { peer, session, items });
                }
                Woken::Read(Err(error)) => tracing::error!(%error, "reading the log failed"),
                Woken::Time => {}
            }
            self.handle(inputs);
            if self.stopping && !self.appending {
                return Ok(());
            }
        }
    }

    /// How long there is nothing to do.
    fn pause(&mut self) -> Duration {
        if !self.next.is_empty() {
            return Duration::ZERO;
        }
        let now = self.clock.now();
        let wakeup = {
            let node = self.shared.node.read().unwrap_or_else(PoisonError::into_inner);
            node.next_wakeup()
        };
        wakeup.map_or(IDLE, |at| Duration::from_millis(at.since_ms(now)).min(IDLE))
    }

    /// A message as an input; who is to be answered is remembered.
    fn take_in(&mut self, now: Timestamp, message: Message) -> Option<Input> {
        Some(match message {
            Message::Input(input) => {
                if let Input::CancelWait { ticket } = input {
                    self.waits.remove(&ticket);
                }
                if let Input::PeerDown { peer, session } = input {
                    self.streams.remove(&(peer, session));
                }
                input
            }
            Message::Execute { request, reply } => {
                let ticket = self.ticket();
                self.repliers.insert(ticket, reply);
                execute_input(ticket, *request)
            }
            Message::RootKey { request, reply } => {
                let ticket = self.ticket();
                self.root_keys.insert(ticket, reply);
                root_key_input(ticket, request)
            }
            Message::Wait { ticket, request, handle } => {
                self.waits.insert(ticket, handle);
                wait_input(ticket, request, now)
            }
            Message::PeerUp { peer, session, frames } => {
                self.streams.insert((peer, session), frames);
                Input::PeerUp { peer, session }
            }
            Message::Stop => {
                self.stopping = true;
                return None;
            }
        })
    }

    fn ticket(&self) -> u64 {
        self.shared.tickets.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// Lets the node handle the inputs under one lock, then carries out what it says.
    fn handle(&mut self, inputs: Vec<Input>) {
        let now = self.clock.now();
        let mut effects = Vec::new();
        let durable_lsn = {
            let mut node = self.shared.node.write().unwrap_or_else(PoisonError::into_inner);
            for input in inputs {
                effects.extend(node.handle(now, input));
            }
            // Under load the task never sleeps: time passes all the same.
            if node.next_wakeup().is_some_and(|at| at <= now) {
                effects.extend(node.handle(now, Input::Tick));
            }
            node.durable_lsn()
        };
        for effect in effects {
            self.perform(effect);
        }
        self.append();
        let later = self.held.split_off(&durable_lsn.saturating_add(1));
        for held in std::mem::replace(&mut self.held, later).into_values().flatten() {
            held.release();
        }
        self.shared.progress.send_modify(|progress| {
            let changes = progress.changes.wrapping_add(1);
            *progress = Progress { changes, durable_lsn };
        });
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { lsn, bytes } => self.records.push((lsn, bytes)),
            Effect::Reply { ticket, result } => self.reply(ticket, result),
            Effect::RootKeyReply { ticket, result } => {
                let Some(replier) = self.root_keys.remove(&ticket) else { return };
                match result {
                    Ok(answer) => self.hold(answer.lsn, Held::RootKey(replier, answer)),
                    Err(refusal) => drop(replier.send(Err(refusal))),
                }
            }
            Effect::Control { ticket, change, reply } => {
                if let Some(replier) = self.repliers.remove(&ticket) {
                    drop(replier.send(Ok(Executed::Propose { change, reply })));
                }
            }
            Effect::Send { peer, session, frame } => self.send(peer, session, frame),
            Effect::ReadLog { peer, session, from_lsn, max_bytes } => {
                self.read_log(peer, session, from_lsn, max_bytes);
            }
            Effect::CloseStream { peer, session, why } => {
                tracing::info!(peer = peer.0, why, "closing a stream");
                self.streams.remove(&(peer, session));
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
            Effect::Alarm { what } => {
                self.shared.metrics.alarms.inc();
                tracing::error!(what, "alarm");
            }
        }
    }

    fn reply(&mut self, ticket: u64, result: Result<Answer<Reply>, Refusal>) {
        let Some(replier) = self.repliers.remove(&ticket) else { return };
        match result {
            Ok(answer) => self.hold(answer.lsn, Held::Reply(replier, answer)),
            Err(refusal) => drop(replier.send(Err(refusal))),
        }
    }

    fn hold(&mut self, lsn: u64, held: Held) {
        self.held.entry(lsn).or_default().push(held);
    }

    /// INVARIANT: a frame is never dropped from a stream that goes on.
    fn send(&mut self, peer: NodeId, session: u64, frame: v1::Frame) {
        let Some(frames) = self.streams.get(&(peer, session)) else { return };
        if frames.try_send(frame).is_err() {
            tracing::info!(peer = peer.0, "a stream does not take its frames: closing it");
            self.streams.remove(&(peer, session));
            self.next.push(Input::PeerDown { peer, session });
        }
    }

    fn read_log(&mut self, peer: NodeId, session: u64, from_lsn: u64, max_bytes: usize) {
        let store = self.store.clone();
        self.reads.spawn_blocking(move || {
            let read = store.read_log(from_lsn, READ_RECORDS_MAX, max_bytes);
            let items = read.unwrap_or_else(|error| {
                tracing::warn!(%error, from_lsn, "cannot read the log");
                Vec::new()
            });
            (peer, session, items)
        });
    }

    /// Gives the store all records that wait, if it is not at work for us.
    fn append(&mut self) {
        if self.appending || self.records.is_empty() {
            return;
        }
        self.appending = true;
        let records = std::mem::take(&mut self.records);
        let durable = self.durable.clone();
        let done: store::Done = Box::new(move |result| {
            durable.send_replace(match result {
                Ok(committed) => Durable::Upto(committed.last_lsn),
                Err(error) => Durable::Failed(error),
            });
        });
        self.store.submit(Op::Append(records), done);
    }
}
