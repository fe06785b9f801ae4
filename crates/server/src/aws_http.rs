//! The AWS Query API over HTTP.
//!
//! **Invariants.** Every reply, refusals included, carries a request id and the token of the
//! state that it is from. Of a request whose head cannot be answered no body is read; the others'
//! are read within a size, a time and a room that all share.
//!
//! **Must not know:** what an action does.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_api::{
    ApiError, Fault, Service,
    form::Form,
    sigv4::{API_SERVICES, AuthError, HttpRequest, SignedRequest},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use identity::RequestContext;
use tracing::{Instrument as _, field::Empty};

use crate::{
    api::{self, Answer, Until},
    app::App,
    auth::Authenticator,
    http::{Bodies, BodyError, Handler, Limits},
    metrics, random,
};

/// The longest user agent that conditions see, in bytes.
const USER_AGENT_BYTES_MAX: usize = 1024;

/// The longest body of a request that nobody signed, in bytes: a token of 20 000 characters, a
/// policy of 2048 and ten ARNs, all of them escaped, have room.
const UNSIGNED_BYTES_MAX: u64 = 96 << 10;
/// How long who signs nothing may take to send a body.
const UNSIGNED_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of all bodies that nobody signed and that are held at a time.
const UNSIGNED_BODIES_BYTES_MAX: usize = 8 << 20;

const REQUEST_ID: &str = "x-amzn-requestid";
/// Carries the token of the state that an answer is from, or that a request wants to be answered
/// from.
pub const TOKEN: &str = "x-writ-consistency-token";

/// Whether a request says that somebody signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    Somebody,
    Nobody,
}

/// The listener's handler.
pub struct AwsHttp {
    app: Arc<App>,
    authenticator: Arc<Authenticator>,
    bodies: Bodies,
    /// Of requests that nobody signed: they take no room from the others.
    unsigned_bodies: Bodies,
}

impl AwsHttp {
    /// Of this node.
    pub fn new(app: Arc<App>, authenticator: Arc<Authenticator>, limits: Limits) -> Self {
        let unsigned_bodies = Bodies::new(Limits {
            body_within: UNSIGNED_WITHIN,
            bodies_bytes_max: UNSIGNED_BODIES_BYTES_MAX,
            ..limits
        });
        Self { app, authenticator, bodies: Bodies::new(limits), unsigned_bodies }
    }

    async fn answer(
        &self,
        peer: SocketAddr,
        request: Request<Incoming>,
        request_id: &str,
    ) -> Answer {
        let (parts, body) = request.into_parts();
        let head = self.bodies.check_length(&body).map_err(body_error);
        let length = body.size_hint().exact();
        let body = match head.and_then(|()| check_head(&parts, length)) {
            Ok((until, signer)) => {
                let bodies = match signer {
                    Signer::Somebody => &self.bodies,
                    Signer::Nobody => &self.unsigned_bodies,
                };
                bodies.read(body).await.map(|body| (until, body)).map_err(body_error)
            }
            Err(error) => Err(error),
        };
        let (until, body) = match body {
            Ok(read) => read,
            Err(error) => {
                return api::refuse(&self.app, Service::Iam, &error, request_id).await;
            }
        };
        // The body keeps its room until it is answered.
        match self.authenticated(peer, &parts, until, &body.bytes, request_id).await {
            Ok(request) => api::call(&self.app, request).await,
            Err((service, error)) => api::refuse(&self.app, service, &error, request_id).await,
        }
    }

    async fn authenticated(
        &self,
        peer: SocketAddr,
        parts: &Parts,
        until: Until,
        body: &Bytes,
        request_id: &str,
    ) -> Result<api::Request, (Service, ApiError)> {
        let iam = |error| (Service::Iam, error);
        let content_type = text(parts, header::CONTENT_TYPE.as_str());
        let form = Form::parse(content_type.unwrap_or_default(), body).map_err(iam)?;
        let service = form.service().unwrap_or(Service::Iam);
        let wrong = |error| (service, error);
        let headers = signable_headers(parts);
        let signed = SignedRequest::parse(&as_signed(parts, &headers, body), API_SERVICES);
        let (caller, region) = match signed {
            Err(AuthError::MissingAuthenticationToken) if aws_api::is_unsigned(&form) => {
                (None, String::new())
            }
            Err(error) => return Err(wrong(error.into())),
            Ok(signed) => {
                let caller = self.authenticator.authenticate(&signed).await;
                let caller = caller.map_err(|error| wrong(error.into()))?;
                (Some(caller), signed.scope().region.to_owned())
            }
        };
        let user_agent = text(parts, header::USER_AGENT.as_str()).unwrap_or_default();
        let user_agent = user_agent.get(..USER_AGENT_BYTES_MAX).unwrap_or(user_agent);
        let context = RequestContext {
            source_ip: Some(peer.ip()),
            secure_transport: false,
            region,
            user_agent: user_agent.to_owned(),
        };
        let token = text(parts, TOKEN).filter(|token| !token.is_empty()).map(str::to_owned);
        let request_id = request_id.to_owned();
        Ok(api::Request { caller, context, request_id, form, token, until })
    }
}

