//! The verbs that operate a running host: its status, and its topics' events read and sent.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use fnhost::admin::metrics::list::ALL;
use serde_json::Value;

use super::hosts::{Host, agent};
use super::orders::{bad_order, order, order_event, place};
use super::world::{FNHOST, World, bounded, fnhost, fulfilment};
use crate::kafka::eventually;

/// The binary's exit code, stdout and stderr, with what it is given on stdin.
fn with_stdin(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut child = Command::new(FNHOST)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let pid = child.id().to_string();
    let output = bounded(&pid, || child.wait_with_output().unwrap());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn documents(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The documents that `events tail` prints, of a topic and with what options.
pub(super) fn tail(host: &Host, more: &[&str]) -> Vec<Value> {
    let (code, out, err) = fnhost(&[&["events", "tail", "--admin", &host.admin, "--format", "json"], more].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    documents(&out)
}

/// How often each order was shipped.
pub(super) fn shipped(host: &Host) -> BTreeMap<String, usize> {
    let notifications = tail(host, &["notification"]);
    let shipped = notifications.iter().filter(|event| event["value"]["data"]["stage"] == "shipped");
    shipped.fold(BTreeMap::new(), |mut counts, event| {
        *counts.entry(event["key"].as_str().unwrap().to_owned()).or_default() += 1;
        counts
    })
}

/// The trace context of the one event of an order on a topic.
pub(super) fn context(host: &Host, topic: &str, id: &str) -> Vec<String> {
    let of = |event: &Value| {
        let headers = event["headers"].as_array().unwrap().clone();
        let parent = headers.into_iter().find(|header| header["name"] == "traceparent").unwrap();
        parent["value"].as_str().unwrap().to_owned()
    };
    tail(host, &[topic, "--key", id]).iter().map(of).collect()
}

#[test]
fn an_order_is_in_the_trace_of_its_request_on_every_topic_and_in_the_logs() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let host = Host::start_over(&fulfilment(), &broker, "127.0.0.1:0", &["--apply-topics"]).ready();
    let place = |order: Value| {
        let request = agent().post(format!("http://{}/orders", host.http));
        let request = request.header("content-type", "application/json").header("traceparent", PARENT);
        let mut answer = request.send(order.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status().as_u16(), 202);
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    };
    let (good, bad) = (place(order(1)), place(bad_order(2)));
    eventually("it is shipped", || (shipped(&host).contains_key(&good)).then_some(()));
    assert_eq!(context(&host, "order-received", &good), [PARENT]);
    let mut spans = vec![PARENT.to_owned()];
    for topic in ["order-confirmed", "order-picked-and-packed", "notification"] {
        spans.extend(context(&host, topic, &good));
    }
    assert!(spans.iter().all(|span| span.starts_with(&PARENT[..36]) && span.ends_with("-01")), "{spans:?}");
    let [received, confirmed, picked, notified, shipped] = spans.as_slice() else { panic!("{spans:?}") };
    // Warehouse publishes two events of one order, under one span.
    assert!(received != confirmed && confirmed != picked && picked == notified && notified != shipped, "{spans:?}");
    eventually("it is rejected", || (tail(&host, &["error"]).len() == 1).then_some(()));
    assert!(context(&host, "error", &bad)[0].starts_with(&PARENT[..36]));
    assert!(host.log().contains("trace_id=\"0af7651916cd43dd8448eb211c80319c\" span_id=\""), "{}", host.log());
}

#[test]
fn an_operator_of_a_host_on_kafka_sees_its_status_and_its_events_and_sends_more() {
    let Some(world) = World::new() else { return };
    let parts = ["handle", "build", "begin", "offsets", "deliver", "commit"];
    operate(Host::start(&world, &[]).ready(), &parts);
}

#[test]
fn an_operator_of_a_host_on_the_embedded_broker_sees_and_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let host = Host::start_over(&fulfilment(), &broker, "127.0.0.1:0", &["--apply-topics"]).ready();
    operate(host, &["handle", "build"]);
}

/// `parts` are those of a transaction that this broker tells of.
fn operate(host: Host, parts: &[&str]) {
    let (code, out, err) = fnhost(&["status", "--admin", &host.admin]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("fulfilment is ready\n"), "{out}");
    for function in ["inventory", "notification", "shipper", "warehouse"] {
        assert!(out.lines().any(|line| line.starts_with(function) && line.contains("6 of 6")), "{function}: {out}");
    }
    for (function, partitions) in [("measure", "12 of 12"), ("kpi", "1 of 1")] {
        assert!(out.lines().any(|line| line.starts_with(function) && line.contains(partitions)), "{function}: {out}");
    }
    let (_, out, _) = fnhost(&["status", "--admin", &host.admin, "--format", "json"]);
    let status: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&status["ready"], &status["app"]), (&true.into(), &"fulfilment".into()));

    // Somebody follows before there is anything: what comes later is printed as it comes.
    let mut following = Command::new(FNHOST)
        .args(["events", "tail", "notification", "--follow", "--from", "earliest", "--full", "--admin", &host.admin])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap());
    let ids: Vec<String> = (0..20).map(|number| place(&host.http, &order(number))).collect();
    let bad = place(&host.http, &bad_order(20));
    eventually("all are shipped", || (shipped(&host).len() == ids.len()).then_some(()));
    let pid = following.id().to_string();
    bounded(&pid, || {
        for _ in 0..2 * ids.len() {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            assert!(ids.iter().any(|id| line.contains(&format!("  {id}  content-type="))), "{line}");
            assert!(line.ends_with("}}\n"), "{line}");
        }
    });
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let ended = bounded(&pid, || following.wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");

    // One key of many, and the error event.
    let [one] = tail(&host, &["order-received", "--key", &ids[7]]).try_into().unwrap_or_else(|many| panic!("{many:?}"));
    assert_eq!((one["key"].as_str(), &one["value"]["subject"]), (Some(&*ids[7]), &one["key"]));
    let errors = tail(&host, &["error"]);
    assert_eq!(errors.iter().map(|event| event["key"].as_str()).collect::<Vec<_>>(), [Some(&*bad)]);
    assert_eq!(tail(&host, &["order-received"]).len(), 21);
    assert_eq!(tail(&host, &["order-received", "--limit", "5"]).len(), 5);
    assert_eq!(tail(&host, &["order-received", "--since", "1h"]).len(), 21);
    assert_eq!(tail(&host, &["order-received", "--since", "2099-01-01T00:00:00Z"]).len(), 0);
    assert_eq!(tail(&host, &["fulfilment.inventory.order-received.state", "--limit", "2"]).len(), 2);

    // What was printed is taken again: the same order a second time has no effect, a new one has its own.
    let (code, sent, err) =
        with_stdin(&["events", "send", "order-received", "-", "--admin", &host.admin], &one.to_string());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(sent.starts_with(&format!("order-received  {}@", one["partition"])), "{sent}");
    let new = order_event("by-hand").to_string();
    let more = ["--header", "from=by hand", "--format", "json", "--admin", &host.admin];
    let (code, sent, err) = with_stdin(&[&["events", "send", "order-received", "-"], &more[..]].concat(), &new);
    assert_eq!((code, err.as_str()), (0, ""));
    let sent: Value = serde_json::from_str(&sent).unwrap();
    eventually("the new one is shipped", || shipped(&host).contains_key("by-hand").then_some(()));
    let from = format!("{}:{}", sent["partition"], sent["offset"]);
    let again = tail(&host, &["order-received", "--key", "by-hand", "--from", &from]);
    assert_eq!(again[0]["headers"], serde_json::json!([{ "name": "from", "value": "by hand" }]));
    let shipped = shipped(&host);
    assert_eq!((shipped[&ids[7]], shipped["by-hand"], shipped.len()), (1, 1, 21));

    metrics_tell_of_it(&host, parts);
    status_is_watched(&host);
    wrong_things_are_told(&host);
    assert_eq!(host.terminate().0, 0);
}

