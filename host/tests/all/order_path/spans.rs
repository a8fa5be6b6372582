//! Orders as traces: what a collector is told of them, and what becomes of orders when it is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;

use super::hosts::{Host, agent};
use super::operating::{context, scrape, shipped, tail};
use super::orders::{bad_order, order};
use super::world::{fnhost, fulfilment};
use crate::kafka::eventually;

mod collector;

use collector::{Collector, Told, hex, text};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A host on the embedded broker, with options about traces; its broker's file is in `folder`.
fn start(folder: &tempfile::TempDir, more: &[&str]) -> Host {
    start_in(&[], folder, more)
}

/// The same with these variables.
fn start_in(variables: &[(&str, &str)], folder: &tempfile::TempDir, more: &[&str]) -> Host {
    let file = folder.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let more = [&["--apply-topics"], more].concat();
    Host::start_in(variables, &fulfilment(), &broker, "127.0.0.1:0", &more).ready()
}

/// Places an order that comes in this trace, if in any, and gives its id.
fn place(host: &Host, order: &Value, parent: Option<&str>) -> String {
    let request = agent().post(format!("http://{}/orders", host.http)).header("content-type", "application/json");
    let request = parent.into_iter().fold(request, |request, parent| request.header("traceparent", parent));
    let mut answer = request.send(order.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status().as_u16(), 202);
    let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    answer["id"].as_str().unwrap().to_owned()
}

fn is_shipped(host: &Host, id: &str) {
    eventually("it is shipped", || shipped(host).contains_key(id).then_some(()));
}

/// Without the spans of groups beside the order path, which read along.
fn of_the_path(told: Vec<Told>) -> Vec<Told> {
    let of_path = |told: &Told| ["", "fulfilment"].contains(&told.said("messaging.consumer.group.name").as_str());
    told.into_iter().filter(of_path).collect()
}

/// The spans of one trace with one name.
fn named<'a>(told: &'a [Told], trace: &str, name: &str) -> Vec<&'a Told> {
    told.iter().filter(|told| told.trace() == trace && told.span.name == name).collect()
}

fn one<'a>(told: &'a [Told], trace: &str, name: &str) -> &'a Told {
    let [one] = named(told, trace, name).try_into().unwrap_or_else(|many| panic!("{name}: {many:#?}"));
    one
}

fn is_error(told: &Told) -> bool {
    told.span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32)
}

