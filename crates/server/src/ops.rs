//! `/livez`, `/readyz`, `/metrics`: for whoever runs the node.
//!
//! **Invariants.** `/livez` says only that the process answers; `/readyz` says 503 and why while
//! the node should get no requests. Nothing here names an account, a user or a policy.
//!
//! **Must not know:** how readiness is found out.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{
    http::Handler,
    metrics::{self, Metrics},
};

/// One thing that must be so before the node is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What, in one word.
    pub name: &'static str,
    /// Why not; `None` if it is so.
    pub missing: Option<String>,
}

/// Tells what readiness depends on, at the time of asking.
pub type Readiness = Box<dyn Fn() -> Vec<Condition> + Send + Sync>;

/// The operations listener's handler.
pub struct Ops {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    refresh: Box<dyn Fn() + Send + Sync>,
}

impl Ops {
    /// `refresh` brings gauges up to date before each scrape.
    pub fn new(
        metrics: Arc<Metrics>,
        readiness: Readiness,
        refresh: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self { metrics, readiness, refresh }
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
    ) -> (StatusCode, &'static str, String) {
        let (status, text) = match path {
            "/metrics" if *method == Method::GET => {
                (self.refresh)();
                return (StatusCode::OK, metrics::FORMAT, self.metrics.render());
            }
            _ => self.plain(method, path, query),
        };
        (status, "text/plain; charset=utf-8", text)
    }

    fn plain(&self, method: &Method, path: &str, query: Option<&str>) -> (StatusCode, String) {
        if method != Method::GET && method != Method::HEAD {
            return (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        }
        match path {
            "/livez" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => readyz(&(self.readiness)(), query == Some("verbose")),
            "/metrics" => (StatusCode::OK, String::new()),
            _ => (StatusCode::NOT_FOUND, "try /livez, /readyz, /metrics\n".to_owned()),
        }
    }
}

/// Kubernetes' convention: one line each if verbose or not ready.
fn readyz(conditions: &[Condition], verbose: bool) -> (StatusCode, String) {
    let ready = conditions.iter().all(|condition| condition.missing.is_none());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = String::new();
    for Condition { name, missing } in conditions {
        match missing {
            None if verbose => text.push_str(&format!("[+]{name} ok\n")),
            None => (),
            Some(why) => text.push_str(&format!("[-]{name} {why}\n")),
        }
    }
    text.push_str(if ready { "ok\n" } else { "not ready\n" });
    (status, text)
}

impl Handler for Ops {
    async fn handle(&self, _peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let uri = request.uri();
        let (status, kind, text) = self.answer(request.method(), uri.path(), uri.query());
        Response::builder()
            .status(status)
            .header(CONTENT_TYPE, kind)
            .body(Full::from(text))
            .expect("the header is well formed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(missing: Option<&str>, target: &str) -> (u16, String) {
        let missing = missing.map(str::to_owned);
        let readiness: Readiness =
            Box::new(move || vec![Condition { name: "store", missing: missing.clone() }]);
        let ops = Ops::new(Arc::default(), readiness, Box::new(|| ()));
        let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
        let (status, _, text) = ops.answer(&Method::GET, path, query);
        (status.as_u16(), text)
    }

    #[test]
    fn readiness_says_what_is_missing() {
        assert_eq!(ask(None, "/readyz"), (200, "ok\n".to_owned()));
        assert_eq!(ask(None, "/readyz?verbose"), (200, "[+]store ok\nok\n".to_owned()));
        assert_eq!(ask(Some("full"), "/readyz"), (503, "[-]store full\nnot ready\n".to_owned()));
        assert_eq!(ask(Some("full"), "/livez").0, 200);
        assert_eq!(ask(None, "/").0, 404);
    }
}
