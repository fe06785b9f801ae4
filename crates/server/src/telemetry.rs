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
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt as _, util::SubscriberInitExt as _,
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
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| TelemetryError::Filter(log.filter.clone(), error))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Human => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = otlp.endpoint.as_deref().map(exporter).transpose()?;
    let spans = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("writ")));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(spans)
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    Ok(Telemetry { traces })
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
