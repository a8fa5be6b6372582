use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::list::ALL;
use super::process::resident_bytes;
use super::*;
use crate::deploy::shadow::Counts;

const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- /metrics -->";

fn metrics() -> Arc<Metrics> {
    Metrics::new("0.1.0").unwrap()
}

fn partition() -> Partition {
    Partition::new("order-received", 3)
}

/// Every metric has a series.
fn used() -> (Arc<Metrics>, Place) {
    let metrics = metrics();
    metrics.activated("inventory", Digest::of(b"old"));
    let function = metrics.function("inventory");
    function.event(Verdict::Applied);
    function.event(Verdict::Failed(Class::TimedOut));
    function.invocations(Digest::of(b"old")).took(Duration::from_micros(7));
    function.latency(Duration::from_millis(20));
    function.state(2, 48);
    function.retry();
    function.shadowed(&Counts { passed_over: 1, ..Counts::default() });
    metrics.transaction(Duration::from_millis(3), TransactionResult::Committed);
    metrics.part(Part::Deliver, Duration::from_millis(1));
    metrics.batch(12, 3456);
    metrics.restored(78, Duration::from_millis(90));
    metrics.lag("fulfilment", &partition(), 5);
    let place = metrics.place("fulfilment", &partition());
    place.at(Some(1_000));
    metrics.broker_error(&broker::Error::NoSuchTopic { topic: "order-received".into() });
    let partitions = [("fulfilment".to_owned(), (6, 1))].into();
    metrics.health(&Health { live: true, ready: false, broker_up: true, partitions });
    metrics.ingress("POST /orders", 202, Duration::from_millis(4));
    metrics.schedule("minute", Duration::from_secs(60));
    metrics.ticked("minute", 2);
    metrics.reached("minute", 1_795_284_060_000);
    metrics.spans(SpanResult::Exported, 3);
    metrics.deployment(7, true);
    (metrics, place)
}

/// The lines of the text that are about one metric.
fn of<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))).collect()
}

#[test]
fn what_is_served_is_what_the_list_says() {
    let (metrics, _place) = used();
    let text = metrics.render();
    let mut unknown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for metric in ALL {
        let (kind, help) = (metric.kind.name(), metric.help);
        assert!(text.contains(&format!("# HELP {} {help}\n# TYPE {0} {kind}\n", metric.name)), "{}", metric.name);
        let series = metric.series().swap_remove(0);
        let first = of(&text, &series)[0].to_owned();
        let labels = first.split(['{', ',']).skip(1).filter_map(|label| Some(label.split_once('=')?.0));
        let labels: BTreeSet<&str> = labels.filter(|label| *label != "le").collect();
        assert_eq!(labels, metric.labels.iter().copied().collect(), "{first}");
        unknown.remove(metric.name);
    }
    assert!(unknown.is_empty(), "not in the list: {unknown:?}");
}

#[test]
fn names_are_as_prometheus_asks_for() {
    for metric in ALL {
        let name = metric.name;
        assert!(name.starts_with("fnhost_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert!(!name.contains("_ms") && !name.contains("milli") && !name.contains("_kb"), "{name}");
        assert!(!metric.help.ends_with('.'), "{name}");
    }
}

fn table() -> String {
    let mut table = "| metric | kind | labels | what | OpenTelemetry |\n|---|---|---|---|---|\n".to_owned();
    for Metric { name, kind, labels, counterpart, help } in ALL {
        let code = |name: &&str| format!("`{name}`");
        let labels = labels.iter().map(code).collect::<Vec<_>>().join(", ");
        let counterpart = counterpart.as_ref().map(code).unwrap_or_default();
        writeln!(table, "| `{name}` | {} | {labels} | {help} | {counterpart} |", kind.name()).unwrap();
    }
    table
}

#[test]
fn metrics_in_the_readme_are_those_of_the_list() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let written = readme.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table);
    let table = table();
    assert!(written == Some(&table), "between {BEGIN}and {END} the README is to have:\n\n{table}");
}

