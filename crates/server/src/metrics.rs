//! What is counted and measured.
//!
//! **Invariants.** Labels are bounded: actions and codes of the API, node numbers. Never a name, an
//! ARN, an account, or any text a client chose.
//!
//! **Must not know:** how the numbers come about.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Metric, Registry},
};

/// The content type of [`Metrics::render`].
pub const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Seconds, from a quarter of a millisecond to ten seconds.
const SECONDS: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

/// A request of a client, answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// `aws` or `grpc`.
    pub api: &'static str,
    /// The action or method; `Unknown` if it is none.
    pub op: &'static str,
    /// `ok` or the error's code.
    pub code: &'static str,
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Operation {
    /// `aws` or `grpc`.
    pub api: &'static str,
    /// The action or method.
    pub op: &'static str,
}

/// A result out of a few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// Which.
    pub result: &'static str,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Peer {
    /// Its number.
    pub peer: u32,
}

/// What concurrent changes disagree on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConflictKind {
    /// Its word, such as `attachment`.
    pub kind: &'static str,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Listener {
    /// `aws`, `ops` or `grpc`.
    pub listener: &'static str,
}

/// A gauge of what is counted without a sign.
pub type Count = Gauge<u64, AtomicU64>;
/// A gauge of seconds.
pub type Seconds = Gauge<f64, AtomicU64>;

