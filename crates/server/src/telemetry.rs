//! Logs and traces: a subscriber for people or machines, and OTLP export where configured.
//!
//! **Invariants.** Installed once, before anything is logged; [`Telemetry::shutdown`] sends what is
//! still held back.
//!
//! **Must not know:** what is logged.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::config::{Log, LogFormat, Otlp};

/// What must be told when the process ends.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Why there are no logs.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter `{0}` is wrong: {1}")]
    Filter(String, tracing_subscriber::filter::ParseError),
    /// The exporter's endpoint does not.
    #[error("cannot export traces to `{0}`: {1}")]
    Exporter(String, opentelemetry_otlp::ExporterBuildError),
    /// Something was installed before.
    #[error("logging was set up twice")]
    Twice,
}

/// Installs the subscriber. Logs go to standard error. Call within a tokio runtime: the exporter
/// needs one.
pub fn install(log: &Log, otlp: &Otlp) -> Result<Telemetry, TelemetryError> {
    let (subscriber, traces) = subscriber(log, otlp, std::io::stderr)?;
    subscriber.try_init().map_err(|_| TelemetryError::Twice)?;
    Ok(Telemetry { traces })
}

type Traces = Option<SdkTracerProvider>;

fn subscriber<W>(
    log: &Log,
    otlp: &Otlp,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + 'static, Traces), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| TelemetryError::Filter(log.filter.clone(), error))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match log.format {
        LogFormat::Human => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = otlp.endpoint.as_deref().map(exporter).transpose()?;
    let spans = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("writ")));
    Ok((tracing_subscriber::registry().with(filter).with(lines).with(spans), traces))
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Exporter(endpoint.to_owned(), error))?;
    let resource = Resource::builder().with_service_name("writ").build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}

impl Telemetry {
    /// Sends what is still held back. Blocks for a few seconds at most.
    pub fn shutdown(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        io,
        pin::Pin,
        sync::{Arc, Mutex},
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use tokio::sync::mpsc;
    use tonic::{body::Body, codegen::Service, server::NamedService, transport::Server};

    use super::*;

    fn log(format: LogFormat) -> Log {
        Log { format, filter: "info".to_owned() }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_carry_the_fields_of_the_event_and_of_its_spans() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            subscriber(&log(LogFormat::Json), &Otlp::default(), move || writer.clone());
        tracing::subscriber::with_default(subscriber.unwrap().0, || {
            let _span = tracing::info_span!("aws", request_id = "r-1").entered();
            tracing::debug!("is filtered");
            tracing::info!(peer = 2, "the stream ended");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "the stream ended");
        assert_eq!((&line["level"], &line["peer"]), (&"INFO".into(), &2.into()));
        assert_eq!(line["span"]["request_id"], "r-1");
    }

    /// A collector that takes whatever it is sent.
    #[derive(Clone)]
    struct Collector(mpsc::UnboundedSender<(String, Bytes)>);

    impl NamedService for Collector {
        const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
    }

    impl Service<Request<Body>> for Collector {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let sender = self.0.clone();
            Box::pin(async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                sender.send((path, body)).unwrap();
                let ok = HeaderMap::from_iter([(
                    "grpc-status".parse().unwrap(),
                    HeaderValue::from_static("0"),
                )]);
                // A frame with an empty message, which says that all was taken.
                let reply = Full::new(Bytes::from_static(&[0; 5]));
                let reply = reply.with_trailers(std::future::ready(Some(Ok(ok))));
                let response = Response::builder().header("content-type", "application/grpc");
                Ok(response.body(Body::new(reply)).unwrap())
            })
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_reach_a_collector_before_the_process_ends() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        let (sender, mut exported) = mpsc::unbounded_channel();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = Server::builder().add_service(Collector(sender));
        let server = tokio::spawn(server.serve_with_incoming(incoming));
        let subscriber = subscriber(&log(LogFormat::Human), &Otlp { endpoint }, io::sink);
        let (subscriber, traces) = subscriber.unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("aws", request_id = "r-1", action = "GetUser").in_scope(|| ());
        });
        let telemetry = Telemetry { traces };
        tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();
        let (path, body) = exported.recv().await.unwrap();
        assert_eq!(path, format!("/{}/Export", Collector::NAME));
        for text in ["writ", "aws", "r-1", "GetUser"] {
            let found = body.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(found, "{text}");
        }
        server.abort();
    }
}
