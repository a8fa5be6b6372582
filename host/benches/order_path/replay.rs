//! What the functions did, done again without doing it: the cost of everything but them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fnhost::app::{App, Function};
use fnhost::event::{Digest, Effects, Event, Outcome, Partition};
use fnhost::invocation::{Call, Handler, NoState, View};

use crate::native::Native;
use crate::orders::Backlog;

/// Effects by what tells the events of one function apart.
type Known = HashMap<Vec<u8>, Effects>;

/// One function's effects of a whole backlog.
pub(crate) struct Replay(Known);

impl Replay {
    /// The effects of each function, by running all of them natively once.
    pub(crate) fn record(app: &App, backlog: Backlog) -> BTreeMap<String, Self> {
        let functions: Vec<(&Arc<Function>, Native)> =
            app.functions.iter().map(|function| (function, Native::of(&function.name))).collect();
        let mut recorded: BTreeMap<String, Self> =
            app.functions.iter().map(|function| (function.name.clone(), Self(HashMap::new()))).collect();
        let mut open: Vec<Event> = Vec::new();
        for (key, value) in backlog.events_of_orders() {
            open.push(event("order-received", Some(key.into_bytes()), Some(value.into_bytes())));
            while let Some(event) = open.pop() {
                let reads = |(function, _): &&(&Arc<Function>, Native)| function.input.contains(&event.partition.topic);
                for (function, native) in functions.iter().filter(reads) {
                    let known = &mut recorded.get_mut(&function.name).unwrap().0;
                    if known.contains_key(&name(&event)) {
                        continue;
                    }
                    let state: Arc<dyn View> = Arc::new(NoState);
                    let outcome = native.handle(Call { event: &event, function, seed: [0; 32], state, stop: None });
                    if let Outcome::Completed(effects) = outcome {
                        let more = effects.outputs.iter();
                        open.extend(more.map(|o| self::event(&o.topic, o.key.clone(), o.value.clone())));
                        known.insert(name(&event), effects);
                    }
                }
            }
        }
        recorded
    }
}

impl Handler for Replay {
    fn handle(&self, call: Call<'_>) -> Outcome {
        // An order without effects is one that is rejected; here it ends without a word.
        let Some(effects) = self.0.get(&name(call.event)) else { return Outcome::Completed(Effects::default()) };
        let is_new = effects.changes.first().is_none_or(|(key, _)| call.state.get(key).is_none());
        Outcome::Completed(if is_new { effects.clone() } else { Effects::default() })
    }

    fn digest(&self) -> Digest {
        Digest([1; 32])
    }

    fn state_format(&self) -> &str {
        "1"
    }
}

/// The key, and for a notification who sent it: an order has two.
fn name(event: &Event) -> Vec<u8> {
    let mut name = event.key.clone().unwrap();
    let value = event.value.as_deref().unwrap();
    // The source stands within the first two hundred bytes.
    let begin = &value[..value.len().min(200)];
    if begin.windows(8).any(|part| part == b"/shipper") {
        name.push(b'/');
    }
    name
}

fn event(topic: &str, key: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Event {
    Event { partition: Partition::new(topic, 0), offset: 0, timestamp_ms: Some(0), key, value, headers: vec![] }
}
