//! Snapshots: one is taken when the log has grown enough, and the node starts from the newest.
//!
//! **Invariants.** What is written is the state at one lsn, and it gets its name only after that
//! lsn is durable. What is copied has the digest that the state was known by: damage to the memory
//! never gets to the disk. Readers and writers of the node are held up for a piece of it at most.
//! What fails is tried again; the log holds everything meanwhile.
//!
//! **Must not know:** what the state means, where files lie.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crdt::Digest;
use node::{Frozen, Input, Node};
use store::{Error, Incoming, SNAPSHOTS_KEPT, SnapshotInfo, SnapshotWriter, Store, StoreHandle};
use thiserror::Error as ThisError;
use tokio::time::{MissedTickBehavior, interval};
use wire::snapshot::{DecodeError, Decoder, Encoder, decode_join};

use crate::{
    config,
    core::{Core, Stopping},
    server::ServerError,
    stop::Stop,
};

/// How often the log's growth is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a failure, how long until the next attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Slots that are copied under one lock: checks wait as long.
const SLOTS_PER_LOOK: usize = 512;
/// Pieces after which the node is told how far the copy is.
const PIECES_PER_NOTE: usize = 64;

/// Why no snapshot was taken, or none can be started from.
#[derive(Debug, ThisError)]
pub enum SnapshotError {
    /// The store says so.
    #[error(transparent)]
    Store(#[from] Error),
    /// A whole snapshot that is of no use.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The log does not go on from it.
    #[error(transparent)]
    Replay(#[from] node::ReplayError),
    /// The state changed faster than it was copied.
    #[error("too much changed while the state was copied")]
    Overrun,
    /// The state that was copied is not the one that its digest tells of.
    #[error("the state in memory is damaged")]
    Memory,
    /// A bug.
    #[error("the copy failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The node is stopping.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

/// Brings a node to the newest snapshot that can be read, if there is one; before its log is
/// replayed.
///
/// # Errors
/// When there are snapshots and none of them can be started from.
pub fn restore(node: &mut Node, store: &Store) -> Result<(), SnapshotError> {
    for info in store.snapshots() {
        let Some(mut reader) = store.snapshot(&info.hash) else { continue };
        let (started, mut decoder) = (Instant::now(), Decoder::default());
        match reader.read_all(|bytes| Ok::<_, SnapshotError>(decoder.push(bytes)?)) {
            Ok(()) => {
                node.restore(decoder.finish()?, info.lsn, store.first_lsn())?;
                let (lsn, bytes, took) = (info.lsn, info.bytes, started.elapsed());
                tracing::info!(lsn, bytes, ?took, "the node starts from a snapshot");
                return Ok(());
            }
            Err(SnapshotError::Store(error @ Error::Damaged { .. })) => {
                tracing::error!(%error, lsn = info.lsn, "trying the snapshot before");
                store.put_snapshot_aside(info.lsn)?;
            }
            Err(error) => return Err(error),
        }
    }
    if store.first_lsn() > 1 {
        let first = store.first_lsn();
        return Err(Error::Trimmed { first }.into());
    }
    Ok(())
}

/// Replays the log behind that; peers' snapshots that were joined are joined again.
///
/// # Errors
/// When a record cannot stand where it does, or a snapshot that was joined is gone.
pub fn replay(node: &mut Node, store: &Store) -> Result<(), SnapshotError> {
    let mut outcome = Ok(());
    store.replay(|_, bytes| {
        if outcome.is_ok() {
            outcome = replay_one(node, store, bytes);
        }
    })?;
    outcome?;
    node.started(store.last_lsn())?;
    let begun = store.incoming()?.into_iter().filter(|incoming| !node.has_joined(incoming.hash));
    // Of several the one with the most.
    if let Some(Incoming { hash, bytes, written }) = begun.max_by_key(|one| one.written) {
        node.set_partial(node::Snapshot { hash, bytes }, written);
    }
    Ok(())
}

fn replay_one(node: &mut Node, store: &Store, bytes: Arc<[u8]>) -> Result<(), SnapshotError> {
    match decode_join(&bytes) {
        None => Ok(node.replay(bytes)?),
        Some(hash) => node.replay_join(hash, || {
            let mut decoder = Decoder::default();
            store.read_incoming(&hash, |piece| Ok::<_, SnapshotError>(decoder.push(piece)?))?;
            Ok(decoder.finish()?)
        }),
    }
}

/// Takes snapshots, until told to stop.
///
/// # Errors
/// When a copy shows that the state in memory is damaged: the node must start again from its disk.
pub async fn take(
    core: Core,
    store: StoreHandle,
    config: config::Snapshots,
    mut stop: Stop,
) -> Result<(), ServerError> {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.stopped() => return Ok(()),
            _ = ticks.tick() => {}
        }
        if tell(&core, &store, config).await.is_err() {
            break;
        }
        let last = store.snapshots().first().map_or(0, |info| info.lsn);
        // With nothing to start from, were it to end now.
        let bare = last == 0 && store.first_lsn() > 1;
        let due = core.peek(|node| {
            let records = node.durable_lsn().saturating_sub(last);
            let grown =
                records >= config.every_records || node.bytes_behind(last) >= config.every_bytes;
            records > 0 && (bare || grown || node.joined_behind(last)) && !node.is_mending()
        });
        match due {
            Ok(true) => {}
            Ok(false) => continue,
            Err(Stopping) => break,
        }
        let started = Instant::now();
        let taken = tokio::select! {
            () = stop.stopped() => return Ok(()),
            taken = take_one(&core, &store) => taken,
        };
        // The node has stopped, or goes on as before.
        let _stopping = core.input(Input::Thaw).await;
        match taken {
            Ok(SnapshotInfo { lsn, bytes, hash: _ }) => {
                tracing::info!(lsn, bytes, took = ?started.elapsed(), "a snapshot was taken");
            }
            Err(SnapshotError::Stopping(_)) => break,
            Err(SnapshotError::Memory) => {
                core.metrics().alarms.inc();
                return Err(ServerError::Memory);
            }
            Err(error) => {
                tracing::warn!(%error, "no snapshot was taken");
                tokio::select! {
                    () = stop.stopped() => return Ok(()),
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                }
            }
        }
    }
    stop.stopped().await;
    Ok(())
}

/// Tells the node what is kept on the disk.
async fn tell(core: &Core, store: &StoreHandle, config: config::Snapshots) -> Result<(), Stopping> {
    let kept = store.snapshots();
    let Some(SnapshotInfo { lsn, bytes, hash }) = kept.first().copied() else { return Ok(()) };
    let in_all = kept.get(SNAPSHOTS_KEPT - 1).map_or(0, |oldest| oldest.lsn);
    let newest = (node::Snapshot { hash, bytes }, lsn);
    let first_lsn = store.first_lsn();
    let log_bytes_max = config.log_bytes_max;
    core.input(Input::Snapshots { newest, in_all, first_lsn, log_bytes_max }).await
}

/// Freezes the state; `None` if too much has changed already. Nobody else may.
pub(crate) async fn freeze(core: &Core) -> Result<Option<Frozen>, Stopping> {
    let mut changes = core.changes();
    let before = core.peek(Node::freezes)?;
    core.input(Input::Freeze).await?;
    loop {
        // INVARIANT: an earlier freeze, of which the end waits for the node, is not taken for this
        // one: its digest is that of another state.
        let looked = core.peek(|node| (node.freezes() > before).then(|| node.frozen().cloned()))?;
        if let Some(frozen) = looked {
            return Ok(frozen);
        }
        changes.changed().await?;
    }
}

async fn take_one(core: &Core, store: &StoreHandle) -> Result<SnapshotInfo, SnapshotError> {
    let frozen = freeze(core).await?.ok_or(SnapshotError::Overrun)?;
    core.durable(frozen.lsn).await?;
    let (core, store) = (core.clone(), store.clone());
    let runtime = tokio::runtime::Handle::current();
    let copied = tokio::task::spawn_blocking(move || {
        let note = |upto| runtime.block_on(core.input(Input::Copied { upto }));
        let writer = store.begin_snapshot(frozen.lsn)?;
        let writer = copy(&core, writer, &frozen, note)?;
        Ok(store.commit_snapshot(writer)?)
    });
    copied.await?
}

/// Copies the frozen state, piece by piece.
fn copy(
    core: &Core,
    mut writer: SnapshotWriter,
    frozen: &Frozen,
    note: impl Fn(Box<[u8]>) -> Result<(), Stopping>,
) -> Result<SnapshotWriter, SnapshotError> {
    let (mut bytes, mut after) = (Vec::new(), None::<Box<[u8]>>);
    let Frozen { lsn: _, summary, doubts } = frozen;
    let (mut encoder, mut digest) = (Encoder::new(summary, &mut bytes), Digest::default());
    for piece in 1.. {
        let slots = core.peek(|node| node.frozen_slots(after.as_deref(), SLOTS_PER_LOOK))?;
        let slots = slots.ok_or(SnapshotError::Overrun)?;
        let Some((last, _)) = slots.last() else { break };
        for (key, siblings) in &slots {
            encoder.slot(key, siblings, &mut bytes);
            digest.count(key, siblings);
        }
        writer.write(&bytes)?;
        bytes.clear();
        if piece % PIECES_PER_NOTE == 0 {
            note(last.clone())?;
        }
        after = Some(last.clone());
    }
    if digest.total() != summary.digest {
        return Err(SnapshotError::Memory);
    }
    encoder.doubts(doubts, &mut bytes);
    encoder.finish(&mut bytes);
    writer.write(&bytes)?;
    Ok(writer)
}
