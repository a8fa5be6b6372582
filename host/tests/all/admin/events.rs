//! Events of topics, as an operator's tools read and send them.

use std::time::Duration;

use fnhost::event::{Header, Partition};
use serde_json::{Value, json};

use super::Admin;
use crate::ingress::wire::{Answer, Fate, request};

const TOPIC: &str = "order-received";

fn partition(number: i32) -> Partition {
    Partition::new(TOPIC, number)
}

impl Admin {
    /// One whose broker is there.
    fn reachable() -> Self {
        let admin = Self::open();
        admin.status.set_broker_reachable(true);
        admin
    }

    fn page(&self, query: &str) -> Value {
        let answer = self.send("GET", &format!("/events/{TOPIC}?{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The values of all events from a place on, page by page, and the place behind them.
    fn all(&self, from: &str, query: &str) -> (Vec<Value>, String, usize) {
        let (mut values, mut from, mut pages) = (Vec::new(), from.to_owned(), 0);
        loop {
            let page = self.page(&format!("from={from}&{query}"));
            pages += 1;
            values.extend(page["events"].as_array().unwrap().iter().map(|event| event["value"].clone()));
            page["next"].as_str().unwrap().clone_into(&mut from);
            if page["more"] == false {
                return (values, from, pages);
            }
        }
    }

    fn post(&self, topic: &str, headers: &str, body: &str) -> Answer {
        let mut client = self.listening.client();
        client.send(request("POST", &format!("/events/{topic}"), headers, body));
        client.answer().unwrap()
    }
}

#[test]
fn events_of_all_partitions_come_in_the_order_of_time_however_small_the_pages_are() {
    let admin = Admin::reachable();
    for (time, number) in [(1, 0), (2, 2), (3, 0), (4, 0), (5, 2), (6, 1), (7, 0)] {
        admin.logs.push(&partition(number), time, "k", time.to_string());
    }
    admin.logs.mark(&partition(2));
    let expected: Vec<Value> = (1..8).map(|time| json!(time.to_string())).collect();
    for limit in [1, 2, 3, 7, 100] {
        let (values, next, pages) = admin.all("earliest", &format!("limit={limit}"));
        assert_eq!((values, next.as_str()), (expected.clone(), "0:4,1:1,2:3"), "{limit}");
        assert!(pages >= 7_usize.div_ceil(limit), "{limit}");
    }
    let page = admin.page("limit=1&from=2:0,0:1,1:0");
    let event = json!({
        "topic": TOPIC, "partition": 2, "offset": 0, "timestamp": "1970-01-01T00:00:00.002Z", "key": "k", "value": "2",
    });
    assert_eq!(page, json!({ "events": [event], "next": "0:1,1:0,2:1", "more": true }));
}

#[test]
fn a_cursor_goes_on_with_what_came_later() {
    let admin = Admin::reachable();
    admin.logs.push(&partition(0), 1, "k", "early");
    admin.logs.push(&partition(1), 1, "k", "early");
    let (nothing, next, _) = admin.all("latest", "");
    assert_eq!((nothing, next.as_str()), (vec![], "0:1,1:1"));
    admin.logs.push(&partition(1), 2, "k", "late");
    assert_eq!(admin.all(&next, ""), (vec![json!("late")], "0:1,1:2".to_owned(), 1));
    // An offset counts in each partition, as near as there is one.
    assert_eq!(admin.all("1", "").0, [json!("late")]);
    assert_eq!(admin.all("99", ""), (vec![], "0:1,1:2".to_owned(), 1));
}

#[test]
fn a_page_is_bounded_by_bytes_and_an_event_that_is_larger_comes_alone() {
    let admin = Admin::reachable();
    let large = |byte: char, mib: usize| byte.to_string().repeat(mib << 20);
    for (time, number, value) in [
        (1, 0, large('a', 1)),
        (2, 1, large('b', 6)),
        (3, 0, large('c', 3)),
        (4, 1, large('d', 1)),
        (5, 0, large('e', 1)),
    ] {
        admin.logs.push(&partition(number), time, "k", value);
    }
    let (values, _, pages) = admin.all("earliest", "");
    let firsts: String = values.iter().map(|value| value.as_str().unwrap().chars().next().unwrap()).collect();
    assert_eq!(firsts, "abcde");
    assert!(pages > 2, "{pages}");
}

#[test]
fn a_key_is_found_behind_more_events_than_one_page_looks_at() {
    let admin = Admin::reachable();
    for time in 0..30_000 {
        admin.logs.push(&partition(0), time, "other", "");
    }
    admin.logs.push(&partition(0), 30_000, "a key/ä", "found");
    let (values, next, pages) = admin.all("earliest", "key=a%20key%2F%C3%A4");
    assert_eq!((values, next.as_str(), pages), (vec![json!("found")], "0:30001", 2));
}

#[test]
fn an_open_transaction_holds_up_its_own_partition_alone() {
    let admin = Admin::reachable();
    admin.logs.push(&partition(0), 1, "k", "held up");
    admin.logs.push(&partition(1), 2, "k", "free");
    admin.logs.set_open(&partition(0), true);
    let page = admin.page("");
    let values: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| &event["value"]).collect();
    assert_eq!((values, &page["next"], &page["more"]), (vec![&json!("free")], &json!("0:0,1:1"), &json!(true)));
    admin.logs.set_open(&partition(0), false);
    assert_eq!(admin.all("0:0,1:1", "").0, [json!("held up")]);
}

#[test]
fn an_event_is_sent_with_its_key_headers_and_value_and_the_answer_says_where_it_lies() {
    let admin = Admin::reachable();
    let body = json!({
        "topic": "elsewhere", "partition": 0, "offset": 7, "timestamp": "2026-11-21T06:43:01.003Z",
        "keyBase64": "/g==", "headers": [{ "name": "trace", "value": null }], "value": { "a": 1 },
    });
    let answer = admin.post(TOPIC, "", &body.to_string());
    assert_eq!((answer.status, answer.json()), (200, json!({ "topic": TOPIC, "partition": 3, "offset": 0 })));
    let stored = admin.publisher.stored();
    let [record] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!((&*record.topic, record.partition, record.key.as_deref()), (TOPIC, None, Some(&[0xfe][..])));
    assert_eq!(record.value.as_deref(), Some(&br#"{"a":1}"#[..]));
    assert_eq!(record.headers, [Header { name: "trace".into(), value: None }]);
}

#[test]
fn what_cannot_be_read_is_refused_with_what_can() {
    let admin = Admin::reachable();
    admin.logs.push(&partition(0), 1, "k", "1");
    let mut refusals = Vec::new();
    for path in [
        "/events/order-recieved",
        "/events/stock",
        "/events/fulfilment.inventory.order-received.state",
        "/events/order-received?from=yesterday",
        "/events/order-received?from=0:1,x",
        "/events/order-received?limit=0",
        "/events/order-received?since=5m",
        "/events/order-received?until=5m",
        "/events/order-received?from=0:7",
    ] {
        let problem = admin.send("GET", path).problem();
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        refusals.push(format!("{path}\n  {} {}: {}", problem["status"], text("title"), text("detail")));
    }
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    /events/order-recieved
      404 the app has no such topic: did you mean `order-received`?
    /events/stock
      404 the app has no such topic: it has `fulfilment.inventory.order-received.state`, `order-received`
    /events/fulfilment.inventory.order-received.state
      404 the broker has no such topic: fnhost topics apply makes `fulfilment.inventory.order-received.state`
    /events/order-received?from=yesterday
      400 the request cannot be read: `from` cannot be read: it is to be `earliest`, `latest`, an offset, or PARTITION:OFFSET,… such as 0:17,1:4
    /events/order-received?from=0:1,x
      400 the request cannot be read: `from` cannot be read: it is to be `earliest`, `latest`, an offset, or PARTITION:OFFSET,… such as 0:17,1:4
    /events/order-received?limit=0
      400 the request cannot be read: `limit` is 1 to 10000
    /events/order-received?since=5m
      400 the request cannot be read: Failed to deserialize query string: since: invalid digit found in string
    /events/order-received?until=5m
      400 the request cannot be read: Failed to deserialize query string: until: unknown field `until`, expected one of `from`, `key`, `since`, `limit`
    /events/order-received?from=0:7
      409 the topic is shorter than it was: order-received[0] ends at offset 1, but 7 was there before: the log was cut or made anew; read it anew with from=earliest
    "#);
    let answer = admin.send("DELETE", "/events/order-received");
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, POST"));
}

#[test]
fn what_cannot_be_sent_is_refused_and_nothing_is_stored() {
    let admin = Admin::reachable();
    let large = format!(r#"{{"value":"{}"}}"#, "x".repeat(2_200_000));
    let event = r#"{ "value": 1 }"#;
    for fate in [Fate::TooLarge, Fate::Refused, Fate::Away, Fate::Unknown] {
        admin.publisher.next(fate);
    }
    let mut refusals = Vec::new();
    for (topic, headers, body) in [
        ("order-recieved", "", event),
        ("fulfilment.inventory.order-received.state", "", event),
        (TOPIC, "content-type: text/plain\r\n", event),
        (TOPIC, "", &large),
        (TOPIC, "", "{"),
        (TOPIC, "", r#"{ "valeu": 1, "headers": [{}] }"#),
        (TOPIC, "", event),
        (TOPIC, "", event),
        (TOPIC, "", event),
        (TOPIC, "", event),
    ] {
        let problem = admin.post(topic, headers, body).problem();
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        refusals.push(format!("{} {}: {}", problem["status"], text("title"), text("detail")));
    }
    insta::assert_snapshot!(refusals.join("\n"), @r"
    404 the app has no such topic: did you mean `order-received`?
    403 only the host writes to this topic: it holds the state of a function, which would be broken
    415 the body is not said to be JSON: send it with the header `content-type: application/json`; its charset, if given, is utf-8
    413 the body is too large: this route takes bodies of up to 2162712 bytes
    400 the body is no event: this is no JSON: EOF while parsing an object
    400 the body is no event: an event has no `value`; an event has no `valeu` (did you mean `value`?); a header has no `value`; a header has no `name`
    413 the event is too large: topic `order-received` takes no event of this size: see its `max-message`; nothing was stored
    422 the broker refuses the event: told to; nothing was stored
    503 the broker is away: ask again when it is back
    504 the broker did not answer in time: the event may be stored: look for it before you send it again
    ");
    assert_eq!(admin.publisher.stored(), []);
    admin.status.set_broker_reachable(false);
    for method in ["GET", "POST"] {
        let mut client = admin.listening.client();
        client.send(request(method, "/events/order-received", "", event));
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{method}");
        assert_eq!(answer.problem()["title"], "the broker is away");
    }
}

#[test]
fn a_fifth_reader_is_told_to_come_back() {
    let admin = Admin::reachable();
    admin.logs.push(&partition(0), 1, "k", "1");
    let (arrived, go) = admin.logs.hold();
    let mut clients: Vec<_> = (0..4).map(|_| admin.listening.client()).collect();
    for client in &mut clients {
        client.send(request("GET", "/events/order-received", "", ""));
    }
    crate::kafka::block_on(arrived.acquire_many(4)).unwrap().forget();
    let answer = admin.send("GET", "/events/order-received");
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.problem()["title"], "too many requests for events at once");
    go.add_permits(5);
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    // The places are given back a moment after the answers.
    let until = std::time::Instant::now() + crate::ingress::wire::PATIENCE;
    while admin.send("GET", "/events/order-received").status != 200 {
        assert!(std::time::Instant::now() < until, "no place became free");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
