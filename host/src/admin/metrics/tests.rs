use super::*;

/// Every name, type and label, without values.
fn listed(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("# HELP")) {
        let line = line.strip_prefix("# TYPE ").map_or_else(
            || {
                let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
                let labels =
                    series.split(['{', ',']).skip(1).filter_map(|label| label.split_once('=')).map(|(name, _)| name);
                labels.filter(|&name| name != "le").fold(String::new(), |all, name| format!("{all}  {name}"))
            },
            str::to_owned,
        );
        if !line.is_empty() && lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn used() -> Arc<Metrics> {
    let metrics = Metrics::new("0.1.0").unwrap();
    let function = metrics.function("inventory");
    function.event(Verdict::Applied);
    function.event(Verdict::Failed(Class::TimedOut));
    function.invocation(Duration::from_micros(7));
    function.retry();
    metrics.transaction(Duration::from_millis(3), TransactionResult::Committed);
    metrics.batch(12, 3456);
    metrics.restored(78, Duration::from_millis(90));
    metrics.lag("fulfilment", &Partition::new("order-received", 3), 5);
    metrics.ingress("POST /orders", 202, Duration::from_millis(4));
    metrics
}

#[test]
fn metrics_and_their_labels_are_these() {
    insta::assert_snapshot!(listed(&used().render()), @r"
    fnhost_batch_bytes histogram
    fnhost_batch_events histogram
    fnhost_build_info gauge
      version
    fnhost_events_total counter
      function  verdict
    fnhost_ingress_request_seconds histogram
      route
    fnhost_ingress_requests_total counter
      route  status
    fnhost_invocation_seconds histogram
      function
    fnhost_lag_records gauge
      group  partition  topic
    fnhost_restore_seconds histogram
    fnhost_restored_records_total counter
    fnhost_retries_total counter
      function
    fnhost_transaction_seconds histogram
    fnhost_transactions_total counter
      result
    process_resident_memory_bytes gauge
    ");
}

#[test]
fn every_metric_is_in_the_list_at_the_top_of_this_file() {
    let file = include_str!("../metrics.rs");
    let text = used().render();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in names {
        assert!(file.lines().any(|line| line.starts_with("//! |") && line.contains(&format!("`{name}`"))), "{name}");
    }
}

#[test]
fn calls_are_counted_where_they_belong() {
    let text = used().render();
    let series = [
        r#"fnhost_events_total{function="inventory",verdict="applied"} 1"#,
        r#"fnhost_events_total{function="inventory",verdict="timed-out"} 1"#,
        r#"fnhost_events_total{function="inventory",verdict="rejected"} 0"#,
        r#"fnhost_invocation_seconds_bucket{function="inventory",le="0.000005"} 0"#,
        r#"fnhost_invocation_seconds_bucket{function="inventory",le="0.00001"} 1"#,
        r#"fnhost_transactions_total{result="committed"} 1"#,
        r#"fnhost_transactions_total{result="stale"} 0"#,
        r#"fnhost_lag_records{group="fulfilment",partition="3",topic="order-received"} 5"#,
        r#"fnhost_ingress_requests_total{route="POST /orders",status="202"} 1"#,
        r#"fnhost_build_info{version="0.1.0"} 1"#,
        "fnhost_batch_bytes_sum 3456",
        "fnhost_restored_records_total 78",
    ];
    for series in series {
        assert!(text.lines().any(|line| line == series), "{series} is not in\n{text}");
    }
}

#[test]
fn a_lag_that_is_forgotten_is_gone() {
    let metrics = used();
    let partition = Partition::new("order-received", 3);
    metrics.forget_lag("fulfilment", &partition);
    metrics.forget_lag("fulfilment", &partition);
    assert!(!metrics.render().contains("fnhost_lag_records{"));
}

#[test]
fn resident_memory_is_told_on_linux() {
    assert!(!cfg!(target_os = "linux") || resident_bytes().unwrap() > 100_000);
}