/// All metrics of the process. `docs/metrics.md` says what they tell.
pub struct Metrics {
    registry: Registry,
    /// Requests answered.
    pub requests: Family<Request, Counter>,
    /// How long they took.
    pub durations: Family<Operation, Histogram, fn() -> Histogram>,
    /// Answers to checks, by verdict.
    pub decisions: Family<Outcome, Counter>,
    /// Policies of principals that checks used, by whether they were `kept`, `made`
    /// anew, or made for one check as their names are `contested`.
    pub prepared: Family<Outcome, Counter>,
    /// Connections of a listener.
    pub connections: Family<Listener, Count>,
    /// Transactions a peer is not known to have.
    pub lag: Family<Peer, Count>,
    /// 1 while a stream to a peer is open.
    pub connected: Family<Peer, Count>,
    /// Seconds since anything was heard of a peer.
    pub silence: Family<Peer, Seconds>,
    /// 1 if a peer's state differs from this node's though both have the same transactions.
    pub diverged: Family<Peer, Count>,
    /// Conflicts that are open, by kind.
    pub conflicts: Family<ConflictKind, Count>,
    /// Names that the control plane has not decided about.
    pub names_provisional: Count,
    /// Seconds that checks here may be behind.
    pub staleness: Seconds,
    /// Seconds from asking until a change had propagated.
    pub propagation: Histogram,
    /// Waits, by how they ended.
    pub waits: Family<Outcome, Counter>,
    /// Waits under way.
    pub waits_open: Count,
    /// Streams that are open.
    pub streams_open: Count,
    /// Inputs that wait for the node's task.
    pub inputs_waiting: Count,
    /// Answers that wait for the disk.
    pub answers_held: Count,
    /// Bytes of transactions that wait for the disk.
    pub disk_waiting: Count,
    /// The number of the log's last transaction.
    pub log_last: Count,
    /// The number of the first transaction that the log keeps.
    pub log_first: Count,
    /// The last transaction that is in the newest snapshot.
    pub snapshot_lsn: Count,
    /// The newest snapshot's length.
    pub snapshot_bytes: Count,
    /// Seconds since it was taken.
    pub snapshot_age: Seconds,
    /// Snapshots that were found to be damaged.
    pub snapshots_damaged: Counter,
    /// Transactions that are not agreed to be stable.
    pub unstable: Count,
    /// 1 while most members hold another state, or did until lately.
    pub mending: Count,
    /// Slots that were taken on from peers since this node started.
    pub mended: Count,
    /// Raft's term.
    pub raft_term: Count,
    /// The leader's node number; 0 for none known.
    pub raft_leader: Count,
    /// Raft's last entry here.
    pub raft_last: Count,
    /// The last entry that is in the state here.
    pub raft_applied: Count,
    /// Nodes that vote.
    pub raft_voters: Count,
    /// Seconds of one group commit: from handing it to the store until it is synced.
    pub commit_seconds: Histogram,
    /// Transactions in one group commit.
    pub commit_transactions: Histogram,
    /// Bytes of one group commit.
    pub commit_bytes: Histogram,
    /// 1 once the store has failed.
    pub store_poisoned: Gauge,
    /// Divergence, refused transactions: each is worth waking someone.
    pub alarms: Counter,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("writ"),
            requests: Family::default(),
            durations: Family::new_with_constructor(seconds),
            decisions: Family::default(),
            prepared: Family::default(),
            connections: Family::default(),
            lag: Family::default(),
            connected: Family::default(),
            silence: Family::default(),
            diverged: Family::default(),
            conflicts: Family::default(),
            names_provisional: Count::default(),
            staleness: Gauge::default(),
            propagation: seconds(),
            waits: Family::default(),
            waits_open: Gauge::default(),
            streams_open: Gauge::default(),
            inputs_waiting: Gauge::default(),
            answers_held: Gauge::default(),
            disk_waiting: Gauge::default(),
            log_last: Gauge::default(),
            log_first: Gauge::default(),
            snapshot_lsn: Gauge::default(),
            snapshot_bytes: Gauge::default(),
            snapshot_age: Gauge::default(),
            snapshots_damaged: Counter::default(),
            unstable: Gauge::default(),
            mending: Gauge::default(),
            mended: Gauge::default(),
            raft_term: Gauge::default(),
            raft_leader: Gauge::default(),
            raft_last: Gauge::default(),
            raft_applied: Gauge::default(),
            raft_voters: Gauge::default(),
            commit_seconds: seconds(),
            commit_transactions: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_bytes: Histogram::new(exponential_buckets(256.0, 4.0, 8)),
            store_poisoned: Gauge::default(),
            alarms: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let mut registry = std::mem::take(&mut self.registry);
        let r = &mut registry;
        add(r, "requests", "Requests answered", &self.requests);
        add(r, "request_duration_seconds", "Time to answer", &self.durations);
        add(r, "authorization_decisions", "Checks answered", &self.decisions);
        add(r, "prepared_policies", "Principals' policies used by checks", &self.prepared);
        add(r, "http_connections", "Open connections", &self.connections);
        add(r, "replication_lag", "Transactions a peer lacks", &self.lag);
        add(r, "replication_connected", "1: a stream is open", &self.connected);
        add(r, "replication_silence_seconds", "Since a peer was heard of", &self.silence);
        add(r, "replication_diverged", "1: a peer's state differs", &self.diverged);
        add(r, "replication_streams_open", "Open streams", &self.streams_open);
        add(r, "conflicts_open", "Conflicts that are open", &self.conflicts);
        let provisional = "Names that are not yet confirmed or lost";
        add(r, "names_provisional", provisional, &self.names_provisional);
        add(r, "staleness_seconds", "How far checks may be behind", &self.staleness);
        add(r, "propagation_seconds", "Time to propagate", &self.propagation);
        add(r, "wait_outcomes", "How waits ended", &self.waits);
        add(r, "waits_open", "Waits under way", &self.waits_open);
        add(r, "inputs_waiting", "Inputs that wait for the node", &self.inputs_waiting);
        add(r, "answers_held", "Answers that wait for the disk", &self.answers_held);
        add(r, "disk_waiting_bytes", "Bytes that wait for the disk", &self.disk_waiting);
        add(r, "log_last", "The log's last transaction", &self.log_last);
        add(r, "log_first", "The log's first transaction", &self.log_first);
        add(r, "snapshot_lsn", "The last transaction in a snapshot", &self.snapshot_lsn);
        add(r, "snapshot_bytes", "The newest snapshot's bytes", &self.snapshot_bytes);
        add(r, "snapshot_age_seconds", "Since it was taken", &self.snapshot_age);
        add(r, "snapshots_damaged", "Put aside when read again", &self.snapshots_damaged);
        add(r, "transactions_unstable", "Not agreed to be everywhere", &self.unstable);
        add(r, "state_mending", "1: its state is other than most members'", &self.mending);
        add(r, "state_mended_slots", "Slots taken on from peers", &self.mended);
        add(r, "raft_term", "Raft's term", &self.raft_term);
        add(r, "raft_leader", "The leader's node, 0: none", &self.raft_leader);
        add(r, "raft_last_index", "Raft's last entry", &self.raft_last);
        add(r, "raft_applied_index", "Raft's last applied entry", &self.raft_applied);
        add(r, "raft_voters", "Nodes that vote", &self.raft_voters);
        add(r, "commit_seconds", "Time until a commit is synced", &self.commit_seconds);
        add(r, "commit_transactions", "Size of a group commit", &self.commit_transactions);
        add(r, "commit_bytes", "Bytes of a group commit", &self.commit_bytes);
        add(r, "store_poisoned", "1: the store failed", &self.store_poisoned);
        add(r, "alarms", "Divergence, refused transactions", &self.alarms);
        r.register("build", "What runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        self.registry = registry;
    }

