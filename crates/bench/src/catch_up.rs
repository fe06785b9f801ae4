//! How fast a node that was away takes in what it missed, from the others' logs and from a
//! snapshot.
//!
//! **Invariants.** What was missed is written to the first node's store while no node runs, as the
//! node would have written it; from there on it goes through real processes, streams and disks.
//! The floor is what a receiver cannot do without, each alone and in this process: the records into
//! a store, and into a state.
//!
//! **Must not know:** how nodes replicate.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crdt::{NodeId, VersionVector, advance};
use identity::Identity;
use serde::Serialize;
use store::{Op, Store, StoreIdentity};
use wire::transaction;

use crate::{
    Setting,
    cluster::{Cluster, Shape},
    error::Error,
    history, ops,
    report::load_average,
    writes::make_users,
};

const THREE: Shape = Shape { writers: 3, replicas: 0, relayed: false };
/// Changes of each user of the backlog, besides the three that make it: names are few, for the
/// names of a backlog that a member lacks are not all confirmed before that member is back.
const CHANGES_PER_USER: u64 = 97;
/// Of a user: itself, its access key; with it comes a membership.
const ENTITIES_PER_USER: u64 = 2;
const APPEND_RECORDS: usize = 4_096;
const GOAL_PER_SECOND: f64 = 50_000.0;
const GOAL_SNAPSHOT_SECONDS: f64 = 60.0;

/// What was done, and how long it took.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    count: u64,
    seconds: f64,
    per_second: f64,
    /// The time as a multiple of the floors' together.
    to_floor: Option<f64>,
    met: Option<bool>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct CatchUpReport {
    benchmark: &'static str,
    /// Of the machine that all nodes share.
    cpus: usize,
    load_average: f64,
    mean_transaction_bytes: u64,
    rows: Vec<Row>,
}

fn row(what: &'static str, count: u64, took: Duration) -> Row {
    let seconds = took.as_secs_f64();
    let per_second = count as f64 / seconds.max(1e-9);
    Row { what, count, seconds, per_second, to_floor: None, met: None }
}

impl Row {
    fn against(mut self, floors: &[&Self]) -> Self {
        let per_item: f64 = floors.iter().map(|floor| 1.0 / floor.per_second).sum();
        self.to_floor = Some(1.0 / self.per_second / per_item);
        self
    }
}

/// Measures a node that missed so many transactions.
pub(crate) async fn backlog(setting: &Setting, transactions: u64) -> Result<CatchUpReport, Error> {
    let mut cluster = setting.start(THREE).await?;
    let measured = measure_backlog(setting, &mut cluster, transactions).await;
    cluster.stop().await;
    measured
}

async fn measure_backlog(
    setting: &Setting,
    cluster: &mut Cluster,
    transactions: u64,
) -> Result<CatchUpReport, Error> {
    let users = transactions.div_ceil(3 + CHANGES_PER_USER);
    stop_all(cluster).await?;
    let written = write_ahead(cluster, users, CHANGES_PER_USER).await?;
    let Written { last, log, .. } = &written;
    let (append, apply) = floors(&setting.place, &written)?;
    let count = log.len() as u64;
    let begin = Instant::now();
    cluster.start_node(0, &[])?;
    cluster.start_node(1, &[])?;
    ops::ready(cluster.nodes[0].ops()).await?;
    let start = begin.elapsed();
    ops::until(cluster.nodes[1].ops(), LAST, |lsn| lsn >= *last).await?;
    quiet(cluster, 2, *last - SNAPSHOT_EVERY).await?;
    cluster.start_node(2, &[])?;
    let took = ops::until(cluster.nodes[2].ops(), LAST, |lsn| lsn >= *last).await?;
    ops::ready(cluster.nodes[2].ops()).await?;
    cluster.agree().await?;
    let mut caught_up = row("a node catches up from the others' logs", count, took);
    caught_up.met = Some(caught_up.per_second >= GOAL_PER_SECOND);
    let rows = vec![
        row("a node starts with the backlog in its log", count, start),
        caught_up.against(&[&append, &apply]),
    ];
    Ok(written.report("catch-up", [append, apply].into_iter().chain(rows).collect()))
}

