//! The simulated nodes, disks and network.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crdt::{Dot, NodeId, State, Transaction, VersionVector, Write, covers, dominates};
use replication::{
    Digest, Effect, Frame, Item, Member, MemberState, Outcome, Replication, Role, Roster, Scope,
    Stage, WaitRequest,
};

type Tx = Transaction<()>;

/// Marsaglia, "Xorshift RNGs", 2003.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

enum Event {
    Up(u64),
    Frame(u64, Frame<Arc<[u8]>>),
}

struct Node {
    replication: Replication<Tx>,
    state: State<()>,
    /// Durable records.
    disk: Vec<Arc<[u8]>>,
    /// Records that a crash loses.
    unsynced: VecDeque<Arc<[u8]>>,
    downs: VecDeque<(usize, u64)>,
    clock_ahead_ms: u64,
}

pub(crate) struct World {
    rng: Rng,
    now_ms: u64,
    nodes: Vec<Node>,
    /// The network from one node to another, in order.
    wires: BTreeMap<(usize, usize), VecDeque<Event>>,
    cut: BTreeSet<(usize, usize)>,
    /// By pair, the lower first.
    connections: BTreeMap<(usize, usize), u64>,
    sessions: u64,
    /// Every transaction ever made, by the number that is its bytes.
    made: Vec<Tx>,
    /// What each dot was when it first left a node.
    left: BTreeMap<(u32, u64), u64>,
    acknowledged: Vec<Dot>,
    waits: BTreeMap<u64, (usize, WaitRequest)>,
    tickets: u64,
    outcomes: BTreeMap<u64, Outcome>,
    arrivals: usize,
    trace: u64,
}

fn id(index: usize) -> NodeId {
    NodeId(u32::try_from(index).unwrap() + 1)
}

fn index(node: NodeId) -> usize {
    node.0 as usize - 1
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().filter(|_| bytes.len() == 8).map(|bytes| u64::from_be_bytes(*bytes))
}