    /// Everything in [`FORMAT`].
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }

    /// Counts a group commit.
    pub fn committed(&self, transactions: usize, bytes: usize, took: std::time::Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_transactions.observe(transactions as f64);
        self.commit_bytes.observe(bytes as f64);
    }

    /// Counts an answered request.
    pub fn answered(&self, request: Request, took: std::time::Duration) {
        let operation = Operation { api: request.api, op: request.op };
        self.durations.get_or_create(&operation).observe(took.as_secs_f64());
        self.requests.get_or_create(&request).inc();
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One sample of each metric.
    fn touched() -> Metrics {
        let metrics = Metrics::default();
        let request = Request { api: "aws", op: "GetUser", code: "ok" };
        metrics.answered(request, std::time::Duration::from_millis(1));
        let (peer, outcome) = (Peer { peer: 2 }, Outcome { result: "allow" });
        metrics.lag.get_or_create(&peer).set(7);
        metrics.connected.get_or_create(&peer).set(1);
        metrics.silence.get_or_create(&peer).set(0.5);
        metrics.diverged.get_or_create(&peer).set(0);
        metrics.connections.get_or_create(&Listener { listener: "aws" }).set(1);
        metrics.decisions.get_or_create(&outcome).inc();
        metrics.prepared.get_or_create(&outcome).inc();
        metrics.conflicts.get_or_create(&ConflictKind { kind: "attachment" }).set(1);
        metrics.waits.get_or_create(&outcome).inc();
        metrics
    }

    #[test]
    fn every_metric_has_the_prefix() {
        let text = touched().render();
        assert!(text.contains("writ_requests_total{api=\"aws\",op=\"GetUser\",code=\"ok\"} 1"));
        assert!(text.contains("writ_replication_lag{peer=\"2\"} 7"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("writ_"), "{line}");
        }
    }

    #[test]
    fn the_documentation_lists_exactly_what_is_exported() {
        let text = touched().render();
        let exported: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| format!("| `{name}` | {kind} |"))
            .collect();
        let documented: BTreeSet<String> = include_str!("../../../docs/metrics.md")
            .lines()
            .filter(|line| line.starts_with("| `writ_"))
            .map(|line| line.split_inclusive('|').take(3).collect())
            .collect();
        assert_eq!(exported, documented);
        assert_eq!(text.matches("# TYPE").count(), exported.len());
    }

    #[test]
    fn a_group_commit_is_counted_with_its_size_and_its_time() {
        let metrics = Metrics::default();
        metrics.committed(3, 700, std::time::Duration::from_millis(2));
        let text = metrics.render();
        for sample in ["seconds_sum 0.002", "transactions_sum 3.0", "bytes_sum 700.0"] {
            assert!(text.contains(&format!("writ_commit_{sample}")), "{sample}: {text}");
        }
    }
}
