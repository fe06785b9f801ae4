//! What a signature proves, end to end.

use aws_api::sigv4::SignedRequest;
use model::{Secret, Timestamp};
use rpc::{
    MESSAGE_BYTES_MAX,
    client::{self, ServerName, Target, Trust},
    sigv4::{AuthenticatedBy, Credentials, Signed, Signer},
    tls::ANY_NODE,
    v1::{
        cluster_client::ClusterClient, raft_client::RaftClient, reads_client::ReadsClient,
        replication_client::ReplicationClient,
    },
};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, StdError, http},
    transport::Channel,
};
use wire::v1::{Frame, GetStatusRequest, QueryRequest, RaftMessage};

use crate::cluster::{Ca, Running};

const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const NOW_SECS: u64 = 1_790_000_000;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn now() -> Timestamp {
    at(NOW_SECS)
}

fn secret() -> Secret<String> {
    Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned())
}

/// Knows one key.
pub(crate) struct OneKey;

impl Credentials for OneKey {
    type Caller = String;

    async fn authenticate(&self, request: &SignedRequest) -> Result<String, Status> {
        let key = request.signing_key(&secret());
        if request.verify(&key, now()).is_err() || request.access_key_id() != KEY_ID {
            return Err(Status::unauthenticated("not a signature of a known key"));
        }
        Ok(request.access_key_id().to_owned())
    }
}

fn signer(server: &Running) -> Signer {
    Signer {
        access_key_id: KEY_ID.to_owned(),
        secret_access_key: secret(),
        session_token: None,
        region: "eu-west-1".to_owned(),
        authority: server.address.to_string(),
    }
}

async fn start() -> (Running, Channel) {
    let ca = Ca::new();
    let server = Running::start(&ca.identity(&[ANY_NODE]), &ca.pem());
    let target = Target {
        address: server.address.to_string(),
        trust: Trust::Ca(ca.pem()),
        name: ServerName::AnyNode,
        identity: None,
    };
    let channel = client::connect(&target).await.unwrap();
    (server, channel)
}

/// Whom the server takes the caller of `Reads.Query` for.
async fn query<S>(service: S, form: Vec<u8>) -> Result<String, Code>
where
    S: tonic::client::GrpcService<Body, ResponseBody = Body>,
    S::Error: Into<StdError>,
{
    let request = QueryRequest { form, ..QueryRequest::default() };
    match ReadsClient::new(service).query(request).await {
        Ok(reply) => Ok(reply.into_inner().consistency_token),
        Err(status) => Err(status.code()),
    }
}

#[tokio::test]
async fn a_signed_call_carries_its_caller_and_an_unsigned_one_none() {
    let (server, channel) = start().await;
    let signed = Signed::with_clock(channel.clone(), signer(&server), now);
    assert_eq!(query(signed, b"Action=ListUsers".to_vec()).await, Ok(KEY_ID.to_owned()));
    assert_eq!(query(channel, b"Action=ListUsers".to_vec()).await, Ok(String::new()));
    server.stop().await;
}

#[tokio::test]
async fn wrong_keys_hosts_and_times_are_refused() {
    let (server, channel) = start().await;
    let other_key = Signer { access_key_id: "AKIAI44QH8DHBEXAMPLE".into(), ..signer(&server) };
    let other_secret = Signer { secret_access_key: Secret::new("x".into()), ..signer(&server) };
    let other_host = Signer { authority: "localhost:1".into(), ..signer(&server) };
    for signer in [other_key, other_secret, other_host] {
        let what = format!("{signer:?}");
        let signed = Signed::with_clock(channel.clone(), signer, now);
        assert_eq!(query(signed, Vec::new()).await, Err(Code::Unauthenticated), "{what}");
    }
    type Clock = fn() -> Timestamp;
    let clocks: [(Clock, Result<String, Code>); 4] = [
        (|| at(NOW_SECS - 300), Ok(KEY_ID.to_owned())),
        (|| at(NOW_SECS - 301), Err(Code::Unauthenticated)),
        (|| at(NOW_SECS + 300), Ok(KEY_ID.to_owned())),
        (|| at(NOW_SECS + 301), Err(Code::Unauthenticated)),
    ];
    for (clock, expected) in clocks {
        let signed = Signed::with_clock(channel.clone(), signer(&server), clock);
        assert_eq!(query(signed, Vec::new()).await, expected, "{:?}", clock());
    }
    server.stop().await;
}

