//! The streams between nodes: dials those this node has to dial, takes those that dial it.
//!
//! Of two writers the one with the lower id dials; replicas dial writers. One bidi stream a pair.
//!
//! **Invariants.** A peer is who its certificate and the roster say, on either side. The end of
//! either direction of a stream is the end of both, and the node is told. Who cannot be reached
//! is tried again with growing, scattered pauses.
//!
//! **Must not know:** what frames say.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use crdt::NodeId;
use node::{Input, NodeState, Role};
use rpc::{
    MESSAGE_BYTES_MAX,
    client::connect,
    peer::fingerprint,
    v1::{replication_client::ReplicationClient, replication_server::Replication},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use wire::v1::Frame;

use crate::{app::App, core::Stopping, random, stop::Stop};

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// A stream that lived this long was a good one: the next pause is short again.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Keeps one dialer for each node that this one has to dial, until told to stop.
pub async fn dial_all(app: Arc<App>, mut stop: Stop) {
    let mut state = app.control.watch();
    let mut dialers: BTreeMap<(NodeId, String), tokio::task::AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = {
            let rules = state.borrow_and_update();
            to_dial(&rules.0, NodeId(app.home.node))
        };
        dialers.retain(|target, dialer| {
            let keep = wanted.contains(target);
            if !keep {
                dialer.abort();
            }
            keep
        });
        for target in wanted {
            dialers.entry(target.clone()).or_insert_with(|| {
                let (peer, address) = target;
                tasks.spawn(dial(Arc::clone(&app), peer, address))
            });
        }
        tokio::select! {
            () = stop.stopped() => break,
            changed = state.changed() => if changed.is_err() {
                // Raft has stopped: whoever watches it tells why.
                stop.stopped().await;
                break;
            },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended && !error.is_cancelled() {
                    tracing::error!(%error, "a dialer failed");
                }
            }
        }
    }
    tasks.shutdown().await;
}

/// The members that `me` dials.
fn to_dial(control: &node::ControlState, me: NodeId) -> Vec<(NodeId, String)> {
    let Some(own) = control.node(me).filter(|own| own.state != NodeState::Removed) else {
        return Vec::new();
    };
    let others = control.present().filter(|entry| entry.node != me && entry.role == Role::Writer);
    let dialed = others.filter(|entry| match own.role {
        Role::Writer => me < entry.node,
        Role::Replica => true,
    });
    dialed.map(|entry| (entry.node, entry.grpc_address.clone())).collect()
}

/// Keeps a stream to one node. Ends when the node is stopping.
async fn dial(app: Arc<App>, peer: NodeId, address: String) {
    let mut pause = PAUSE_FIRST;
    loop {
        let started = tokio::time::Instant::now();
        match stream_to(&app, peer, &address).await {
            Ok(()) => tracing::info!(peer = peer.0, "the stream ended"),
            Err(StreamError::Stopping) => return,
            Err(StreamError::Failed(error)) => {
                tracing::debug!(peer = peer.0, error, "no stream");
            }
        }
        pause = if started.elapsed() > GOOD_AFTER { PAUSE_FIRST } else { pause };
        tokio::time::sleep(scattered(pause, random::bytes())).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Between half and the whole of `pause`, so that nodes that lost each other at once do not all
/// come back at once.
fn scattered(pause: Duration, [byte]: [u8; 1]) -> Duration {
    pause / 2 + pause / 2 * u32::from(byte) / 255
}

enum StreamError {
    Stopping,
    Failed(String),
}

impl From<Stopping> for StreamError {
    fn from(_: Stopping) -> Self {
        Self::Stopping
    }
}

async fn stream_to(app: &Arc<App>, peer: NodeId, address: &str) -> Result<(), StreamError> {
    let failed = |error: String| StreamError::Failed(error);
    let target = app.target(peer, address.to_owned());
    let channel = connect(&target).await.map_err(|error| failed(error.to_string()))?;
    let mut client = ReplicationClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    // The node is told of the stream only once the other side has taken it; until then nothing is
    // sent, so the first frame is the node's hello.
    let (sender, receiver) = mpsc::channel(1);
    let request = Request::new(ReceiverStream::new(receiver));
    let inbound = client.stream(request).await.map_err(|status| failed(text(&status)))?;
    let (session, mut frames) = app.core.peer_up(peer).await?;
    let _down = Down { app: Arc::clone(app), peer, session };
    let outbound = async {
        while let Some(frame) = frames.recv().await {
            if sender.send(frame).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = outbound => Ok(()),
        result = pump(app, peer, session, inbound.into_inner()) => result,
    }
}

fn text(status: &Status) -> String {
    format!("{}: {}", status.code(), status.message())
}

/// Hands a peer's frames to the node, as fast as it takes them.
async fn pump(
    app: &Arc<App>,
    peer: NodeId,
    session: u64,
    mut inbound: Streaming<Frame>,
) -> Result<(), StreamError> {
    while let Some(frame) = inbound.next().await {
        let frame = frame.map_err(|status| StreamError::Failed(text(&status)))?;
        app.core.input(Input::PeerFrame { peer, session, frame }).await?;
    }
    Ok(())
}

/// Tells the node that a stream is gone, whichever way it went.
struct Down {
    app: Arc<App>,
    peer: NodeId,
    session: u64,
}

impl Drop for Down {
    fn drop(&mut self) {
        let Self { app, peer, session } = self;
        let (core, peer, session) = (app.core.clone(), *peer, *session);
        // The queue may be full: waiting for room needs a task, which ends with the node.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _stopping = core.input(Input::PeerDown { peer, session }).await;
            });
        }
    }
}

