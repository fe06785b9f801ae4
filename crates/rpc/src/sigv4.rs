//! SigV4 in gRPC metadata: calls of operators and programs prove an access key.
//!
//! A signature covers the method's path, the server's authority and the SHA-256 of the framed
//! message, and is good for five minutes: it proves nothing for another method, another message or
//! another server. [`Signed`] signs on the client's side; [`VerifyLayer`] takes signatures apart on
//! the server's and puts an [`AuthenticatedBy`] into the extensions of calls that prove their key.
//!
//! **Invariants.** A call with an `authorization` header is either proven or refused; it never
//! passes as a call without one. Only methods that take one message can be signed, because the
//! message has to be read before it is verified. Bodies are read within a size and a time.
//!
//! **Must not know:** keys, sessions, what callers may do.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use aws_api::sigv4::{
    AuthError, HttpRequest, RPC_SERVICES, Scope, SignedRequest, SigningCredentials, sign,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use model::{Secret, Timestamp};
use tokio::sync::Semaphore;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{
    MESSAGE_BYTES_MAX,
    peer::sha256_hex,
    v1::{
        access_server, authorization_server, cluster_server, conflicts_server, propagation_server,
        reads_server,
    },
};

/// The longest body that is read to verify a signature: one message and its frame, in bytes.
pub const SIGNED_BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX + FRAME_HEADER_BYTES;
/// How long a signed message may take to arrive.
pub const SIGNED_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many bodies are read at a time; further calls wait for their turn.
pub const SIGNED_BODIES_MAX: usize = 64;

/// gRPC puts a flag and a length before each message.
const FRAME_HEADER_BYTES: usize = 5;
const SERVICE: &str = "writ";
/// The services whose calls can be signed. All others are for nodes, with certificates.
const SIGNED_SERVICES: [&str; 6] = [
    access_server::SERVICE_NAME,
    authorization_server::SERVICE_NAME,
    cluster_server::SERVICE_NAME,
    conflicts_server::SERVICE_NAME,
    propagation_server::SERVICE_NAME,
    reads_server::SERVICE_NAME,
];

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An access key to sign with.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret<String>,
    /// The session's token, for temporary credentials.
    pub session_token: Option<Secret<String>>,
    /// The region of the signature's scope: any text without a slash.
    pub region: String,
    /// `host:port` as the channel was opened with.
    pub authority: String,
}

impl Signer {
    /// The headers that prove this call at this time.
    fn headers(
        &self,
        path: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<(String, Vec<u8>)>, AuthError> {
        let hash = ("x-amz-content-sha256".to_owned(), sha256_hex(body).into_bytes());
        // Only what Writ defines is signed: gRPC libraries and proxies add and change metadata.
        let signed = [("host".to_owned(), self.authority.clone().into_bytes()), hash.clone()];
        let request = HttpRequest { method: "POST", path, query: "", headers: &signed, body };
        let credentials = SigningCredentials {
            access_key_id: &self.access_key_id,
            secret_access_key: &self.secret_access_key,
            session_token: self.session_token.as_ref(),
        };
        let scope = Scope { region: &self.region, service: SERVICE };
        let mut headers = sign(&request, credentials, scope, now)?;
        headers.push(hash);
        Ok(headers)
    }
}

/// A channel whose calls are signed. Only for methods that take one message.
#[derive(Clone, Debug)]
pub struct Signed<S> {
    inner: S,
    signer: Arc<Signer>,
    now: fn() -> Timestamp,
}

impl<S> Signed<S> {
    /// Signs what is sent through `inner`, by this machine's clock.
    pub fn new(inner: S, signer: Signer) -> Self {
        Self::with_clock(inner, signer, wall_clock)
    }

    /// Signs by another clock.
    pub fn with_clock(inner: S, signer: Signer, now: fn() -> Timestamp) -> Self {
        Self { inner, signer: Arc::new(signer), now }
    }
}

fn wall_clock() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(elapsed.as_secs())
}

impl<S> Service<Request<Body>> for Signed<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that was polled ready is the one to call; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (signer, now) = (Arc::clone(&self.signer), self.now);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let body = read(body).await?;
            for (name, value) in signer.headers(parts.uri.path(), &body, now())? {
                let name = HeaderName::try_from(name)?;
                let mut value = HeaderValue::try_from(value)?;
                value.set_sensitive(true);
                parts.headers.insert(name, value);
            }
            let request = Request::from_parts(parts, Body::new(Full::new(body)));
            inner.call(request).await.map_err(Into::into)
        })
    }
}

