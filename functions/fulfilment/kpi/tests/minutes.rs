//! What is published of samples, and when.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use fnhost_sdk::RawEvent;
use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use order::time;
use proptest::prelude::*;
use serde_json::{Value, json};

const MINUTE_MS: u64 = 60_000;
/// 2026-11-21T18:00:00Z.
const BEGINNING_MS: u64 = 1_795_284_000_000;

/// Milliseconds since 18:00.
fn at(minutes: u64, ms: u64) -> u64 {
    BEGINNING_MS + minutes * MINUTE_MS + ms
}

struct Kpis {
    bench: Bench,
    events: u32,
}

/// A KPI event: KPI, minute, count, p50, p99, revision.
type Row = (String, String, u64, Option<u64>, Option<u64>, u64);

fn row(kpi: &str, minute: &str, count: u64, quantiles: Option<(u64, u64)>, revision: u64) -> Row {
    let (p50, p99) = quantiles.unzip();
    (kpi.to_owned(), format!("2026-11-21T{minute}:00Z"), count, p50, p99, revision)
}

fn errors(minute: &str, count: u64, revision: u64) -> Row {
    row("inventory-errors", minute, count, None, revision)
}

fn shipped(minute: &str, count: u64, quantiles: (u64, u64), revision: u64) -> Row {
    row("order-to-shipped", minute, count, Some(quantiles), revision)
}

fn none_shipped(minute: &str) -> Row {
    row("order-to-shipped", minute, 0, None, 0)
}

impl Kpis {
    fn new() -> Self {
        Self { bench: Bench::new(kpi::invoke, [("grace-seconds", "10")]), events: 0 }
    }

    fn event(&mut self, kind: &str, subject: &str, at_ms: u64, data: &Value) -> String {
        self.events += 1;
        json!({
            "specversion": "1.0", "id": format!("e-{}", self.events), "source": "/fulfilment/test", "type": kind,
            "subject": subject, "time": time::with_millis(at_ms), "datacontenttype": "application/json", "data": data,
        })
        .to_string()
    }

    fn sample(&mut self, kpi: &str, at_ms: u64, ms: Option<u64>) -> Outcome {
        let mut data = json!({"kpi": kpi, "order": "o-1"});
        if let Some(ms) = ms {
            data["ms"] = ms.into();
        }
        let event = self.event("ppe4peeps.kpi-sample", kpi, at_ms, &data);
        self.bench.handle(event)
    }

    fn error(&mut self, at_ms: u64) {
        assert_eq!(self.sample("inventory-errors", at_ms, None), Ok(vec![]));
    }

    fn ship(&mut self, at_ms: u64, ms: u64) {
        assert_eq!(self.sample("order-to-shipped", at_ms, Some(ms)), Ok(vec![]));
    }

    fn outputs(&mut self, at_ms: u64) -> Vec<Output> {
        let event = self.event("fnhost.tick", "minute", at_ms, &json!({"schedule": "minute", "everyMs": 60_000}));
        self.bench.handle(event).unwrap()
    }

    /// What a tick publishes.
    fn tick(&mut self, at_ms: u64) -> Vec<Row> {
        let read = |output: &Output| {
            assert_eq!(output.topic, "kpi");
            let event: Value = serde_json::from_slice(output.value.as_deref().unwrap()).unwrap();
            assert_eq!((&event["type"], &event["subject"]), (&"ppe4peeps.kpi".into(), &event["data"]["kpi"]));
            assert_eq!(event["time"], time::with_millis(at_ms));
            let data = &event["data"];
            let text = |name: &str| data[name].as_str().unwrap().to_owned();
            assert_eq!(output.key.as_deref(), Some(text("kpi").as_bytes()));
            let number = |name: &str| data.get(name).unwrap().as_u64();
            (
                text("kpi"),
                text("minute"),
                number("count").unwrap(),
                number("p50Ms"),
                number("p99Ms"),
                number("revision").unwrap(),
            )
        };
        self.outputs(at_ms).iter().map(read).collect()
    }
}