const LAST: &str = "writ_log_last";
const SNAPSHOT: &str = "writ_snapshot_lsn";

/// Measures a node that joins a cluster of so many entities whose logs are cut short.
pub(crate) async fn bootstrap(setting: &Setting, entities: u64) -> Result<CatchUpReport, Error> {
    let mut cluster = setting.start(THREE).await?;
    let measured = measure_bootstrap(setting, &mut cluster, entities).await;
    cluster.stop().await;
    measured
}

async fn measure_bootstrap(
    setting: &Setting,
    cluster: &mut Cluster,
    entities: u64,
) -> Result<CatchUpReport, Error> {
    stop_all(cluster).await?;
    let written = write_ahead(cluster, entities.div_ceil(ENTITIES_PER_USER), 0).await?;
    let (append, apply) = floors(&setting.place, &written)?;
    // The log is cut short once two snapshots hold what it held.
    let variables = [("WRIT_SNAPSHOT_LOG_BYTES_MAX", "0"), ("WRIT_SNAPSHOT_EVERY_RECORDS", "1")];
    for number in 0..3 {
        cluster.start_node(number, &variables)?;
    }
    for number in 0..3 {
        ops::ready(cluster.nodes[number].ops()).await?;
        ops::until(cluster.nodes[number].ops(), LAST, |lsn| lsn >= written.last).await?;
    }
    for number in 0..3 {
        let address = cluster.nodes[number].ops();
        ops::until(address, "writ_names_provisional", |names| names == 0.0).await?;
    }
    quiet(cluster, 3, written.last - 1.0).await?;
    make_users(cluster, "last", 1).await?;
    for node in &cluster.nodes {
        ops::until(node.ops(), "writ_log_first", |first| first > 1.0).await?;
    }
    let snapshot = ops::gauge(cluster.nodes[0].ops(), "writ_snapshot_bytes").await;
    let begin = Instant::now();
    let late = cluster.join_node().await?;
    ops::ready(&late).await?;
    let took = begin.elapsed();
    cluster.agree().await?;
    let mut joined =
        row("a node joins by a snapshot, from its first start to ready", entities, took);
    joined.met = Some(took.as_secs_f64() <= GOAL_SNAPSHOT_SECONDS);
    let rows = vec![joined, row("bytes of the snapshot", snapshot.unwrap_or(0.0) as u64, took)];
    Ok(written.report("bootstrap", [append, apply].into_iter().chain(rows).collect()))
}

async fn stop_all(cluster: &mut Cluster) -> Result<(), Error> {
    for number in 0..cluster.nodes.len() {
        cluster.stop_node(number).await?;
    }
    Ok(())
}