impl World {
    pub(crate) fn new(seed: u64, size: usize) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let nodes = (0..size)
            .map(|index| Node {
                replication: Replication::new(id(index), "sim".into()),
                state: State::default(),
                disk: Vec::new(),
                unsynced: VecDeque::new(),
                downs: VecDeque::new(),
                clock_ahead_ms: rng.next() % 10_000,
            })
            .collect();
        let mut world = Self {
            rng,
            now_ms: 1_000_000,
            nodes,
            wires: BTreeMap::new(),
            cut: BTreeSet::new(),
            connections: BTreeMap::new(),
            sessions: 0,
            made: Vec::new(),
            left: BTreeMap::new(),
            acknowledged: Vec::new(),
            waits: BTreeMap::new(),
            tickets: 0,
            outcomes: BTreeMap::new(),
            arrivals: 0,
            trace: 0xcbf2_9ce4_8422_2325,
        };
        for index in 0..size {
            world.start(index);
        }
        world
    }

    fn roster(&self) -> Roster {
        let member = |index: usize| Member {
            role: if index < 3 { Role::Writer } else { Role::Replica },
            state: MemberState::Active,
            region: format!("r{}", index % 2),
        };
        let members = (0..self.nodes.len()).map(|index| (id(index), member(index))).collect();
        Roster { epoch: 1, members }
    }

    fn start(&mut self, index: usize) {
        let roster = self.roster();
        let mut replication = Replication::new(id(index), "sim".into());
        let mut state = State::default();
        for bytes in &self.nodes[index].disk {
            let tx = &self.made[usize::try_from(number(bytes).unwrap()).unwrap()];
            replication.replay(tx.dot, &tx.deps, bytes.clone()).unwrap();
            state.apply(tx).unwrap();
        }
        replication.started(self.nodes[index].disk.len() as u64).unwrap();
        let now_ms = self.clock(index);
        let effects = replication.set_roster(now_ms, roster);
        self.nodes[index].replication = replication;
        self.nodes[index].state = state;
        self.perform(index, effects);
    }

    fn clock(&self, index: usize) -> u64 {
        self.now_ms + self.nodes[index].clock_ahead_ms
    }

    fn crash(&mut self, index: usize) {
        self.nodes[index].unsynced.clear();
        self.waits.retain(|_, (at, _)| *at != index);
        for other in 0..self.nodes.len() {
            self.disconnect(index, other);
        }
        self.nodes[index].downs.clear();
        self.start(index);
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        let Some(session) = self.connections.remove(&pair(a, b)) else { return };
        for (from, to) in [(a, b), (b, a)] {
            if let Some(wire) = self.wires.get_mut(&(from, to)) {
                wire.clear();
            }
            self.nodes[to].downs.push_back((from, session));
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        let blocked = self.cut.contains(&(a, b)) || self.cut.contains(&(b, a));
        if a == b || blocked || self.connections.contains_key(&pair(a, b)) {
            return;
        }
        self.sessions += 1;
        self.connections.insert(pair(a, b), self.sessions);
        for (from, to) in [(a, b), (b, a)] {
            self.wires.entry((from, to)).or_default().push_back(Event::Up(self.sessions));
        }
    }

    /// From here on nothing passes in this direction; a stream stays nominally open.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// A transaction over a few keys, so that there is contention.
    pub(crate) fn write(&mut self, at: usize) -> Dot {
        let node = &self.nodes[at];
        let deps = node.state.vector().clone();
        let dot = deps.inc(id(at));
        let writes = (0..=self.rng.below(2))
            .map(|_| Write {
                key: vec![u8::try_from(self.rng.below(6)).unwrap()].into(),
                value: (!self.rng.one_in(3)).then(|| self.rng.next().to_be_bytes().to_vec().into()),
            })
            .collect();
        let tx = Tx { dot, deps: deps.clone(), meta: Arc::new(()), writes };
        let bytes: Arc<[u8]> = (self.made.len() as u64).to_be_bytes().to_vec().into();
        self.made.push(tx.clone());
        let node = &mut self.nodes[at];
        node.state.apply(&tx).unwrap();
        node.replication.append(dot, &deps, bytes.clone());
        node.unsynced.push_back(bytes);
        dot
    }

    fn sync(&mut self, at: usize, count: usize) {
        let now_ms = self.clock(at);
        let node = &mut self.nodes[at];
        for _ in 0..count.min(node.unsynced.len()) {
            let bytes = node.unsynced.pop_front().unwrap();
            let tx = &self.made[usize::try_from(number(&bytes).unwrap()).unwrap()];
            if tx.dot.actor == id(at) {
                self.acknowledged.push(tx.dot);
            }
            node.disk.push(bytes);
        }
        let lsn = node.disk.len() as u64;
        let effects = node.replication.persisted(now_ms, lsn);
        self.perform(at, effects);
        let node = &mut self.nodes[at];
        if node.unsynced.is_empty() {
            let digest = Digest {
                at: node.state.vector().clone(),
                collected: 0,
                total: node.state.digest().total(),
            };
            let effects = node.replication.note_digest(digest);
            self.perform(at, effects);
        }
    }

    fn tick(&mut self, at: usize) {
        let now_ms = self.clock(at);
        let effects = self.nodes[at].replication.tick(now_ms);
        self.perform(at, effects);
    }

    fn deliver(&mut self, from: usize, to: usize) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        let Some(event) = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return;
        };
        let now_ms = self.clock(to);
        let peer = id(from);
        let effects = match event {
            Event::Up(session) => self.nodes[to].replication.peer_up(now_ms, peer, session),
            Event::Frame(session, frame) => match self.decode(frame) {
                Some(frame) => self.nodes[to].replication.frame(now_ms, peer, session, frame),
                None => self.nodes[to].replication.refuse(now_ms, peer, session, "garbage"),
            },
        };
        self.perform(to, effects);
    }

    fn decode(&mut self, frame: Frame<Arc<[u8]>>) -> Option<Frame<Item<Tx>>> {
        Some(match frame {
            Frame::Hello(hello) => Frame::Hello(hello),
            Frame::Subscribe(subscribe) => Frame::Subscribe(subscribe),
            Frame::Heartbeat(heartbeat) => Frame::Heartbeat(heartbeat),
            Frame::Offer(snapshot) => Frame::Offer(snapshot),
            Frame::Fetch(fetch) => Frame::Fetch(fetch),
            Frame::Piece(piece) => Frame::Piece(piece),
            Frame::Compare(compare) => Frame::Compare(compare),
            Frame::Part(part) => Frame::Part(part),
            Frame::Batch(batch) => {
                self.arrivals += batch.len();
                let items = batch.into_iter().map(|bytes| {
                    let tx = self.made.get(usize::try_from(number(&bytes)?).ok()?)?.clone();
                    Some(Item { dot: tx.dot, deps: tx.deps.clone(), bytes, payload: tx })
                });
                Frame::Batch(items.collect::<Option<_>>()?)
            }
        })
    }

    fn note(&mut self, text: &str) {
        for byte in text.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn perform(&mut self, at: usize, effects: Vec<Effect<Tx>>) {
        for effect in effects {
            self.note(&format!("{at} {effect:?}"));
            match effect {
                Effect::Apply { lsn, item } => {
                    let node = &mut self.nodes[at];
                    node.state.apply(&item.payload).unwrap();
                    node.unsynced.push_back(item.bytes);
                    assert_eq!(lsn, (node.disk.len() + node.unsynced.len()) as u64);
                }
                Effect::Send { peer, session, frame } => {
                    self.leave(at, index(peer), session, frame)
                }
                Effect::ReadLog { peer, session, from_lsn, .. } => {
                    let from = usize::try_from(from_lsn).unwrap();
                    let records = (from_lsn..).zip(self.nodes[at].disk[from - 1..].iter().cloned());
                    let records = records.take(3).collect();
                    let now_ms = self.clock(at);
                    let node = &mut self.nodes[at].replication;
                    let effects = node.log_read(now_ms, peer, session, records);
                    self.perform(at, effects);
                }
                Effect::ReadSnapshot { .. }
                | Effect::WriteSnapshot { .. }
                | Effect::FinishSnapshot { .. } => panic!("every log here is whole"),
                Effect::Compare { .. } | Effect::Answer { .. } | Effect::Mend { .. } => {
                    panic!("no state here is damaged")
                }
                Effect::CloseStream { peer, session, .. } => {
                    if self.connections.get(&pair(at, index(peer))) == Some(&session) {
                        self.disconnect(at, index(peer));
                    }
                }
                Effect::WaitProgress { ticket, .. } => assert!(self.waits.contains_key(&ticket)),
                Effect::WaitOutcome { ticket, outcome } => self.outcome(ticket, outcome),
                Effect::Alarm { what } => assert!(what.contains("garbage"), "{what}"),
            }
        }
    }

    /// A dot that leaves a node is the same transaction for ever, and durable there.
    fn leave(&mut self, at: usize, to: usize, session: u64, frame: Frame<Arc<[u8]>>) {
        if let Frame::Batch(batch) = &frame {
            assert!(!batch.is_empty() && batch.len() <= replication::BATCH_ITEMS_MAX);
            for bytes in batch {
                let number = number(bytes).unwrap();
                let dot = self.made[usize::try_from(number).unwrap()].dot;
                let first = self.left.entry((dot.actor.0, dot.counter)).or_insert(number);
                assert_eq!(*first, number, "{dot:?} was bound again");
                assert!(self.nodes[at].disk.contains(bytes), "only what is durable leaves");
            }
        }
        if self.connections.get(&pair(at, to)) == Some(&session) {
            let wire = self.wires.entry((at, to)).or_default();
            wire.push_back(Event::Frame(session, frame));
        }
    }

    fn durable(&self, at: usize) -> VersionVector {
        let numbers = self.nodes[at].disk.iter().filter_map(|bytes| number(bytes));
        numbers.map(|number| self.made[usize::try_from(number).unwrap()].dot).collect()
    }

    fn outcome(&mut self, ticket: u64, outcome: Outcome) {
        let (_, request) = self.waits.remove(&ticket).unwrap();
        if outcome == Outcome::Propagated {
            let size = self.nodes.len();
            let there = |index: &usize| {
                let state = match request.stage {
                    // A crash may have lost since what was in memory only.
                    Stage::Received => return true,
                    Stage::Durable => self.durable(*index),
                    Stage::Visible => self.nodes[*index].state.vector().clone(),
                    Stage::Stable => panic!("nothing is agreed to be stable here"),
                };
                dominates(&state, &request.token)
            };
            assert!(
                match &request.scope {
                    Scope::All => (0..size).all(|index| there(&index)),
                    Scope::Quorum => (0..3).filter(there).count() >= 2,
                    Scope::Region(region) => (0..size)
                        .filter(|index| *region == format!("r{}", index % 2))
                        .all(|index| there(&index)),
                    Scope::Serving => (0..size).all(|index| there(&index)),
                    Scope::Regions => (0..size.min(2))
                        .all(|region| (region..size).step_by(2).any(|index| there(&index))),
                    Scope::Nodes(nodes) => nodes.iter().all(|node| there(&index(*node))),
                },
                "a wait lied: {request:?}"
            );
        }
        self.outcomes.insert(ticket, outcome);
    }

    fn begin_wait(&mut self, at: usize, scope: Scope, stage: Stage, timeout_ms: u64) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        let now_ms = self.clock(at);
        let request = WaitRequest {
            token: self.nodes[at].replication.durable().clone(),
            scope,
            stage,
            deadline_ms: now_ms + timeout_ms,
        };
        self.waits.insert(ticket, (at, request.clone()));
        let effects = self.nodes[at].replication.wait(now_ms, ticket, request);
        self.perform(at, effects);
        ticket
    }

    /// Waits at a node for another to see what the first has.
    pub(crate) fn wait_for(&mut self, at: usize, node: usize, timeout_ms: u64) -> Option<Outcome> {
        self.sync(at, usize::MAX);
        let ticket = self.begin_wait(at, Scope::node(id(node)), Stage::Visible, timeout_ms);
        self.settle(timeout_ms + 10);
        self.outcomes.get(&ticket).cloned()
    }

    pub(crate) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            let size = self.nodes.len();
            let (a, b) = (self.rng.below(size), self.rng.below(size));
            match self.rng.below(100) {
                0..12 => {
                    let writer = self.rng_writer();
                    self.write(writer);
                }
                12..30 => {
                    let count = self.rng.below(4);
                    self.sync(a, count);
                }
                30..70 => {
                    for _ in 0..self.rng.below(6) {
                        self.deliver(a, b);
                    }
                }
                70..78 => self.tick(a),
                78..84 => self.connect(a, b),
                84..86 => self.cut(a, b),
                86..89 => {
                    self.cut.remove(&(a, b));
                }
                89 => self.disconnect(a, b),
                90 if self.rng.one_in(3) => self.crash(a),
                91..94 => self.some_wait(a),
                94 => self.garbage(a, b),
                95 => self.now_ms += 1_000,
                _ => self.downs(a),
            }
            self.now_ms += self.rng.next() % 20;
        }
    }

    fn rng_writer(&mut self) -> usize {
        let writers = self.nodes.len().min(3);
        self.rng.below(writers)
    }

    fn some_wait(&mut self, at: usize) {
        let size = self.nodes.len();
        let scope = match self.rng.below(6) {
            0 => Scope::All,
            1 => Scope::Quorum,
            2 => Scope::Region("r1".into()),
            3 => Scope::Serving,
            4 => Scope::Regions,
            _ => Scope::Nodes([id(self.rng.below(size)), id(self.rng.below(size))].into()),
        };
        let stage = [Stage::Received, Stage::Durable, Stage::Visible][self.rng.below(3)];
        let timeout_ms = self.rng.next() % 5_000;
        self.begin_wait(at, scope, stage, timeout_ms);
    }

    /// A frame that is no protocol, or a copy of one that was sent.
    fn garbage(&mut self, a: usize, b: usize) {
        let Some(session) = self.connections.get(&pair(a, b)).copied() else { return };
        let wire = self.wires.entry((a, b)).or_default();
        let copy = wire.iter().find_map(|event| match event {
            Event::Frame(_, frame @ Frame::Batch(_)) => Some(frame.clone()),
            Event::Frame(..) | Event::Up(_) => None,
        });
        let frame = copy.unwrap_or_else(|| Frame::Batch(vec![(*b"?").into()]));
        wire.push_back(Event::Frame(session, frame));
    }

    fn downs(&mut self, at: usize) {
        while let Some((from, session)) = self.nodes[at].downs.pop_front() {
            let now_ms = self.clock(at);
            let effects = self.nodes[at].replication.peer_down(now_ms, id(from), session);
            self.perform(at, effects);
        }
    }

    /// Everything that is possible happens, for so long.
    pub(crate) fn settle(&mut self, for_ms: u64) {
        let end = self.now_ms + for_ms;
        while self.now_ms < end {
            for a in 0..self.nodes.len() {
                self.downs(a);
                for b in 0..self.nodes.len() {
                    self.connect(a, b);
                    self.deliver(a, b);
                }
                self.sync(a, usize::MAX);
                let due = self.nodes[a].replication.next_wakeup_ms();
                if due.is_some_and(|due| due <= self.clock(a)) {
                    self.tick(a);
                }
            }
            self.now_ms += 2;
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        for _ in 0..60 {
            self.settle(100);
            let first = self.nodes[0].state.vector();
            let same = self.nodes.iter().all(|node| node.state.vector() == first);
            let busy = self.nodes.iter().any(|node| !node.unsynced.is_empty());
            if same && !busy && self.waits.is_empty() {
                break;
            }
        }
    }

    pub(crate) fn check(&self) {
        let first = &self.nodes[0].state;
        for node in &self.nodes {
            assert_eq!(node.state.vector(), first.vector());
            assert_eq!(node.state.canonical_bytes(), first.canonical_bytes());
            assert_eq!(node.state.digest(), first.digest());
            let disk: Vec<_> = node.disk.iter().filter_map(|bytes| number(bytes)).collect();
            let mut replayed = State::default();
            for number in disk {
                replayed.apply(&self.made[usize::try_from(number).unwrap()]).unwrap();
            }
            assert_eq!(replayed.canonical_bytes(), first.canonical_bytes());
            assert!(!node.replication.is_cut_off());
        }
        for dot in &self.acknowledged {
            assert!(covers(first.vector(), dot), "{dot:?} was acknowledged and is lost");
        }
        assert!(self.waits.is_empty(), "{:?}", self.waits);
    }

    pub(crate) fn has(&self, at: usize, dot: &Dot) -> bool {
        covers(self.nodes[at].state.vector(), dot)
    }

    pub(crate) fn arrivals(&self) -> usize {
        self.arrivals
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }
}