impl Handler for AwsHttp {
    async fn handle(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let request_id = random::uuid();
        let span = tracing::info_span!("aws", request_id, action = Empty, code = Empty);
        let answer = self.answer(peer, request, &request_id).instrument(span.clone()).await;
        let Answer { xml, status, token, action, code } = answer;
        span.record("action", action).record("code", code);
        let labels = metrics::Request { api: "aws", op: action, code };
        self.app.core.metrics().answered(labels, started.elapsed());
        tracing::debug!(request_id, action, code, "answered");
        let mut response = Response::new(Full::from(xml));
        // Codes come from the table of errors; each is a status.
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        for (name, value) in [(REQUEST_ID, request_id), (TOKEN, token)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// Refuses what no body of this length could make good; gives what the endpoint's prefix asks to
/// wait for.
fn check_head(parts: &Parts, length: Option<u64>) -> Result<(Until, Signer), ApiError> {
    if parts.method != Method::POST {
        let message = "Only POST requests are answered".to_owned();
        let (code, fault) = ("MethodNotAllowed", Fault::Sender);
        return Err(ApiError { code, status: 405, fault, message, encoded_message: None });
    }
    let until = path_until(parts.uri.path())?;
    match SignedRequest::parse(&as_signed(parts, &signable_headers(parts), &[]), API_SERVICES) {
        // The hash is the body's, which is not here.
        Ok(_) | Err(AuthError::PayloadHash) => Ok((until, Signer::Somebody)),
        // The body may be a call that nobody signs: those are short.
        Err(AuthError::MissingAuthenticationToken)
            if length.is_some_and(|length| (1..=UNSIGNED_BYTES_MAX).contains(&length)) =>
        {
            Ok((until, Signer::Nobody))
        }
        Err(error) => Err(error.into()),
    }
}

fn as_signed<'a>(
    parts: &'a Parts,
    headers: &'a [(String, Vec<u8>)],
    body: &'a [u8],
) -> HttpRequest<'a> {
    HttpRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers,
        body,
    }
}

fn body_error(error: BodyError) -> ApiError {
    let (code, status, message) = match error {
        BodyError::TooLarge => {
            ("RequestEntityTooLarge", 413, "The body is over the limit".to_owned())
        }
        BodyError::NoRoom => {
            return ApiError::service_unavailable("too many requests are under way");
        }
        BodyError::Incomplete => {
            ("RequestTimeout", 408, "The body was not received in time".to_owned())
        }
    };
    ApiError { code, status, fault: Fault::Sender, message, encoded_message: None }
}

fn text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

