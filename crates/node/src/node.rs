//! The node: every input is handled here, one after the other.
//!
//! **Invariants.**
//! - The identity's vector is replication's: what replication hands over applies.
//! - A transaction's bytes are made once, here, by its origin.
//! - A change that its peers would refuse (too long) is refused before it is applied.
//!
//! **Must not know:** which engine keeps the log, which transport carries frames.
//!
//! Start reading at [`Node::handle`].

use std::{collections::BTreeMap, sync::Arc};

use crdt::{Dot, Hlc, NodeId, VersionVector, Write};
use identity::{
    AccountInfo, Accounts, ConflictEvent, Ctx, Identity, KeyRing, NewAccessKey, Outcome,
};
use model::{AccountId, Author, Credential, Entropy, Timestamp, UniqueId};
use replication::{
    Digest, Frame, Item, Member, MemberState, Replication, Roster, Stability, WaitRequest,
};
use wire::{
    transaction::{self, Meta, TRANSACTION_BYTES_MAX, Transaction, WRITES_MAX},
    v1,
};

use crate::{
    Answer, Effect, Execute, Fence, Input, Refusal, WriterAddress,
    control::{ControlState, NodeState, Role},
    frame,
    repair::Answering,
    snapshot::Frozen,
    token::{TokenError, Tokens},
};

/// One node of a cluster.
pub struct Node {
    pub(crate) me: NodeId,
    cluster_id: String,
    pub(crate) role: Role,
    pub(crate) identity: Identity,
    pub(crate) replication: Replication<Transaction>,
    pub(crate) control: ControlState,
    keys: KeyRing,
    accounts: Accounts,
    tokens: Tokens,
    pub(crate) hlc: Hlc,
    /// The digest of a state that is not durable yet, with the lsn that it waits for.
    pub(crate) probe: Option<(u64, Digest)>,
    /// Parts of the state for peers.
    pub(crate) answers: Vec<Answering>,
    /// The state that is being copied.
    pub(crate) frozen: Option<Frozen>,
    pub(crate) freezes: u64,
    /// The peers' snapshots that the log tells to have been joined, by lsn.
    pub(crate) joins: Vec<(u64, [u8; 32])>,
    /// What the last digest was taken of: what was applied, and by which barrier it was collected.
    pub(crate) noted: (VersionVector, u64),
    /// How many slots were taken on from peers.
    pub(crate) mended_slots: u64,
    /// What was applied when slots were last taken on: whom the wrong state took for doubtful is
    /// not known until that is settled.
    pub(crate) tainted: Option<VersionVector>,
    fence: Option<Fence>,
    /// What has not been told yet.
    pub(crate) conflicts: Vec<ConflictEvent>,
    pub(crate) first_input: Option<Timestamp>,
}

impl Node {
    /// A node with an empty log that knows nobody.
    pub fn new(me: NodeId, cluster_id: String, role: Role) -> Self {
        Self {
            me,
            replication: Replication::new(me, cluster_id.clone()),
            cluster_id,
            role,
            identity: Identity::default(),
            control: ControlState::default(),
            keys: KeyRing::default(),
            accounts: Accounts::default(),
            tokens: Tokens::default(),
            hlc: Hlc::default(),
            probe: None,
            answers: Vec::new(),
            frozen: None,
            freezes: 0,
            joins: Vec::new(),
            noted: (VersionVector::new(), 0),
            mended_slots: 0,
            tainted: None,
            fence: None,
            conflicts: Vec::new(),
            first_input: None,
        }
    }