#[test]
fn calls_are_counted_where_they_belong() {
    let (metrics, _place) = used();
    let text = metrics.render();
    let version = Digest::of(b"old").short();
    let series = [
        r#"fnhost_events_total{function="inventory",verdict="applied"} 1"#,
        r#"fnhost_events_total{function="inventory",verdict="timed-out"} 1"#,
        r#"fnhost_events_total{function="inventory",verdict="rejected"} 0"#,
        &format!(r#"fnhost_invocation_seconds_bucket{{function="inventory",version="{version}",le="0.000005"}} 0"#),
        &format!(r#"fnhost_invocation_seconds_bucket{{function="inventory",version="{version}",le="0.00001"}} 1"#),
        r#"fnhost_event_latency_seconds_sum{function="inventory"} 0.02"#,
        r#"fnhost_state_entries{function="inventory"} 2"#,
        r#"fnhost_state_bytes{function="inventory"} 48"#,
        r#"fnhost_transactions_total{result="committed"} 1"#,
        r#"fnhost_transactions_total{result="stale"} 0"#,
        r#"fnhost_transaction_part_seconds_count{part="deliver"} 1"#,
        r#"fnhost_transaction_part_seconds_count{part="commit"} 0"#,
        r#"fnhost_lag_records{group="fulfilment",partition="3",topic="order-received"} 5"#,
        r#"fnhost_ingress_requests_total{route="POST /orders",status="202"} 1"#,
        r#"fnhost_broker_errors_total{error="no-such-topic"} 1"#,
        r#"fnhost_broker_errors_total{error="away"} 0"#,
        r#"fnhost_partitions{group="fulfilment",state="owned"} 6"#,
        r#"fnhost_partitions{group="fulfilment",state="stopped"} 1"#,
        "fnhost_ready 0",
        "fnhost_live 1",
        "fnhost_broker_up 1",
        "fnhost_batch_bytes_sum 3456",
        "fnhost_restored_records_total 78",
    ];
    for series in series {
        assert!(text.lines().any(|line| line == series), "{series} is not in\n{text}");
    }
    let build = of(&text, "fnhost_build_info")[0];
    assert!(
        build.contains(r#"version="0.1.0""#) && build.contains("wasmtime=\"4") && !build.contains("\"unknown\""),
        "{build}"
    );
}

/// The versions whose invocations are shown, with how many there were.
fn shown(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render();
    let lines = of(&text, "fnhost_invocation_seconds_count").into_iter();
    lines.map(|line| line.split_once("version=").unwrap().1.replace(['"', '}'], "")).collect()
}

#[test]
fn versions_that_are_long_gone_are_no_longer_shown() {
    let metrics = metrics();
    let function = metrics.function("inventory");
    let digests = [&b"one"[..], b"two", b"three"].map(Digest::of);
    let [one, two, three] = digests.map(|digest| digest.short());
    let mut in_hand = Vec::new();
    for digest in digests {
        metrics.activated("inventory", digest);
        metrics.activated("inventory", digest);
        let invocations = function.invocations(digest);
        invocations.took(Duration::from_micros(7));
        in_hand.push(invocations);
    }
    // A batch that began with the first version ends.
    in_hand[0].took(Duration::from_micros(7));
    let mut expected = [format!("{two} 1"), format!("{three} 1")];
    expected.sort();
    assert_eq!(shown(&metrics), expected);
    assert_eq!(of(&metrics.render(), "fnhost_swaps_total"), [r#"fnhost_swaps_total{function="inventory"} 2"#]);

    // Back to the first: the active one is there whatever late batches still begin with.
    metrics.activated("inventory", digests[0]);
    function.invocations(digests[1]).took(Duration::from_micros(7));
    let versions = shown(&metrics);
    assert_eq!(versions.len(), 2);
    assert!(versions.contains(&format!("{one} 0")), "{versions:?}");
}

#[test]
fn lag_in_seconds_is_the_age_of_where_the_group_is() {
    let metrics = metrics();
    let line = |now_ms| {
        let text = metrics.render_at(now_ms);
        let lines = of(&text, "fnhost_lag_seconds").into_iter().map(str::to_owned);
        lines.map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    metrics.lag("fulfilment", &partition(), 5);
    assert!(line(10_000).is_empty(), "the partition is another host's");
    let place = metrics.place("fulfilment", &partition());
    assert!(line(10_000).is_empty(), "nobody knows how old the first event is");
    place.at(Some(4_000));
    assert_eq!(line(10_000), ["6"]);
    assert_eq!(line(12_500), ["8.5"], "it grows while nothing moves");
    place.at(None);
    assert_eq!(line(3_000), ["0"], "an event from the future has no age");
    metrics.lag("fulfilment", &partition(), 0);
    assert_eq!(line(13_000), ["0"]);

    // The partition goes to another worker of this host, and then to another host.
    let next = metrics.place("fulfilment", &partition());
    drop(place);
    next.at(Some(1_000));
    metrics.lag("fulfilment", &partition(), 1);
    assert_eq!(line(13_000), ["12"]);
    drop(next);
    assert!(line(13_000).is_empty());
}

#[test]
fn a_lag_that_is_forgotten_is_gone() {
    let (metrics, _place) = used();
    metrics.forget_lag("fulfilment", &partition());
    metrics.forget_lag("fulfilment", &partition());
    assert!(of(&metrics.render(), "fnhost_lag_records").is_empty());
}

#[test]
fn what_the_process_spends_is_told() {
    let (metrics, _place) = used();
    let value = |name: &str| of(&metrics.render(), name)[0].rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_start_time_seconds") > 1.7e9);
    assert!(!cfg!(target_os = "linux") || resident_bytes().unwrap() > 100_000);
}