#[test]
fn an_order_is_one_trace_from_its_request_to_its_last_notification() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let host = start(&folder, &["--otlp-endpoint", &collector.url(), "--instance", "a-1"]);
    let good = place(&host, &order(1), Some(&format!("00-{TRACE}-{CALLER}-01")));
    let bad = place(&host, &bad_order(2), None);
    let unrecorded = "1af7651916cd43dd8448eb211c80319c";
    let other = place(&host, &order(3), Some(&format!("00-{unrecorded}-{CALLER}-00")));
    is_shipped(&host, &good);
    is_shipped(&host, &other);
    eventually("it is rejected", || (tail(&host, &["error"]).len() == 1).then_some(()));
    let carried = |topic: &str, id: &str| -> Vec<String> {
        context(&host, topic, id).iter().map(|parent| parent[36..52].to_owned()).collect()
    };
    let topics = ["order-received", "order-confirmed", "order-picked-and-packed", "notification"];
    let of_topic: BTreeMap<&str, Vec<String>> = topics.map(|topic| (topic, carried(topic, &good))).into();
    let of_error = context(&host, "error", &bad).remove(0);
    let (received, passed_on) = (context(&host, "order-received", &bad), carried("order-received", &other));
    // What waits is sent before the host ends.
    let (code, log) = host.terminate();
    assert_eq!(code, 0, "{log}");
    let told = of_the_path(collector.told());

    // One span below the other, and each event carries the span of what made it.
    let request = one(&told, TRACE, "POST /orders");
    assert_eq!(request.parent(), CALLER);
    let mut above = request.id();
    for topic in ["order-received", "order-confirmed", "order-picked-and-packed"] {
        assert_eq!(of_topic[topic], [above.as_str()], "{topic}");
        let invocation = one(&told, TRACE, &format!("process {topic}"));
        assert_eq!(invocation.parent(), above, "{topic}");
        above = invocation.id();
    }
    // The warehouse tells the customer too, and then the shipper does.
    let warehouse = one(&told, TRACE, "process order-confirmed").id();
    let notified = named(&told, TRACE, "process notification");
    let parents: BTreeSet<String> = notified.iter().map(|told| told.parent()).collect();
    assert_eq!((notified.len(), &parents), (2, &BTreeSet::from([warehouse, above])));
    assert_eq!(parents, of_topic["notification"].iter().cloned().collect());
    // What it says is found from its span, and the other way round.
    for told in &notified {
        assert!(log.contains(&format!("trace_id=\"{TRACE}\" span_id=\"{}\"", told.id())), "{told:?}\n{log}");
    }

    // Each invocation has its commit, each request its publish; nothing is told twice, and nothing else.
    let of_trace: Vec<&Told> = told.iter().filter(|told| told.trace() == TRACE).collect();
    let ids: BTreeSet<String> = of_trace.iter().map(|told| told.id()).collect();
    assert_eq!((of_trace.len(), ids.len()), (1 + 1 + 5 + 5, 12), "{of_trace:#?}");
    assert_eq!(one(&told, TRACE, "send order-received").parent(), request.id());
    let invocations: Vec<&Told> = of_trace.iter().copied().filter(|t| t.span.name.starts_with("process ")).collect();
    for invocation in &invocations {
        let name = invocation.span.name.replacen("process", "commit", 1);
        let commits = named(&told, TRACE, &name);
        let commit = commits.into_iter().find(|commit| commit.parent() == invocation.id()).unwrap();
        assert!(commit.span.start_time_unix_nano >= invocation.span.end_time_unix_nano);
        // The transaction is a trace of its own, and both know each other.
        let [link] = commit.span.links.as_slice() else { panic!("{commit:?}") };
        let transaction = told.iter().find(|told| told.id() == hex(&link.span_id)).unwrap();
        assert_eq!((transaction.span.name.as_str(), transaction.parent()), ("transaction fulfilment", String::new()));
        assert!(transaction.span.links.iter().any(|link| hex(&link.span_id) == invocation.id()));
    }

    // What they say.
    assert_eq!(request.span.kind, SpanKind::Server as i32);
    let of_request = ["http.request.method", "http.route", "http.response.status_code"].map(|key| request.said(key));
    assert_eq!(of_request, ["POST", "/orders", "202"]);
    let inventory = one(&told, TRACE, "process order-received");
    assert_eq!((inventory.span.kind, is_error(inventory)), (SpanKind::Consumer as i32, false));
    let keys = ["messaging.system", "messaging.consumer.group.name", "messaging.kafka.message.key", "fnhost.function"];
    assert_eq!(keys.map(|key| inventory.said(key)), ["kafka", "fulfilment", &good, "inventory"]);
    assert_eq!(inventory.said("fnhost.verdict"), "applied");
    let sent = one(&told, TRACE, "send order-received");
    for key in ["messaging.destination.name", "messaging.destination.partition.id", "messaging.kafka.offset"] {
        assert!(!sent.said(key).is_empty() && sent.said(key) == inventory.said(key), "{key}: {sent:?}");
    }
    for Told { resource, scope, .. } in &told {
        let of = |key| text(resource, key);
        assert_eq!(
            (of("service.name"), of("service.instance.id"), scope.as_str()),
            ("fulfilment".into(), "a-1".into(), "fnhost")
        );
    }

    // The other began its trace here, and ended in an error.
    let trace = &received[0][3..35];
    let failed = one(&told, trace, "process order-received");
    assert!(is_error(failed) && !is_error(one(&told, trace, "POST /orders")));
    assert_eq!((failed.said("error.type"), failed.said("fnhost.verdict")), ("rejected".into(), "rejected".into()));
    assert!(failed.span.status.as_ref().unwrap().message.contains("P-9999"), "{failed:?}");
    assert_eq!(one(&told, trace, "POST /orders").parent(), "");
    assert_eq!(of_error, format!("00-{trace}-{}-01", failed.id()));

    // And one was not to be recorded.
    assert_eq!(passed_on, [CALLER]);
    assert!(told.iter().all(|told| told.trace() != unrecorded));
}

#[test]
fn orders_that_come_in_no_trace_are_recorded_as_often_as_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let host = start(&folder, &["--otlp-endpoint", &collector.url(), "--trace-sample", "0"]);
    let id = place(&host, &order(1), None);
    is_shipped(&host, &id);
    let received = tail(&host, &["order-received", "--key", &id]);
    assert!(!received[0]["headers"].to_string().contains("traceparent"), "{received:?}");
    let text = scrape(&host);
    assert_eq!(host.terminate().0, 0);
    assert_eq!(collector.told().len(), 0);
    assert!(text.contains("\nfnhost_spans_total{result=\"dropped\"} 0\n"), "{text}");
}

