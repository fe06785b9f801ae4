//! What a transaction costs a node that takes it in, and what a user costs in memory.
//!
//! **Invariants.** One thread, in this process, no disk and no network: the CPU's share of catching
//! up and of starting. The floor is the least that any store of the same values does: keep each
//! under its key in a sorted map.
//!
//! **Must not know:** how a node works inside.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crdt::{Barrier, NodeId};
use identity::Identity;
use node::{Node, Role};
use serde::Serialize;
use wire::{
    snapshot::{self, Restored},
    transaction::{self, Transaction},
};

use crate::{
    error::Error,
    history::{self, NODES},
};

/// Transactions between two barriers: those of two seconds at 500 a second.
const SETTLED_EVERY: usize = 1_000;

/// One line: what was done with each transaction.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    transactions: usize,
    ns_each: f64,
    per_second: f64,
    /// `ns_each` as a multiple of the floor's.
    to_floor: Option<f64>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct ReplayReport {
    benchmark: &'static str,
    users: u64,
    origins: u32,
    /// Of a transaction as it is kept and sent.
    mean_transaction_bytes: u64,
    writes_per_transaction: f64,
    rows: Vec<Row>,
    /// Growth of this process's resident memory while the identity state took the history in, by
    /// user, once all of it is stable.
    resident_bytes_per_user: u64,
    /// The same growth by floor's map, which keeps each value once.
    floor_bytes_per_user: u64,
    /// Of a snapshot of all.
    snapshot_bytes_per_user: u64,
    /// From the snapshot's bytes to a state with its indexes.
    snapshot_start_seconds: f64,
}

/// Measures with a history of so many users.
pub(crate) fn measure(users: u64) -> Result<ReplayReport, Error> {
    let log = history::of_users(users)?;
    let count = log.len();
    let (decoded, decode) = timed(|| decode(&log))?;
    // Before anything is freed that could be used again.
    let before = resident_bytes()?;
    let (identity, settled) = timed(|| apply(&decoded, Some(SETTLED_EVERY)))?;
    let grown = resident_bytes()?.saturating_sub(before);
    let before = resident_bytes()?;
    let (map, floor) = timed(|| Ok(sorted_map(&decoded)))?;
    let floor_grown = resident_bytes()?.saturating_sub(before);
    drop(map);
    let (snapshot, encode) = timed(|| Ok(snapshot::encode(identity.state(), &identity.keep())))?;
    drop(identity);
    let (restored, restore) = timed(|| restore(&snapshot))?;
    drop(restored);
    let (identity, unsettled) = timed(|| apply(&decoded, None))?;
    drop(identity);
    let (node, whole) = timed(|| replay(&log))?;
    drop(node);
    let floor = row("floor: each value into a sorted map", count, floor);
    let against = |row: Row| Row { to_floor: Some(row.ns_each / floor.ns_each), ..row };
    let rows = vec![
        against(row("decode", count, decode)),
        against(row("apply to the identity state", count, settled)),
        against(row("apply while nothing becomes stable", count, unsettled)),
        against(row("all that a starting node does", count, whole)),
        against(row("encode a snapshot of it all", count, encode)),
        against(row("start from that snapshot instead", count, restore)),
    ];
    Ok(ReplayReport {
        benchmark: "replay",
        users,
        origins: NODES,
        mean_transaction_bytes: mean_bytes(&log),
        writes_per_transaction: writes(&decoded) as f64 / count as f64,
        rows: std::iter::once(floor).chain(rows).collect(),
        resident_bytes_per_user: grown / users.max(1),
        floor_bytes_per_user: floor_grown / users.max(1),
        snapshot_bytes_per_user: snapshot.len() as u64 / users.max(1),
        snapshot_start_seconds: restore.as_secs_f64(),
    })
}

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(T, Duration), Error> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed()))
}

fn replay(log: &[Arc<[u8]>]) -> Result<Node, Error> {
    let mut node = Node::new(NodeId(NODES + 1), "bench".to_owned(), Role::Replica);
    let refused = |error: node::ReplayError| Error::History(error.to_string());
    for bytes in log {
        node.replay(Arc::clone(bytes)).map_err(refused)?;
    }
    node.started(log.len() as u64).map_err(refused)?;
    Ok(node)
}

