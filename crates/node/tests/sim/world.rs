//! The simulated nodes, disks, clients and network.

mod host;
mod outcome;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crdt::{NodeId, VersionVector, dominates};
use identity::{Caller, Command, Identity, Principal, Reply, RequestContext, user};
use model::{Credential, Entropy, Timestamp};
use node::{
    Answer, ControlState, Effect, Execute, Frozen, Input, Node, Piece, Refusal, Role, Scope,
    Snapshot, Stage, WaitOutcome,
};
use wire::{snapshot, transaction, v1};

use self::host::{Host, Incoming, Kept};

const SIZE: usize = 4;
const ACCOUNT: u64 = 123_456_789_012;

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
}

enum Event {
    Up(u64),
    Frame(u64, v1::Frame),
}

struct Wait {
    at: usize,
    token: VersionVector,
    scope: Scope,
    stage: Stage,
}

type Answered = Result<Answer<Reply>, Refusal>;

pub(crate) struct World {
    rng: Rng,
    now_ms: u64,
    hosts: Vec<Host>,
    control: ControlState,
    wires: BTreeMap<(usize, usize), VecDeque<Event>>,
    cut: BTreeSet<(usize, usize)>,
    connections: BTreeMap<(usize, usize), u64>,
    sessions: u64,
    tickets: u64,
    left: BTreeMap<(u32, u64), Vec<u8>>,
    acknowledged: Vec<VersionVector>,
    waits: BTreeMap<u64, Wait>,
    propagated: usize,
    snapshots: usize,
    trims: usize,
    joins: usize,
    answers: BTreeMap<u64, Answered>,
    alarms: Vec<String>,
    sent: Vec<v1::Frame>,
    trace: u64,
}

pub(crate) fn id(index: usize) -> NodeId {
    NodeId(u32::try_from(index).unwrap() + 1)
}