#[test]
fn a_minute_is_published_by_the_first_tick_after_it_and_its_grace() {
    let mut kpis = Kpis::new();
    kpis.error(at(0, 0));
    kpis.ship(at(0, 59_999), 25);
    kpis.ship(at(0, 1), 36);
    kpis.error(at(1, 0));
    assert_eq!(kpis.tick(at(1, 9_999)), []);
    assert_eq!(kpis.tick(at(1, 10_000)), [errors("18:00", 1, 0), shipped("18:00", 2, (25, 36), 0)]);
    assert_eq!(kpis.tick(at(1, 10_001)), []);
    assert_eq!(kpis.tick(at(3, 0)), [errors("18:01", 1, 0), none_shipped("18:01")]);
}

#[test]
fn a_minute_in_which_nothing_happened_is_published_too() {
    let mut kpis = Kpis::new();
    assert_eq!(kpis.tick(at(1, 0)), [], "nobody measured before the first tick");
    assert_eq!(kpis.tick(at(2, 0)), [errors("18:00", 0, 0), none_shipped("18:00")]);
    assert_eq!(
        kpis.tick(at(4, 0)),
        [errors("18:01", 0, 0), none_shipped("18:01"), errors("18:02", 0, 0), none_shipped("18:02")]
    );
}

#[test]
fn what_came_before_the_first_tick_is_published_by_it() {
    let mut kpis = Kpis::new();
    kpis.error(at(3, 0));
    kpis.error(at(1, 0));
    let published = kpis.tick(at(5, 0));
    let counts: Vec<u64> = published.iter().map(|row| row.2).collect();
    assert_eq!((published[0].1.as_str(), counts), ("2026-11-21T18:01:00Z", vec![1, 0, 0, 0, 1, 0]));
}

#[test]
fn a_late_sample_has_its_minute_published_again_with_the_next_revision() {
    let mut kpis = Kpis::new();
    kpis.ship(at(0, 0), 25);
    kpis.tick(at(2, 0));
    kpis.ship(at(0, 0), 127);
    kpis.ship(at(0, 0), 127);
    kpis.error(at(0, 0));
    assert_eq!(
        kpis.tick(at(3, 0)),
        [errors("18:00", 1, 1), shipped("18:00", 3, (127, 127), 1), errors("18:01", 0, 0), none_shipped("18:01"),]
    );
    kpis.ship(at(0, 0), 25);
    assert_eq!(
        kpis.tick(at(3, 30_000)),
        [shipped("18:00", 4, (25, 127), 2), errors("18:02", 0, 0), none_shipped("18:02")]
    );
    assert_eq!(kpis.tick(at(3, 40_000)), []);
}

#[test]
fn a_sample_from_before_all_that_was_published_is_the_first_of_its_minute() {
    let mut kpis = Kpis::new();
    assert_eq!(kpis.tick(at(30, 0)), []);
    kpis.error(at(10, 0));
    assert_eq!(kpis.tick(at(30, 1)), [errors("18:10", 1, 0)]);
    kpis.error(at(10, 0));
    assert_eq!(kpis.tick(at(30, 2)), [errors("18:10", 2, 1)]);
}

#[test]
fn a_sample_that_is_later_than_an_hour_is_rejected_and_its_minute_is_forgotten() {
    let mut kpis = Kpis::new();
    kpis.error(at(0, 0));
    kpis.ship(at(1, 0), 5);
    kpis.tick(at(61, 10_000));
    // 18:00 is published, and 60 minutes after it are.
    let too_late = "the sample of inventory-errors comes too late for 2026-11-21T18:00:00Z, which was published more than \
                    60 minutes ago and is forgotten";
    assert_eq!(kpis.sample("inventory-errors", at(0, 0), None), Err(Failure::reject(too_late)));
    assert!(!kpis.bench.state.contains(b"minute/2026-11-21T18:00:00Z/inventory-errors"));
    kpis.ship(at(1, 0), 5);
    assert_eq!(kpis.tick(at(61, 20_000)), [shipped("18:01", 2, (5, 5), 1)]);
}