    /// Handles one input. The effects are to be carried out in their order.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        let mut effects = self.effects(now, input);
        if let Some(news) = self.identity.collect(self.control.barrier()) {
            self.conflicts.extend(news);
            self.tainted.take_if(|tainted| self.identity.is_settled(tainted));
            let digest = self.probe_digest();
            effects.extend(self.perform(now, digest));
        }
        if !self.conflicts.is_empty() {
            let events = std::mem::take(&mut self.conflicts);
            effects.push(Effect::Conflicts { events });
        }
        effects
    }

    fn effects(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        self.first_input.get_or_insert(now);
        let now_ms = now.ms();
        let mut joined = None;
        let effects = match input {
            Input::Execute(execute) => return self.execute(now, *execute),
            Input::RootKey { ticket, account, entropy, request_id } => {
                return self.root_key(now, ticket, account, &entropy, request_id);
            }
            Input::PeerFrame { peer, session, frame } => self.peer_frame(now, peer, session, frame),
            Input::Control { state, data_keys } => {
                return self.control_state(now, &state, data_keys);
            }
            Input::Persisted { lsn } => self.replication.persisted(now_ms, lsn),
            Input::PeerUp { peer, session } => self.replication.peer_up(now_ms, peer, session),
            Input::PeerDown { peer, session } => self.peer_down(now_ms, peer, session),
            Input::LogRead { peer, session, items } => {
                self.replication.log_read(now_ms, peer, session, items)
            }
            Input::Wait { ticket, token, scope, stage, deadline } => {
                let request = WaitRequest { token, scope, stage, deadline_ms: deadline.ms() };
                self.replication.wait(now_ms, ticket, request)
            }
            Input::CancelWait { ticket } => {
                self.replication.cancel_wait(ticket);
                Vec::new()
            }
            Input::Removed { by } => {
                let believed = self.control.present().any(|entry| entry.node == by);
                return if believed { self.fence(Fence::Removed) } else { Vec::new() };
            }
            Input::Snapshots { newest, in_all, first_lsn, log_bytes_max } => {
                return self.snapshots(now, newest, in_all, first_lsn, log_bytes_max);
            }
            Input::SnapshotRead { peer, session, piece } => {
                self.replication.snapshot_read(now_ms, peer, session, piece)
            }
            Input::SnapshotWritten { hash, upto } => {
                self.replication.snapshot_written(now_ms, hash, upto)
            }
            Input::SnapshotFailed { hash, why } => {
                self.replication.snapshot_failed(now_ms, hash, &why)
            }
            Input::SnapshotFinished { hash, identity } => {
                let (persist, effects) = self.join(now, hash, *identity);
                joined = persist;
                effects
            }
            Input::Freeze => {
                self.freeze();
                Vec::new()
            }
            Input::Copied { upto } => {
                self.identity.copied(&upto);
                Vec::new()
            }
            Input::Thaw => {
                self.thaw();
                Vec::new()
            }
            Input::Tick => self.replication.tick(now_ms),
        };
        let mut out: Vec<_> = joined.into_iter().collect();
        out.extend(self.perform(now, effects));
        let digest = self.probe_digest();
        out.extend(self.perform(now, digest));
        out.extend(self.durable_answers());
        if self.replication.is_cut_off() {
            out.extend(self.fence(Fence::CutOff));
        }
        out
    }

    /// Nothing takes a fence away again; the first reason counts.
    fn fence(&mut self, fence: Fence) -> Vec<Effect> {
        if self.fence.is_some() {
            return Vec::new();
        }
        self.fence = Some(fence);
        vec![Effect::Fence { fence }]
    }

    /// Whether this node must never write or answer again, and why.
    pub fn fenced(&self) -> Option<Fence> {
        self.fence
    }

    /// Whether this node may answer: it has joined, caught up, is not fenced, and its state is
    /// not being mended.
    pub fn serves(&self) -> bool {
        let own = self.control.node(self.me);
        self.fence.is_none()
            && !self.is_mending()
            && own.is_some_and(|own| own.state == NodeState::Active)
    }

    fn execute(&mut self, now: Timestamp, execute: Execute) -> Vec<Effect> {
        let Execute { ticket, caller, request, entropy, request_id, command } = execute;
        let refused = |refusal| vec![Effect::Reply { ticket, result: Err(refusal) }];
        if let Err(refusal) = self.may_write() {
            return refused(refusal);
        }
        let ctx = Ctx {
            now,
            entropy: &entropy,
            caller: &caller,
            request: &request,
            keys: &self.keys,
            accounts: &self.accounts,
        };
        let outcome = match identity::execute(&self.identity, &ctx, &command) {
            Ok(outcome) => outcome,
            Err(error) => return refused(Refusal::Identity(error)),
        };
        match outcome {
            Outcome::Control { change, reply } => vec![Effect::Control { ticket, change, reply }],
            Outcome::Write { writes, reply } => {
                let action = command.action();
                match self.commit(now, caller.author(), request_id, action, writes) {
                    Ok(persist) => {
                        let result = Ok(self.answer(reply, persist.is_some()));
                        persist.into_iter().chain([Effect::Reply { ticket, result }]).collect()
                    }
                    Err(refusal) => refused(refusal),
                }
            }
        }
    }

    fn root_key(
        &mut self,
        now: Timestamp,
        ticket: u64,
        account: AccountId,
        entropy: &Entropy,
        request_id: String,
    ) -> Vec<Effect> {
        match self.write_root_key(now, account, entropy, request_id) {
            Ok((persist, key)) => {
                let result = Ok(self.answer(key, persist.is_some()));
                persist.into_iter().chain([Effect::RootKeyReply { ticket, result }]).collect()
            }
            Err(refusal) => vec![Effect::RootKeyReply { ticket, result: Err(refusal) }],
        }
    }

    fn write_root_key(
        &mut self,
        now: Timestamp,
        account: AccountId,
        entropy: &Entropy,
        request_id: String,
    ) -> Result<(Option<Effect>, NewAccessKey), Refusal> {
        self.may_write()?;
        if !self.accounts.0.contains_key(&account) {
            return Err(Refusal::NoAccount(account));
        }
        if !identity::is_untouched(&self.identity, account) {
            return Err(Refusal::AccountInUse(account));
        }
        let (writes, key) = identity::first_root_key(account, entropy, &self.keys, now)
            .map_err(Refusal::Identity)?;
        let principal = UniqueId::root(account);
        let author = Author { principal, credential: Credential::Node(self.me.0) };
        Ok((self.commit(now, author, request_id, "CreateAccount", writes)?, key))
    }

    /// Whether this node may make transactions.
    pub(crate) fn may_write(&self) -> Result<(), Refusal> {
        if self.role == Role::Replica {
            return Err(Refusal::NotAWriter { writer: self.some_writer() });
        }
        if let Some(fence) = self.fence {
            return Err(fence.into());
        }
        let entry = self.control.node(self.me).ok_or(Refusal::NotReady)?;
        // INVARIANT: what it makes depends on all that is stable (crdt::Barrier). Who was admitted
        // after that was agreed on may not have it yet.
        let behind = !crdt::dominates(self.vector(), &self.control.barrier().stable);
        if behind || self.is_mending() {
            return Err(Refusal::NotReady);
        }
        match (entry.state, entry.role) {
            (NodeState::Active, Role::Writer) => Ok(()),
            (NodeState::Active, Role::Replica) => {
                Err(Refusal::NotAWriter { writer: self.some_writer() })
            }
            (NodeState::Joining, _) => Err(Refusal::NotReady),
            (NodeState::Removed, _) => Err(Refusal::Removed),
        }
    }

    /// A writer to send clients to: connected before not, of this region before another.
    fn some_writer(&self) -> Option<WriterAddress> {
        let region = self.control.node(self.me).map(|entry| entry.region.as_str());
        let best = self.control.writers().max_by_key(|entry| {
            let connected = self.replication.peer_status(entry.node).connected;
            let near = Some(entry.region.as_str()) == region;
            (connected, near, std::cmp::Reverse(entry.node))
        })?;
        Some(WriterAddress {
            node: best.node,
            grpc_address: best.grpc_address.clone(),
            aws_address: best.aws_address.clone(),
        })
    }

    /// Makes a transaction of writes and applies it; nothing to write is no transaction.
    fn commit(
        &mut self,
        now: Timestamp,
        author: Author,
        request_id: String,
        action: &str,
        writes: Vec<Write>,
    ) -> Result<Option<Effect>, Refusal> {
        if writes.is_empty() {
            return Ok(None);
        }
        if writes.len() > WRITES_MAX {
            return Err(Refusal::TooLarge);
        }
        let hlc = self.hlc.tick(now.ms());
        let meta = Arc::new(Meta { hlc, author, request_id, action: action.to_owned() });
        let deps = self.vector().clone();
        let transaction = Transaction { dot: deps.inc(self.me), deps, meta, writes };
        let bytes = transaction::encode(&transaction);
        if bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        self.hlc = hlc;
        let applied = self.identity.apply(&transaction);
        let news = applied.expect("a transaction made from a state applies to that state");
        self.conflicts.extend(news);
        let Transaction { dot, deps, .. } = &transaction;
        let lsn = self.replication.append(*dot, deps, Arc::clone(&bytes));
        Ok(Some(Effect::Persist { lsn, bytes }))
    }

    fn answer<T>(&self, reply: T, wrote: bool) -> Answer<T> {
        let applied = self.applied_lsn();
        let lsn = if applied <= self.durable_lsn() { 0 } else { applied };
        let vector = self.vector();
        let write = Dot::new(self.me, vector.get(&self.me));
        let token = if wrote { self.tokens.seal_write(write, vector) } else { None };
        Answer { reply, token: token.unwrap_or_else(|| self.token()), lsn }
    }

    fn peer_frame(
        &mut self,
        now: Timestamp,
        peer: NodeId,
        session: u64,
        frame: v1::Frame,
    ) -> Vec<replication::Effect<Transaction>> {
        match frame::from_message(frame) {
            Ok(Some(frame)) => {
                if let Frame::Heartbeat(heartbeat) = &frame {
                    self.hlc = self.hlc.observe(Hlc::from_bits(heartbeat.hlc), now.ms());
                }
                self.replication.set_hlc(self.hlc.to_bits());
                self.replication.frame(now.ms(), peer, session, frame)
            }
            Ok(None) => Vec::new(),
            Err(error) => self.replication.refuse(now.ms(), peer, session, &error.to_string()),
        }
    }

    fn control_state(
        &mut self,
        now: Timestamp,
        message: &v1::ControlState,
        data_keys: Vec<(u32, [u8; 32])>,
    ) -> Vec<Effect> {
        let control = match ControlState::from_message(message) {
            Ok(control) => control,
            Err(error) => return vec![Effect::Alarm { what: error.to_string() }],
        };
        if control.cluster_id() != self.cluster_id {
            let what = "the control plane's state is of another cluster".to_owned();
            return vec![Effect::Alarm { what }];
        }
        let newest = (control.epoch(), control.barrier().number);
        if newest < (self.control.epoch(), self.control.barrier().number) {
            return Vec::new();
        }
        let ring = control.key_ring();
        self.keys = KeyRing::new(data_keys, ring.current);
        self.tokens = Tokens::new(&self.cluster_id, &ring.token_mac_key);
        let accounts = control.accounts().iter().map(|(id, account)| {
            let alias = account.alias.clone();
            (*id, AccountInfo { created: account.created, alias })
        });
        self.accounts = Accounts(accounts.collect());
        let roster = roster(&control);
        self.conflicts.extend(self.identity.set_names(Arc::clone(control.names())));
        self.control = control;
        let mut effects = self.replication.set_roster(now.ms(), roster);
        effects.extend(self.replication.set_stable(now.ms(), &self.control.barrier().stable));
        let mut out = self.perform(now, effects);
        let own = self.control.node(self.me);
        if own.is_some_and(|own| own.state == NodeState::Removed) {
            out.extend(self.fence(Fence::Removed));
        }
        out
    }

    pub(crate) fn perform(
        &mut self,
        now: Timestamp,
        effects: Vec<replication::Effect<Transaction>>,
    ) -> Vec<Effect> {
        use replication::Effect as R;
        let mut out = Vec::with_capacity(effects.len());
        for effect in effects {
            let effect = match effect {
                R::Apply { lsn, item: Item { bytes, payload, .. } } => {
                    self.hlc = self.hlc.observe(payload.meta.hlc, now.ms());
                    match self.identity.apply(&payload) {
                        Ok(news) => self.conflicts.extend(news),
                        // Only if the two vectors had come apart, which nothing from outside can
                        // do.
                        Err(error) => out.push(Effect::Alarm { what: error.to_string() }),
                    }
                    Effect::Persist { lsn, bytes }
                }
                R::Send { peer, session, frame } => {
                    Effect::Send { peer, session, frame: frame::to_message(frame) }
                }
                R::ReadLog { peer, session, from_lsn, max_bytes } => {
                    Effect::ReadLog { peer, session, from_lsn, max_bytes }
                }
                R::ReadSnapshot { peer, session, hash, offset, length } => {
                    Effect::ReadSnapshot { peer, session, hash, offset, length }
                }
                R::WriteSnapshot { snapshot, offset, bytes } => {
                    Effect::WriteSnapshot { snapshot, offset, bytes }
                }
                R::FinishSnapshot { snapshot } => Effect::FinishSnapshot { snapshot },
                R::Compare { peer, session, after } => self.compare(peer, session, after),
                R::Answer { peer, session, compare } => {
                    out.extend(self.answer_comparison(now, peer, session, compare));
                    continue;
                }
                R::Mend { peer, after, part } => {
                    out.extend(self.mend(now, peer, after.as_deref(), part));
                    continue;
                }
                R::CloseStream { peer, session, why } => Effect::CloseStream { peer, session, why },
                R::WaitProgress { ticket, nodes } => Effect::WaitProgress { ticket, nodes },
                R::WaitOutcome { ticket, outcome } => Effect::WaitOutcome { ticket, outcome },
                R::Alarm { what } => Effect::Alarm { what },
            };
            out.push(effect);
        }
        self.replication.set_hlc(self.hlc.to_bits());
        out
    }

    /// The identity store as it is, durable or not.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The newest control state.
    pub fn control(&self) -> &ControlState {
        &self.control
    }

    /// The unsealed data keys; empty at a replica.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The control plane's accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.me
    }

    /// The token of the state as it is; who hands it out waits until [`Self::applied_lsn`] as read
    /// with it is durable. Empty before the cluster's keys are known, when there is nothing to read
    /// either.
    pub fn token(&self) -> String {
        self.tokens.seal(self.vector()).unwrap_or_default()
    }

    /// The cluster's tokens, for merging and comparing.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The write whose answer carried a token.
    ///
    /// # Errors
    /// When it is not a token of this cluster.
    pub fn write_of(&self, text: &str) -> Result<Option<Dot>, TokenError> {
        self.tokens.write_of(text)
    }

    /// What a client's token covers.
    ///
    /// # Errors
    /// When it is not a token of this cluster.
    pub fn open_token(&self, text: &str) -> Result<VersionVector, TokenError> {
        self.tokens.open(text)
    }

    /// The lsn of the last record, durable or not.
    pub fn applied_lsn(&self) -> u64 {
        self.replication.applied_lsn()
    }

    /// The lsn up to which records are durable.
    pub fn durable_lsn(&self) -> u64 {
        self.replication.durable_lsn()
    }

    /// What is durable.
    pub fn durable(&self) -> &VersionVector {
        self.replication.durable()
    }

    /// What is applied, durable or not.
    pub fn vector(&self) -> &VersionVector {
        self.replication.applied()
    }

    /// What the members are known to have, as a command for the control plane; `None` while a
    /// member has not told, or if nothing new is stable. For the leader to propose.
    pub fn barrier_to_propose(&self) -> Option<v1::AdvanceBarrier> {
        let Stability { epoch, stable, cut } = self.replication.stability()?;
        let known = &self.control.barrier().stable;
        let is_news = stable != *known && crdt::dominates(&stable, known);
        (is_news && epoch == self.control.epoch()).then(|| v1::AdvanceBarrier {
            epoch,
            stable: Some(transaction::encode_vector(&stable)),
            cut: Some(transaction::encode_vector(&cut)),
        })
    }

    /// How many transactions are applied here that are not agreed to be at every member.
    pub fn unstable(&self) -> u64 {
        crdt::lag(self.vector(), &self.control.barrier().stable)
    }

    /// How many transactions are kept that came before what they depend on, and their bytes.
    pub fn early_held(&self) -> (usize, usize) {
        self.replication.early_held()
    }

    /// When [`Input::Tick`] is next needed; `None` when nothing is pending.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.replication.next_wakeup_ms().map(Timestamp::from_ms)
    }
}

fn roster(control: &ControlState) -> Roster {
    let members: BTreeMap<NodeId, Member> = control
        .roster()
        .values()
        .map(|entry| {
            let role = match entry.role {
                Role::Writer => replication::Role::Writer,
                Role::Replica => replication::Role::Replica,
            };
            let state = match entry.state {
                NodeState::Joining => MemberState::Joining,
                NodeState::Active => MemberState::Active,
                NodeState::Removed => MemberState::Removed,
            };
            (entry.node, Member { role, state, region: entry.region.clone() })
        })
        .collect();
    Roster { epoch: control.epoch(), members }
}
