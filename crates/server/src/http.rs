//! A plain HTTP/1.1 listener with limits, for the AWS Query API and for operations.
//!
//! **Invariants.** A client can hold neither memory nor a task for long without sending a request:
//! connections are counted, headers and bodies have a deadline and a size, and all bodies together
//! have one. When told to stop it lets running requests finish.
//!
//! **Must not know:** what is asked.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use crate::{metrics::Count, stop::Stop};

/// What clients may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are served at a time; further ones wait to be accepted.
    pub connections_max: usize,
    /// Bytes of a request's line and headers; 8192 at least. Over it is a 431.
    pub head_bytes_max: usize,
    /// How long a client may take to send its headers, or the next ones.
    pub head_within: Duration,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// How long a client may take to send its body.
    pub body_within: Duration,
    /// Bytes of all bodies that are held at a time, from when they arrive until they are answered.
    pub bodies_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            head_bytes_max: 32 << 10,
            head_within: Duration::from_secs(10),
            body_bytes_max: 1 << 20,
            body_within: Duration::from_secs(30),
            bodies_bytes_max: 64 << 20,
        }
    }
}

/// How long running requests may take to finish once the listener stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Answers requests. One a listener.
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request from `peer`.
    fn handle(
        &self,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves until told to stop.
pub async fn serve(
    listener: TcpListener,
    handler: Arc<impl Handler>,
    limits: Limits,
    open: Count,
    mut stop: Stop,
) {
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        open.set(u64::try_from(connections.len()).unwrap_or(u64::MAX));
        let accepted = tokio::select! {
            () = stop.stopped() => break,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let connection =
                    serve_one(stream, peer, Arc::clone(&handler), limits, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: accepting again at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let drained = tokio::time::timeout(DRAIN_WITHIN, async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(open = connections.len(), "closing connections that did not finish");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("it is never closed");
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        // The client has gone already: serving it will find out.
        tracing::debug!(%error, "a connection is gone before it is served");
    }
    Ok((stream, peer, permit))
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<impl Handler>,
    limits: Limits,
    mut stop: Stop,
) {
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.handle(peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(limits.head_bytes_max)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed.
    TooLarge,
    /// Not sent in time, or the connection broke.
    Incomplete,
    /// The bodies of others take up all the room there is.
    NoRoom,
}

/// A body, and the room that it takes up until this is dropped.
#[derive(Debug)]
pub struct Held {
    /// The body.
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads bodies, all within one size.
pub struct Bodies {
    limits: Limits,
    room: Arc<Semaphore>,
}

impl Bodies {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, room: Arc::new(Semaphore::new(limits.bodies_bytes_max)) }
    }

    /// Refuses a body that says itself that it is too large, before any of it is read.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`].
    pub fn check_length(&self, body: &Incoming) -> Result<(), BodyError> {
        let bytes_max = u64::try_from(self.limits.body_bytes_max).unwrap_or(u64::MAX);
        if body.size_hint().lower() > bytes_max { Err(BodyError::TooLarge) } else { Ok(()) }
    }

    /// Reads a whole body. Room is taken as bytes arrive, so that who announces much and sends
    /// nothing takes up none.
    ///
    /// # Errors
    /// When it is too large, too slow, or there is no room.
    pub async fn read(&self, body: Incoming) -> Result<Held, BodyError> {
        self.check_length(&body)?;
        let read = tokio::time::timeout(self.limits.body_within, self.read_all(body));
        read.await.unwrap_or(Err(BodyError::Incomplete))
    }

    async fn read_all(&self, mut body: Incoming) -> Result<Held, BodyError> {
        let (mut bytes, mut room) = (BytesMut::new(), None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| BodyError::Incomplete)?;
            // Trailers say nothing to us.
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.limits.body_bytes_max {
                return Err(BodyError::TooLarge);
            }
            let more = u32::try_from(data.len()).map_err(|_| BodyError::TooLarge)?;
            let more = Arc::clone(&self.room).try_acquire_many_owned(more);
            let more = more.map_err(|_| BodyError::NoRoom)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.freeze(), _room: room })
    }
}

#[cfg(test)]
mod tests;
