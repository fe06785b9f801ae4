//! The store, as Raft's tasks use it.
//!
//! **Invariants.** What [`Disk::commit`] returns for is durable. Reads run on blocking threads. A
//! full queue is waited out: to Raft a failed write is the end, and a busy disk is none.
//!
//! **Must not know:** what is stored.

use std::{io, ops::Range, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use store::{Op, StoreHandle};
use tokio::sync::oneshot;

use super::codec;

const BUSY_RETRY: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub(crate) struct Disk(StoreHandle);

impl Disk {
    pub(crate) fn new(store: StoreHandle) -> Self {
        Self(store)
    }

    pub(crate) async fn commit(&self, ops: Vec<Op>) -> io::Result<()> {
        loop {
            match self.submit(ops.clone()).await {
                Ok(Err(store::Error::Busy)) => tokio::time::sleep(BUSY_RETRY).await,
                Ok(result) => return result.map(drop).map_err(io::Error::other),
                Err(_) => return Err(io::Error::other(store::Error::Closed)),
            }
        }
    }

    /// Submits without waiting. A refusal is dropped: only what need not be there is written so.
    pub(crate) fn commit_some_time(&self, op: Op) {
        self.0.submit(op, Box::new(drop));
    }

    fn submit(&self, ops: Vec<Op>) -> oneshot::Receiver<Result<store::Committed, store::Error>> {
        let (sender, receiver) = oneshot::channel();
        // Raft drops what it waits for only when it stops.
        self.0.submit(ops, Box::new(move |result| drop(sender.send(result))));
        receiver
    }

    pub(crate) async fn entries<T: DeserializeOwned + Send + 'static>(
        &self,
        range: Range<u64>,
    ) -> io::Result<Vec<T>> {
        self.blocking(move |store| {
            let entries = store.raft_log_range(range).map_err(io::Error::other)?;
            entries
                .iter()
                .map(|(_, bytes)| codec::decode(bytes).map_err(io::Error::other))
                .collect()
        })
        .await
    }

    pub(crate) fn last_index(&self) -> Option<u64> {
        self.0.raft_last_index()
    }

    pub(crate) async fn value<T: DeserializeOwned + Send + 'static>(
        &self,
        name: &'static str,
    ) -> io::Result<Option<T>> {
        self.blocking(move |store| {
            let bytes = store.raft_meta(name).map_err(io::Error::other)?;
            bytes.map(|bytes| codec::decode(&bytes).map_err(io::Error::other)).transpose()
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&StoreHandle) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let store = self.0.clone();
        let read = tokio::task::spawn_blocking(move || read(&store)).await;
        read.map_err(io::Error::other)?
    }
}

/// The change that sets a named value.
pub(crate) fn set<T: Serialize>(name: &str, value: &T) -> io::Result<Op> {
    let value = codec::encode(value).map_err(io::Error::other)?;
    Ok(Op::RaftMeta { name: name.to_owned(), value })
}
