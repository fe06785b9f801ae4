//! Repair of this node's state when it is outvoted: from whom it gets slots, part by part.
//!
//! **Invariants.** One part is asked for at a time, of a peer that is among those who agree; the
//! next once this one is taken on. A part is taken on once all that it has was applied here, and
//! not after its stream: what a peer loses in a crash must not come back as someone else's. Rounds
//! go on until digests agree, or a whole round finds nothing to differ: nodes that others write at
//! may never be seen at one moment.
//!
//! **Must not know:** what a slot is.

use std::sync::Arc;

use crate::{Compare, Effect, NodeId, Part, Replication};

/// How long a part is waited for, or what it has, or that it can be compared. A peer of an older
/// version never answers.
const ANSWER_MS_MAX: u64 = 10_000;
/// How long after a part that could not be compared it is asked for again.
const AGAIN_MS: u64 = 100;
/// How long after a round the next begins if it is still needed; twice as long after each.
const ROUND_MS: u64 = 500;
const ROUND_MS_MAX: u64 = 60_000;

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mended {
    /// Nothing was found to differ.
    Equal {
        /// It ends with this key, or was the last.
        upto: Option<Box<[u8]>>,
        /// Whether all of it could be compared.
        whole: bool,
    },
    /// Something was, and was taken on: the log has to tell so.
    Changed {
        /// It ends with this key, or was the last.
        upto: Option<Box<[u8]>>,
        /// The record.
        record: Arc<[u8]>,
    },
    /// It could not be compared yet.
    Again,
    /// It is no part of a state.
    Malformed,
}

#[derive(Debug, Default)]
pub(crate) struct Repair {
    round: Option<Round>,
    /// Whom the last round asked, so that the next asks another.
    last: Option<NodeId>,
    /// When the next round may begin.
    next_ms: u64,
    /// How many rounds there were since this node was outvoted.
    rounds: u32,
    /// The lsn of the last record that says that something was taken on.
    pub(crate) changed_lsn: u64,
}

#[derive(Debug)]
struct Round {
    peer: NodeId,
    session: u64,
    after: Option<Box<[u8]>>,
    /// Since when this place is asked for again.
    since_ms: Option<u64>,
    /// Whether everything was compared and nothing differed, so far.
    sound: bool,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// To ask, from then on.
    Ask { from_ms: u64 },
    /// Asked.
    Asked { until_ms: u64 },
    /// To be taken on once all that it has was applied, if that is soon.
    Held { part: Part, until_ms: u64 },
    /// Handed over.
    Taken,
}

impl<P> Replication<P> {
    /// Goes on with a repair, or begins one, if that is due.
    pub(crate) fn repair_on(&mut self) {
        if !self.is_outvoted() {
            let changed_lsn = self.repair.changed_lsn;
            self.repair = Repair { changed_lsn, ..Repair::default() };
            return;
        }
        let now_ms = self.now_ms;
        let is_there = |round: &Round| {
            let session = self.streams.get(&round.peer).map(|stream| stream.session);
            let (Step::Asked { until_ms } | Step::Held { until_ms, .. }) = round.step else {
                return session == Some(round.session);
            };
            session == Some(round.session) && now_ms < until_ms
        };
        if self.repair.round.as_ref().is_some_and(|round| !is_there(round)) {
            self.end_round();
        }
        if self.repair.round.is_none() {
            self.begin_round();
        }
        let Some(round) = &mut self.repair.round else { return };
        let (peer, session) = (round.peer, round.session);
        match std::mem::replace(&mut round.step, Step::Taken) {
            Step::Ask { from_ms } if from_ms <= now_ms => {
                round.step = Step::Asked { until_ms: now_ms.saturating_add(ANSWER_MS_MAX) };
                let after = round.after.clone();
                self.out.push(Effect::Compare { peer, session, after });
            }
            Step::Held { part, .. } if crdt::dominates(self.log.applied(), &part.at) => {
                let after = round.after.clone();
                self.out.push(Effect::Mend { peer, after, part });
            }
            step @ (Step::Ask { .. } | Step::Asked { .. } | Step::Held { .. } | Step::Taken) => {
                round.step = step;
            }
        }
    }