/// The service that other nodes dial.
pub struct Streams {
    app: Arc<App>,
    stop: Stop,
    pumps: Mutex<JoinSet<()>>,
}

impl Streams {
    /// Of this node.
    pub fn new(app: Arc<App>, stop: Stop) -> Self {
        Self { app, stop, pumps: Mutex::default() }
    }

    fn spawn(&self, pump: impl Future<Output = ()> + Send + 'static) {
        // A panic under the lock leaves the set whole.
        let mut pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        while pumps.try_join_next().is_some() {}
        pumps.spawn(pump);
    }
}

/// Frames for one peer; while it lives the stream does.
pub struct Outbound {
    frames: mpsc::Receiver<Frame>,
    _down: Down,
}

impl Stream for Outbound {
    type Item = Result<Frame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

#[tonic::async_trait]
impl Replication for Streams {
    type StreamStream = Outbound;

    async fn stream(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Outbound>, Status> {
        let fingerprint = fingerprint(&request)
            .ok_or_else(|| Status::unauthenticated("streams need a node's certificate"))?;
        let stopping = |error: Stopping| Status::unavailable(error.to_string());
        let member = self.app.member(&fingerprint).map_err(stopping)?;
        let member = member.filter(|entry| entry.state != NodeState::Removed);
        let refused = || Status::permission_denied("the certificate is of no node in the roster");
        let peer = member.ok_or_else(refused)?.node;
        if peer.0 == self.app.home.node {
            return Err(Status::permission_denied("the certificate is this node's own"));
        }
        let (session, frames) = self.app.core.peer_up(peer).await.map_err(stopping)?;
        tracing::info!(peer = peer.0, "a stream was opened");
        let (app, mut stop) = (Arc::clone(&self.app), self.stop.clone());
        self.spawn(async move {
            let result = tokio::select! {
                () = stop.stopped() => Ok(()),
                result = pump(&app, peer, session, request.into_inner()) => result,
            };
            match result {
                Ok(()) => tracing::info!(peer = peer.0, "the stream ended"),
                Err(StreamError::Stopping) => {}
                Err(StreamError::Failed(error)) => {
                    tracing::info!(peer = peer.0, error, "the stream broke");
                }
            }
            // Ends the other direction as well, and with it the call.
            let _stopping = app.core.input(Input::PeerDown { peer, session }).await;
        });
        let down = Down { app: Arc::clone(&self.app), peer, session };
        Ok(Response::new(Outbound { frames, _down: down }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_scattered_over_their_second_half() {
        let pause = Duration::from_millis(100);
        assert_eq!(scattered(pause, [0]), pause / 2);
        assert_eq!(scattered(pause, [255]), pause);
    }
}
