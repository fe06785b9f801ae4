//! Snapshots on a stream: for who lacks what the log does not hold any more.
//!
//! A sender that cannot serve a subscription from its log offers its newest snapshot. The receiver
//! fetches it piece by piece from one peer at a time, and joins it to its state once it has all of
//! it on its disk; then it subscribes anew, and the log's tail follows.
//!
//! **Invariants.** What was fetched is kept, so that a restart of either side goes on where it was;
//! if the snapshot is gone meanwhile, another one begins. What is asked for and not written is
//! bounded, at either side. A snapshot that tells of more of this node's transactions than this
//! node has is refused.
//!
//! **Must not know:** what a snapshot holds, besides its version vector.

use std::collections::BTreeMap;

use crdt::{VersionVector, dominates};

use crate::{Effect, Fetch, Frame, NodeId, Piece, Replication, Snapshot};

/// Bytes that are asked for at a time.
pub const FETCH_BYTES: u64 = 256 << 10;
/// Pieces that are asked for and not written, at most.
pub const FETCHES_AHEAD_MAX: u64 = 8;
/// Pieces that a peer may ask for before it got any of them.
pub const FETCHES_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Bootstrap {
    fetch_bytes: u64,
    /// The newest snapshot here, and up to which lsn it has the log's effect.
    own: Option<(Snapshot, u64)>,
    /// What peers offer, whose streams are open.
    offers: BTreeMap<NodeId, Snapshot>,
    /// What is on this node's disk of a snapshot, and how much.
    partial: Option<(Snapshot, u64)>,
    fetching: Option<Fetching>,
}

impl Default for Bootstrap {
    fn default() -> Self {
        let offers = BTreeMap::new();
        Self { fetch_bytes: FETCH_BYTES, own: None, offers, partial: None, fetching: None }
    }
}

#[derive(Debug)]
struct Fetching {
    peer: NodeId,
    snapshot: Snapshot,
    asked: u64,
    received: u64,
    written: u64,
    /// All of it is written, and is being read.
    finishing: bool,
}

