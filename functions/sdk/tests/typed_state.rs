//! State as values of a type: what is kept, and what people read when it cannot be.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use fnhost_sdk::testing::{MemoryConfig, MemoryLog, MemoryState};
use fnhost_sdk::{Context, Failure, State, TypedState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Basket {
    owner: String,
    items: Vec<Item>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Item {
    amount: u8,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
enum Stage {
    Open,
    Paid,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "read to see that they cannot be")]
enum Either {
    Number(u8),
    Flag(bool),
}

fn basket() -> Basket {
    Basket { owner: "Ada".into(), items: vec![Item { amount: 2 }], stage: None }
}

/// Why `value` under `key` cannot be read as a `T`.
fn reason_at<T: DeserializeOwned + Debug>(key: &[u8], value: &[u8]) -> String {
    let mut state = MemoryState::default();
    state.set(key, value);
    match state.get_json::<T>(key) {
        Err(Failure::Reject(reason)) => reason,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn reason<T: DeserializeOwned + Debug>(value: &str) -> String {
    reason_at::<T>(b"b-1", value.as_bytes())
}

#[test]
fn what_was_kept_as_a_type_is_read_as_it_and_is_json_to_everybody_else() {
    let mut state = MemoryState::default();
    assert_eq!(state.get_json::<Basket>(b"b-1"), Ok(None));
    state.set_json(b"b-1", &basket()).unwrap();
    assert_eq!(state.get_json(b"b-1"), Ok(Some(basket())));
    // To the byte: what was kept before an update must be what is kept after it.
    assert_eq!(state.get(b"b-1").as_deref(), Some(br#"{"owner":"Ada","items":[{"amount":2}]}"#.as_slice()));
    state.set_json(b"name", "Ada").unwrap();
    state.set_json(b"count", &7).unwrap();
    assert_eq!(state.get(b"name").as_deref(), Some(b"\"Ada\"".as_slice()));
    assert_eq!(state.get(b"count").as_deref(), Some(b"7".as_slice()));
}

#[test]
fn a_handler_has_typed_state_through_its_context() {
    let (mut state, config, mut log) = (MemoryState::default(), MemoryConfig::default(), MemoryLog::default());
    let context = Context::new("/shop", &mut state, &config, &mut log);
    context.state.set_json(b"b-1", &basket()).unwrap();
    assert_eq!(context.state.get_json(b"b-1"), Ok(Some(basket())));
}

#[test]
fn state_of_another_shape_is_rejected_with_key_and_path_and_without_what_it_holds() {
    let basket = |item: &str| format!(r#"{{"owner":"Ada","items":[{{"amount":2}},{item}]}}"#);
    let cases = [
        (reason::<Basket>(&basket(r#"{"amount":"Ada"}"#)), "items[1].amount: invalid type, expected u8"),
        (reason::<Basket>(&basket(r#"{"amount":1815}"#)), "items[1].amount: invalid value, expected u8"),
        (reason::<Basket>(&basket(r#"{"amount":18.15}"#)), "items[1].amount: invalid type, expected u8"),
        (reason::<Basket>(&basket(r#"{"amount":null}"#)), "items[1].amount: invalid type, expected u8"),
        (reason::<Basket>(&basket("{}")), "items[1]: missing field `amount`"),
        (reason::<Basket>(&basket(r#"{"amount":1,"amount":2}"#)), "items[1]: duplicate field `amount`"),
        (reason::<Basket>(&basket(r#"{"Ada":1}"#)), "items[1].Ada: unknown field, expected `amount`"),
        (
            reason::<Basket>(r#"{"owner":"Ada","items":[],"stage":"Ada"}"#),
            "stage: unknown variant, expected `Open` or `Paid`",
        ),
        (reason::<Basket>("\"Ada, expected Ada\""), "invalid type, expected struct Basket"),
        (reason::<(u8, u8)>("[1]"), "invalid length, expected a tuple of size 2"),
        (reason::<BTreeMap<String, bool>>(r#"{"Ada":1815}"#), "Ada: invalid type, expected a boolean"),
        (reason::<Nothing>(r#"{"Ada, expected Ada":1}"#), "Ada, expected Ada: unknown field"),
        (reason::<Either>("\"Ada\""), "data did not match any variant of untagged enum Either"),
        (reason::<std::net::IpAddr>("\"Ada\""), "its type refuses it"),
    ];
    for (reason, expected) in cases {
        assert_eq!(reason, format!("state under `b-1` cannot be read: {expected}"));
    }
}

#[test]
fn state_that_is_no_json_is_rejected_with_the_place() {
    assert_eq!(
        reason::<u8>("Ada"),
        "state under `b-1` cannot be read: it is not JSON: expected value at line 1 column 1"
    );
    assert_eq!(
        reason::<u8>("1 Ada"),
        "state under `b-1` cannot be read: it is not JSON: trailing characters at line 1 column 3"
    );
    assert_eq!(
        reason::<Vec<u8>>("[1,"),
        "state under `b-1` cannot be read: it is not JSON: EOF while parsing a value at line 1 column 3"
    );
    assert_eq!(
        reason_at::<u8>(b"b-1", b"\xff"),
        "state under `b-1` cannot be read: it is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"
    );
}

#[test]
fn a_key_or_a_path_that_is_long_or_no_text_is_shown_as_far_as_it_can_be() {
    assert_eq!(
        reason_at::<bool>(b"a\n\xff", b"1"),
        "state under `a\u{fffd}\u{fffd}` cannot be read: invalid type, expected a boolean"
    );
    let long = "é".repeat(101);
    assert_eq!(
        reason_at::<BTreeMap<String, bool>>(long.as_bytes(), format!(r#"{{"{long}":1}}"#).as_bytes()),
        format!("state under `{0}…` cannot be read: {0}…: invalid type, expected a boolean", "é".repeat(100))
    );
}

#[test]
fn what_json_cannot_hold_is_rejected_and_leaves_what_was_there() {
    let mut state = MemoryState::default();
    state.set_json(b"b-1", &1).unwrap();
    assert_eq!(
        state.set_json(b"b-1", &BTreeMap::from([((1, 2), 3)])),
        Err(Failure::Reject("state under `b-1` cannot be written as JSON: key must be a string".into()))
    );
    assert_eq!(state.get_json(b"b-1"), Ok(Some(1)));
}
