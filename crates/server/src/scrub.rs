//! Scrubbing: snapshots are read again from time to time, so that damage to one is found while
//! there is another, and while the log still holds what it has the effect of.
//!
//! **Invariants.** A damaged one is put aside, so that nobody starts from it or gets it, and is
//! replaced by the next. A failure to read is no damage.
//!
//! **Must not know:** what a snapshot holds.

use std::time::Duration;

use store::{Error, SnapshotInfo, StoreHandle};
use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{core::Core, stop::Stop};

/// Reads all snapshots every so often, which is not zero, until told to stop.
pub async fn scrub(core: Core, store: StoreHandle, every: Duration, mut stop: Stop) {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            _ = ticks.tick() => {}
        }
        for info in store.snapshots() {
            let store = store.clone();
            // It ends soon after the node does: a piece at a time is read.
            let scrubbed = spawn_blocking(move || scrub_one(&store, info)).await;
            match scrubbed {
                Ok(Ok(())) => {}
                Ok(Err(error @ Error::Damaged { .. })) => {
                    core.metrics().alarms.inc();
                    core.metrics().snapshots_damaged.inc();
                    tracing::error!(%error, lsn = info.lsn, "alarm: a snapshot is put aside");
                }
                Ok(Err(error)) => tracing::warn!(%error, "a snapshot was not read"),
                Err(error) => tracing::error!(%error, "a snapshot was not read"),
            }
        }
    }
}

fn scrub_one(store: &StoreHandle, info: SnapshotInfo) -> Result<(), Error> {
    let Some(mut reader) = store.snapshot(&info.hash) else { return Ok(()) };
    let read = reader.read_all(|_| Ok(()));
    if let Err(Error::Damaged { .. }) = read {
        store.put_snapshot_aside(info.lsn)?;
    }
    read
}