/// Until the first nodes have copied what they have to a snapshot and are idle.
async fn quiet(cluster: &Cluster, count: usize, behind: f64) -> Result<(), Error> {
    for node in cluster.nodes.iter().take(count) {
        ops::until(node.ops(), SNAPSHOT, |lsn| lsn > behind).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// The default of `snapshots.every_records`.
const SNAPSHOT_EVERY: f64 = 100_000.0;

/// What was written to the first node's log.
struct Written {
    /// The lsn of the last.
    last: f64,
    /// What was there before.
    before: Vec<Arc<[u8]>>,
    log: Vec<Arc<[u8]>>,
}

impl Written {
    fn report(&self, benchmark: &'static str, rows: Vec<Row>) -> CatchUpReport {
        let total: usize = self.log.iter().map(|bytes| bytes.len()).sum();
        CatchUpReport {
            benchmark,
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load_average: load_average(),
            mean_transaction_bytes: (total / self.log.len().max(1)) as u64,
            rows,
        }
    }
}

/// Writes transactions of the first node, which does not run, to its log.
async fn write_ahead(cluster: &Cluster, users: u64, changes: u64) -> Result<Written, Error> {
    let directory = cluster.nodes[0].data_dir.join("store");
    tokio::task::spawn_blocking(move || {
        let store = Store::open(&directory)?;
        let node = NodeId(store.identity().node_id);
        let mut before = Vec::new();
        store.replay(|_, bytes| before.push(bytes))?;
        let mut vector = VersionVector::new();
        for bytes in &before {
            let transaction = transaction::decode(bytes);
            let transaction = transaction.map_err(|error| Error::History(error.to_string()))?;
            advance(&mut vector, transaction.dot);
        }
        let log = history::at_node(node, vector, users, changes)?;
        append(&store, &log)?;
        let last = store.last_lsn() as f64;
        store.close()?;
        Ok(Written { last, before, log })
    })
    .await?
}

fn append(store: &Store, log: &[Arc<[u8]>]) -> Result<(), Error> {
    let mut lsn = store.last_lsn();
    for records in log.chunks(APPEND_RECORDS) {
        let numbered = records.iter().map(|bytes| {
            lsn += 1;
            (lsn, Arc::clone(bytes))
        });
        store.submit_and_wait(Op::Append(numbered.collect()))?;
    }
    Ok(())
}

fn floors(place: &Path, written: &Written) -> Result<(Row, Row), Error> {
    let Written { before, log, .. } = written;
    let directory = tempfile::Builder::new().prefix("writ-floor-").tempdir_in(place);
    let directory = directory.map_err(|error| Error::Io("make a directory", error))?;
    let path: PathBuf = directory.path().join("store");
    let identity = StoreIdentity { cluster_id: "floor".to_owned(), node_id: 1 };
    let store = Store::create(&path, identity)?;
    let begin = Instant::now();
    append(&store, log)?;
    let appended = row("records into a store", log.len() as u64, begin.elapsed());
    store.close()?;
    let mut state = Identity::default();
    apply(&mut state, before)?;
    let begin = Instant::now();
    apply(&mut state, log)?;
    let applied = row("transactions into a state", log.len() as u64, begin.elapsed());
    Ok((appended, applied))
}

fn apply(state: &mut Identity, log: &[Arc<[u8]>]) -> Result<(), Error> {
    let refused = |error: String| Error::History(error);
    for bytes in log {
        let transaction = transaction::decode(bytes).map_err(|error| refused(error.to_string()))?;
        state.apply(&transaction).map_err(|error| refused(error.to_string()))?;
    }
    Ok(())
}

impl fmt::Display for CatchUpReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { benchmark, cpus, load_average, mean_transaction_bytes, rows } = self;
        writeln!(
            f,
            "{benchmark}: three writers on one machine with {cpus} CPUs, load average \
             {load_average:.1}; a transaction of {mean_transaction_bytes} bytes; against both \
             floors, one after the other\n"
        )?;
        writeln!(f, "{:<60}{:>10}{:>9}{:>10}{:>9}", "", "count", "s", "per s", "to floor")?;
        for Row { what, count, seconds, per_second, to_floor, met } in rows {
            let ratio = to_floor.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            write!(f, "{what:<60}{count:>10}{seconds:>9.2}{per_second:>10.0}{ratio:>9}")?;
            match met {
                Some(met) => writeln!(f, "  goal {}", if *met { "met" } else { "missed" })?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_compared_with_both_floors_one_after_the_other() {
        let second = Duration::from_secs(1);
        let (fast, slow) = (row("fast", 100, second), row("slow", 50, second));
        let measured = row("measured", 10, second).against(&[&fast, &slow]);
        let ratio = measured.to_floor.unwrap();
        assert!((ratio - 0.1 / 0.03).abs() < 1e-9, "{ratio}");
    }

    #[test]
    fn what_is_written_ahead_is_a_log_of_the_node() {
        let place = tempfile::tempdir().unwrap();
        let log = history::at_node(NodeId(1), VersionVector::new(), 3, 1).unwrap();
        let written = Written { last: 0.0, before: Vec::new(), log };
        let (append, apply) = floors(place.path(), &written).unwrap();
        assert_eq!((append.count, apply.count), (13, 13));
        let report = written.report("catch-up", vec![append, apply]).to_string();
        assert!(report.contains("records into a store"), "{report}");
    }
}
