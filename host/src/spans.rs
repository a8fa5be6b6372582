//! What is recorded of traces: requests, invocations and transactions become spans, and spans go to a collector.
//!
//! ```text
//! request ─▶ [Spans::enter] ─▶ answer ────┐
//! batch ─▶ commit ─▶ [Spans::committed] ──┴─▶ queue (bounded) ─▶ batches ─▶ OTLP over HTTP ─▶ collector
//! ```
//!
//! Ingress and workers call it, a thread of its own sends. Only what is sampled gets here: whoever began a trace decides, and
//! where it begins here the ratio of the trace's id does. An invocation's span has the id that already travels in what came of it
//! ([`Context::after`]), so parents and children find each other without a word between hosts. An event's spans are made when its
//! transaction is committed: what is handled again is told once.
//!
//! Nobody waits for a collector. [`WAITING_MAX`] spans wait for it, one more is dropped and counted; a drain gives them
//! [`FLUSH`]. A host without an endpoint has no [`Spans`] at all.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision,
    ShouldSample as _, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};

use crate::admin::metrics::{Metrics, SpanResult};
use crate::config::{Otlp, Ratio};
use crate::event::trace::Context;

mod batch;
mod export;
mod request;

pub use batch::Commit;
pub use request::{Entered, Sending};

/// How many spans wait for the collector: two batches of a worker, all of whose events are sampled.
pub const WAITING_MAX: usize = 8192;
/// How long a drain waits for the collector.
pub const FLUSH: Duration = Duration::from_secs(2);

/// What OpenTelemetry calls the broker, whichever there is: the embedded one does what Kafka does.
const SYSTEM: &str = "kafka";

/// Where spans go.
pub struct Spans {
    queue: BatchSpanProcessor,
    waiting: Arc<Waiting>,
    sampler: Sampler,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
}

/// The spans that wait or are on their way. The queue itself tells nobody what it drops, so nothing is put in that it would drop.
struct Waiting {
    spans: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").field(&self.spans).finish()
    }
}

impl Waiting {
    /// Whether one more may wait, which then counts as waiting.
    fn takes_one(&self) -> bool {
        let more = |waiting| (waiting < WAITING_MAX).then_some(waiting + 1);
        let takes = self.spans.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !takes {
            self.metrics.spans(SpanResult::Dropped, 1);
        }
        takes
    }

    /// This became of so many.
    fn left(&self, result: SpanResult, count: usize) {
        self.spans.fetch_sub(count, Ordering::Relaxed);
        self.metrics.spans(result, count);
    }
}

impl Spans {
    /// Spans of a host of `app` on their way to a collector, which need not be there.
    ///
    /// # Errors
    /// What OpenTelemetry's own variables say that cannot be done, such as a compression that is not built in.
    pub fn start(otlp: &Otlp, app: &str, instance: Option<&str>, metrics: &Arc<Metrics>) -> anyhow::Result<Arc<Self>> {
        let exporter = export::otlp(&otlp.endpoint)?;
        tracing::info!(endpoint = export::shown(&otlp.endpoint), sampled = otlp.ratio.value(), "spans are exported");
        let resource = export::resource(otlp.service.as_deref(), app, instance);
        Ok(Self::over(exporter, &resource, otlp.ratio, metrics))
    }

    /// Spans that an exporter takes.
    fn over<E>(exporter: E, resource: &Resource, ratio: Ratio, metrics: &Arc<Metrics>) -> Arc<Self>
    where
        E: export::Exporter + 'static,
    {
        let waiting = Arc::new(Waiting { spans: AtomicUsize::new(0), metrics: Arc::clone(metrics) });
        let exporter = export::Counting::new(exporter, Arc::clone(&waiting));
        let batches = BatchConfigBuilder::default().with_max_queue_size(WAITING_MAX).build();
        let mut queue = BatchSpanProcessor::new(exporter, batches);
        queue.set_resource(resource);
        Arc::new(Self {
            queue,
            waiting,
            sampler: Sampler::TraceIdRatioBased(ratio.value()),
            ids: RandomIdGenerator::default(),
            scope: InstrumentationScope::builder("fnhost").with_version(env!("CARGO_PKG_VERSION")).build(),
        })
    }

