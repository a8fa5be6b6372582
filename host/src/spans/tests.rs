use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use axum::http::Method;
use opentelemetry::Key;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanExporter;

use super::*;
use crate::app::manifest;
use crate::broker::{PublishError, Stored};
use crate::event::{Class, Digest, Effects, Event, Failure, Header, Partition};
use crate::worker::Clock;
use crate::worker::batch::{Handled, Timed, Work};
use crate::worker::plan::{BatchLimits, Parts, Plan};
use crate::worker::verdict::Verdict;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An exporter that keeps what it is given, once it may.
#[derive(Clone, Debug, Default)]
struct Kept {
    spans: Arc<Mutex<Vec<SpanData>>>,
    /// Ends when the test drops its other end.
    held: Option<Arc<Mutex<Receiver<()>>>>,
    fails: bool,
}

impl export::Exporter for Kept {}

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if let Some(held) = &self.held {
            held.lock().unwrap().recv().unwrap_err();
        }
        if self.fails {
            return Err(opentelemetry_sdk::error::OTelSdkError::InternalFailure("it is away".to_owned()));
        }
        self.spans.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Kept {
    fn held() -> (Self, Sender<()>) {
        let (hold, held) = channel();
        (Self { held: Some(Arc::new(Mutex::new(held))), ..Self::default() }, hold)
    }

    fn spans(&self, ratio: &str) -> (Arc<Spans>, Arc<Metrics>) {
        let metrics = Metrics::new("0.1.0").unwrap();
        let resource = Resource::builder_empty().build();
        (Spans::over(self.clone(), &resource, ratio.parse().unwrap(), &metrics), metrics)
    }

    /// What came, by name. The queue takes no more afterwards.
    fn told(&self, spans: &Spans) -> Vec<SpanData> {
        spans.flush(Duration::from_secs(20));
        let mut told = self.spans.lock().unwrap().clone();
        told.sort_by(|one, other| one.name.cmp(&other.name));
        told
    }
}

fn parent() -> Context {
    Context::parse(PARENT.as_bytes()).unwrap()
}

fn enter(spans: &Arc<Spans>, parent: Option<Context>) -> (Option<Context>, Option<Entered>) {
    spans.enter(parent, &Method::POST, "/orders")
}

/// An attribute, as text.
fn said(span: &SpanData, key: &'static str) -> Option<String> {
    span.attributes.iter().find(|of| of.key == Key::new(key)).map(|of| of.value.to_string())
}