impl<P> Replication<P> {
    /// The newest snapshot of this node, which has the effect of its log up to `lsn`.
    pub fn set_snapshot(&mut self, now_ms: u64, snapshot: Snapshot, lsn: u64) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        self.bootstrap.own = Some((snapshot, lsn));
        self.pump_all();
        self.take()
    }

    /// Asks for less than [`FETCH_BYTES`] at a time.
    pub fn set_fetch_bytes(&mut self, bytes: u64) {
        self.bootstrap.fetch_bytes = bytes.clamp(1, FETCH_BYTES);
    }

    /// At start-up: so much of a peer's snapshot is on this node's disk.
    pub fn set_partial(&mut self, snapshot: Snapshot, written: u64) {
        self.bootstrap.partial = Some((snapshot, written.min(snapshot.bytes)));
    }

    /// The snapshots of which anything on the disk is still needed, besides those that were joined.
    pub fn fetched(&self) -> impl Iterator<Item = Snapshot> {
        let Bootstrap { partial, fetching, .. } = &self.bootstrap;
        let partial = partial.iter().map(|(snapshot, _)| *snapshot);
        partial.chain(fetching.iter().map(|fetching| fetching.snapshot))
    }

    /// How much of a peer's snapshot is here, and how much there is, while one is fetched.
    pub fn fetch_progress(&self) -> Option<(u64, u64)> {
        let fetching = self.bootstrap.fetching.as_ref()?;
        Some((fetching.written, fetching.snapshot.bytes))
    }

    /// What can be offered to a peer who lacks what the log does not hold.
    pub(crate) fn offer(&self) -> Option<Snapshot> {
        let (snapshot, lsn) = self.bootstrap.own?;
        let behind = lsn < self.log.base_lsn().max(self.repair.changed_lsn);
        (!behind && !self.is_outvoted()).then_some(snapshot)
    }

    pub(crate) fn offered(&mut self, peer: NodeId, snapshot: Snapshot) {
        self.bootstrap.offers.insert(peer, snapshot);
        self.fetch_on();
    }

    /// Begins to fetch, or goes on.
    pub(crate) fn fetch_on(&mut self) {
        let Bootstrap { fetch_bytes, own: _, offers, partial, fetching } = &mut self.bootstrap;
        let fetch_bytes = *fetch_bytes;
        if fetching.is_none() {
            let begun = partial.map(|(snapshot, _)| snapshot);
            let best = offers.iter().find(|(_, offer)| Some(**offer) == begun);
            let Some((peer, offer)) = best.or_else(|| offers.first_key_value()) else { return };
            let (snapshot, written) = partial.unwrap_or((*offer, 0));
            let (asked, received) = (written, written);
            let peer = *peer;
            *fetching =
                Some(Fetching { peer, snapshot, asked, received, written, finishing: false });
        }
        let Some(fetching) = fetching else { return };
        let Fetching { peer, snapshot, asked, received: _, written, finishing } = fetching;
        let (peer, mut frames) = (*peer, Vec::new());
        if *written >= snapshot.bytes {
            if !std::mem::replace(finishing, true) {
                self.out.push(Effect::FinishSnapshot { snapshot: *snapshot });
            }
            return;
        }
        while *asked < snapshot.bytes
            && asked.saturating_sub(*written) < FETCHES_AHEAD_MAX * fetch_bytes
        {
            let length = fetch_bytes.min(snapshot.bytes - *asked);
            frames.push(Fetch { hash: snapshot.hash, offset: *asked, length });
            *asked += length;
        }
        for fetch in frames {
            self.send(peer, Frame::Fetch(fetch));
        }
    }

    pub(crate) fn fetch(&mut self, peer: NodeId, fetch: Fetch) {
        let Some(stream) = self.streams.get_mut(&peer) else { return };
        let Fetch { hash, offset, length } = fetch;
        if stream.fetches >= FETCHES_MAX || length > FETCH_BYTES {
            return self.refuse_peer(peer, "it asks for more of a snapshot than is its due");
        }
        stream.fetches += 1;
        let session = stream.session;
        self.out.push(Effect::ReadSnapshot { peer, session, hash, offset, length });
    }

    /// The answer to [`Effect::ReadSnapshot`]; without bytes if the snapshot is not kept.
    pub fn snapshot_read(
        &mut self,
        now_ms: u64,
        peer: NodeId,
        session: u64,
        piece: Piece,
    ) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if let Some(stream) = self.streams.get_mut(&peer)
            && stream.session == session
        {
            stream.fetches = stream.fetches.saturating_sub(1);
            self.send(peer, Frame::Piece(piece));
        }
        self.take()
    }

    pub(crate) fn piece(&mut self, peer: NodeId, piece: Piece) {
        let Piece { hash, offset, bytes } = piece;
        let Some(fetching) = &mut self.bootstrap.fetching else { return };
        let Fetching { snapshot, received, .. } = fetching;
        // What was asked for before this stream, or before another snapshot, is not waited for.
        if fetching.peer != peer || snapshot.hash != hash || offset != *received {
            return;
        }
        if bytes.is_empty() {
            return self.snapshot_is_gone(peer, hash);
        }
        let due = self.bootstrap.fetch_bytes.min(snapshot.bytes.saturating_sub(offset));
        if bytes.len() as u64 != due {
            return self
                .refuse_peer(peer, "it sends less or more of a snapshot than was asked for");
        }
        *received += due;
        let snapshot = *snapshot;
        self.out.push(Effect::WriteSnapshot { snapshot, offset, bytes });
    }

    /// The peer does not have what was begun any more: what it offers begins from the start.
    fn snapshot_is_gone(&mut self, peer: NodeId, hash: [u8; 32]) {
        let Bootstrap { offers, partial, fetching, .. } = &mut self.bootstrap;
        (*partial, *fetching) = (None, None);
        if offers.get(&peer).is_some_and(|offer| offer.hash == hash) {
            offers.remove(&peer);
        }
        self.fetch_on();
    }

    /// The answer to [`Effect::WriteSnapshot`]: everything before `upto` is written.
    pub fn snapshot_written(&mut self, now_ms: u64, hash: [u8; 32], upto: u64) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if let Some(fetching) = &mut self.bootstrap.fetching
            && fetching.snapshot.hash == hash
        {
            for mark in [&mut fetching.written, &mut fetching.received, &mut fetching.asked] {
                *mark = upto.max(*mark);
            }
            self.bootstrap.partial = Some((fetching.snapshot, fetching.written));
            self.fetch_on();
        }
        self.take()
    }

    /// A snapshot could not be written, or turned out to be none.
    pub fn snapshot_failed(&mut self, now_ms: u64, hash: [u8; 32], why: &str) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if let Some(fetching) = self.bootstrap.fetching.take_if(|f| f.snapshot.hash == hash) {
            self.bootstrap.partial = None;
            self.close(fetching.peer, why);
        }
        self.take()
    }

    /// Takes up everything that a fetched snapshot covers, if that is news and can be believed;
    /// under which lsn the log says so. The state joins the snapshot's at once;
    /// [`Self::after_join`] follows.
    pub fn join(&mut self, now_ms: u64, hash: [u8; 32], vector: &VersionVector) -> Option<u64> {
        self.now_ms = now_ms;
        let fetching = self.bootstrap.fetching.take_if(|f| f.snapshot.hash == hash)?;
        self.bootstrap.partial = None;
        self.bootstrap.offers.clear();
        let peer = fetching.peer;
        if vector.get(&self.me) > self.log.applied().get(&self.me) {
            self.cut_off = true;
            self.refuse_peer(peer, "its snapshot has transactions of this node that it lacks");
            return None;
        }
        if !vector.iter().all(|dot| self.roster.is_origin(*dot.actor)) {
            // Of a roster that this node has not seen yet, or forged.
            self.close(peer, "its snapshot tells of nodes that are no writers of this cluster");
            return None;
        }
        if dominates(self.log.applied(), vector) {
            return None;
        }
        Some(self.log.join(vector))
    }

    /// The state has what a snapshot brought, or there was nothing new in it.
    pub fn after_join(&mut self, now_ms: u64) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        self.deliver_early();
        for peer in self.streams.keys().copied().collect::<Vec<_>>() {
            self.resubscribe(peer);
        }
        self.pump_all();
        self.own_progress_changed();
        self.check_waits();
        self.take()
    }

    /// A stream is gone, and with it what its peer offered.
    pub(crate) fn stop_fetching_from(&mut self, peer: NodeId) {
        self.bootstrap.offers.remove(&peer);
        self.bootstrap.fetching.take_if(|fetching| fetching.peer == peer && !fetching.finishing);
    }

    /// Lets go of the log's records up to `upto`, as far as all members have them on their disks;
    /// of `bytes_max` bytes' worth behind them at most, whoever has what. `records_max` at a time.
    /// What is gone now.
    pub fn trim(&mut self, upto: u64, bytes_max: u64, records_max: u64) -> u64 {
        let base = self.log.base_lsn();
        let upto = upto.min(self.log.durable_lsn()).min(base.saturating_add(records_max));
        let members = self.roster.present().map(|(node, _)| self.progress_of(node).durable);
        let by_all = crdt::meet(&members.collect::<Vec<_>>());
        let covered = self.log.covered_lsn(&by_all, upto);
        let too_much = self.log.kept_bytes().saturating_sub(bytes_max);
        self.log.trim(covered.max(self.log.lsn_behind_bytes(too_much)).min(upto));
        self.log.base_lsn()
    }
}
