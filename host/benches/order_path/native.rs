//! The functions as native code in the sandbox's place: the same decoding, state, configuration and outputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use fnhost::app::Function;
use fnhost::event::{Class, Digest, Effects, Failure, Header, Outcome, Output};
use fnhost::invocation::{Call, Handler, View, changes_of};
use fnhost_sdk::testing::Invoke;
use fnhost_sdk::{Config, Level, Log, RawEvent, State};

/// A function, linked into this program.
pub(crate) struct Native(Invoke);

impl Native {
    /// The function of that name.
    pub(crate) fn of(name: &str) -> Self {
        Self(match name {
            "inventory" => inventory::invoke,
            "warehouse" => warehouse::invoke,
            "shipper" => shipper::invoke,
            "notification" => notification::invoke,
            "measure" => measure::invoke,
            "kpi" => kpi::invoke,
            _ => panic!("there is no native `{name}`"),
        })
    }
}

impl Handler for Native {
    fn handle(&self, call: Call<'_>) -> Outcome {
        let event = call.event;
        let header = |h: &Header| fnhost_sdk::Header { name: h.name.clone(), value: h.value.clone() };
        let event = RawEvent {
            topic: event.partition.topic.to_string(),
            timestamp: event.timestamp_ms,
            key: event.key.clone(),
            value: event.value.clone(),
            headers: event.headers.iter().map(header).collect(),
        };
        let mut state = Laid { view: call.state, changes: BTreeMap::new() };
        match (self.0)(&event, &mut state, &Configured(call.function), &mut Silent) {
            Ok(outputs) => Outcome::Completed(Effects {
                outputs: outputs.into_iter().map(|output| own(output, call.function)).collect(),
                changes: changes_of(state.changes),
            }),
            Err(fnhost_sdk::Failure::Reject(reason)) => Outcome::Failed(Failure::new(Class::Rejected, reason)),
            Err(fnhost_sdk::Failure::Retry(reason)) => Outcome::RetryAsked(reason),
        }
    }

    fn digest(&self) -> Digest {
        Digest([0; 32])
    }

    fn state_format(&self) -> &str {
        "1"
    }
}

fn own(output: fnhost_sdk::Output, function: &Function) -> Output {
    let topic = function.output.iter().find(|topic| ***topic == *output.topic).unwrap();
    let header = |h: fnhost_sdk::Header| Header { name: h.name, value: h.value };
    let headers = output.headers.into_iter().map(header).collect();
    Output { topic: Arc::clone(topic), key: output.key, value: output.value, headers }
}

/// What the worker gave, with the invocation's own writes over it.
struct Laid {
    view: Arc<dyn View>,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl State for Laid {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.changes.get(key) {
            Some(written) => written.clone(),
            None => self.view.get(key).map(<[u8]>::to_vec),
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.changes.insert(key.to_vec(), Some(value.to_vec()));
    }

    fn delete(&mut self, key: &[u8]) {
        self.changes.insert(key.to_vec(), None);
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.view.scan(prefix, after, limit as usize, &self.changes)
    }
}

struct Configured<'a>(&'a Function);

impl Config for Configured<'_> {
    fn get(&self, key: &str) -> Result<Option<String>, fnhost_sdk::Failure> {
        Ok(self.0.config.get(key).cloned())
    }
}

/// The host's log, off as it is in the sandboxed run.
struct Silent;

impl Log for Silent {
    fn write(&mut self, _: Level, _: &str, _: &str) {}
}