/// What 21 good orders, one of them twice, and a bad one leave in the metrics.
fn metrics_tell_of_it(host: &Host, parts: &[&str]) {
    let text = eventually("all is committed and settled", || {
        let text = scrape(host);
        // Every topic has had an event, so seconds are known of four partitions at least.
        let seconds = text.lines().filter(|line| line.starts_with("fnhost_lag_seconds{")).count();
        let lags = || text.lines().filter(|line| line.starts_with("fnhost_lag_"));
        (seconds >= 4 && lags().all(|line| line.ends_with(" 0"))).then_some(text)
    });
    let sum = |series: &str| -> f64 {
        let of = |line: &&str| line.strip_prefix(series).is_some_and(|rest| rest.starts_with([' ', '{', ',', '}']));
        text.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    // There is no candidate here; `shadows` has what is counted of one.
    for metric in ALL.iter().filter(|metric| !metric.name.starts_with("fnhost_shadow_")) {
        let series = metric.series().pop().unwrap();
        assert!(text.contains(&format!("\n{series}")), "{series} is not in\n{text}");
    }
    let inventory = r#"{function="inventory""#;
    assert_eq!(sum(&format!("fnhost_event_latency_seconds_count{inventory}")), 23.0);
    assert!(sum(&format!("fnhost_event_latency_seconds_sum{inventory}")) > 0.0);
    assert_eq!(sum(&format!("fnhost_invocation_seconds_count{inventory}")), 23.0);
    assert_eq!(sum(&format!("fnhost_state_entries{inventory}")), 21.0);
    assert!(sum(&format!("fnhost_state_bytes{inventory}")) > 21.0 * 17.0);
    // 6 of each of four topics for the order path, 12 for measure, 1 for kpi.
    assert_eq!(sum("fnhost_partitions"), 37.0);
    for part in ["handle", "build", "begin", "offsets", "deliver", "commit"] {
        let told = sum(&format!("fnhost_transaction_part_seconds_sum{{part=\"{part}\"")) > 0.0;
        assert_eq!(told, parts.contains(&part), "{part}");
    }
}

/// Two lines of JSON, the second with rates; then Ctrl-C.
fn status_is_watched(host: &Host) {
    let mut watching = Command::new(FNHOST)
        .args(["status", "--watch", "1", "--format", "json", "--admin", &host.admin])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap());
    let pid = watching.id().to_string();
    let looks: Vec<Value> = bounded(&pid, || {
        let mut look = || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            serde_json::from_str(&line).unwrap()
        };
        vec![look(), look()]
    });
    assert!(looks.iter().all(|look| look["ready"] == true && look["functions"].as_array().unwrap().len() == 6));
    assert!(looks[0]["events_per_second"].is_null(), "{}", looks[0]);
    assert_eq!(looks[1]["events_per_second"]["inventory"], 0.0, "{}", looks[1]);
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert_eq!(bounded(&pid, || watching.wait().unwrap()).code(), Some(0));
}

