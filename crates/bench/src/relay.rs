//! The network between nodes: each node's gRPC is reached through a relay, which can delay what it
//! passes on, let little through, or be cut.
//!
//! **Invariants.** Bytes stay in order, and no more than [`CHUNKS_MAX`] chunks are under way in a
//! direction of a connection. Nothing listens beyond this machine.
//!
//! **Must not know:** what is relayed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep_until},
};

use crate::error::Error;

/// Bytes that are passed on together, at most.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks under way in one direction of a connection.
const CHUNKS_MAX: usize = 64;

/// What the network to a node is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Of each byte, in each direction.
    pub(crate) delay: Duration,
    /// In each direction of a connection; unlimited without.
    pub(crate) bytes_per_second: Option<u64>,
    /// Connections break, and none can be made.
    pub(crate) cut: bool,
}

/// A relay to one node.
#[derive(Debug)]
pub(crate) struct Relay {
    conditions: watch::Sender<Conditions>,
    bytes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens at `at` and passes on to `to`.
    pub(crate) async fn start(at: SocketAddr, to: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(at).await;
        let listener = listener.map_err(|error| Error::Io("listen for a relay", error))?;
        let (conditions, seen) = watch::channel(Conditions::default());
        let bytes = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, to, seen, Arc::clone(&bytes)));
        Ok(Self { conditions, bytes, task })
    }

    /// From now on.
    pub(crate) fn set(&self, conditions: Conditions) {
        self.conditions.send_replace(conditions);
    }

    /// What it has passed on, in both directions.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    to: SocketAddr,
    conditions: watch::Receiver<Conditions>,
    bytes: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    // Whoever dials sees a listener that failed as a node that cannot be reached.
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if !conditions.borrow().cut {
            connections.spawn(relay(stream, to, conditions.clone(), Arc::clone(&bytes)));
        }
    }
}

/// Ends both connections when either ends or the network is cut.
async fn relay(
    near: TcpStream,
    to: SocketAddr,
    mut conditions: watch::Receiver<Conditions>,
    bytes: Arc<AtomicU64>,
) {
    let Ok(far) = TcpStream::connect(to).await else { return };
    if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (there, back) = (conditions.clone(), conditions.clone());
    tokio::select! {
        () = pass(near_in, far_out, there, &bytes) => {}
        () = pass(far_in, near_out, back, &bytes) => {}
        _ = conditions.wait_for(|conditions| conditions.cut) => {}
    }
}

/// One direction, until it ends.
async fn pass(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    conditions: watch::Receiver<Conditions>,
    bytes: &AtomicU64,
) {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let seen = conditions.clone();
    tokio::join!(take_in(from, conditions, sender), give_out(to, seen, receiver, bytes));
}

/// Reads, and tells when each chunk arrives at the other side.
async fn take_in(
    mut from: OwnedReadHalf,
    conditions: watch::Receiver<Conditions>,
    sender: mpsc::Sender<(Instant, Vec<u8>)>,
) {
    let mut free = Instant::now();
    loop {
        if *conditions.borrow() == Conditions::default() {
            free = Instant::now();
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = match from.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        chunk.truncate(count);
        let Conditions { delay, bytes_per_second, cut: _ } = *conditions.borrow();
        free = free.max(Instant::now());
        if let Some(rate) = bytes_per_second {
            free += Duration::from_secs_f64(count as f64 / rate.max(1) as f64);
        }
        if sender.send((free + delay, chunk)).await.is_err() {
            return;
        }
    }
}

async fn give_out(
    mut to: OwnedWriteHalf,
    mut conditions: watch::Receiver<Conditions>,
    mut receiver: mpsc::Receiver<(Instant, Vec<u8>)>,
    bytes: &AtomicU64,
) {
    while let Some((due, chunk)) = receiver.recv().await {
        if due > Instant::now() {
            // Once the network is well again, what is under way arrives.
            tokio::select! {
                () = sleep_until(due) => {}
                _ = conditions.wait_for(|conditions| *conditions == Conditions::default()) => {}
            }
        }
        bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    /// A relay to a server that sends back what it gets.
    async fn echoed() -> (Relay, SocketAddr) {
        let server = TcpListener::bind(ANY).await.unwrap();
        let to = server.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = server.accept().await {
                let (mut from, mut back) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut back).await });
            }
        });
        let free = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
        (Relay::start(free, to).await.unwrap(), free)
    }

    async fn round_trip(stream: &mut TcpStream, bytes: usize) -> std::io::Result<Duration> {
        let begin = Instant::now();
        stream.write_all(&vec![7; bytes]).await?;
        let mut reply = vec![0; bytes];
        stream.read_exact(&mut reply).await?;
        assert!(reply.iter().all(|byte| *byte == 7));
        Ok(begin.elapsed())
    }

    #[tokio::test]
    async fn what_is_relayed_is_delayed_narrowed_and_cut_as_told() {
        let (relay, at) = echoed().await;
        let mut stream = TcpStream::connect(at).await.unwrap();
        round_trip(&mut stream, 10).await.unwrap();
        assert_eq!(relay.bytes(), 20);
        let delay = Duration::from_millis(20);
        relay.set(Conditions { delay, ..Conditions::default() });
        assert!(round_trip(&mut stream, 10).await.unwrap() >= 2 * delay);
        let narrow = Conditions { bytes_per_second: Some(100_000), ..Conditions::default() };
        relay.set(narrow);
        let took = round_trip(&mut stream, 10_000).await.unwrap();
        assert!(took >= Duration::from_millis(100), "{took:?}");
        relay.set(Conditions { cut: true, ..Conditions::default() });
        assert!(round_trip(&mut stream, 10).await.is_err());
        let mut refused = TcpStream::connect(at).await.unwrap();
        assert!(round_trip(&mut refused, 10).await.is_err());
        relay.set(Conditions::default());
        let mut stream = TcpStream::connect(at).await.unwrap();
        round_trip(&mut stream, 10).await.unwrap();
    }
}