    fn begin_round(&mut self) {
        if self.now_ms < self.repair.next_ms {
            return;
        }
        let voters = self.digests.outvoted_by().iter().copied();
        let open: Vec<_> = voters.filter(|peer| self.is_open(*peer)).collect();
        let next = open.iter().find(|peer| Some(**peer) > self.repair.last);
        let Some(peer) = next.or(open.first()).copied() else { return };
        let Some(session) = self.streams.get(&peer).map(|stream| stream.session) else { return };
        let step = Step::Ask { from_ms: self.now_ms };
        self.repair.last = Some(peer);
        self.repair.round =
            Some(Round { peer, session, after: None, since_ms: None, sound: true, step });
    }

    fn end_round(&mut self) {
        let Repair { round, next_ms, rounds, .. } = &mut self.repair;
        let pause = ROUND_MS.saturating_mul(1 << (*rounds).min(16)).min(ROUND_MS_MAX);
        *next_ms = self.now_ms.saturating_add(pause);
        *rounds = rounds.saturating_add(1);
        *round = None;
    }

    /// A peer asks in what it differs from this node.
    pub(crate) fn compare(&mut self, peer: NodeId, compare: Compare) {
        if let Some(stream) = self.streams.get(&peer) {
            self.out.push(Effect::Answer { peer, session: stream.session, compare });
        }
    }

    pub(crate) fn part(&mut self, peer: NodeId, part: Part) {
        if let Some(round) = &mut self.repair.round
            && round.peer == peer
            && let Step::Asked { .. } = round.step
        {
            let until_ms = self.now_ms.saturating_add(ANSWER_MS_MAX);
            round.step = Step::Held { part, until_ms };
            self.repair_on();
        }
    }

    /// The answer to [`Effect::Mend`]; under which lsn the log has to say so, if it has to.
    pub fn mended(&mut self, now_ms: u64, mended: Mended) -> (Option<u64>, Vec<Effect<P>>) {
        self.now_ms = now_ms;
        let mut lsn = None;
        match mended {
            Mended::Equal { upto, whole } => self.go_on(upto, whole),
            Mended::Changed { upto, record } => {
                let note = self.log.note(record);
                (lsn, self.repair.changed_lsn) = (Some(note), note);
                // Its digests were those of another state.
                self.digests.forget_own();
                self.go_on(upto, false);
            }
            Mended::Again => self.ask_again(),
            Mended::Malformed => {
                if let Some(peer) = self.repair.round.as_ref().map(|round| round.peer) {
                    self.end_round();
                    self.refuse_peer(peer, "it sends a part of a state that is none");
                }
            }
        }
        self.repair_on();
        (lsn, self.take())
    }

    /// A part is done with.
    fn go_on(&mut self, upto: Option<Box<[u8]>>, sound: bool) {
        let Some(round) = &mut self.repair.round else { return };
        round.sound &= sound;
        if upto.is_some() {
            (round.after, round.since_ms) = (upto, None);
            round.step = Step::Ask { from_ms: self.now_ms };
            return;
        }
        let sound = round.sound;
        self.end_round();
        if sound {
            self.digests.acquit();
        }
    }

    /// A part could not be compared: it is asked for again, for a while.
    fn ask_again(&mut self) {
        let Some(round) = &mut self.repair.round else { return };
        let since_ms = *round.since_ms.get_or_insert(self.now_ms);
        round.step = Step::Ask { from_ms: self.now_ms.saturating_add(AGAIN_MS) };
        if self.now_ms.saturating_sub(since_ms) >= ANSWER_MS_MAX {
            self.end_round();
        }
    }

    /// A record of the log at start-up that says that slots were taken on; in order, before
    /// [`Self::started`].
    pub fn replay_mend(&mut self, bytes: Arc<[u8]>) {
        self.log.replay_note(bytes);
        self.repair.changed_lsn = self.log.applied_lsn();
    }

    /// The lsn of the last record that says that slots were taken on, 0 for none. A snapshot from
    /// before it may hold what was wrong: it is not offered to others.
    pub fn mended_lsn(&self) -> u64 {
        self.repair.changed_lsn
    }
}