/// Changes requests after they were signed, as someone in the middle would.
#[derive(Clone)]
struct Tamper<F>(Channel, F);

impl<F> Service<http::Request<Body>> for Tamper<F>
where
    F: FnMut(http::Request<Body>) -> http::Request<Body>,
{
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call((self.1)(request))
    }
}

#[tokio::test]
async fn a_signature_proves_nothing_for_another_method_message_or_metadata() {
    type Change = fn(http::Request<Body>) -> http::Request<Body>;
    let (server, channel) = start().await;
    let changes: [(&str, Change, Result<String, Code>); 5] = [
        ("nothing", |request| request, Ok(KEY_ID.to_owned())),
        (
            "the method",
            |mut request| {
                *request.uri_mut() = "/writ.v1.Cluster/GetStatus".parse().unwrap();
                request
            },
            Err(Code::Unauthenticated),
        ),
        (
            "the message",
            |request| {
                let framed = vec![0, 0, 0, 0, 4, 0x0a, 0x02, b'x', b'y'];
                request.map(|_| Body::new(http_body_util::Full::from(framed)))
            },
            Err(Code::Unauthenticated),
        ),
        (
            "an unsigned x-amz header",
            |mut request| {
                request.headers_mut().insert("x-amz-target", "x".parse().unwrap());
                request
            },
            Err(Code::Unauthenticated),
        ),
        (
            "another scheme",
            |mut request| {
                request.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
                request
            },
            Err(Code::Unauthenticated),
        ),
    ];
    for (what, change, expected) in changes {
        let tamper = Tamper(channel.clone(), change);
        let signed = Signed::with_clock(tamper, signer(&server), now);
        assert_eq!(query(signed, b"Action=ListUsers".to_vec()).await, expected, "{what}");
    }
    server.stop().await;
}

#[tokio::test]
async fn nodes_methods_take_no_signature() {
    let (server, channel) = start().await;
    let signed = Signed::with_clock(channel.clone(), signer(&server), now);
    let raft = RaftClient::new(signed.clone()).vote(RaftMessage::default()).await;
    assert_eq!(raft.unwrap_err().code(), Code::Unauthenticated);
    // The stream stays open: the answer must not wait for its end.
    let mut request = tonic::Request::new(tokio_stream::pending::<Frame>());
    request.metadata_mut().insert("authorization", "AWS4-HMAC-SHA256 x".parse().unwrap());
    let stream = ReplicationClient::new(channel.clone()).stream(request).await;
    assert_eq!(stream.unwrap_err().code(), Code::Unauthenticated);
    // Cluster is not served here: a proven call gets as far as to be told so.
    let status = ClusterClient::new(signed).get_status(GetStatusRequest {}).await;
    assert_eq!(status.unwrap_err().code(), Code::Unimplemented);
    server.stop().await;
}

#[tokio::test]
async fn a_signed_message_over_the_limit_is_refused() {
    let (server, channel) = start().await;
    let body = |bytes: usize| {
        let mut request = http::Request::new(Body::new(http_body_util::Full::from(vec![0; bytes])));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = "/writ.v1.Reads/Query".parse().unwrap();
        request.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 x".parse().unwrap());
        request
    };
    let limit = MESSAGE_BYTES_MAX + 5;
    for (bytes, code) in [(limit, Code::Unauthenticated), (limit + 1, Code::ResourceExhausted)] {
        let mut channel = channel.clone();
        std::future::poll_fn(|context| Service::poll_ready(&mut channel, context)).await.unwrap();
        let response = channel.call(body(bytes)).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), code, "{bytes}");
    }
    server.stop().await;
}

/// Where the server finds the caller.
pub(crate) fn caller<T>(request: &tonic::Request<T>) -> String {
    let caller = request.extensions().get::<AuthenticatedBy<String>>();
    caller.map(|AuthenticatedBy(caller)| caller.clone()).unwrap_or_default()
}
