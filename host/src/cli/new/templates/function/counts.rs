//! What becomes of events.

use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde_json::json;

fn event(id: &str, subject: &str) -> String {
    json!({
        "specversion": "1.0", "id": id, "source": "/example", "type": "example", "subject": subject,
        "time": "2026-01-01T12:00:00Z", "datacontenttype": "application/json", "data": {},
    })
    .to_string()
}

#[test]
fn events_are_counted_by_subject() {
    let mut bench = Bench::new({{crate}}::invoke, []);
    for (id, subject) in [("e-1", "a"), ("e-2", "a"), ("e-3", "b")] {
        assert_eq!(bench.handle(event(id, subject)).unwrap().len(), {{outputs}});
    }
    assert_eq!(bench.state.get_json(b"a"), Ok(Some(2)));
    assert_eq!(bench.state.get_json(b"b"), Ok(Some(1)));
}

#[test]
fn what_is_no_event_is_rejected() {
    let outcome = Bench::new({{crate}}::invoke, []).handle("nonsense");
    assert!(matches!(outcome, Err(Failure::Reject(_))), "{outcome:?}");
}