fn metric(metrics: &Metrics, result: &str) -> usize {
    let series = format!("fnhost_spans_total{{result=\"{result}\"}} ");
    metrics.render().lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[test]
fn request_without_a_trace_begins_one_as_often_recorded_as_the_ratio_says() {
    for (ratio, least, most) in [("0", 0, 0), ("0.25", 400, 600), ("1", 2000, 2000)] {
        let (spans, _) = Kept::default().spans(ratio);
        let begun = (0..2000).map(|_| enter(&spans, None)).map(|(context, entered)| (context, entered.is_some()));
        let begun: Vec<(Option<Context>, bool)> = begun.collect();
        // One that is not recorded goes on in no trace.
        assert!(
            begun.iter().all(|(context, recorded)| context.is_some_and(|context| context.is_sampled()) == *recorded)
        );
        let recorded = begun.iter().filter(|(_, recorded)| *recorded).count();
        assert!((least..=most).contains(&recorded), "{recorded} at {ratio}");
        let traces: BTreeSet<[u8; 16]> =
            begun.iter().filter_map(|(context, _)| Some(context.as_ref()?.trace())).collect();
        assert_eq!(traces.len(), recorded);
    }
}

#[test]
fn whoever_began_a_trace_decides_whether_it_is_recorded() {
    let (spans, _) = Kept::default().spans("1");
    let unsampled = Context::parse(format!("{}0", &PARENT[..54]).as_bytes()).unwrap();
    let (goes, entered) = enter(&spans, Some(unsampled));
    assert!(goes == Some(unsampled) && entered.is_none(), "it goes on as it came");
    let (spans, _) = Kept::default().spans("0");
    let (goes, entered) = enter(&spans, Some(parent()));
    let goes = goes.unwrap();
    assert!(entered.is_some() && goes.trace() == parent().trace() && goes.span() != parent().span());
}

#[test]
fn request_is_a_span_with_its_route_and_status_and_only_a_servers_error_is_one() {
    let kept = Kept::default();
    let (spans, _) = kept.spans("1");
    for (status, route) in [(Some(202), "/a"), (Some(422), "/b"), (Some(503), "/c"), (None, "/d")] {
        enter(&spans, Some(parent())).1.unwrap().answered(Some(route), status);
    }
    spans.enter(None, &Method::from_bytes(b"BREW").unwrap(), &"/long".repeat(99)).1.unwrap().answered(None, Some(404));
    let told = kept.told(&spans);
    let shown = |span: &SpanData| {
        let error = match &span.status {
            Status::Error { .. } => said(span, "error.type").unwrap(),
            _ => "fine".to_owned(),
        };
        format!("{} {} {error}", span.name, said(span, "http.response.status_code").unwrap_or_default())
    };
    let shown: Vec<String> = told.iter().map(shown).collect();
    let expected = ["HTTP 404 fine", "POST /a 202 fine", "POST /b 422 fine", "POST /c 503 503", "POST /d  client_gone"];
    assert_eq!(shown, expected);
    let [unknown, first, ..] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(said(unknown, "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!((said(unknown, "http.route"), said(unknown, "url.path").unwrap().len()), (None, 256));
    assert_eq!((unknown.parent_span_id, unknown.parent_span_is_remote), (SpanId::INVALID, false));
    assert_eq!(
        (said(first, "http.route").as_deref(), said(first, "url.scheme").as_deref()),
        (Some("/a"), Some("http"))
    );
    assert_eq!(first.parent_span_id.to_bytes(), parent().span());
    assert!(first.parent_span_is_remote && first.span_kind == SpanKind::Server && first.end_time >= first.start_time);
}

#[test]
fn what_the_broker_said_to_a_request_is_a_span_below_it() {
    let kept = Kept::default();
    let (spans, _) = kept.spans("1");
    let (goes, entered) = enter(&spans, None);
    let (goes, entered) = (goes.unwrap(), entered.unwrap());
    entered.send().done(&"a".into(), "id-1", &Ok(Ok(Stored { partition: 3, offset: 7 })));
    entered.send().done(&"b".into(), "id-2", &Ok(Err(PublishError::Away { cause: "no answer".into() })));
    let told = kept.told(&spans);
    let [sent, unsent] = told.as_slice() else { panic!("{told:?}") };
    assert!(told.iter().all(|span| span.parent_span_id.to_bytes() == goes.span() && !span.parent_span_is_remote));
    let of = |key| said(sent, key).unwrap();
    let keys = ["messaging.destination.name", "messaging.destination.partition.id", "messaging.kafka.offset"];
    assert_eq!((sent.name.as_ref(), keys.map(of)), ("send a", ["a".to_owned(), "3".to_owned(), "7".to_owned()]));
    assert_eq!(of("messaging.kafka.message.key"), "id-1");
    assert_eq!(said(unsent, "error.type").as_deref(), Some("away"));
    assert!(matches!(unsent.status, Status::Error { .. }) && sent.status == Status::Unset);
}

#[test]
fn more_spans_than_may_wait_are_dropped_and_counted_and_nobody_waits() {
    let (kept, hold) = Kept::held();
    let (spans, metrics) = kept.spans("1");
    let more = 10;
    for _ in 0..WAITING_MAX + more {
        enter(&spans, None).1.unwrap().answered(None, Some(202));
    }
    assert_eq!((metric(&metrics, "dropped"), metric(&metrics, "exported")), (more, 0));
    drop(hold);
    assert_eq!(kept.told(&spans).len(), WAITING_MAX);
    assert_eq!((metric(&metrics, "dropped"), metric(&metrics, "exported")), (more, WAITING_MAX));
}

#[test]
fn flush_ends_in_time_whatever_the_collector_does() {
    let (kept, hold) = Kept::held();
    let (spans, metrics) = kept.spans("1");
    enter(&spans, None).1.unwrap().answered(None, Some(202));
    let began = Instant::now();
    spans.flush(Duration::from_millis(50));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!((metric(&metrics, "exported"), metric(&metrics, "failed")), (0, 0));
    drop(hold);
}

#[test]
fn spans_that_a_collector_does_not_take_are_counted_and_make_room() {
    let kept = Kept { fails: true, ..Kept::default() };
    let (spans, metrics) = kept.spans("1");
    for _ in 0..3 {
        enter(&spans, None).1.unwrap().answered(None, Some(202));
    }
    assert_eq!(kept.told(&spans), []);
    assert_eq!((metric(&metrics, "failed"), metric(&metrics, "dropped")), (3, 0));
    assert_eq!(spans.waiting.spans.load(Ordering::Relaxed), 0);
}

/// A clock at which a second has passed since the worker began.
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn wall_ms(&self) -> u64 {
        0
    }

    fn sleep(&self, _: Duration) {}
}

/// The events of a batch, each handled by the first function; the last one failed.
fn batch(events: usize, traced: bool) -> (Plan, Vec<Event>, Handled) {
    let app = manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/fulfilment")).unwrap().app;
    let metrics = Metrics::new("0.1.0").unwrap();
    let of = |name: &str| metrics.function(name);
    let parts =
        Parts { secret: &[7; 32], instance: "a", schema: &|_| None, metrics: &of, limits: BatchLimits::default() };
    let plan = Plan::new(&app, "fulfilment", &app.functions, &parts);
    let headers = [Header { name: "traceparent".to_owned(), value: traced.then(|| PARENT.as_bytes().to_vec()) }];
    let event = |offset| Event {
        partition: Partition::new("order-received", 3),
        offset,
        timestamp_ms: None,
        key: Some(b"order-1".to_vec()),
        value: Some(b"{}".to_vec()),
        headers: headers.to_vec(),
    };
    let all: Vec<Event> = (0..).take(events).map(event).collect();
    let work = |event| Work {
        event,
        function: 0,
        version: Digest::of(b"component"),
        verdict: match event + 1 == events {
            false => Verdict::Apply(Effects::default()),
            true => Verdict::Fail { failure: Failure::new(Class::Rejected, "no such product"), attempts: 2 },
        },
        failed_at_ms: 0,
        kept: None,
    };
    let timed = |work| Timed { work, began: Duration::from_millis(100), ended: Duration::from_millis(300) };
    let timed = (0..events).map(timed).collect();
    (plan, all, Handled { works: (0..events).map(work).collect(), events, timed })
}

fn committed(spans: &Spans, (plan, events, handled): &(Plan, Vec<Event>, Handled)) {
    let handed_in = Duration::from_millis(400);
    spans.committed(&Commit { plan, events, handled, clock: &Fixed, handed_in, records: 5, deployment: 2 });
}

#[test]
fn batch_is_a_span_for_each_invocation_one_below_it_for_its_commit_and_one_for_the_transaction() {
    let kept = Kept::default();
    let (spans, _) = kept.spans("1");
    let batch = batch(2, true);
    committed(&spans, &batch);
    let told = kept.told(&spans);
    let names: Vec<&str> = told.iter().map(|span| span.name.as_ref()).collect();
    let (commit, process) = ("commit order-received", "process order-received");
    assert_eq!(names, [commit, commit, process, process, "transaction fulfilment"]);
    let [one, _, applied, failed, transaction] = told.as_slice() else { panic!("{told:?}") };

    let function = &batch.0.functions[0].function.name;
    let own = parent().after(&Partition::new("order-received", 3), 0, function);
    assert_eq!(
        (applied.span_context.span_id().to_bytes(), applied.parent_span_id.to_bytes()),
        (own.span(), parent().span())
    );
    assert!(
        applied.parent_span_is_remote && applied.span_kind == SpanKind::Consumer && applied.status == Status::Unset
    );
    assert_eq!(applied.end_time.duration_since(applied.start_time).unwrap(), Duration::from_millis(200));
    assert_eq!(one.end_time.duration_since(one.start_time).unwrap(), Duration::from_millis(600));
    assert_eq!(one.start_time.duration_since(applied.end_time).unwrap(), Duration::from_millis(100));
    let mut shown: Vec<String> = failed.attributes.iter().map(|of| format!("{}={}", of.key, of.value)).collect();
    shown.sort();
    insta::assert_snapshot!(shown.join("\n"), @r"
    error.type=rejected
    fnhost.attempts=2
    fnhost.function=inventory
    fnhost.verdict=rejected
    fnhost.version=sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa
    messaging.consumer.group.name=fulfilment
    messaging.destination.name=order-received
    messaging.destination.partition.id=3
    messaging.kafka.message.key=order-1
    messaging.kafka.offset=1
    messaging.message.body.size=2
    messaging.operation.name=process
    messaging.operation.type=process
    messaging.system=kafka
    ");
    assert_eq!(failed.status, Status::error("no such product"));

    assert_eq!(one.parent_span_id.to_bytes(), own.span());
    assert_eq!(one.links[0].span_context.span_id(), transaction.span_context.span_id());
    let linked: Vec<SpanId> = transaction.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(linked, [applied, failed].map(|span| span.span_context.span_id()));
    assert_ne!(transaction.span_context.trace_id().to_bytes(), parent().trace());
    assert_eq!(transaction.parent_span_id, SpanId::INVALID);
    let of = |key| said(transaction, key).unwrap();
    let keys = ["messaging.batch.message_count", "fnhost.records", "fnhost.deployment"];
    assert_eq!(keys.map(of), ["2", "5", "2"]);
}

#[test]
fn transaction_names_so_many_invocations_and_tells_how_many_more_there_are() {
    let kept = Kept::default();
    let (spans, _) = kept.spans("1");
    committed(&spans, &batch(130, true));
    let told = kept.told(&spans);
    let transaction = told.last().unwrap();
    assert_eq!((told.len(), transaction.links.len(), transaction.links.dropped_count), (261, 128, 2));
}

#[test]
fn batch_without_a_trace_that_can_be_read_has_no_spans() {
    let kept = Kept::default();
    let (spans, _) = kept.spans("1");
    committed(&spans, &batch(2, false));
    assert_eq!(kept.told(&spans), []);
}
