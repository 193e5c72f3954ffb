//! Sends spans to an OpenTelemetry collector.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter as Exports};
use parking_lot::Mutex;
use terway_process::TRACED;
use terway_process::logging::Receiver;
use tracing::level_filters::LevelFilter;
use tracing::warn;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;

use super::SERVICE;
use super::sampling::Sampling;

/// How long the end of an export may take.
pub const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// Time between two complaints about a collector that does not answer.
const QUIET: Duration = Duration::from_secs(600);
/// Environment variables, the more special one first.
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// The setting `otelEndpoint`: a host or the URL of a receiver of OTLP. Empty: OpenTelemetry's variables say it.
    pub endpoint: String,
    /// Sent as the header `Authentication`, as Alibaba Cloud's tracing service wants it; may be empty.
    pub token: String,
}

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error(
        "enableTrace has no effect without a collector: set otelEndpoint in the credential file, or \
         OTEL_EXPORTER_OTLP_ENDPOINT"
    )]
    NoEndpoint,
    #[error(
        "otelEndpoint is {0:?}: write a host, or the http(s) URL of an OTLP receiver such as http://collector:4318"
    )]
    Endpoint(String),
    #[error("the OTLP protocol is {0:?}: write grpc, http/protobuf or http/json")]
    Protocol(String),
    #[error(
        "OTEL_TRACES_SAMPLER is not always_on, always_off or traceidratio, or its argument is no share from 0 to 1"
    )]
    Sampler,
    #[error("otelToken cannot stand in a header")]
    Token,
    #[error("making the exporter of spans: check otelEndpoint and the variables OTEL_EXPORTER_OTLP_*")]
    Build(#[from] ExporterBuildError),
}

/// An export of spans that goes on until [`Export::end`].
pub struct Export(SdkTracerProvider);

impl Export {
    /// Prepares the export. `variable` reads the environment. Must run inside a tokio runtime, which carries gRPC.
    ///
    /// # Errors
    /// When settings or variables cannot be followed.
    pub fn start(
        collector: &Collector,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CollectorError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let sampler = Sampling::read(
            set("OTEL_TRACES_SAMPLER").as_deref(),
            set("OTEL_TRACES_SAMPLER_ARG").as_deref(),
        )
        .ok_or(CollectorError::Sampler)?;
        if collector.endpoint.is_empty() && !ENDPOINTS.iter().any(|name| set(name).is_some()) {
            return Err(CollectorError::NoEndpoint);
        }
        let exporter = match PROTOCOLS.iter().find_map(|name| set(name)).as_deref() {
            None | Some("http/protobuf") => http(collector, Protocol::HttpBinary)?,
            Some("http/json") => http(collector, Protocol::HttpJson)?,
            Some("grpc") => grpc(collector)?,
            Some(other) => return Err(CollectorError::Protocol(other.to_owned())),
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(resource())
            .with_batch_exporter(Complaining::new(exporter))
            .build();
        Ok(Self(provider))
    }

    /// What turns spans of the log into spans for the collector.
    #[must_use]
    pub fn receiver(&self) -> Receiver {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TRACED, LevelFilter::DEBUG))
            .boxed()
    }

    /// Lets this export have the spans that are made of notes ([`super::Admission`]). A process has one such export.
    pub fn install(&self) {
        opentelemetry::global::set_tracer_provider(self.0.clone());
    }

    /// Sends the spans that wait now. Blocks until the collector has answered; not for threads of the runtime.
    pub fn flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    /// Sends what waits and ends the export. Blocks for a moment; not for threads of the runtime.
    pub fn end(&self) {
        // A collector that does not answer has been complained about.
        let _ = self.0.shutdown_with_timeout(ENDS_WITHIN);
    }
}

/// The service's name is the environment's, or this program's.
fn resource() -> Resource {
    let detected = Resource::builder().build();
    let named = detected
        .get(&opentelemetry::Key::from_static_str("service.name"))
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    match named {
        true => detected,
        false => Resource::builder().with_service_name(SERVICE).build(),
    }
}

