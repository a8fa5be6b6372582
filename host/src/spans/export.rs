//! The way to the collector: OpenTelemetry's exporter over the HTTP client that is there anyway, and a count of what becomes of spans.
//!
//! Runs on the queue's thread, where it may block: a request ends after [`SENT_WITHIN`], and the exporter tries again for as long
//! as OpenTelemetry has it. What fails is logged once in [`WARN_EVERY`].

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;

use super::Waiting;
use crate::admin::metrics::SpanResult;
use crate::sync::lock;

/// How long a collector may take for one batch.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// The largest answer of a collector that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// The least time between two lines of log about a collector that takes nothing.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// An exporter to this URL.
pub(super) fn otlp(endpoint: &str) -> anyhow::Result<Sent> {
    let last = Arc::default();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        // A collector is near; the environment's proxies are for what is not.
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(SENT_WITHIN))
        .user_agent(concat!("fnhost/", env!("CARGO_PKG_VERSION")));
    let client = Client { agent: config.build().into(), last: Arc::clone(&last) };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()?;
    Ok(Sent { exporter, last })
}

/// An endpoint as it may be logged: a query may hold a key.
pub(super) fn shown(endpoint: &str) -> &str {
    endpoint.split('?').next().unwrap_or_default()
}

/// What all spans of a host say of it. The environment holds over what the host knows by itself.
pub(super) fn resource(service: Option<&str>, app: &str, instance: Option<&str>) -> Resource {
    let named = |key: &'static str, value: Option<&str>| value.map(|value| KeyValue::new(key, value.to_owned()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(named("service.name", Some(app)))
        .with_attributes(named("service.instance.id", instance))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(named("service.name", service))
        .build()
}

/// An exporter that may be refused a part of what it is given.
pub(super) trait Exporter: SpanExporter {
    /// How many spans of the batch before were refused, and why. Told once.
    fn refused(&self) -> Option<(usize, String)> {
        None
    }
}

/// What a collector said last.
#[derive(Debug, Default)]
struct Said {
    /// Why it took nothing.
    failure: Option<String>,
    /// How many spans it did not take of a batch that it took, and why.
    refused: Option<(usize, String)>,
}

/// OpenTelemetry's exporter, with what it keeps to itself: why a request failed, and what was refused of one that did not.
#[derive(Debug)]
pub(super) struct Sent {
    exporter: opentelemetry_otlp::SpanExporter,
    last: Arc<Mutex<Said>>,
}

impl Exporter for Sent {
    fn refused(&self) -> Option<(usize, String)> {
        lock(&self.last).refused.take()
    }
}

impl SpanExporter for Sent {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.exporter.export(batch).await.map_err(|error| {
            let cause = lock(&self.last).failure.take();
            cause.map_or(error, opentelemetry_sdk::error::OTelSdkError::InternalFailure)
        })
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The HTTP client of the exporter.
struct Client {
    agent: ureq::Agent,
    last: Arc<Mutex<Said>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let (head, mut body) = self.agent.run(Request::from_parts(head, &*body))?.into_parts();
        let read = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, read.into()))
    }
}

/// What `send_bytes` gives, written out: the trait was made by a macro that is not needed here otherwise.
type Answered<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Answered<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let answer = self.send(request);
        let failed = |why| Said { failure: Some(why), refused: None };
        *lock(&self.last) = match &answer {
            Ok(answer) if answer.status().is_success() => Said { failure: None, refused: refused_in(answer.body()) },
            Ok(answer) => failed(format!("it answers {}", answer.status())),
            Err(error) => failed(error.to_string()),
        };
        Box::pin(future::ready(answer))
    }
}

/// What a collector refused of a request that it took: "partial success", as OTLP calls it.
fn refused_in(answer: &[u8]) -> Option<(usize, String)> {
    let partial = ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
    let count = usize::try_from(partial.rejected_spans).ok().filter(|count| *count > 0)?;
    Some((count, format!("it refuses a part of them: {}", partial.error_message)))
}

/// An exporter whose results are counted.
#[derive(Debug)]
pub(super) struct Counting<E> {
    exporter: E,
    waiting: Arc<Waiting>,
    /// When a failure was last logged, and how many spans failed since.
    warned: Mutex<(Option<Instant>, usize)>,
}

impl<E> Counting<E> {
    pub(super) fn new(exporter: E, waiting: Arc<Waiting>) -> Self {
        Self { exporter, waiting, warned: Mutex::new((None, 0)) }
    }

    fn failed(&self, count: usize, what: &str, error: &dyn fmt::Display) {
        let mut warned = lock(&self.warned);
        warned.1 += count;
        if warned.0.is_none_or(|last| last.elapsed() >= WARN_EVERY) {
            let spans = warned.1;
            tracing::warn!(%error, spans, "{what}; events go on");
            *warned = (Some(Instant::now()), 0);
        }
    }
}

impl<E: Exporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => {
                let (refused, why) = self.exporter.refused().unwrap_or_default();
                let refused = refused.min(count);
                self.waiting.left(SpanResult::Exported, count - refused);
                if refused > 0 {
                    self.waiting.left(SpanResult::Failed, refused);
                    self.failed(refused, "the collector does not take all spans", &why);
                }
            }
            Err(error) => {
                self.waiting.left(SpanResult::Failed, count);
                self.failed(count, "the collector takes no spans", error);
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
