//! Digests and repair: what this node tells of its state, its part in finding where two states
//! differ, and what it does about its own.
//!
//! **Invariants.** What a peer gets is durable here. What is taken on from a peer stands in the log
//! at its place, and is told by name of the slots, without their values: someone must look why.
//!
//! **Must not know:** who is right.

use std::sync::Arc;

use crdt::{Differences, Part, PartError, PartLimits, sums_from_bytes};
use model::{Key, Timestamp};
use replication::{Compare, Digest, Mended, NodeId};
use wire::{
    repair::{encode_mend, part_message, part_of},
    transaction::{Meta, Transaction},
    v1,
};

use crate::{Effect, Node};

/// How much of its state a node looks at for one answer: no reader waits longer for it than for a
/// piece of a snapshot.
const LIMITS: PartLimits = PartLimits { slots: 2048, bytes: 256 << 10 };
/// Bytes of the record of one part: what a peer of this version sends is far below.
const RECORD_BYTES_MAX: usize = 8 << 20;
/// Slots that an alarm names.
const NAMED_MAX: usize = 8;

/// A part of the state for a peer; at most one each.
pub(crate) struct Answering {
    peer: NodeId,
    session: u64,
    /// What it waits for to be durable.
    lsn: u64,
    part: v1::Part,
}

/// What was taken on.
struct Taken {
    keys: Vec<Box<[u8]>>,
    /// What the log says of it.
    record: Arc<[u8]>,
}

impl Node {
    /// Takes the state's digest, if none is under way, and makes it known once that state is
    /// durable: under a steady load no state is ever durable at the moment when it is the newest.
    pub(crate) fn probe_digest(&mut self) -> Vec<replication::Effect<Transaction>> {
        let state = self.identity.state();
        let is_news = (&self.noted.0, self.noted.1) != (state.vector(), state.collected());
        if self.probe.is_none() && is_news {
            let (at, collected) = (state.vector().clone(), state.collected());
            let digest = Digest { at, collected, total: state.digest().total() };
            self.noted = (digest.at.clone(), collected);
            self.probe = Some((self.applied_lsn(), digest));
        }
        let durable = self.durable_lsn();
        match self.probe.take_if(|(lsn, _)| *lsn <= durable) {
            Some((_, digest)) => self.replication.note_digest(digest),
            None => Vec::new(),
        }
    }

    pub(crate) fn compare(&self, peer: NodeId, session: u64, after: Option<Box<[u8]>>) -> Effect {
        let sums = self.identity.state().digest().to_bytes();
        let compare = v1::Compare { sums, after: after.map(Into::into) };
        let frame = v1::Frame { frame: Some(v1::frame::Frame::Compare(compare)) };
        Effect::Send { peer, session, frame }
    }

    pub(crate) fn answer_comparison(
        &mut self,
        now: Timestamp,
        peer: NodeId,
        session: u64,
        Compare { sums, after }: Compare,
    ) -> Vec<Effect> {
        let Some(sums) = sums_from_bytes(&sums) else {
            let refused = self.replication.refuse(
                now.ms(),
                peer,
                session,
                "a comparison whose `sums` are malformed",
            );
            return self.perform(now, refused);
        };
        // Who asks waits for the answer.
        if self.answers.iter().all(|answer| answer.peer != peer) {
            let part = self.identity.state().part(after.as_deref(), &sums, LIMITS);
            let (lsn, part) = (self.applied_lsn(), part_message(&part));
            self.answers.push(Answering { peer, session, lsn, part });
        }
        Vec::new()
    }

    /// A stream is gone, and with it what its peer asked for.
    pub(crate) fn peer_down(
        &mut self,
        now_ms: u64,
        peer: NodeId,
        session: u64,
    ) -> Vec<replication::Effect<Transaction>> {
        self.answers.retain(|answer| answer.peer != peer);
        self.replication.peer_down(now_ms, peer, session)
    }