pub(super) fn scrape(host: &Host) -> String {
    agent().get(format!("http://{}/metrics", host.admin)).call().unwrap().body_mut().read_to_string().unwrap()
}

fn wrong_things_are_told(host: &Host) {
    let admin = ["--admin", &host.admin];
    let (code, out, err) = fnhost(&[&["events", "tail", "order-recieved"], &admin[..]].concat());
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "error: the app has no such topic\n\nhint: did you mean `order-received`?\n");
    let (code, _, err) =
        with_stdin(&[&["events", "send", "order-received", "-"], &admin[..]].concat(), "{ \"valeu\": 1 }");
    assert_eq!(code, 1);
    assert!(err.contains("--> stdin:1:3") && err.contains("did you mean `value`?"), "{err}");
    let (code, _, err) = fnhost(&["status", "--admin", &host.http]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: nothing is served at this path"), "{err}");
}

#[test]
fn a_host_that_is_not_there_is_asked_for_by_its_address() {
    for verb in [&["status"][..], &["events", "tail", "orders"]] {
        let (code, out, err) = fnhost(&[verb, &["--admin", "127.0.0.1:1"]].concat());
        assert_eq!((code, out.as_str()), (1, ""));
        insta::allow_duplicates! {
            insta::assert_snapshot!(err, @r"
            error: no host answers at 127.0.0.1:1
              caused by: Connection refused (os error 111)

            hint: is it running (fnhost run APP)? --admin HOST:PORT, or FNHOST_ADMIN, is where it serves operators
            ");
        }
    }
    let (code, _, err) = fnhost(&["status", "--admin", "http://localhost:9090/"]);
    assert_eq!(code, 2);
    assert!(err.contains("it is to be HOST:PORT, such as 127.0.0.1:9090"), "{err}");
}
