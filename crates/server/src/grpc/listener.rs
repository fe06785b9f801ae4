//! gRPC's connections, and who is let in before a message is read.
//!
//! **Invariants.** Connections are counted; further ones wait to be accepted. Of a call that comes
//! with neither a verified signature nor a verified certificate no message is read: only `Join`,
//! whose messages are small, is open to everybody.
//!
//! **Must not know:** what is called.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use identity::Caller;
use rpc::{peer::fingerprint, sigv4::AuthenticatedBy};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{
    Request, Status,
    transport::server::{Connected, TcpConnectInfo, TcpIncoming},
};

use crate::metrics::Count;

/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 4096;

/// Refuses a call of nobody, as an interceptor.
///
/// # Errors
/// `UNAUTHENTICATED`.
pub fn of_somebody(request: Request<()>) -> Result<Request<()>, Status> {
    let signed = request.extensions().get::<AuthenticatedBy<(Caller, String)>>().is_some();
    if signed || fingerprint(&request).is_some() {
        return Ok(request);
    }
    Err(Status::unauthenticated("sign the call with SigV4, or come with a node's certificate"))
}

/// A listener's connections; `open` tells how many there are.
pub fn incoming(
    listener: TcpListener,
    connections_max: usize,
    open: Count,
) -> impl Stream<Item = io::Result<Connection>> {
    let permits = Arc::new(Semaphore::new(connections_max));
    TcpIncoming::from(listener).with_nodelay(Some(true)).then(move |stream| {
        let (permits, open) = (Arc::clone(&permits), open.clone());
        async move {
            let stream = stream?;
            let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
            open.inc();
            Ok(Connection { stream, open, _permit: permit })
        }
    })
}

/// A connection that counts while it lives.
pub struct Connection {
    stream: TcpStream,
    open: Count,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_others_to_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Count::default();
        let mut incoming = std::pin::pin!(incoming(listener, 1, open.clone()));
        let _clients = [TcpStream::connect(address).await, TcpStream::connect(address).await];
        let first = incoming.next().await.unwrap().unwrap();
        let settled = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = incoming.next() => unreachable!("the limit is reached"),
            () = settled => {}
        }
        assert_eq!(open.get(), 1);
        drop(first);
        let second = incoming.next().await.unwrap().unwrap();
        assert_eq!(open.get(), 1);
        drop(second);
        assert_eq!(open.get(), 0);
    }

    #[test]
    fn a_call_of_nobody_is_refused() {
        let refused = of_somebody(Request::new(())).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let mut signed = Request::new(());
        let account = "123456789012".parse().unwrap();
        let id = model::UniqueId::root(account);
        let caller = Caller {
            account,
            principal: identity::Principal::Root,
            credential: model::Credential::AccessKey(id),
            session: None,
        };
        signed.extensions_mut().insert(AuthenticatedBy((caller, "r".to_owned())));
        assert!(of_somebody(signed).is_ok());
    }
}
