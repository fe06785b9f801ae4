//! Batches: what is applied, kept for later, ignored, or refused.
//!
//! **Invariants.** A batch is judged whole before any of it is applied; of a refused one nothing
//! is. Origins that are not in a roster as new as the peer's are never believed.
//!
//! **Must not know:** what a payload is.

use crdt::{Dot, covers};

use crate::{Effect, Item, NodeId, Replication, early::Kept};

/// What to do with a transaction.
enum Judgement {
    /// It was applied before.
    Known,
    /// Apply or keep it.
    Take,
    /// Its origin is of a roster that this node has not seen yet.
    Ahead,
    Forged(&'static str),
}

impl<P> Replication<P> {
    pub(crate) fn batch(&mut self, peer: NodeId, items: Vec<Item<P>>) {
        let mut taken = Vec::with_capacity(items.len());
        let mut ahead = false;
        for item in items {
            match self.judge(peer, &item) {
                Judgement::Known => {}
                Judgement::Take => taken.push(item),
                Judgement::Ahead => ahead = true,
                Judgement::Forged(why) => {
                    self.cut_off |= item.dot.actor == self.me;
                    let Dot { actor, counter } = item.dot;
                    let why = format!("transaction {counter} of node {actor} {why}");
                    return self.refuse_peer(peer, &why);
                }
            }
        }
        let mut applied = false;
        for item in taken {
            applied |= self.take_in(peer, item);
        }
        if ahead && let Some(stream) = self.streams.get_mut(&peer) {
            stream.dropped = true;
        }
        if applied {
            self.after_applying();
        }
    }

    fn judge(&self, peer: NodeId, item: &Item<P>) -> Judgement {
        let Item { dot, deps, bytes, .. } = item;
        let epoch = self.streams.get(&peer).and_then(|stream| stream.epoch).unwrap_or_default();
        let behind = epoch > self.roster.epoch;
        if covers(self.log.applied(), dot) {
            return Judgement::Known;
        }
        if dot.actor == self.me || deps.get(&self.me) > self.log.applied().get(&self.me) {
            return Judgement::Forged(
                "tells of transactions of this node that it does not have: either its log was cut \
                 off, and it must join as a new node, or the peer lies",
            );
        }
        if deps.get(&dot.actor).checked_add(1) != Some(dot.counter) {
            return Judgement::Forged("does not depend on its predecessor");
        }
        let mut origins = deps.iter().map(|dep| *dep.actor).chain([dot.actor]);
        if !origins.all(|origin| self.roster.is_origin(origin)) {
            return if behind {
                Judgement::Ahead
            } else {
                Judgement::Forged("tells of a node that is no writer of this cluster")
            };
        }
        if self.early.get(dot).is_some_and(|known| known.bytes != *bytes) {
            return Judgement::Forged("comes in two versions");
        }
        Judgement::Take
    }

    /// Applies a transaction or keeps it for later; whether any was applied.
    fn take_in(&mut self, peer: NodeId, item: Item<P>) -> bool {
        if covers(self.log.applied(), &item.dot) {
            return false;
        }
        if self.log.admits(&item.dot, &item.deps) {
            self.deliver(item);
            self.deliver_early();
            return true;
        }
        match self.early.keep(item) {
            Kept::Held | Kept::Conflict => {}
            Kept::Dropped => {
                if let Some(stream) = self.streams.get_mut(&peer) {
                    stream.dropped = true;
                }
            }
        }
        false
    }

    pub(crate) fn deliver_early(&mut self) {
        while let Some(item) = self.early.take_admitted(&self.log) {
            self.deliver(item);
        }
    }

    fn deliver(&mut self, item: Item<P>) {
        let lsn = self.log.append(item.dot, item.bytes.clone());
        self.out.push(Effect::Apply { lsn, item });
    }

    fn after_applying(&mut self) {
        if self.early.has_room() {
            let dropped = self.streams.iter().filter(|(_, stream)| stream.dropped);
            for peer in dropped.map(|(peer, _)| *peer).collect::<Vec<_>>() {
                self.resubscribe(peer);
            }
        }
        self.own_progress_changed();
        self.check_waits();
    }
}
