//! The simulated cluster: a queue of events, the hosts, and what is carried out for their nodes.
//!
//! **Invariants.** Everything that happens is an event with a time; events of one time happen in
//! the order in which they were decided. Equal plans give equal runs.
//!
//! **Must not know:** what must hold; the invariants are told what happened.

use std::collections::{BTreeMap, BTreeSet};

use crdt::{Dot, NodeId};
use node::{ControlState, Effect, Input, Role, Scope, Stage, WaitOutcome};
use wire::{repair, snapshot, transaction, v1};

use crate::{
    Counts,
    authority::Authority,
    fact::{Fact, View, Violation, Wait},
    history::History,
    host::Host,
    invariants::{self, Invariant},
    load,
    network::Network,
    plan::{Damage, Plan, Setting, Step},
    rng::Rng,
};

/// How often a node hears from the control plane and asks where it stands, at most.
const SYNC_MS: (u64, u64) = (50, 600);
/// How long after the last step everything may take to come right.
const HEAL_MS: u64 = 120_000;
/// For how long it goes on once it has: streams open and digests are compared meanwhile.
const CALM_MS: u64 = 4_000;
/// Bytes of one read of the log are as the node asks, records at most so many.
const READ_RECORDS_MAX: usize = 1_024;

pub(crate) enum Event {
    Step(Step),
    Start { at: usize },
    Wake { at: usize },
    Flushed { at: usize, run: u64 },
    Read { at: usize, run: u64, peer: NodeId, session: u64, from_lsn: u64, max_bytes: usize },
    Sync { at: usize },
    File { at: usize, run: u64, effect: Box<Effect> },
    Claim(v1::ClaimNames),
    Dial { at: usize },
    Deliver { from: usize, to: usize },
    Late { from: usize, to: usize, session: u64, frame: v1::Frame },
    Down { at: usize, peer: usize, session: u64 },
}

/// A cluster.
pub struct World {
    pub(crate) rng: Rng,
    pub(crate) setting: Setting,
    pub(crate) now_ms: u64,
    /// What a log may hold for who is behind.
    pub(crate) log_bytes_max: u64,
    events: BTreeMap<(u64, u64), Event>,
    decided: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) authority: Authority,
    pub(crate) network: Network,
    tickets: u64,
    waits: BTreeMap<u64, Wait>,
    invariants: Vec<Box<dyn Invariant>>,
    violation: Option<Violation>,
    damage: Option<Damage>,
    pub(crate) history: History,
    /// What was done, in numbers.
    pub counts: Counts,
    trace: u64,
}