fn decode(log: &[Arc<[u8]>]) -> Result<Vec<Transaction>, Error> {
    let decoded = log.iter().map(|bytes| transaction::decode(bytes)).collect::<Result<_, _>>();
    decoded.map_err(|error| Error::History(error.to_string()))
}

/// Applies all; after so many, what was applied is agreed to be stable.
fn apply(transactions: &[Transaction], settled: Option<usize>) -> Result<Identity, Error> {
    let mut identity = Identity::default();
    for (transaction, number) in transactions.iter().zip(1..) {
        let applied = identity.apply(transaction);
        applied.map_err(|error| Error::History(error.to_string()))?;
        let last = number == transactions.len();
        if settled.is_some_and(|every| number % every == 0 || last) {
            let all = identity.state().vector().clone();
            let number = number as u64;
            let _conflicts = identity.collect(&Barrier { number, stable: all.clone(), cut: all });
        }
    }
    Ok(identity)
}

fn restore(bytes: &[u8]) -> Result<Identity, Error> {
    let refused = |error: String| Error::History(error);
    let Restored { state, doubts } =
        snapshot::decode(bytes).map_err(|error| refused(error.to_string()))?;
    Identity::restore(state, doubts).map_err(|error| refused(error.to_string()))
}

fn sorted_map(transactions: &[Transaction]) -> BTreeMap<Box<[u8]>, Arc<[u8]>> {
    let mut map = BTreeMap::new();
    for write in transactions.iter().flat_map(|transaction| &transaction.writes) {
        match &write.value {
            Some(value) => drop(map.insert(write.key.clone(), Arc::from(&**value))),
            None => drop(map.remove(&write.key)),
        }
    }
    map
}

fn writes(transactions: &[Transaction]) -> usize {
    transactions.iter().map(|transaction| transaction.writes.len()).sum()
}

fn row(what: &'static str, transactions: usize, elapsed: Duration) -> Row {
    let seconds = elapsed.as_secs_f64();
    let count = transactions as f64;
    Row {
        what,
        transactions,
        ns_each: seconds * 1e9 / count,
        per_second: count / seconds,
        to_floor: None,
    }
}

fn mean_bytes(log: &[Arc<[u8]>]) -> u64 {
    let total: usize = log.iter().map(|bytes| bytes.len()).sum();
    (total / log.len().max(1)) as u64
}

/// proc_pid_status(5): `VmRSS` is the resident memory, in KiB.
fn resident_bytes() -> Result<u64, Error> {
    let text = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| Error::Io("read this process's memory", error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let kib = kib.ok_or_else(|| Error::History("the kernel tells no VmRSS".to_owned()))?;
    Ok(kib * 1024)
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, origins, mean_transaction_bytes, writes_per_transaction, rows, .. } =
            self;
        writeln!(
            f,
            "replay: {users} users (path, two tags, one key, one membership) of {origins} nodes; a \
             transaction of {mean_transaction_bytes} bytes makes {writes_per_transaction:.2} \
             writes; one thread, in memory\n"
        )?;
        writeln!(f, "{:<40}{:>12}{:>12}{:>10}", "", "ns each", "per s", "to floor")?;
        for Row { what, ns_each, per_second, to_floor, .. } in rows {
            let ratio = to_floor.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            writeln!(f, "{what:<40}{ns_each:>12.0}{per_second:>12.0}{ratio:>10}")?;
        }
        writeln!(
            f,
            "\nmemory of the identity state: {} bytes a user; the sorted map alone {}",
            self.resident_bytes_per_user, self.floor_bytes_per_user
        )?;
        writeln!(
            f,
            "snapshot: {} bytes a user; started from in {:.2} s",
            self.snapshot_bytes_per_user, self.snapshot_start_seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_run_reports_every_row_against_its_floor() {
        let report = measure(50).unwrap();
        let ratios: Vec<bool> = report.rows.iter().map(|row| row.to_floor.is_some()).collect();
        assert_eq!(ratios, [false, true, true, true, true, true, true]);
        assert!(report.to_string().contains("50 users"));
    }
}