#[test]
fn ticks_that_stayed_away_are_made_up_for_without_end_and_without_losing_a_sample() {
    let mut kpis = Kpis::new();
    kpis.tick(at(0, 10_000));
    // A day without a tick: something every 5 minutes, in 288 of them, and one minute now.
    for minute in 0..288 {
        kpis.ship(at(5 * minute, 0), 7);
    }
    let now = 24 * 60;
    let mut published = Vec::new();
    for tick in 0..4 {
        let outputs = kpis.outputs(at(now, 10_000 + tick));
        assert!(outputs.len() <= 240, "{} outputs", outputs.len());
        let bytes: usize = outputs.iter().map(|output| output.value.as_deref().unwrap().len() + 100).sum();
        assert!(bytes < 200 << 10, "{bytes} bytes");
        published.extend(outputs);
    }
    let count = |output: &Output| {
        serde_json::from_slice::<Value>(output.value.as_deref().unwrap()).unwrap()["data"]["count"].as_u64().unwrap()
    };
    assert_eq!(published.iter().map(count).sum::<u64>(), 288);
    // 288 minutes with a sample, 12 of them in the last hour; two KPIs of each.
    assert_eq!(published.len(), 2 * (288 + 60 - 12));
    assert_eq!(kpis.tick(at(now, 20_000)), []);
    assert!(kpis.bench.state.len() <= 13, "{} entries are kept", kpis.bench.state.len());
}

#[test]
fn what_comes_from_the_future_is_rejected_and_stands_in_nobodys_way() {
    let mut kpis = Kpis::new();
    kpis.tick(at(10, 10_000));
    let written = at(11, 0);
    let late = kpis.event("fnhost.tick", "minute", at(12, 1), &json!({"schedule": "minute", "everyMs": 60_000}));
    let ahead = RawEvent {
        topic: "kpi-sample".to_owned(),
        timestamp: Some(written),
        key: None,
        value: Some(late.into_bytes()),
        headers: vec![],
    };
    assert!(
        matches!(kpis.bench.handle_raw(&ahead), Err(Failure::Reject(reason)) if reason.contains("more than a minute"))
    );
    kpis.error(at(10, 0));
    assert_eq!(kpis.tick(at(11, 10_000)), [errors("18:10", 1, 0), none_shipped("18:10")]);
}

#[test]
fn a_tick_from_before_publishes_nothing() {
    let mut kpis = Kpis::new();
    kpis.tick(at(10, 0));
    kpis.error(at(9, 0));
    assert_eq!(kpis.tick(at(5, 0)), []);
    assert_eq!(kpis.tick(at(10, 10_000)), [errors("18:09", 1, 0), none_shipped("18:09")]);
}