    /// Sends what waits and takes no more. Blocks, for `within` at most.
    pub fn flush(&self, within: Duration) {
        if self.queue.shutdown_with_timeout(within).is_err() {
            let spans = self.waiting.spans.load(Ordering::Relaxed);
            tracing::warn!(spans, ?within, "the collector did not take the last spans");
        }
    }

    /// The context of a trace that begins here.
    fn begin(&self) -> Context {
        let trace = self.new_trace();
        let id = TraceId::from_bytes(trace);
        let sampled = self.sampler.should_sample(None, id, "", &SpanKind::Server, &[], &[]).decision;
        Context::begun(trace, self.new_span(), sampled == SamplingDecision::RecordAndSample)
    }

    fn new_trace(&self) -> [u8; 16] {
        self.ids.new_trace_id().to_bytes()
    }

    fn new_span(&self) -> [u8; 8] {
        self.ids.new_span_id().to_bytes()
    }

    /// Hands a span to the queue, or drops it.
    fn tell(&self, span: Span) {
        if !self.waiting.takes_one() {
            return;
        }
        let mut links = SpanLinks::default();
        links.dropped_count = span.links_left_out;
        links.links = span.links.into_iter().map(|to| Link::new(context(to), Vec::new(), 0)).collect();
        self.queue.on_end(SpanData {
            span_context: context(span.context),
            parent_span_id: span.parent.map_or(SpanId::INVALID, |(parent, _)| SpanId::from_bytes(parent.span())),
            parent_span_is_remote: span.parent.is_some_and(|(_, lies)| lies == Lies::Elsewhere),
            span_kind: span.kind,
            name: span.name,
            start_time: span.began,
            end_time: span.ended,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: span.status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// Where a span's parent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lies {
    /// In this host, told by it.
    Here,
    /// It came with a request or an event.
    Elsewhere,
}

/// A span that has ended.
struct Span {
    context: Context,
    parent: Option<(Context, Lies)>,
    kind: SpanKind,
    name: Cow<'static, str>,
    began: SystemTime,
    ended: SystemTime,
    attributes: Vec<KeyValue>,
    /// Spans that it has to do with, in other traces.
    links: Vec<Context>,
    links_left_out: u32,
    status: Status,
}

impl Span {
    /// A span that went well and has no links.
    fn new(
        context: Context,
        parent: Option<(Context, Lies)>,
        kind: SpanKind,
        name: String,
        (began, ended): (SystemTime, SystemTime),
    ) -> Self {
        let (attributes, links) = (Vec::new(), Vec::new());
        let name = Cow::Owned(name);
        // A clock that was set back is no reason for a span that ends before it begins.
        let ended = ended.max(began);
        Self { context, parent, kind, name, began, ended, attributes, links, links_left_out: 0, status: Status::Unset }
    }

    /// The same with what OpenTelemetry calls this.
    fn with(mut self, key: &'static str, value: impl Into<opentelemetry::Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// The same as one that did not go well, by the class of its error and what people are told.
    fn failed(mut self, class: impl Into<opentelemetry::Value>, description: String) -> Self {
        self.status = Status::error(description);
        self.with("error.type", class)
    }

    /// The same as one about a topic.
    fn about(self, topic: &Arc<str>, operation: &'static str, kind: &'static str) -> Self {
        self.with("messaging.system", SYSTEM)
            .with("messaging.operation.name", operation)
            .with("messaging.operation.type", kind)
            .with("messaging.destination.name", Arc::clone(topic))
    }

    /// The same as one about a record.
    fn of_record(self, partition: i32, offset: i64) -> Self {
        self.with("messaging.destination.partition.id", partition.to_string()).with("messaging.kafka.offset", offset)
    }
}

fn context(of: Context) -> SpanContext {
    let (trace, span) = (TraceId::from_bytes(of.trace()), SpanId::from_bytes(of.span()));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default())
}

/// What somebody else wrote, cut to what a span is to hold of it.
fn cut(text: &str) -> String {
    text.chars().take(256).collect()
}

/// When something began: the time of day, and a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
struct Began(SystemTime, Instant);

impl Began {
    fn now() -> Self {
        Self(SystemTime::now(), Instant::now())
    }

    /// From then to now.
    fn until_now(self) -> (SystemTime, SystemTime) {
        (self.0, self.0 + self.1.elapsed())
    }
}

#[cfg(test)]
mod tests;