fn signable_headers(parts: &Parts) -> Vec<(String, Vec<u8>)> {
    let headers = parts.headers.iter();
    headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// What the endpoint's prefix asks to wait for: `/` is nothing, `/~SCOPE/` a scope,
/// `/~confirmed/` a name; with both, one after the other.
fn path_until(path: &str) -> Result<Until, ApiError> {
    let wrong = ApiError::malformed_query_string;
    let mut until = Until::default();
    for part in path.trim_matches('/').split('/').filter(|part| !part.is_empty()) {
        let part = part.strip_prefix('~');
        let part =
            part.ok_or_else(|| wrong("The path is /, /~SCOPE/ or /~confirmed/".to_owned()))?;
        // Clients escape these in paths, or do not.
        let part = part.replace("%3A", ":").replace("%2C", ",");
        let twice = if part == "confirmed" {
            std::mem::replace(&mut until.confirmed, true)
        } else {
            let scope = node::parse_scope(&part);
            let scope = scope.map_err(|error| wrong(format!("The path: {error}")))?;
            until.visible.replace(scope).is_some()
        };
        if twice {
            return Err(wrong("The path asks for one thing twice".to_owned()));
        }
    }
    Ok(until)
}

#[cfg(test)]
mod tests {
    use crdt::NodeId;
    use node::Scope;

    use super::*;

    #[test]
    fn the_path_tells_what_to_wait_for() {
        let until = |visible, confirmed| Ok(Until { visible, confirmed });
        let check = |path, scope| assert_eq!(path_until(path), until(scope, false), "{path}");
        check("/", None);
        check("/~all/", Some(Scope::All));
        check("/~all", Some(Scope::All));
        check("/~serving/", Some(Scope::Serving));
        check("/~quorum/", Some(Scope::Quorum));
        check("/~regions/", Some(Scope::Regions));
        let eu = || Some(Scope::Region("eu".to_owned()));
        check("/~region:eu/", eu());
        check("/~region%3Aeu/", eu());
        let nodes = || Some(Scope::Nodes([NodeId(1), NodeId(3)].into()));
        check("/~node:1,3/", nodes());
        check("/~node%3A1%2C3/", nodes());
        for path in ["/all/", "/~", "/~every/", "/~all/x", "/x", "/~node:0/", "/~region:/"] {
            assert!(path_until(path).is_err(), "{path}");
        }
        assert_eq!(path_until("/~confirmed/"), until(None, true));
        assert_eq!(path_until("/~all/~confirmed/"), until(Some(Scope::All), true));
        assert_eq!(path_until("/~confirmed/~quorum"), until(Some(Scope::Quorum), true));
        assert!(path_until("/~confirmed/~confirmed/").is_err());
        assert!(path_until("/~all/~quorum/").is_err());
    }

    #[test]
    fn a_body_that_is_too_large_is_a_413() {
        assert_eq!(body_error(BodyError::TooLarge).status, 413);
        assert_eq!(body_error(BodyError::Incomplete).status, 408);
        assert_eq!(body_error(BodyError::NoRoom).status, 503);
    }

    const CREDENTIAL: &str = "AWS4-HMAC-SHA256 \
        Credential=AKIAIOSFODNN7EXAMPLE/20260301/us-east-1/iam/aws4_request, \
        SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00";

    #[test]
    fn what_nobody_signed_is_read_if_it_is_short() {
        for (length, read) in [
            (None, false),
            (Some(0), false),
            (Some(1), true),
            (Some(UNSIGNED_BYTES_MAX), true),
            (Some(UNSIGNED_BYTES_MAX + 1), false),
        ] {
            let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
            assert_eq!(check_head(&parts, length).is_ok(), read, "{length:?}");
            let (parts, ()) = Request::post("/?X-Amz-Signature=0").body(()).unwrap().into_parts();
            assert!(check_head(&parts, length).is_err(), "{length:?}");
        }
    }

    /// The code that a head is refused with before its body is read.
    fn check(method: &str, path: &str, authorization: Option<&str>, expected: &str) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "h")
            .header("x-amz-date", "20260301T120000Z")
            .header("x-amz-content-sha256", "0".repeat(64));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let code = check_head(&parts, None).map_or_else(|error| error.code, |_| "ok");
        assert_eq!(code, expected, "{method} {path} {authorization:?}");
    }

    #[test]
    fn a_head_that_cannot_be_answered_is_refused_without_its_body() {
        check("POST", "/", Some(CREDENTIAL), "ok");
        check("POST", "/~all/", Some(CREDENTIAL), "ok");
        check("GET", "/", Some(CREDENTIAL), "MethodNotAllowed");
        check("POST", "/x", Some(CREDENTIAL), "MalformedQueryString");
        check("POST", "/", None, "MissingAuthenticationToken");
        check("POST", "/?X-Amz-Signature=0", None, "MissingAuthenticationToken");
        check("POST", "/", Some("Bearer x"), "IncompleteSignature");
        check("POST", "/", Some("AWS4-HMAC-SHA256 Credential=x"), "IncompleteSignature");
        let other = CREDENTIAL.replace("/iam/", "/s3/");
        check("POST", "/", Some(&other), "SignatureDoesNotMatch");
    }
}