#[test]
fn repeated_events_give_the_same_bytes_and_no_two_outputs_have_one_id() {
    let outputs = || {
        let mut kpis = Kpis::new();
        kpis.ship(at(0, 0), 25);
        kpis.outputs(at(10, 0))
    };
    assert_eq!(outputs(), outputs());
    let id = |output: &Output| {
        serde_json::from_slice::<Value>(output.value.as_deref().unwrap()).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let mut ids: Vec<String> = outputs().iter().map(id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (18, 18));
}

#[test]
fn what_is_no_sample_and_no_tick_is_rejected_with_the_reason() {
    let mut kpis = Kpis::new();
    let reason = |outcome| match outcome {
        Err(Failure::Reject(reason)) => reason,
        other => panic!("expected a rejection, got {other:?}"),
    };
    let other = kpis.event("ppe4peeps.kpi", "x", at(0, 0), &json!({}));
    assert_eq!(
        reason(kpis.bench.handle(other)),
        "the event is of type `ppe4peeps.kpi`, and `ppe4peeps.kpi-sample` or `fnhost.tick` belongs here"
    );
    assert_eq!(
        reason(kpis.sample("order-to-shipped", at(0, 0), None)),
        "a sample of order-to-shipped needs `ms`, how long it took"
    );
    let unknown = reason(kpis.sample("orders", at(0, 0), None));
    assert!(unknown.contains("data.kpi: unknown variant `orders`"), "{unknown}");
    let tick = kpis.event("fnhost.tick", "minute", at(0, 0), &json!({"schedule": "minute"}));
    let incomplete = reason(kpis.bench.handle(tick.clone()));
    assert!(incomplete.ends_with("data: missing field `everyMs`"), "{incomplete}");
    let timeless = tick.replace(r#""time":"2026-11-21T18:00:00.000Z","#, "");
    assert_ne!(timeless, tick);
    assert!(reason(kpis.bench.handle(timeless)).starts_with("the event has no `time`"));
    assert!(kpis.bench.state.is_empty());
}

#[test]
fn a_grace_that_is_not_configured_is_worth_another_try() {
    let mut kpis = Kpis::new();
    kpis.bench.config = [].into();
    let tick = kpis.event("fnhost.tick", "minute", at(0, 0), &json!({"schedule": "minute", "everyMs": 60_000}));
    assert_eq!(kpis.bench.handle(tick), Err(Failure::retry("config key `grace-seconds` is not set")));
}

#[derive(Debug, Clone)]
enum Step {
    Error(u64),
    Ship(u64, u64),
    Tick(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Times go on by up to 3 minutes, and samples come up to 20 minutes late.
    let step = (0_u8..5, 0_u64..180_000, 0_u64..1_200_000, 0_u64..1_000_000);
    proptest::collection::vec(step, 1..80).prop_map(|steps| {
        let mut now = at(60, 0);
        let step = |(kind, on, late, ms): (u8, u64, u64, u64)| {
            now += on;
            match kind {
                0 | 1 => Step::Error(now - late),
                2 | 3 => Step::Ship(now - late, ms),
                _ => Step::Tick(now),
            }
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    /// The newest revision of every minute is what counting by hand gives, revisions follow each other, and of what was
    /// published between the first minute and the last nothing is left out.
    #[test]
    fn what_was_published_last_of_each_minute_is_what_happened_in_it(steps in steps()) {
        let mut kpis = Kpis::new();
        let mut by_hand: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        let mut published: BTreeMap<(String, String), Row> = BTreeMap::new();
        let mut last = at(60, 0);
        let minute = |ms: u64| time::with_seconds(ms / MINUTE_MS * MINUTE_MS);
        let mut rows = Vec::new();
        for step in steps {
            match step {
                Step::Error(ms) => {
                    kpis.error(ms);
                    by_hand.entry((minute(ms), "inventory-errors".into())).or_default().push(0);
                    last = last.max(ms);
                }
                Step::Ship(ms, took) => {
                    kpis.ship(ms, took);
                    by_hand.entry((minute(ms), "order-to-shipped".into())).or_default().push(took);
                    last = last.max(ms);
                }
                Step::Tick(ms) => {
                    rows.extend(kpis.tick(ms));
                    last = last.max(ms);
                }
            }
        }
        rows.extend(kpis.tick(last + 2 * MINUTE_MS));
        for row in rows {
            let before = published.insert((row.1.clone(), row.0.clone()), row.clone());
            prop_assert_eq!(row.5, before.map_or(0, |before| before.5 + 1));
        }
        for (key, times) in &mut by_hand {
            let (_, _, count, p50, _, _) = published.get(key).unwrap();
            prop_assert_eq!(*count, times.len() as u64);
            times.sort_unstable();
            let exact = times[times.len().div_ceil(2) - 1];
            match p50 {
                Some(p50) => prop_assert!(p50.abs_diff(exact) * 100 <= exact, "{} for {}", p50, exact),
                None => prop_assert_eq!(key.1.as_str(), "inventory-errors"),
            }
        }
        let counted: usize = by_hand.values().map(Vec::len).sum();
        let total: u64 = published.values().map(|row| row.2).sum();
        prop_assert_eq!(total, counted as u64, "minutes without samples are 0");
    }
}
