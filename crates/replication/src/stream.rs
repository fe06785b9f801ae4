//! Streams: how they open and close, what is subscribed to on them, and what is sent.
//!
//! **Invariants.** At most one stream a peer, told apart from its predecessors by its session; what
//! comes on any other session is ignored. Nothing is followed on a stream before a `Hello` that
//! names this cluster and a member of it.
//!
//! **Must not know:** who dials, which transport carries frames.

use std::{collections::BTreeSet, sync::Arc};

use crdt::VersionVector;
use tracing::debug;

use crate::{
    Effect, Frame, HEARTBEAT_COALESCE_MS, HEARTBEAT_IDLE_MS, Hello, NodeId, READ_BYTES_MAX,
    Replication, Subscribe,
    sender::{Sender, Step},
};

/// A stream on which nothing was heard for so long is closed; a living one has heartbeats.
pub const SILENCE_MS_MAX: u64 = 5_000;

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) session: u64,
    pub(crate) heard_ms: u64,
    /// The epoch of the peer's roster, once it has said `Hello`.
    pub(crate) epoch: Option<u64>,
    /// What was last excluded, once there was a `Subscribe`.
    pub(crate) exclude: Option<BTreeSet<NodeId>>,
    pub(crate) generation: u64,
    pub(crate) sender: Sender,
    /// Whether something that the peer waits for has changed since the last heartbeat.
    pub(crate) dirty: bool,
    pub(crate) beat_ms: u64,
    /// Whether transactions from it were dropped, so that it must be asked again.
    pub(crate) dropped: bool,
    /// Pieces of a snapshot that the peer asked for and did not get.
    pub(crate) fetches: usize,
}

impl Stream {
    /// When a heartbeat is due.
    pub(crate) fn due_ms(&self) -> u64 {
        let after = if self.dirty { HEARTBEAT_COALESCE_MS } else { HEARTBEAT_IDLE_MS };
        self.beat_ms.saturating_add(after)
    }
}

/// What outlives a stream.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// When anything was heard of the node, directly or by relay.
    pub(crate) heard_ms: Option<u64>,
    /// What the node last said, itself, that it has on its disk.
    pub(crate) told_durable: Option<VersionVector>,
    /// Since when there is no stream; unset if there never was one.
    pub(crate) down_since_ms: Option<u64>,
}

