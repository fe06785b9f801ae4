//! A client of the AWS Query API: one kept connection, signed requests.
//!
//! **Must not know:** what is measured.

use std::time::SystemTime;

use aws_api::sigv4::{HttpRequest, Scope, SigningCredentials, sign};
use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use model::Timestamp;
use tokio::net::TcpStream;

use crate::{
    cluster::{Key, Node},
    error::Error,
};

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const TOKEN_HEADER: &str = "x-writ-consistency-token";
const SCOPE: Scope<'_> = Scope { region: "us-east-1", service: "iam" };

/// One connection to one node.
pub(crate) struct Aws {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    key: Key,
}

impl Aws {
    /// Connects.
    pub(crate) async fn connect(node: &Node, key: &Key) -> Result<Self, Error> {
        let host = node.aws().to_owned();
        Ok(Self { sender: open(&host).await?, host, key: key.clone() })
    }

    /// One call with parameters that need no escaping, or are escaped. Returns the reply's token.
    pub(crate) async fn call(&mut self, action: &str, parameters: &str) -> Result<String, Error> {
        let body = format!("Action={action}&Version=2010-05-08&{parameters}");
        let headers = [
            (HOST.as_str().to_owned(), self.host.clone().into_bytes()),
            ("content-type".to_owned(), CONTENT_TYPE.into()),
        ];
        let unsigned = HttpRequest {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: body.as_bytes(),
        };
        let credentials = SigningCredentials {
            access_key_id: &self.key.id,
            secret_access_key: &self.key.secret,
            session_token: None,
        };
        let signature = sign(&unsigned, credentials, SCOPE, now()).map_err(Error::Sign)?;
        let mut request = Request::post("/");
        for (name, value) in headers.iter().chain(&signature) {
            request = request.header(name, value.as_slice());
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.expect("headers that were signed are headers");
        // A node closes connections that nobody uses, as while a floor is measured.
        if self.sender.ready().await.is_err() {
            self.sender = open(&self.host).await?;
        }
        let reply = self.sender.send_request(request).await?;
        let (parts, body) = reply.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status != StatusCode::OK {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Err(Error::Refused { status: parts.status.as_u16(), body });
        }
        let token = parts.headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
        Ok(token.ok_or(Error::NoToken)?.to_owned())
    }

    /// A write: gives a tag of a user a value.
    pub(crate) async fn tag(&mut self, user: &str, value: u64) -> Result<String, Error> {
        let parameters = format!(
            "UserName={user}&Tags.member.1.Key=bench-{}&Tags.member.1.Value={value}",
            // Within the fifty tags a user may have.
            value % 32
        );
        self.call("TagUser", &parameters).await
    }
}

async fn open(host: &str) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = TcpStream::connect(host).await;
    let stream = stream.map_err(|error| Error::Io("connect to a node", error))?;
    stream.set_nodelay(true).map_err(|error| Error::Io("set up a connection", error))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what breaks it is seen by the request that it breaks.
    drop(tokio::spawn(connection));
    Ok(sender)
}

fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(elapsed.as_secs())
}
