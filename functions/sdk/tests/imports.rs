//! State, configuration and log as a native test has them: like the host's.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use fnhost_sdk::testing::{MemoryConfig, MemoryLog, MemoryState};
use fnhost_sdk::{Config, Failure, Level, Log, State};

fn keys(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<String> {
    pairs.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn what_is_set_is_there_until_it_is_deleted() {
    let mut state = MemoryState::default();
    state.set(b"k", b"");
    assert!(state.contains(b"k"), "an empty value is a value");
    state.set(b"k", b"2");
    assert_eq!(state.get(b"k").as_deref(), Some(b"2".as_slice()));
    state.delete(b"k");
    state.delete(b"never there");
    assert!(!state.contains(b"k") && state.is_empty());
}

#[test]
fn a_scan_gives_pages_of_one_prefix_in_order() {
    let mut state = MemoryState::default();
    for key in ["b/2", "a/9", "b/1", "b/3", "c/0"] {
        state.set(key.as_bytes(), b"x");
    }
    assert_eq!(keys(state.scan(b"b/", None, 2)), ["b/1", "b/2"]);
    assert_eq!(keys(state.scan(b"b/", Some(b"b/2"), 2)), ["b/3"]);
    assert_eq!(keys(state.scan(b"b/", Some(b"b/3"), 2)), [""; 0]);
    assert_eq!(keys(state.scan(b"b/", Some(b"a"), 9)).len(), 3, "`after` before the prefix leaves nothing out");
    assert_eq!(keys(state.scan(b"", None, 9)).len(), 5);
}

#[test]
fn a_wrong_configuration_is_worth_another_try() {
    let config = MemoryConfig::from([("most", "1OO"), ("least", " 1 ")]);
    let config: &dyn Config = &config;
    assert_eq!(config.parsed::<u8>("least"), Ok(1));
    assert_eq!(config.required("name"), Err(Failure::Retry("config key `name` is not set".into())));
    assert_eq!(
        config.parsed::<u8>("most"),
        Err(Failure::Retry("config key `most` is `1OO`: invalid digit found in string".into()))
    );
}

#[test]
fn lines_are_kept_with_level_and_part() {
    let mut lines = MemoryLog::default();
    let log: &mut dyn Log = &mut lines;
    log.info("door", "open");
    log.debug("door", "squeaks");
    assert_eq!(lines.0, [(Level::Info, "door".into(), "open".into()), (Level::Debug, "door".into(), "squeaks".into())]);
}