#[test]
fn host_without_options_does_what_opentelemetrys_variables_say() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let endpoint = format!("{}/v1/traces", collector.url());
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=from%20outside"),
        ("OTEL_SERVICE_NAME", "orders"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let host = start_in(&variables, &folder, &[]);
    let id = place(&host, &order(1), None);
    is_shipped(&host, &id);
    // Before it ends, for batches are sent every 50 ms.
    let told = eventually("all is told", || {
        let told = of_the_path(collector.told());
        let commits = told.iter().filter(|told| told.span.name.starts_with("commit ")).count();
        (commits == 5).then_some(told)
    });
    for Told { resource, key, .. } in &told {
        let of = |key| text(resource, key);
        assert_eq!((of("service.name"), of("deployment.environment.name")), ("orders".into(), "test".into()));
        assert_eq!(key, "from outside");
    }
    eventually("all is counted", || {
        let exported = format!("\nfnhost_spans_total{{result=\"exported\"}} {}\n", collector.told().len());
        scrape(&host).contains(&exported).then_some(())
    });
}

#[test]
fn collector_that_does_not_answer_holds_up_neither_orders_nor_the_end_of_a_host() {
    let folder = tempfile::tempdir().unwrap();
    // The system takes the connection, and nobody reads from it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let host = start_in(&[("OTEL_BSP_SCHEDULE_DELAY", "50")], &folder, &["--otlp-endpoint", &url]);
    let ids: Vec<String> = (0..20).map(|number| place(&host, &order(number), None)).collect();
    eventually("all are shipped", || (shipped(&host).len() == ids.len()).then_some(()));
    let began = Instant::now();
    let (code, log) = host.terminate();
    assert!(code == 0 && log.contains("the collector did not take the last spans"), "{log}");
    assert!(began.elapsed() < Duration::from_secs(6), "it took {:?}", began.elapsed());
}

#[test]
fn spans_that_a_collector_refuses_out_of_a_batch_count_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::that_refuses(1);
    let host = start(&folder, &["--otlp-endpoint", &collector.url()]);
    let id = place(&host, &order(1), None);
    is_shipped(&host, &id);
    eventually("it is counted", || {
        let scrape = scrape(&host);
        let is_counted = |result: &str| {
            let series = format!("fnhost_spans_total{{result=\"{result}\"}} ");
            scrape.lines().any(|line| line.strip_prefix(&series).is_some_and(|count| count != "0"))
        };
        (is_counted("failed") && is_counted("exported")).then_some(())
    });
    let said = host.said_in_log("the collector does not take all spans");
    assert!(said.contains("it refuses a part of them: too many for today"), "{said}");
    assert_eq!(host.terminate().0, 0);
}

#[test]
fn without_a_collector_no_trace_begins() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(&folder, &[]);
    let id = place(&host, &order(1), None);
    is_shipped(&host, &id);
    for topic in ["order-received", "order-confirmed", "notification"] {
        for event in tail(&host, &[topic, "--key", &id]) {
            let headers = event["headers"].as_array().unwrap();
            assert!(headers.iter().all(|header| header["name"] != "traceparent"), "{event}");
        }
    }
}

#[test]
fn orders_go_on_when_the_collector_is_away_and_that_is_logged_seldom() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(&folder, &["--otlp-endpoint", "http://127.0.0.1:1"]);
    let ids: Vec<String> = (0..20).map(|number| place(&host, &order(number), None)).collect();
    eventually("all are shipped", || (shipped(&host).len() == ids.len()).then_some(()));
    let warned = host.said_in_log("the collector takes no spans");
    assert!(warned.contains("Connection refused"), "{warned}");
    let failed = scrape(&host);
    let failed = failed.lines().find_map(|line| line.strip_prefix("fnhost_spans_total{result=\"failed\"} ")).unwrap();
    assert!(failed.parse::<u64>().unwrap() > 0);
    let late = place(&host, &order(21), None);
    is_shipped(&host, &late);
    let (code, log) = host.terminate();
    assert_eq!((code, log.matches("the collector takes no spans").count()), (0, 1), "{log}");
}

#[test]
fn collector_that_cannot_be_sent_to_is_refused_before_anything_else() {
    let (code, out, err) =
        fnhost(&["run", "nowhere", "--brokers", "127.0.0.1:1", "--otlp-endpoint", "https://collector.example"]);
    assert_eq!((code, out.as_str()), (1, ""));
    insta::assert_snapshot!(err, @r"
    error: --otlp-endpoint cannot be used: spans are sent over plain HTTP alone, and it is https

    hint: let a collector beside the host send them on: http://localhost:4318
    ");
    let (code, _, err) = fnhost(&["run", "nowhere", "--brokers", "127.0.0.1:1", "--trace-sample", "7"]);
    assert!(code == 2 && err.contains("it is to be from 0 to 1, such as 0.01"), "{err}");
}