impl World {
    /// The cluster of a plan, before anything has happened.
    pub fn new(plan: &Plan) -> Self {
        let mut world = Self {
            rng: Rng::new(plan.seed ^ 0x5349_4D55_4C41_5445),
            setting: plan.setting.clone(),
            now_ms: 0,
            log_bytes_max: [0, 6_000, u64::MAX][(plan.seed % 3) as usize],
            events: BTreeMap::new(),
            decided: 0,
            hosts: Vec::new(),
            authority: Authority::new(),
            network: Network::default(),
            tickets: 0,
            waits: BTreeMap::new(),
            invariants: invariants::all(),
            violation: None,
            damage: plan.damage.clone(),
            history: History::default(),
            counts: Counts::default(),
            trace: 0xcbf2_9ce4_8422_2325,
        };
        for index in 0..plan.setting.writers + plan.setting.replicas {
            let role = if index < plan.setting.writers { Role::Writer } else { Role::Replica };
            let id = if index == 0 { NodeId(1) } else { world.authority.join(role) };
            world.authority.activate(id);
            world.add_host(id, role);
        }
        for (at_ms, step) in &plan.steps {
            world.later(*at_ms, Event::Step(step.clone()));
        }
        world
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The first violation.
    pub fn run(&mut self) -> Result<(), Violation> {
        let last = self.events.iter().rev().find(|(_, event)| matches!(event, Event::Step(_)));
        let end_ms = last.map_or(0, |((at_ms, _), _)| *at_ms) + 1;
        self.run_until(end_ms)?;
        self.heal()?;
        if let Some(damage) = self.damage.take() {
            self.suffer(damage)?;
        }
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// Every fault is over, and everything comes right.
    pub(crate) fn heal(&mut self) -> Result<(), Violation> {
        self.mend();
        for at in 0..self.hosts.len() {
            self.later(1, Event::Start { at });
        }
        let limit_ms = self.now_ms + HEAL_MS;
        while self.now_ms < limit_ms && !self.is_calm() {
            self.run_until(self.now_ms + 250)?;
        }
        self.run_until(self.now_ms + CALM_MS)?;
        let waits = self.waits.len();
        self.tell(&Fact::Healed { waits });
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// A number that is equal for equal runs.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// How long the cluster has run, in milliseconds of its own time.
    pub fn elapsed_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) fn run_until(&mut self, end_ms: u64) -> Result<(), Violation> {
        while let Some(entry) = self.events.first_entry() {
            let at_ms = entry.key().0;
            if at_ms > end_ms {
                break;
            }
            let event = entry.remove();
            self.now_ms = self.now_ms.max(at_ms);
            self.happen(event);
            if let Some(violation) = self.violation.clone() {
                return Err(violation);
            }
        }
        self.now_ms = self.now_ms.max(end_ms);
        Ok(())
    }

    /// Whether all members have the same, on their disks, agree that it is stable and whose each
    /// name is, and nothing is pending: no stream either that only one end knows to be dead. The
    /// other end gives it up after a while, and opens one in its place.
    fn is_calm(&self) -> bool {
        let view = View { hosts: &self.hosts, control: self.authority.newest() };
        let mut vectors = BTreeSet::new();
        let settled = view.present().all(|(_, host)| {
            vectors.insert(host.on_disk.to_string());
            let serves = host
                .node
                .as_ref()
                .is_some_and(|node| node.serves() && node.identity().provisional_names() == 0);
            serves && host.unsynced.is_empty() && host.version + 1 == self.authority.count()
        });
        let whole = self.hosts.iter().enumerate().all(|(at, host)| {
            let mut ends = host.streams.iter();
            ends.all(|(peer, session)| self.hosts[*peer].streams.get(&at) == Some(session))
        });
        let stable = self.authority.newest().barrier().stable.to_string();
        settled && whole && vectors == BTreeSet::from([stable]) && self.waits.is_empty()
    }

    pub(crate) fn later(&mut self, after_ms: u64, event: Event) {
        self.decided += 1;
        self.events.insert((self.now_ms + after_ms, self.decided), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step(step) => self.step(step),
            Event::Start { at } => self.start(at),
            Event::Wake { at } => {
                if self.hosts[at].wake_ms == Some(self.now_ms) {
                    self.hosts[at].wake_ms = None;
                    self.handle(at, Input::Tick);
                }
            }
            Event::Flushed { at, run } => {
                if self.hosts[at].run == run {
                    self.flushed(at);
                }
            }
            Event::Read { at, run, peer, session, from_lsn, max_bytes } => {
                if self.hosts[at].run == run {
                    self.read(at, peer, session, from_lsn, max_bytes);
                }
            }
            Event::File { at, run, effect } => {
                if self.hosts[at].run == run && self.hosts[at].node.is_some() {
                    self.file(at, *effect);
                }
            }
            Event::Sync { at } => {
                self.sync(at);
                let pause_ms = self.rng.between(SYNC_MS.0, SYNC_MS.1);
                self.later(pause_ms, Event::Sync { at });
            }
            Event::Claim(claim) => {
                self.counts.claims += claim.claims.len() as u64;
                self.authority.claim(claim);
            }
            Event::Dial { at } => {
                self.dial(at);
                let pause_ms = self.rng.between(50, 2_000);
                self.later(pause_ms, Event::Dial { at });
            }
            Event::Deliver { from, to } => self.deliver(from, to),
            Event::Late { from, to, session, frame } => self.post(from, to, session, frame),
            Event::Down { at, peer, session } => self.down(at, peer, session),
        }
    }

    fn step(&mut self, step: Step) {
        let count = self.hosts.len();
        self.history.note(self.now_ms, || format!("of {count} hosts: {step:?}"));
        match step {
            Step::Call { at, call } => {
                let ticket = self.ticket();
                self.handle(at % count, call.input(ticket));
            }
            Step::Flood { at, calls, random } => {
                for number in 0..calls {
                    let ticket = self.ticket();
                    self.handle(at % count, load::long(ticket, random.wrapping_add(number)));
                }
            }
            Step::Wait { at, random, for_ms } => self.wait(at % count, random, for_ms),
            Step::Crash { at, keep, down_ms } => self.crash(at % count, keep, down_ms),
            Step::Cut { from, to } => self.network.cut(from % count, to % count),
            Step::Split { sides } => {
                let side = |host: usize| (sides >> host) & 1;
                let pairs = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
                for (a, b) in pairs.filter(|(a, b)| side(*a) != side(*b)) {
                    self.network.cut(a, b);
                }
            }
            Step::Mend => self.mend(),
            Step::Break { a, b } => self.break_stream(a % count, b % count),
            Step::Double { from, to } => self.network.double(from % count, to % count),
            Step::Delay { from, to, by_ms } => {
                self.network.delay(from % count, to % count, by_ms);
            }
            Step::SetClock { at, ahead_ms } => {
                self.hosts[at % count].set_clock(ahead_ms);
                self.wake_now(at % count);
            }
            Step::SlowDisk { at, for_ms } => {
                self.hosts[at % count].slow_until_ms = self.now_ms + for_ms;
            }
            Step::Join { writer } => self.join(if writer { Role::Writer } else { Role::Replica }),
            Step::Remove { at } => self.remove(at % count),
            Step::Destroy { at } => self.destroy(at % count),
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    pub(crate) fn add_host(&mut self, id: NodeId, role: Role) {
        let ahead_ms = self.rng.below(2 * crate::plan::DAY_MS);
        let at = self.hosts.len();
        let mut host = Host::new(id, role, ahead_ms);
        host.version = self.authority.count() - 1;
        self.hosts.push(host);
        self.later(0, Event::Start { at });
        self.later(1, Event::Sync { at });
        self.later(2, Event::Dial { at });
    }

    fn start(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let host = &mut self.hosts[at];
        if host.node.is_some() || host.retired {
            return;
        }
        if let Err(error) = host.start(now_ms) {
            self.violate("a host starts from its own disk", format!("host {at}: {error}"));
            return;
        }
        self.tell(&Fact::Started { at });
        self.tell_control(at, self.hosts[at].version);
    }

    pub(crate) fn crash(&mut self, at: usize, keep: u64, down_ms: u64) {
        if self.hosts[at].node.is_none() {
            return;
        }
        self.counts.crashes += 1;
        for (peer, session) in self.hosts[at].streams.clone() {
            self.hang_up(at, peer, session);
        }
        self.waits.retain(|_, wait| wait.at != at);
        self.hosts[at].crash(keep);
        self.later(down_ms, Event::Start { at });
    }

    fn wait(&mut self, at: usize, random: u64, for_ms: u64) {
        let mut rng = Rng::new(random);
        let now_ms = self.now_ms;
        let host = &mut self.hosts[at];
        let clock = host.clock(now_ms);
        let Some(node) = &host.node else { return };
        let token = host.on_disk.clone();
        let scope = some_scope(&mut rng);
        let stages = [Stage::Received, Stage::Durable, Stage::Visible, Stage::Stable];
        let stage = stages[rng.index(stages.len())];
        let deadline = clock.plus_ms(for_ms);
        let control: ControlState = node.control().clone();
        let wait = Wait {
            at,
            token: token.clone(),
            scope: scope.clone(),
            stage,
            deadline_ms: deadline.ms(),
            control,
        };
        let ticket = self.ticket();
        self.waits.insert(ticket, wait);
        self.handle(at, Input::Wait { ticket, token, scope, stage, deadline });
    }

    /// Whether two hosts are up and hear each other.
    pub(crate) fn can_talk(&self, a: usize, b: usize) -> bool {
        let up = self.hosts[a].node.is_some() && self.hosts[b].node.is_some();
        up && (a == b || !self.network.is_cut(a, b) && !self.network.is_cut(b, a))
    }

    pub(crate) fn handle(&mut self, at: usize, input: Input) {
        let now_ms = self.now_ms;
        let host = &mut self.hosts[at];
        let clock = host.clock(now_ms);
        let Some(node) = &mut host.node else { return };
        let effects = node.handle(clock, input);
        for (node, seq) in &node.vector().dots {
            crdt::advance(&mut host.received, Dot::new(*node, *seq));
        }
        for effect in effects {
            self.perform(at, effect);
        }
        self.tell(&Fact::Handled { at });
        self.begin_flush(at);
        self.wake_when_due(at);
    }

    fn perform(&mut self, at: usize, effect: Effect) {
        self.note(at, &effect);
        let run = self.hosts[at].run;
        match effect {
            Effect::Persist { lsn, bytes } => {
                let host = &mut self.hosts[at];
                host.unsynced.push_back(bytes.clone());
                let expected = host.disk.last_lsn() + host.unsynced.len() as u64;
                if lsn != expected {
                    let what = format!("host {at}: {lsn} after {}", expected - 1);
                    self.violate("records are dense", what);
                }
                self.counts.applied += 1;
                if let Some(hash) = snapshot::decode_join(&bytes) {
                    let covers = self.hosts[at].disk.covers(&hash);
                    return self.tell(&Fact::Joins { at, covers: &covers });
                }
                if repair::decode_mend(&bytes).is_some() {
                    return;
                }
                match transaction::decode(&bytes) {
                    Ok(transaction) => {
                        self.tell(&Fact::Applied { at, transaction: &transaction });
                    }
                    Err(error) => self.violate("records are transactions", error.to_string()),
                }
            }
            Effect::Reply { result, .. } => {
                if let Ok(answer) = result {
                    self.hold(at, answer.lsn, &answer.token);
                }
            }
            Effect::RootKeyReply { result, .. } => {
                if let Ok(answer) = result {
                    self.hold(at, answer.lsn, &answer.token);
                }
            }
            Effect::Control { .. } | Effect::Conflicts { .. } => {}
            Effect::Send { peer, session, frame } => self.send(at, peer, session, frame),
            Effect::ReadLog { peer, session, from_lsn, max_bytes } => {
                let read = Event::Read { at, run, peer, session, from_lsn, max_bytes };
                self.later(1, read);
            }
            Effect::ReadSnapshot { .. }
            | Effect::WriteSnapshot { .. }
            | Effect::FinishSnapshot { .. }
            | Effect::KeepFetched { .. }
            | Effect::TrimLog { .. } => self.perform_later(at, effect),
            Effect::CloseStream { peer, session, .. } => self.close(at, peer, session),
            Effect::WaitProgress { ticket, .. } => {
                if !self.waits.contains_key(&ticket) {
                    let what = format!("host {at} reports on a wait that is over");
                    self.violate("a ticket is answered once", what);
                }
            }
            Effect::WaitOutcome { ticket, outcome } => self.wait_ended(at, ticket, &outcome),
            Effect::Fence { .. } => self.hosts[at].retired = true,
            Effect::Alarm { what } => self.tell(&Fact::Alarm { at, what: &what }),
        }
    }

    fn hold(&mut self, at: usize, lsn: u64, token: &str) {
        let host = &mut self.hosts[at];
        let opened = host.node.as_ref().map(|node| node.open_token(token));
        match opened {
            Some(Ok(covers)) => host.held.push((lsn, covers)),
            Some(Err(error)) => {
                self.violate("a token opens", format!("host {at}: {error}"));
            }
            None => {}
        }
        self.release(at);
    }

    fn release(&mut self, at: usize) {
        let lsn = self.hosts[at].disk.last_lsn();
        let held = std::mem::take(&mut self.hosts[at].held);
        let (released, held): (Vec<_>, Vec<_>) = held.into_iter().partition(|held| held.0 <= lsn);
        self.hosts[at].held = held;
        for (_, covers) in released {
            self.counts.acknowledged += 1;
            self.tell(&Fact::Acknowledged { at, covers: &covers });
        }
    }

    fn wait_ended(&mut self, at: usize, ticket: u64, outcome: &WaitOutcome) {
        let Some(wait) = self.waits.remove(&ticket) else {
            let what = format!("host {at} ends a wait that is over");
            return self.violate("a ticket is answered once", what);
        };
        self.counts.propagated += u64::from(*outcome == WaitOutcome::Propagated);
        let clock_ms = self.hosts[at].clock(self.now_ms).ms();
        self.tell(&Fact::WaitEnded { wait: &wait, clock_ms, outcome });
    }

    fn begin_flush(&mut self, at: usize) {
        let slow = self.hosts[at].slow_until_ms.saturating_sub(self.now_ms);
        let flush_ms = slow + self.rng.between(self.setting.flush_ms.0, self.setting.flush_ms.1);
        let host = &mut self.hosts[at];
        if host.flushing > 0 || host.unsynced.is_empty() {
            return;
        }
        host.flushing = host.unsynced.len();
        let run = host.run;
        self.later(flush_ms, Event::Flushed { at, run });
    }

    fn flushed(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.flush(host.flushing);
        host.flushing = 0;
        let lsn = host.disk.last_lsn();
        self.release(at);
        self.handle(at, Input::Persisted { lsn });
    }

    fn read(&mut self, at: usize, peer: NodeId, session: u64, from_lsn: u64, max_bytes: usize) {
        let mut room = Some(max_bytes);
        let records = self.hosts[at].disk.read(from_lsn).iter();
        let items = (from_lsn..)
            .zip(records.take(READ_RECORDS_MAX))
            .take_while(|(_, record)| {
                let fits = room.is_some();
                room = room.and_then(|room| room.checked_sub(record.len()));
                fits
            })
            .map(|(lsn, record)| (lsn, record.clone()))
            .collect();
        self.handle(at, Input::LogRead { peer, session, items });
    }

    fn wake_when_due(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let host = &mut self.hosts[at];
        let clock = host.clock(now_ms);
        let Some(due) = host.node.as_ref().and_then(node::Node::next_wakeup) else { return };
        let wake_ms = now_ms + due.ms().saturating_sub(clock.ms()).max(1);
        if host.wake_ms.is_none_or(|wake| wake > wake_ms) {
            host.wake_ms = Some(wake_ms);
            self.later(wake_ms - now_ms, Event::Wake { at });
        }
    }

    fn wake_now(&mut self, at: usize) {
        self.hosts[at].wake_ms = Some(self.now_ms + 1);
        self.later(1, Event::Wake { at });
    }

    pub(crate) fn tell(&mut self, fact: &Fact<'_>) {
        self.history.fact(self.now_ms, fact);
        if self.violation.is_some() {
            return;
        }
        let view = View { hosts: &self.hosts, control: self.authority.newest() };
        for invariant in &mut self.invariants {
            if let Err(what) = invariant.see(view, fact) {
                let (invariant, at_ms) = (invariant.name(), self.now_ms);
                self.violation = Some(Violation { invariant, what, at_ms });
                return;
            }
        }
    }

    pub(crate) fn violate(&mut self, invariant: &'static str, what: String) {
        let at_ms = self.now_ms;
        self.violation.get_or_insert(Violation { invariant, what, at_ms });
    }

    /// Takes what was done into the trace.
    fn note(&mut self, at: usize, effect: &Effect) {
        let kind = match effect {
            Effect::Persist { lsn, .. } => *lsn,
            Effect::Send { peer, .. } => u64::from(peer.0) << 32,
            Effect::Reply { ticket, .. } | Effect::RootKeyReply { ticket, .. } => ticket << 8,
            Effect::WaitOutcome { ticket, .. } => ticket << 16,
            Effect::Control { .. }
            | Effect::ReadLog { .. }
            | Effect::ReadSnapshot { .. }
            | Effect::WriteSnapshot { .. }
            | Effect::FinishSnapshot { .. }
            | Effect::KeepFetched { .. }
            | Effect::TrimLog { .. }
            | Effect::CloseStream { .. }
            | Effect::WaitProgress { .. }
            | Effect::Fence { .. }
            | Effect::Conflicts { .. }
            | Effect::Alarm { .. } => 1 << 60,
        };
        for number in [self.now_ms, at as u64, kind] {
            self.trace = (self.trace ^ number).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn some_scope(rng: &mut Rng) -> Scope {
    let mut node = || NodeId(u32::try_from(1 + rng.below(6)).unwrap_or_default());
    let (one, other) = (node(), node());
    match rng.below(7) {
        0 => Scope::All,
        1 => Scope::Serving,
        2 => Scope::Quorum,
        3 => Scope::Regions,
        4 => Scope::Region("r1".into()),
        5 => Scope::Nodes([one, other].into()),
        _ => Scope::node(one),
    }
}