    /// The answers that hold nothing any more that a crash could take back.
    pub(crate) fn durable_answers(&mut self) -> Vec<Effect> {
        let durable = self.durable_lsn();
        let ready = self.answers.extract_if(.., |answer| answer.lsn <= durable);
        let send = |Answering { peer, session, part, .. }| {
            let frame = v1::Frame { frame: Some(v1::frame::Frame::Part(part)) };
            Effect::Send { peer, session, frame }
        };
        ready.map(send).collect()
    }

    pub(crate) fn mend(
        &mut self,
        now: Timestamp,
        peer: NodeId,
        after: Option<&[u8]>,
        replication::Part { at, bytes }: replication::Part,
    ) -> Vec<Effect> {
        let part = part_of(at, &bytes).filter(|part| {
            let goes_on = part.upto.as_deref().is_none_or(|upto| Some(upto) > after);
            part.after.as_deref() == after && goes_on
        });
        let (mended, taken) = self.mended_with(part);
        let mut out = Vec::new();
        if let Some(Taken { keys, .. }) = &taken {
            out.push(Effect::Alarm { what: located(peer, keys) });
        }
        let (lsn, effects) = self.replication.mended(now.ms(), mended);
        let persist =
            lsn.zip(taken).map(|(lsn, taken)| Effect::Persist { lsn, bytes: taken.record });
        out.extend(persist);
        out.extend(self.perform(now, effects));
        out
    }

    /// Takes on what differs; which slots, and the record that says so.
    fn mended_with(&mut self, part: Option<Part<Meta>>) -> (Mended, Option<Taken>) {
        let Some(mut part) = part else { return (Mended::Malformed, None) };
        match self.identity.state().differences(&part) {
            Err(PartError::Ahead | PartError::Collected) => (Mended::Again, None),
            Err(PartError::Malformed) => (Mended::Malformed, None),
            Ok(Differences { slots, skipped }) if slots.is_empty() => {
                (Mended::Equal { upto: part.upto, whole: skipped == 0 }, None)
            }
            Ok(Differences { slots, skipped: _ }) => {
                part.slots = slots;
                let record = encode_mend(&part);
                if record.len() > RECORD_BYTES_MAX {
                    return (Mended::Malformed, None);
                }
                let Part { at, upto, slots, .. } = part;
                let keys: Vec<_> = slots.iter().map(|(key, _)| key.clone()).collect();
                self.mended_slots = self.mended_slots.saturating_add(keys.len() as u64);
                self.conflicts.extend(self.identity.mend(&at, slots));
                self.taint();
                // The digest that was taken is that of another state.
                (self.probe, self.noted) = (None, Default::default());
                (
                    Mended::Changed { upto, record: Arc::clone(&record) },
                    Some(Taken { keys, record }),
                )
            }
        }
    }

    /// Slots were taken on.
    pub(crate) fn taint(&mut self) {
        let applied = self.identity.state().vector();
        self.tainted = (!self.identity.is_settled(applied)).then(|| applied.clone());
    }

    /// Whether most members are known to hold another state than this node, or did until lately.
    /// Such a node answers nobody, makes no transaction, and takes no snapshot.
    pub fn is_mending(&self) -> bool {
        self.replication.is_outvoted() || self.tainted.is_some()
    }

    /// How many slots were taken on from peers since this node started.
    pub fn mended_slots(&self) -> u64 {
        self.mended_slots
    }
}

/// What an alarm says of slots that were found to differ: which they are, and not what they hold.
fn located(peer: NodeId, keys: &[Box<[u8]>]) -> String {
    let mut what = format!("divergence: {} slots now hold what node {peer} has:", keys.len());
    for key in keys.iter().take(NAMED_MAX) {
        what.push(' ');
        match Key::from_bytes(key) {
            Ok(Key { account, id, field }) => {
                what.push_str(&format!("{account}/{id} field {} {:?}", field.tag, field.qualifier));
            }
            Err(_) => what.push_str("malformed"),
        }
    }
    what
}