fn http(collector: &Collector, protocol: Protocol) -> Result<SpanExporter, CollectorError> {
    let mut builder = SpanExporter::builder().with_http().with_protocol(protocol);
    if let Some(url) = base(collector)? {
        builder = builder.with_endpoint(match url.ends_with("/v1/traces") {
            true => url,
            false => format!("{url}/v1/traces"),
        });
    }
    if !collector.token.is_empty() {
        let header = ("authentication".to_owned(), collector.token.clone());
        builder = builder.with_headers(HashMap::from([header]));
    }
    Ok(builder.build()?)
}

fn grpc(collector: &Collector) -> Result<SpanExporter, CollectorError> {
    let mut builder = SpanExporter::builder().with_tonic();
    if let Some(url) = base(collector)? {
        if url.starts_with("https://") {
            builder = builder.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        builder = builder.with_endpoint(url);
    }
    if !collector.token.is_empty() {
        let mut token = HeaderValue::from_str(&collector.token).map_err(|_| CollectorError::Token)?;
        token.set_sensitive(true);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("authentication"), token)]);
        builder = builder.with_metadata(MetadataMap::from_headers(headers));
    }
    Ok(builder.build()?)
}

/// The configured endpoint as a URL without a slash at its end; `None` when the environment says the endpoint.
fn base(collector: &Collector) -> Result<Option<String>, CollectorError> {
    let endpoint = collector.endpoint.as_str();
    if endpoint.is_empty() {
        return Ok(None);
    }
    let text = match endpoint.contains("://") {
        true => endpoint.to_owned(),
        false => format!("http://{endpoint}"),
    };
    let usable =
        url::Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match usable {
        true => Ok(Some(text.trim_end_matches('/').to_owned())),
        false => Err(CollectorError::Endpoint(endpoint.to_owned())),
    }
}

/// An exporter that says in the log, from time to time, that its collector does not take spans. The SDK itself would
/// say so for each batch.
#[derive(Debug)]
struct Complaining {
    exporter: SpanExporter,
    complained: Arc<Mutex<Option<Instant>>>,
}

impl Complaining {
    fn new(exporter: SpanExporter) -> Self {
        Self {
            exporter,
            complained: Arc::default(),
        }
    }
}

impl Exports for Complaining {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let lost = batch.len();
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result {
            let mut complained = self.complained.lock();
            if complained.is_none_or(|at| at.elapsed() >= QUIET) {
                *complained = Some(Instant::now());
                warn!(%error, lost, "spans do not reach the collector: check otelEndpoint and the OTLP protocol");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(endpoint: &str) -> Collector {
        Collector {
            endpoint: endpoint.into(),
            token: String::new(),
        }
    }

    #[test]
    fn an_endpoint_is_a_host_or_a_url() {
        let base = |endpoint| base(&collector(endpoint)).map_err(|error| error.to_string());
        assert_eq!(base("collector:4318"), Ok(Some("http://collector:4318".into())));
        assert_eq!(base("https://c/otlp/"), Ok(Some("https://c/otlp".into())));
        assert_eq!(base(""), Ok(None));
        assert!(
            base("unix:///run/otel.sock")
                .unwrap_err()
                .contains("otelEndpoint")
        );
    }

    #[test]
    fn settings_that_cannot_be_followed_are_named() {
        for (endpoint, variable, words) in [
            ("", ("", ""), "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (
                "c",
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
                "carrier-pigeon",
            ),
            (
                "c",
                ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
                "OTEL_TRACES_SAMPLER",
            ),
        ] {
            let error = Export::start(&collector(endpoint), |name| {
                (name == variable.0).then(|| variable.1.to_owned())
            });
            let text = error.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(words), "{text:?} does not say {words}");
        }
    }
}
