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
    registry::Registry,
};

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

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    /// Requests answered.
    pub requests: Family<Request, Counter>,
    /// How long they took.
    pub durations: Family<Operation, Histogram, fn() -> Histogram>,
    /// Answers to checks, by verdict.
    pub decisions: Family<Outcome, Counter>,
    /// Transactions a peer is not known to have.
    pub lag: Family<Peer, Gauge>,
    /// Seconds from asking until a change had propagated.
    pub propagation: Histogram,
    /// Waits, by how they ended.
    pub waits: Family<Outcome, Counter>,
    /// Raft's term.
    pub raft_term: Gauge<u64, AtomicU64>,
    /// The leader's node number; 0 for none known.
    pub raft_leader: Gauge<u64, AtomicU64>,
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
            lag: Family::default(),
            propagation: seconds(),
            waits: Family::default(),
            raft_term: Gauge::default(),
            raft_leader: Gauge::default(),
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
        let Self { registry, requests, durations, decisions, lag, propagation, waits, .. } = self;
        registry.register("requests", "Requests answered", requests.clone());
        registry.register("request_duration_seconds", "Their duration", durations.clone());
        registry.register("authorization_decisions", "Checks answered", decisions.clone());
        registry.register("replication_lag", "Transactions a peer lacks", lag.clone());
        registry.register("propagation_seconds", "Time to propagate", propagation.clone());
        registry.register("wait_outcomes", "How waits ended", waits.clone());
        registry.register("raft_term", "Raft's term", self.raft_term.clone());
        registry.register("raft_leader", "The leader's node, 0: none", self.raft_leader.clone());
        registry.register("commit_seconds", "Group commits", self.commit_seconds.clone());
        let transactions = self.commit_transactions.clone();
        registry.register("commit_transactions", "Transactions in a group commit", transactions);
        registry.register("commit_bytes", "Bytes of a group commit", self.commit_bytes.clone());
        registry.register("store_poisoned", "1: the store failed", self.store_poisoned.clone());
        registry.register("alarms", "Divergence, refused transactions", self.alarms.clone());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", version);
    }

    /// Everything in Prometheus' text format.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_the_prefix() {
        let metrics = Metrics::default();
        let request = Request { api: "aws", op: "GetUser", code: "ok" };
        metrics.answered(request, std::time::Duration::from_millis(1));
        metrics.lag.get_or_create(&Peer { peer: 2 }).set(7);
        let text = metrics.render();
        assert!(text.contains("writ_requests_total{api=\"aws\",op=\"GetUser\",code=\"ok\"} 1"));
        assert!(text.contains("writ_replication_lag{peer=\"2\"} 7"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("writ_"), "{line}");
        }
    }
}
