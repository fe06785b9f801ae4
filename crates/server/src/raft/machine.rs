//! The machine that committed commands are applied to, and its snapshots.
//!
//! The state lives in memory. After a start it is the snapshot, then openraft applies the log's
//! committed tail again.
//!
//! **Invariants.** A snapshot on the disk is never replaced by an older one: the log behind it is
//! gone. Who watches sees states in the log's order.
//!
//! **Must not know:** what a command does.

use std::{io, io::Cursor, sync::Arc};

use openraft::{
    EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder, Snapshot,
    storage::RaftStateMachine,
};
use serde::{Deserialize, Serialize};
use store::StoreHandle;
use tokio::sync::{Mutex, watch};

use super::{
    disk::{Disk, set},
    types::{
        ControlMachine, Entry, LogId, Membership, RaftNode, Reply, SnapshotMeta, StorageError,
        StorageIoError, TypeConfig,
    },
};

/// The longest snapshot, in bytes. The store takes it as one value.
pub(crate) const SNAPSHOT_BYTES_MAX: usize = 12 << 20;

const SNAPSHOT: &str = "snapshot";

#[derive(Serialize, Deserialize)]
struct Stored {
    meta: SnapshotMeta,
    state: Vec<u8>,
}

/// Snapshots on the disk. The lock's value is what the newest of them covers.
#[derive(Clone)]
struct Snapshots {
    disk: Disk,
    newest: Arc<Mutex<Option<LogId>>>,
}

impl Snapshots {
    /// Keeps a snapshot unless a newer one is there; returns the newest.
    async fn keep(&self, snapshot: Stored) -> io::Result<Stored> {
        if snapshot.state.len() > SNAPSHOT_BYTES_MAX {
            let found = snapshot.state.len();
            let what = format!("a control plane of {found} bytes, over {SNAPSHOT_BYTES_MAX}");
            return Err(io::Error::other(what));
        }
        let mut newest = self.newest.lock().await;
        if snapshot.meta.last_log_id < *newest
            && let Some(newer) = self.disk.value(SNAPSHOT).await?
        {
            return Ok(newer);
        }
        self.disk.commit(vec![set(SNAPSHOT, &snapshot)?]).await?;
        *newest = snapshot.meta.last_log_id;
        Ok(snapshot)
    }
}

pub(crate) struct Machine<M> {
    machine: M,
    last_applied: Option<LogId>,
    membership: Membership,
    snapshots: Snapshots,
    published: watch::Sender<Arc<M>>,
}

impl<M: ControlMachine> Machine<M> {
    /// Starts from the snapshot in the store, or from `empty`.
    pub(crate) async fn open(
        store: StoreHandle,
        empty: M,
    ) -> io::Result<(Self, watch::Receiver<Arc<M>>)> {
        let snapshots = Snapshots { disk: Disk::new(store), newest: Arc::new(Mutex::new(None)) };
        let stored: Option<Stored> = snapshots.disk.value(SNAPSHOT).await?;
        let (published, watch) = watch::channel(Arc::new(empty.clone()));
        let membership = Membership::default();
        let mut machine =
            Self { machine: empty, last_applied: None, membership, snapshots, published };
        if let Some(Stored { meta, state }) = stored {
            *machine.snapshots.newest.lock().await = meta.last_log_id;
            machine.take(meta, &state)?;
        }
        Ok((machine, watch))
    }

    fn take(&mut self, meta: SnapshotMeta, state: &[u8]) -> io::Result<()> {
        self.machine.restore(state).map_err(io::Error::other)?;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership;
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        self.published.send_replace(Arc::new(self.machine.clone()));
    }
}

fn failed(verb: ErrorVerb) -> impl FnOnce(io::Error) -> StorageError {
    move |error| StorageError::from_io_error(ErrorSubject::Snapshot(None), verb, error)
}

fn opened(Stored { meta, state }: Stored) -> Snapshot<TypeConfig> {
    Snapshot { meta, snapshot: Box::new(Cursor::new(state)) }
}

impl<M: ControlMachine> RaftStateMachine<TypeConfig> for Machine<M> {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut replies = Vec::new();
        for Entry { log_id, payload } in entries {
            replies.push(match payload {
                EntryPayload::Blank => Reply(Vec::new()),
                EntryPayload::Normal(command) => Reply(self.machine.apply(&command.0)),
                EntryPayload::Membership(membership) => {
                    self.membership = Membership::new(Some(log_id), membership);
                    Reply(Vec::new())
                }
            });
            self.last_applied = Some(log_id);
        }
        self.publish();
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            snapshot_id: self.last_applied.map_or_else(String::new, |log_id| log_id.to_string()),
        };
        Builder { meta, state: self.machine.snapshot(), snapshots: self.snapshots.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &openraft::SnapshotMeta<u64, RaftNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let state = snapshot.into_inner();
        // Tried before it is kept: a state that does not decode must not outlive a restart.
        let malformed = |error| StorageIoError::read_snapshot(Some(meta.signature()), &error);
        self.machine.clone().restore(&state).map_err(malformed)?;
        let kept = self.snapshots.keep(Stored { meta: meta.clone(), state }).await;
        let Stored { meta, state } = kept.map_err(failed(ErrorVerb::Write))?;
        self.take(meta, &state).map_err(failed(ErrorVerb::Read))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let stored = self.snapshots.disk.value(SNAPSHOT).await;
        Ok(stored.map_err(failed(ErrorVerb::Read))?.map(opened))
    }
}

/// A state to be made a snapshot, while the machine goes on.
pub(crate) struct Builder {
    meta: SnapshotMeta,
    state: Vec<u8>,
    snapshots: Snapshots,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let snapshot = Stored { meta: self.meta.clone(), state: self.state.clone() };
        self.snapshots.keep(snapshot).await.map(opened).map_err(failed(ErrorVerb::Write))
    }
}
