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
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

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
    let last = Arc::new(Mutex::new(None));
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

/// OpenTelemetry's exporter, with what it keeps to itself: why a request failed.
#[derive(Debug)]
pub(super) struct Sent {
    exporter: opentelemetry_otlp::SpanExporter,
    last: Arc<Mutex<Option<String>>>,
}

impl SpanExporter for Sent {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.exporter.export(batch).await.map_err(|error| {
            let cause = lock(&self.last).take();
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
    last: Arc<Mutex<Option<String>>>,
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
        let why = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        *lock(&self.last) = why;
        Box::pin(future::ready(answer))
    }
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

    fn failed(&self, count: usize, error: &dyn fmt::Display) {
        let mut warned = lock(&self.warned);
        warned.1 += count;
        if warned.0.is_none_or(|last| last.elapsed() >= WARN_EVERY) {
            let spans = warned.1;
            tracing::warn!(%error, spans, "the collector takes no spans; events go on");
            *warned = (Some(Instant::now()), 0);
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => self.waiting.left(SpanResult::Exported, count),
            Err(error) => {
                self.waiting.left(SpanResult::Failed, count);
                self.failed(count, error);
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