fn index(node: NodeId) -> usize {
    node.0 as usize - 1
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

fn role(index: usize) -> Role {
    if index < 3 { Role::Writer } else { Role::Replica }
}

fn control() -> ControlState {
    use v1::control_command::Command as C;
    let entry = |index: usize| v1::RosterEntry {
        role: role(index).to_message().into(),
        region: format!("r{}", index % 2),
        grpc_address: format!("host{index}:1"),
        certificate: index.to_string().repeat(64),
        ..v1::RosterEntry::default()
    };
    let data_key = v1::DataKey { id: 1, nonce: Vec::new(), sealed_key: Vec::new() };
    let key_ring =
        v1::KeyRing { data_keys: vec![data_key], token_mac_key: vec![7; 32], current: 1 };
    let mut commands = vec![C::InitCluster(v1::InitCluster {
        cluster_id: "sim".into(),
        key_ring: Some(key_ring),
        ca_certificate: Vec::new(),
        ca_key: None,
        first_node: Some(entry(0)),
    })];
    for index in 1..SIZE {
        let hash = vec![u8::try_from(index).unwrap(); 32];
        let role = role(index).to_message().into();
        commands.extend([
            C::CreateJoinToken(v1::CreateJoinToken { hash: hash.clone(), role, expires_ms: 9 }),
            C::AddNode(v1::AddNode { token_hash: hash, entry: Some(entry(index)), now_ms: 1 }),
            C::ActivateNode(v1::ActivateNode { node: id(index).0 }),
        ]);
    }
    commands.push(C::CreateAccount(v1::CreateAccount { account: ACCOUNT, created_ms: 1 }));
    let mut control = ControlState::default();
    for command in commands {
        let reply = control
            .apply(&v1::ControlCommand { command: Some(command), request_id: Vec::new() })
            .reply
            .unwrap();
        assert!(!matches!(reply, v1::control_reply::Reply::Refused(_)), "{reply:?}");
    }
    control
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let hosts = (0..SIZE).map(|at| Host {
            node: Node::new(id(at), "sim".into(), role(at)),
            disk: Vec::new(),
            first_lsn: 1,
            snapshots: Vec::new(),
            incoming: BTreeMap::new(),
            finishing: None,
            on_disk: VersionVector::new(),
            unsynced: VecDeque::new(),
            held: Vec::new(),
            downs: VecDeque::new(),
            ahead_ms: rng.next() % 10_000,
        });
        let mut world = Self {
            hosts: hosts.collect(),
            rng,
            now_ms: 1_000_000,
            control: control(),
            wires: BTreeMap::new(),
            cut: BTreeSet::new(),
            connections: BTreeMap::new(),
            sessions: 0,
            tickets: 0,
            left: BTreeMap::new(),
            acknowledged: Vec::new(),
            waits: BTreeMap::new(),
            propagated: 0,
            snapshots: 0,
            trims: 0,
            joins: 0,
            answers: BTreeMap::new(),
            alarms: Vec::new(),
            sent: Vec::new(),
            trace: 0xcbf2_9ce4_8422_2325,
        };
        (0..SIZE).for_each(|at| world.start(at));
        world
    }

    fn start(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.node = host.restarted(at);
        host.on_disk = host.node.durable().clone();
        self.tell_control(at);
    }

    fn tell_control(&mut self, at: usize) {
        let data_keys = if role(at) == Role::Writer { vec![(1, [3; 32])] } else { Vec::new() };
        let state = Box::new(self.control.to_message());
        self.handle(at, Input::Control { state, data_keys });
    }

    pub(crate) fn clock(&self, at: usize) -> Timestamp {
        Timestamp::from_ms(self.now_ms + self.hosts[at].ahead_ms)
    }

    pub(crate) fn node(&self, at: usize) -> &Node {
        &self.hosts[at].node
    }

    pub(crate) fn handle(&mut self, at: usize, input: Input) {
        let now = self.clock(at);
        let effects = self.hosts[at].node.handle(now, input);
        self.perform(at, effects);
    }

    /// Reads a peer's snapshot that is whole.
    fn finish(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        let Some(hash) = host.finishing.take() else { return };
        let Some(incoming) = host.incoming.get_mut(&hash) else { return };
        assert_eq!(incoming.bytes.len() as u64, incoming.total);
        incoming.synced = true;
        let snapshot::Restored { state, doubts } = snapshot::decode(&incoming.bytes).unwrap();
        let identity = Box::new(Identity::restore(state, doubts).unwrap());
        let before = host.node.applied_lsn();
        self.handle(at, Input::SnapshotFinished { hash, identity });
        self.joins += usize::from(self.hosts[at].node.joined_behind(before));
    }

    fn freeze(&mut self, at: usize) {
        self.handle(at, Input::Freeze);
        assert_eq!(self.hosts[at].node.frozen().unwrap().lsn, self.hosts[at].node.applied_lsn());
    }

    /// Finishes the copy of what is frozen, if that is durable, after whatever happened since.
    fn snapshot(&mut self, at: usize, busy: bool) {
        let Some(frozen) = self.hosts[at].node.frozen() else { return };
        let Frozen { lsn, summary, doubts } = frozen.clone();
        if lsn > self.hosts[at].node.durable_lsn() {
            return;
        }
        let (mut bytes, mut after) = (Vec::new(), None::<Box<[u8]>>);
        let mut encoder = snapshot::Encoder::new(&summary, &mut bytes);
        while let slots = self.hosts[at].node.frozen_slots(after.as_deref(), 2).unwrap()
            && let Some((last, _)) = slots.last()
        {
            slots.iter().for_each(|(key, siblings)| encoder.slot(key, siblings, &mut bytes));
            after = Some(last.clone());
            if self.rng.below(2) == 0 {
                self.handle(at, Input::Copied { upto: last.clone() });
            }
            if busy && self.rng.below(8) == 0 {
                self.some_command(at);
            }
        }
        encoder.doubts(&doubts, &mut bytes);
        encoder.finish(&mut bytes);
        self.handle(at, Input::Thaw);
        self.snapshots += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&(self.snapshots as u64).to_be_bytes());
        let snapshots = &mut self.hosts[at].snapshots;
        snapshots.retain(|kept| kept.lsn != lsn);
        snapshots.push(Kept { lsn, hash, bytes });
        if snapshots.len() > 2 {
            snapshots.remove(0);
        }
        self.tell_snapshots(at);
    }

    fn tell_snapshots(&mut self, at: usize) {
        let log_bytes_max = if self.rng.below(2) == 0 { u64::MAX } else { self.rng.next() % 3_000 };
        let host = &self.hosts[at];
        let Some(Kept { lsn, hash, bytes }) = host.snapshots.last() else { return };
        let newest = (Snapshot { hash: *hash, bytes: bytes.len() as u64 }, *lsn);
        let in_all = if host.snapshots.len() == 2 { host.snapshots[0].lsn } else { 0 };
        let first_lsn = host.first_lsn;
        self.handle(at, Input::Snapshots { newest, in_all, first_lsn, log_bytes_max });
    }

    fn crash(&mut self, at: usize) {
        self.hosts[at].unsynced.clear();
        self.hosts[at].held.clear();
        self.hosts[at].finishing = None;
        for incoming in self.hosts[at].incoming.values_mut().filter(|incoming| !incoming.synced) {
            incoming.bytes.truncate(self.rng.below(incoming.bytes.len() + 1));
        }
        self.waits.retain(|_, wait| wait.at != at);
        (0..SIZE).for_each(|other| self.disconnect(at, other));
        self.hosts[at].downs.clear();
        self.start(at);
    }

    /// A disk that forgets its last record though it said that it was durable.
    pub(crate) fn lose_tail(&mut self, at: usize) {
        self.hosts[at].disk.pop();
        assert_eq!(self.hosts[at].first_lsn, 1);
        self.hosts[at].snapshots.clear();
        self.crash(at);
    }

    pub(crate) fn remove(&mut self, at: usize) {
        let remove = v1::RemoveNode { node: id(at).0 };
        let command = Some(v1::control_command::Command::RemoveNode(remove));
        self.control.apply(&v1::ControlCommand { command, request_id: Vec::new() });
        (0..SIZE).for_each(|at| self.tell_control(at));
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        let Some(session) = self.connections.remove(&pair(a, b)) else { return };
        for (from, to) in [(a, b), (b, a)] {
            if let Some(wire) = self.wires.get_mut(&(from, to)) {
                wire.clear();
            }
            self.hosts[to].downs.push_back((from, session));
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

    fn deliver(&mut self, from: usize, to: usize) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        let event = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let peer = id(from);
        match event {
            Some(Event::Up(session)) => self.handle(to, Input::PeerUp { peer, session }),
            Some(Event::Frame(session, frame)) => {
                self.handle(to, Input::PeerFrame { peer, session, frame });
            }
            None => {}
        }
    }

    fn sync(&mut self, at: usize, count: usize) {
        let host = &mut self.hosts[at];
        for _ in 0..count.min(host.unsynced.len()) {
            let bytes = host.unsynced.pop_front().unwrap();
            host.cover(&bytes);
            host.disk.push(bytes);
        }
        let lsn = host.last_lsn();
        let (released, held) = std::mem::take(&mut host.held).into_iter().partition(|h| h.0 <= lsn);
        host.held = held;
        for (_, covers) in released {
            assert!(dominates(&host.on_disk, &covers), "acknowledged before it was durable");
            self.acknowledged.push(covers);
        }
        self.handle(at, Input::Persisted { lsn });
    }

    fn perform(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            for byte in format!("{at} {effect:?}").bytes() {
                self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            let host = &mut self.hosts[at];
            match effect {
                Effect::Persist { lsn, bytes } => {
                    host.unsynced.push_back(bytes);
                    assert_eq!(lsn, host.last_lsn() + host.unsynced.len() as u64);
                }
                Effect::Reply { ticket, result } => {
                    if let Ok(answer) = &result {
                        let covers = host.node.open_token(&answer.token).unwrap();
                        host.held.push((answer.lsn, covers));
                    }
                    self.answers.insert(ticket, result);
                }
                Effect::RootKeyReply { result, .. } => {
                    if let Ok(answer) = result {
                        let covers = host.node.open_token(&answer.token).unwrap();
                        host.held.push((answer.lsn, covers));
                    }
                }
                Effect::Control { .. } => panic!("no alias is set here"),
                Effect::Send { peer, session, frame } => {
                    self.leave(at, index(peer), session, frame);
                }
                Effect::ReadLog { peer, session, from_lsn, .. } => {
                    let skipped = from_lsn.checked_sub(host.first_lsn);
                    let kept = skipped.map_or(&[][..], |skipped| &host.disk[skipped as usize..]);
                    let items = (from_lsn..).zip(kept.iter().cloned()).collect();
                    self.handle(at, Input::LogRead { peer, session, items });
                }
                Effect::ReadSnapshot { peer, session, hash, offset, length } => {
                    self.read_snapshot(at, (peer, session), hash, offset, length);
                }
                Effect::WriteSnapshot { snapshot, offset, bytes } => {
                    self.write_snapshot(at, snapshot, offset, &bytes);
                }
                Effect::FinishSnapshot { snapshot } => host.finishing = Some(snapshot.hash),
                Effect::KeepFetched { hashes } => {
                    host.incoming.retain(|hash, _| hashes.contains(hash));
                }
                Effect::TrimLog { upto } => {
                    assert!(upto <= host.snapshots[0].lsn && host.snapshots.len() == 2);
                    host.disk.drain(..(upto + 1 - host.first_lsn) as usize);
                    host.first_lsn = upto + 1;
                    self.trims += 1;
                }
                Effect::CloseStream { peer, session, .. } => {
                    if self.connections.get(&pair(at, index(peer))) == Some(&session) {
                        self.disconnect(at, index(peer));
                    }
                }
                Effect::WaitProgress { ticket, .. } => assert!(self.waits.contains_key(&ticket)),
                Effect::WaitOutcome { ticket, outcome } => self.outcome(ticket, &outcome),
                Effect::Fence { fence } => self.alarms.push(fence.to_string()),
                Effect::Alarm { what } => self.alarms.push(what),
                Effect::Conflicts { .. } => {}
            }
        }
    }

    fn read_snapshot(
        &mut self,
        at: usize,
        (peer, session): (NodeId, u64),
        hash: [u8; 32],
        offset: u64,
        length: u64,
    ) {
        let kept = self.hosts[at].snapshots.iter().find(|kept| kept.hash == hash);
        let (from, upto) = (offset as usize, (offset + length) as usize);
        let bytes = kept.map_or(&[][..], |kept| &kept.bytes[from..upto]).into();
        let piece = Piece { hash, offset, bytes };
        self.handle(at, Input::SnapshotRead { peer, session, piece });
    }

    fn write_snapshot(&mut self, at: usize, snapshot: Snapshot, offset: u64, piece: &[u8]) {
        let Snapshot { hash, bytes: total } = snapshot;
        let new = || Incoming { total, bytes: Vec::new(), synced: false };
        let incoming = self.hosts[at].incoming.entry(hash).or_insert_with(new);
        assert!(incoming.bytes.len() as u64 >= offset, "a hole");
        incoming.bytes.truncate(offset as usize);
        incoming.bytes.extend(piece);
        let upto = incoming.bytes.len() as u64;
        self.handle(at, Input::SnapshotWritten { hash, upto });
    }

    /// A dot that leaves a node is the same transaction for ever, and durable there.
    fn leave(&mut self, at: usize, to: usize, session: u64, frame: v1::Frame) {
        if let Some(v1::frame::Frame::Batch(batch)) = &frame.frame {
            for bytes in &batch.transactions {
                let dot = transaction::decode(bytes).unwrap().dot;
                let first = self.left.entry((dot.actor.0, dot.counter)).or_insert(bytes.clone());
                assert_eq!(first, bytes, "{dot:?} was bound again");
                assert!(crdt::covers(&self.hosts[at].on_disk, &dot), "only durable ones leave");
            }
        }
        self.sent.push(frame.clone());
        if self.connections.get(&pair(at, to)) == Some(&session) {
            let wire = self.wires.entry((at, to)).or_default();
            wire.push_back(Event::Frame(session, frame));
        }
    }

    fn outcome(&mut self, ticket: u64, outcome: &WaitOutcome) {
        let wait = self.waits.remove(&ticket).unwrap();
        if *outcome != WaitOutcome::Propagated {
            return;
        }
        self.propagated += 1;
        let there = |at: usize| {
            let host = &self.hosts[at];
            match wait.stage {
                // A crash may have lost since what was in memory only.
                Stage::Received => true,
                Stage::Durable => dominates(&host.on_disk, &wait.token),
                Stage::Visible => dominates(host.node.identity().state().vector(), &wait.token),
                Stage::Stable => panic!("nothing is agreed to be stable here"),
            }
        };
        assert!(
            match &wait.scope {
                Scope::All => (0..SIZE).all(there),
                Scope::Quorum => (0..3).filter(|at| there(*at)).count() >= 2,
                Scope::Region(region) =>
                    (0..SIZE).filter(|at| *region == format!("r{}", at % 2)).all(there),
                Scope::Serving => (0..SIZE).all(there),
                Scope::Regions => (0..2).all(|region| (region..SIZE).step_by(2).any(there)),
                Scope::Nodes(nodes) => nodes.iter().all(|node| there(index(*node))),
            },
            "a wait lied: {:?} {:?} {}",
            wait.scope,
            wait.stage,
            wait.token
        );
    }

    pub(crate) fn create_user_input(ticket: u64, name: &str, random: u64) -> Input {
        let command = Command::CreateUser(user::CreateUser {
            name: name.parse().unwrap(),
            path: "/".parse().unwrap(),
            boundary: None,
            tags: Vec::new(),
        });
        Self::execute(ticket, command, random)
    }

    fn execute(ticket: u64, command: Command, random: u64) -> Input {
        let account = model::AccountId::from_number(ACCOUNT).unwrap();
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&random.to_be_bytes());
        let caller = Caller {
            account,
            principal: Principal::Root,
            credential: Credential::Node(0),
            session: None,
        };
        Input::Execute(Box::new(Execute {
            ticket,
            caller,
            request: RequestContext::default(),
            entropy: Entropy::new(entropy),
            request_id: format!("request-{ticket}"),
            command,
        }))
    }

    pub(crate) fn create_user(&mut self, at: usize, name: &str) -> Answered {
        self.tickets += 1;
        let ticket = self.tickets;
        let random = self.rng.next();
        self.handle(at, Self::create_user_input(ticket, name, random));
        self.answers.remove(&ticket).unwrap()
    }

    fn some_command(&mut self, at: usize) {
        self.tickets += 1;
        let (ticket, random) = (self.tickets, self.rng.next());
        let name = format!("user{}", self.rng.below(3));
        let input = match self.rng.below(6) {
            0 => Input::RootKey {
                ticket,
                account: model::AccountId::from_number(ACCOUNT).unwrap(),
                entropy: Entropy::new([u8::try_from(random % 256).unwrap(); 32]),
                request_id: "root".into(),
            },
            1 | 2 => {
                let name = name.parse().unwrap();
                let delete = Command::DeleteUser(user::DeleteUser { name });
                Self::execute(ticket, delete, random)
            }
            _ => Self::create_user_input(ticket, &name, random),
        };
        self.handle(at, input);
    }

    pub(crate) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            let (a, b) = (self.rng.below(SIZE), self.rng.below(SIZE));
            match self.rng.below(100) {
                0..12 => self.some_command(a),
                12..30 => {
                    let count = self.rng.below(4);
                    self.sync(a, count);
                }
                30..70 => (0..self.rng.below(6)).for_each(|_| self.deliver(a, b)),
                70..78 => self.handle(a, Input::Tick),
                78..84 => self.connect(a, b),
                84..86 => {
                    self.cut.insert((a, b));
                }
                86..89 => {
                    self.cut.remove(&(a, b));
                }
                89 => self.disconnect(a, b),
                90 if self.rng.below(3) == 0 => self.crash(a),
                96 => self.freeze(a),
                97 => self.snapshot(a, true),
                98 => self.finish(a),
                91..94 => self.some_wait(a),
                94 => self.garbage(a, b),
                95 => self.now_ms += 1_000,
                _ => self.downs(a),
            }
            self.now_ms += self.rng.next() % 20;
        }
    }

    /// As [`Self::run`], with snapshots all the time and logs that are soon cut short.
    pub(crate) fn run_cut_short(&mut self, steps: usize) {
        for _ in 0..steps / 5 {
            self.run(5);
            let at = self.rng.below(SIZE);
            self.freeze(at);
            self.sync(at, usize::MAX);
            self.snapshot(at, true);
            let at = self.rng.below(SIZE);
            self.tell_snapshots(at);
        }
    }

    fn some_wait(&mut self, at: usize) {
        self.tickets += 1;
        let ticket = self.tickets;
        let scope = match self.rng.below(6) {
            0 => Scope::All,
            1 => Scope::Quorum,
            2 => Scope::Region("r1".into()),
            3 => Scope::Serving,
            4 => Scope::Regions,
            _ => Scope::Nodes([id(self.rng.below(SIZE)), id(self.rng.below(SIZE))].into()),
        };
        let stage = [Stage::Received, Stage::Durable, Stage::Visible][self.rng.below(3)];
        let token = self.hosts[at].on_disk.clone();
        let wait = Wait { at, token: token.clone(), scope: scope.clone(), stage };
        self.waits.insert(ticket, wait);
        let deadline = self.clock(at).plus_ms(self.rng.next() % 5_000);
        self.handle(at, Input::Wait { ticket, token, scope, stage, deadline });
    }

    /// Bytes that are no transaction, or a batch for the second time.
    fn garbage(&mut self, a: usize, b: usize) {
        let Some(session) = self.connections.get(&pair(a, b)).copied() else { return };
        let wire = self.wires.entry((a, b)).or_default();
        let copy = wire.iter().find_map(|event| match event {
            Event::Frame(_, frame) => Some(frame.clone()),
            Event::Up(_) => None,
        });
        let copy = copy.filter(|copy| matches!(copy.frame, Some(v1::frame::Frame::Batch(_))));
        let transactions = vec![vec![0xff; 9]];
        let batch = v1::frame::Frame::Batch(v1::Batch { transactions });
        let frame = copy.unwrap_or(v1::Frame { frame: Some(batch) });
        wire.push_back(Event::Frame(session, frame));
    }

    /// A frame on the open stream between two nodes, its effects not carried out.
    pub(crate) fn inject(&mut self, from: usize, to: usize, frame: v1::Frame) -> Vec<Effect> {
        let session = self.connections.get(&pair(from, to)).copied().unwrap_or(self.sessions);
        let now = self.clock(to);
        let peer = id(from);
        let node = &mut self.hosts[to].node;
        let effects = node.handle(now, Input::PeerFrame { peer, session, frame });
        if effects.iter().any(|effect| matches!(effect, Effect::CloseStream { .. })) {
            self.disconnect(from, to);
            self.settle(20);
        }
        effects
    }

    /// A well-formed transaction of the second writer that no node has.
    pub(crate) fn foreign_transaction(&mut self) -> Vec<u8> {
        let mut other = Node::new(id(1), "sim".into(), Role::Writer);
        let now = self.clock(1);
        let state = Box::new(self.control.to_message());
        other.handle(now, Input::Control { state, data_keys: vec![(1, [3; 32])] });
        let effects = other.handle(now, Self::create_user_input(1, "mallory", 1));
        let [Effect::Persist { bytes, .. }, _] = effects.as_slice() else { panic!("{effects:?}") };
        bytes.to_vec()
    }

    fn downs(&mut self, at: usize) {
        while let Some((from, session)) = self.hosts[at].downs.pop_front() {
            self.handle(at, Input::PeerDown { peer: id(from), session });
        }
    }
}