/// Knows access keys and the time.
pub trait Credentials: Send + Sync + 'static {
    /// Who can call.
    type Caller: Clone + Send + Sync + 'static;

    /// Finds the key that `request` names, verifies time and signature with
    /// [`SignedRequest::verify`], and says whose it is.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`; an unknown key and a wrong signature must not be told apart.
    fn authenticate(
        &self,
        request: &SignedRequest,
    ) -> impl Future<Output = Result<Self::Caller, Status>> + Send;
}

/// In a call's extensions: who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedBy<C>(pub C);

/// Verifies signed calls before they reach the services.
#[derive(Debug)]
pub struct VerifyLayer<C> {
    credentials: Arc<C>,
    bodies: Arc<Semaphore>,
}

impl<C: Credentials> VerifyLayer<C> {
    /// Asks `credentials` about each signed call.
    pub fn new(credentials: Arc<C>) -> Self {
        Self { credentials, bodies: Arc::new(Semaphore::new(SIGNED_BODIES_MAX)) }
    }
}

impl<C> Clone for VerifyLayer<C> {
    fn clone(&self) -> Self {
        Self { credentials: Arc::clone(&self.credentials), bodies: Arc::clone(&self.bodies) }
    }
}

impl<C, S> Layer<S> for VerifyLayer<C> {
    type Service = Verify<C, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Verify { layer: self.clone(), inner }
    }
}

/// The service that [`VerifyLayer`] makes.
#[derive(Debug)]
pub struct Verify<C, S> {
    layer: VerifyLayer<C>,
    inner: S,
}

impl<C, S: Clone> Clone for Verify<C, S> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone(), inner: self.inner.clone() }
    }
}

impl<C, S> Service<Request<Body>> for Verify<C, S>
where
    C: Credentials,
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !request.headers().contains_key(AUTHORIZATION) {
            return Box::pin(self.inner.call(request));
        }
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.verify(request).await {
                Ok(request) => inner.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

impl<C: Credentials> VerifyLayer<C> {
    async fn verify(&self, request: Request<Body>) -> Result<Request<Body>, Status> {
        let path = request.uri().path();
        if !is_signed_service(path) {
            return Err(Status::unauthenticated("this method is for nodes, with certificates"));
        }
        let (mut parts, body) = request.into_parts();
        let body =
            tokio::time::timeout(SIGNED_BODY_TIMEOUT, self.read_in_turn(body)).await.map_err(
                |_| Status::deadline_exceeded("the signed message did not arrive in time"),
            )??;
        let headers = signable_headers(&parts);
        let request = HttpRequest {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            body: &body,
        };
        let signed = SignedRequest::parse(&request, RPC_SERVICES)
            .map_err(|refused| Status::unauthenticated(refused.to_string()))?;
        let caller = self.credentials.authenticate(&signed).await?;
        parts.extensions.insert(AuthenticatedBy(caller));
        Ok(Request::from_parts(parts, Body::new(Full::new(body))))
    }

    async fn read_in_turn(&self, body: Body) -> Result<Bytes, Status> {
        let turn = self.bodies.acquire().await;
        let _turn = turn.map_err(|_| Status::unavailable("the server is stopping"))?;
        read(body).await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Status::resource_exhausted(format!(
                    "a signed message over the limit of {MESSAGE_BYTES_MAX} bytes"
                ))
            } else {
                Status::cancelled("the signed message did not arrive whole")
            }
        })
    }
}

fn is_signed_service(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    service.is_some_and(|(service, _)| SIGNED_SERVICES.contains(&service))
}

/// Headers as SigV4 sees them. HTTP/2 carries the host as `:authority`; one that stands beside a
/// `host` header makes two, which is refused.
fn signable_headers(parts: &http::request::Parts) -> Vec<(String, Vec<u8>)> {
    let host = parts.uri.authority().map(|host| ("host".to_owned(), host.as_str().into()));
    let rest = parts.headers.iter();
    host.into_iter()
        .chain(rest.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())))
        .collect()
}

/// Reads a whole body, up to [`SIGNED_BODY_BYTES_MAX`].
async fn read(body: Body) -> Result<Bytes, BoxError> {
    Ok(Limited::new(body, SIGNED_BODY_BYTES_MAX).collect().await?.to_bytes())
}
