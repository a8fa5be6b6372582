//! The sandbox with real components. Most run the test guest, whose event's value is a script of what it is to do.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fnhost::app::{Function, Limits, Retry, Source};
use fnhost::broker::From;
use fnhost::event::{Class, Effects, Event, Failure, Outcome, Partition};
use fnhost::invocation::{Call, Handler, View};
use fnhost::sandbox::{Options, Sandbox, Version};

use crate::guests::guest;

mod bounds;
mod hostile;
mod isolation;
mod load;
mod log;
mod outputs;
mod standard;
mod state;

/// A sandbox for all tests.
fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(&Options { instances_max: 4, ..Options::default() }).unwrap())
}

fn test_guest() -> &'static Version {
    static VERSION: OnceLock<Version> = OnceLock::new();
    VERSION.get_or_init(|| sandbox().load_file(&guest("guest")).unwrap())
}

/// One call of the test guest, with everything as most tests want it.
struct Case {
    event: Event,
    function: Function,
    seed: [u8; 32],
    state: Pairs,
}

/// A case whose event asks for `script`. The function may publish to `out` and `other`.
fn case(script: &str) -> Case {
    let event = Event {
        partition: Partition::new("in", 3),
        offset: 42,
        timestamp_ms: Some(1_700_000_000_123),
        key: Some(b"key".to_vec()),
        value: Some(script.as_bytes().to_vec()),
        headers: vec![],
    };
    let function = Function {
        name: "tested".into(),
        source: Source::Component(guest("guest")),
        input: vec!["in".into()],
        output: vec!["out".into(), "other".into()],
        config: BTreeMap::from([("colour".into(), "blue".into()), ("answer".into(), "42".into())]),
        // Wide, so that a slow machine fails nothing but what is to fail.
        limits: Limits { time: Duration::from_secs(30), ..Limits::default() },
        retry: Retry::default(),
        group: None,
        from: From::Earliest,
    };
    Case { event, function, seed: [7; 32], state: Pairs::default() }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn run(&self) -> Outcome {
        self.run_on(test_guest())
    }

    fn run_on(&self, version: &Version) -> Outcome {
        let state: Arc<dyn View> = Arc::new(self.state.clone());
        let function = Arc::new(self.function.clone());
        let call =
            Call { event: &self.event, function: &function, seed: self.seed, state: Arc::clone(&state), stop: None };
        let outcome = version.handle(call);
        assert_eq!(Arc::strong_count(&state), 1, "the view is let go before the handler returns");
        outcome
    }
}

fn run(script: &str) -> Outcome {
    case(script).run()
}

#[track_caller]
fn completed(outcome: Outcome) -> Effects {
    match outcome {
        Outcome::Completed(effects) => effects,
        other => panic!("not completed: {other:?}"),
    }
}

#[track_caller]
fn failed(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

/// The only output's value, as text.
#[track_caller]
fn report(outcome: Outcome) -> String {
    let effects = completed(outcome);
    assert_eq!(effects.outputs.len(), 1, "{effects:?}");
    String::from_utf8(effects.outputs[0].value.clone().unwrap()).unwrap()
}

#[track_caller]
fn assert_failed(outcome: Outcome, class: Class, reason_has: &str) {
    let failure = failed(outcome);
    assert_eq!(failure.class, class, "{failure:?}");
    assert!(failure.reason.contains(reason_has), "`{}` has no `{reason_has}`", failure.reason);
    assert!(failure.reason.len() <= Failure::REASON_BYTES_MAX);
    assert!(!failure.reason.contains(char::is_control), "{:?}", failure.reason);
}

/// A state in memory, scanned as the contract says.
#[derive(Clone, Default)]
struct Pairs(BTreeMap<Vec<u8>, Vec<u8>>);

impl Pairs {
    fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect())
    }
}

impl View for Pairs {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut merged = self.0.clone();
        for (key, value) in changes {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_vec()));
        let pairs = merged.range((from, Bound::Unbounded)).filter(|(key, _)| key.starts_with(prefix));
        pairs.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// A component that does nothing but what its text says, as a file's bytes.
fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