impl<P> Replication<P> {
    /// A stream to a peer is there; the transport has proved who the peer is. If there is one
    /// already, it is replaced: the transport must see to it that only one side dials.
    pub fn peer_up(&mut self, now_ms: u64, peer: NodeId, session: u64) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if self.streams.get(&peer).is_some_and(|stream| stream.session == session) {
            return self.take();
        }
        self.close(peer, "replaced by a newer stream");
        if peer == self.me {
            let why = "a node does not replicate with itself".to_owned();
            self.out.push(Effect::CloseStream { peer, session, why });
            return self.take();
        }
        let stream = Stream {
            session,
            heard_ms: now_ms,
            epoch: None,
            exclude: None,
            generation: 0,
            sender: Sender::default(),
            dirty: true,
            beat_ms: now_ms,
            dropped: false,
            fetches: 0,
        };
        self.streams.insert(peer, stream);
        self.send_hello(peer);
        self.take()
    }

    /// The stream is gone.
    pub fn peer_down(&mut self, now_ms: u64, peer: NodeId, session: u64) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if self.streams.get(&peer).is_some_and(|stream| stream.session == session) {
            self.forget(peer);
            self.resubscribe_where_changed();
            self.check_waits();
        }
        self.take()
    }

    /// A frame has come.
    pub fn frame(
        &mut self,
        now_ms: u64,
        peer: NodeId,
        session: u64,
        frame: Frame<crate::Item<P>>,
    ) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        let Some(stream) = self.streams.get_mut(&peer) else { return self.take() };
        if stream.session != session {
            return self.take();
        }
        stream.heard_ms = now_ms;
        self.links.entry(peer).or_default().heard_ms = Some(now_ms);
        let greeted = stream.epoch.is_some();
        match frame {
            Frame::Hello(hello) => self.hello(peer, hello),
            Frame::Subscribe(_)
            | Frame::Batch(_)
            | Frame::Heartbeat(_)
            | Frame::Offer(_)
            | Frame::Fetch(_)
            | Frame::Piece(_)
            | Frame::Compare(_)
            | Frame::Part(_)
                if !greeted =>
            {
                self.close(peer, "the first frame was not a hello");
            }
            Frame::Subscribe(subscribe) => {
                if let Some(stream) = self.streams.get_mut(&peer) {
                    stream.sender.subscribe(subscribe, &self.log);
                }
                self.pump(peer);
            }
            Frame::Batch(items) => {
                self.batch(peer, items);
                self.repair_on();
            }
            Frame::Heartbeat(heartbeat) => self.heartbeat(peer, heartbeat),
            Frame::Offer(snapshot) => self.offered(peer, snapshot),
            Frame::Fetch(fetch) => self.fetch(peer, fetch),
            Frame::Piece(piece) => self.piece(peer, piece),
            Frame::Compare(compare) => self.compare(peer, compare),
            Frame::Part(part) => self.part(peer, part),
        }
        self.take()
    }

    /// A frame that could not be decoded has come: the stream is closed and someone must look.
    pub fn refuse(&mut self, now_ms: u64, peer: NodeId, session: u64, why: &str) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if self.streams.get(&peer).is_some_and(|stream| stream.session == session) {
            self.refuse_peer(peer, why);
        }
        self.take()
    }

    /// The answer to [`Effect::ReadLog`]: records by lsn, ascending and without a hole. An empty
    /// one says that reading failed; it is repeated at the next tick.
    pub fn log_read(
        &mut self,
        now_ms: u64,
        peer: NodeId,
        session: u64,
        records: Vec<(u64, Arc<[u8]>)>,
    ) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if let Some(stream) = self.streams.get_mut(&peer)
            && stream.session == session
        {
            for batch in stream.sender.records(records, &self.log) {
                self.out.push(Effect::Send { peer, session, frame: Frame::Batch(batch) });
            }
            self.pump(peer);
        }
        self.take()
    }

    /// Whether a stream to the peer is open and the peer is a member.
    pub(crate) fn is_open(&self, peer: NodeId) -> bool {
        self.roster.has(peer)
            && self.streams.get(&peer).is_some_and(|stream| stream.epoch.is_some())
    }

    fn hello(&mut self, peer: NodeId, hello: Hello) {
        let Hello { cluster_id, node, epoch } = hello;
        if cluster_id != self.cluster_id {
            return self.close(peer, "the peer is of another cluster");
        }
        if node != peer {
            return self.refuse_peer(peer, "its hello names another node");
        }
        // A peer that knows a newer roster may be right to be here: this node waits for that
        // roster.
        let removed = self.roster.members.contains_key(&peer);
        if !self.roster.has(peer) && (removed || epoch <= self.roster.epoch) {
            return self.close(peer, "the peer is no member");
        }
        if let Some(stream) = self.streams.get_mut(&peer) {
            stream.epoch = Some(stream.epoch.map_or(epoch, |known| known.max(epoch)));
        }
        self.resubscribe_where_changed();
        self.send_heartbeat(peer);
    }

    fn send_hello(&mut self, peer: NodeId) {
        let hello =
            Hello { cluster_id: self.cluster_id.clone(), node: self.me, epoch: self.roster.epoch };
        self.send(peer, Frame::Hello(hello));
    }

    pub(crate) fn send(&mut self, peer: NodeId, frame: Frame<Arc<[u8]>>) {
        if let Some(stream) = self.streams.get(&peer) {
            self.out.push(Effect::Send { peer, session: stream.session, frame });
        }
    }

    pub(crate) fn refuse_peer(&mut self, peer: NodeId, why: &str) {
        self.alarm(format!("node {peer} was refused: {why}"));
        self.close(peer, why);
    }

    /// Closes the stream to a peer, if there is one.
    pub(crate) fn close(&mut self, peer: NodeId, why: &str) {
        let Some(session) = self.forget(peer) else { return };
        debug!(%peer, session, why, "stream closed");
        self.out.push(Effect::CloseStream { peer, session, why: why.to_owned() });
        self.resubscribe_where_changed();
        self.check_waits();
    }

    fn forget(&mut self, peer: NodeId) -> Option<u64> {
        let stream = self.streams.remove(&peer)?;
        self.stop_fetching_from(peer);
        if stream.epoch.is_some() {
            self.links.entry(peer).or_default().down_since_ms = Some(self.now_ms);
        }
        Some(stream.session)
    }

    pub(crate) fn close_silent_streams(&mut self) {
        let silent = self
            .streams
            .iter()
            .filter(|(_, stream)| self.now_ms.saturating_sub(stream.heard_ms) >= SILENCE_MS_MAX);
        for peer in silent.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.close(peer, "nothing was heard for too long");
        }
    }

    /// What is excluded from the subscription at `peer`: the writers that send their own.
    fn exclusions(&self, peer: NodeId) -> BTreeSet<NodeId> {
        let direct = self.streams.keys().copied().filter(|node| {
            *node != peer
                && self.is_open(*node)
                && self.roster.is_origin(*node)
                && !self.gaps.is_suspect(*node)
        });
        // Nobody else can have more of this node's own transactions than it has.
        direct.chain([self.me]).collect()
    }

    /// Subscribes wherever the set of directly heard origins is another than before.
    pub(crate) fn resubscribe_where_changed(&mut self) {
        for peer in self.streams.keys().copied().collect::<Vec<_>>() {
            let exclude = self.exclusions(peer);
            let changed =
                self.streams.get(&peer).is_some_and(|stream| stream.exclude != Some(exclude));
            if changed {
                self.resubscribe(peer);
            }
        }
    }

    /// Subscribes anew: what this node lacks is sent again.
    pub(crate) fn resubscribe(&mut self, peer: NodeId) {
        if !self.is_open(peer) {
            return;
        }
        let exclude = self.exclusions(peer);
        let have = self.log.applied().clone();
        let Some(stream) = self.streams.get_mut(&peer) else { return };
        stream.generation += 1;
        stream.dropped = false;
        stream.exclude = Some(exclude.clone());
        let subscribe = Subscribe { have, exclude, generation: stream.generation };
        self.send(peer, Frame::Subscribe(subscribe));
    }

    pub(crate) fn roster_changed(&mut self) {
        let gone = self.streams.iter().filter(|(peer, stream)| {
            let ahead = stream.epoch.is_none_or(|epoch| epoch > self.roster.epoch);
            let removed = self.roster.members.contains_key(peer);
            !self.roster.has(**peer) && (removed || !ahead)
        });
        for peer in gone.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.close(peer, "the peer is no member");
        }
        // Of a removed node nothing comes any more but what a member has applied.
        let roster = &self.roster;
        self.early.keep_of(|origin| !roster.members.contains_key(&origin) || roster.has(origin));
        // Before anything of a new member is relayed, the peer learns that this node's roster is
        // newer.
        for peer in self.streams.keys().copied().collect::<Vec<_>>() {
            self.send_hello(peer);
            if self.streams.get(&peer).is_some_and(|stream| stream.dropped) {
                self.resubscribe(peer);
            }
        }
        self.resubscribe_where_changed();
        self.pump_all();
    }

    pub(crate) fn pump_all(&mut self) {
        for peer in self.streams.keys().copied().collect::<Vec<_>>() {
            self.pump(peer);
        }
    }

    /// Sends what the peer lacks, as far as its window goes.
    pub(crate) fn pump(&mut self, peer: NodeId) {
        if !self.is_open(peer) {
            return;
        }
        let offer = self.offer();
        let Some(stream) = self.streams.get_mut(&peer) else { return };
        let session = stream.session;
        loop {
            match stream.sender.step(&self.log) {
                Step::Send(batch) => {
                    let frame = Frame::Batch(batch);
                    self.out.push(Effect::Send { peer, session, frame });
                }
                Step::ReadFrom { lsn } => {
                    self.out.push(Effect::ReadLog {
                        peer,
                        session,
                        from_lsn: lsn,
                        max_bytes: READ_BYTES_MAX,
                    });
                    return;
                }
                Step::Offer => {
                    let news = offer.filter(|offer| stream.sender.offers(*offer));
                    let frame = news.map(Frame::Offer);
                    self.out.extend(frame.map(|frame| Effect::Send { peer, session, frame }));
                    return;
                }
                Step::Rest => return,
            }
        }
    }
}
