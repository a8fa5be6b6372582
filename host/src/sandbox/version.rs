//! One version of a function, ready to run: an event to an outcome.
//!
//! Each call makes a store and an instance, lends the event to the guest, and drops both before it looks at what came
//! back. A guest's fault is data: the class says which limit it was, and the reason what the guest said last and where
//! it was. Nothing is kept from one call to the next, so calls on many threads need no lock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};

use super::contract::fnhost::function::types;
use super::contract::{Component, ComponentPre};
use super::declared::Declared;
use super::ended::Ended;
use super::guest::Guest;
use super::memory::Memory;
use super::spent::Spent;
use super::ticker::Ticker;
use super::{Sandbox, outputs, text};
use crate::app::{Function, Limits};
use crate::event::{Class, Digest, Effects, Event, Failure, Outcome, Partition};
use crate::invocation::{Call, Handler, NoState, changes_of};

/// How many handles to streams, timers and the like a guest may have at once.
const HANDLES_MAX: usize = 4096;
/// What the host may hold of a guest's outputs beside their bytes: the structures around them.
const STRUCTURE_BYTES_MAX: usize = 1 << 20;
/// How much of a trap's frames is shown.
const FRAMES_TEXT_BYTES_MAX: usize = 512;
/// How many of them, the innermost first.
const FRAMES_MAX: usize = 8;

/// What a handler returns.
type Returned = Result<Vec<types::Output>, types::Failure>;

/// One version of a function. Cheap to clone.
#[derive(Clone)]
pub struct Version {
    sandbox: Arc<Sandbox>,
    pre: ComponentPre<Guest>,
    told: Arc<Told>,
}

/// What a component says of itself.
pub(super) struct Told {
    pub(super) digest: Digest,
    pub(super) grants: BTreeSet<String>,
    pub(super) declared: Declared,
}

impl Version {
    pub(super) fn new(sandbox: Arc<Sandbox>, pre: ComponentPre<Guest>, told: Told) -> Self {
        Self { sandbox, pre, told: Arc::new(told) }
    }

    /// Makes an instance for `function` and drops it: what is wrong with its start shows, and its pages are warm.
    ///
    /// # Errors
    /// Why there is no instance.
    pub fn warm(&self, function: &Arc<Function>) -> Result<(), Failure> {
        let event = Event {
            partition: Partition::new("", 0),
            offset: 0,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let call = Call { event: &event, function, seed: [0; 32], state: Arc::new(NoState), stop: None };
        let (instantiated, guest) = self.run(&call, |_, _| Ok(()));
        instantiated.map_err(|error| failure(&error, function, &guest.memory, &guest.log.finish()))
    }

    /// What `work` makes of a fresh instance, and what is left of it.
    fn run<T>(
        &self,
        call: &Call<'_>,
        work: impl FnOnce(&Component, &mut wasmtime::Store<Guest>) -> wasmtime::Result<T>,
    ) -> (wasmtime::Result<T>, Guest) {
        let running = self.sandbox.ticker.enter();
        let mut store = wasmtime::Store::new(&self.sandbox.engine, Guest::of(call));
        limit(&mut store, &call.function.limits, call.stop.is_some());
        let done = self.pre.instantiate(&mut store).and_then(|instance| work(&instance, &mut store));
        let guest = store.into_data();
        drop(running);
        (done, guest)
    }
}

impl Handler for Version {
    fn handle(&self, call: Call<'_>) -> Outcome {
        let (returned, guest) = self.run(&call, |instance, store| call_handle(instance, store, call.event));
        outcome(returned, guest)
    }

    fn digest(&self) -> Digest {
        self.told.digest
    }

    fn grants(&self) -> BTreeSet<String> {
        self.told.grants.clone()
    }

    fn state_format(&self) -> &str {
        &self.told.declared.state_format
    }

    fn source(&self) -> Option<&str> {
        self.told.declared.source.as_deref()
    }
}

/// Sets every limit there is: what is not set has a default that is far too wide.
fn limit(store: &mut wasmtime::Store<Guest>, limits: &Limits, may_be_stopped: bool) {
    store.limiter(|guest| &mut guest.memory);
    let first_look = if may_be_stopped { Duration::ZERO } else { Spent::first_look(limits.time) };
    store.set_epoch_deadline(Ticker::epochs(first_look));
    store.epoch_deadline_callback(|mut store| Ok(store.data_mut().spent.look()));
    // What one call copies out of the guest. No more than it has, and so no call of a well-behaved guest is refused;
    // one that returns the same bytes many times over is.
    store.set_hostcall_fuel(limits.memory_bytes.saturating_add(STRUCTURE_BYTES_MAX));
    store.set_max_component_handles(HANDLES_MAX);
}

fn call_handle(instance: &Component, store: &mut wasmtime::Store<Guest>, event: &Event) -> wasmtime::Result<Returned> {
    let headers: Vec<types::HeaderParam<'_>> =
        event.headers.iter().map(|h| types::HeaderParam { name: &h.name, value: h.value.as_deref() }).collect();
    let event = types::Event {
        topic: &event.partition.topic,
        timestamp: event.timestamp_ms,
        key: event.key.as_deref(),
        value: event.value.as_deref(),
        headers: &headers,
    };
    instance.fnhost_function_handler().call_handle(store, event)
}

/// What became of the call.
fn outcome(returned: wasmtime::Result<Returned>, guest: Guest) -> Outcome {
    let Guest { function, memory, state, log, .. } = guest;
    let last_words = log.finish();
    match returned {
        Ok(Ok(returned)) => match outputs::checked(returned, &function) {
            Ok(outputs) => Outcome::Completed(Effects { outputs, changes: changes_of(state.into_changes()) }),
            Err(failure) => Outcome::Failed(failure),
        },
        Ok(Err(types::Failure::Reject(reason))) => {
            Outcome::Failed(Failure::new(Class::Rejected, text::clean(&reason, Failure::REASON_BYTES_MAX)))
        }
        Ok(Err(types::Failure::Retry(reason))) => {
            Outcome::RetryAsked(text::clean(&reason, Failure::REASON_BYTES_MAX).into_owned())
        }
        Err(error) => Outcome::Failed(failure(&error, &function, &memory, &last_words)),
    }
}

/// Why the call came to no end of its own.
fn failure(error: &wasmtime::Error, function: &Function, memory: &Memory, last_words: &str) -> Failure {
    let limits = &function.limits;
    let (class, reason) = match (error.downcast_ref::<Ended>(), error.downcast_ref::<Trap>()) {
        (Some(Ended::StateTooLarge(what)), _) => (Class::StateTooLarge, what.clone()),
        (_, Some(Trap::Interrupt)) => {
            (Class::TimedOut, format!("it ran longer than {:?} (`limits.time`)", limits.time))
        }
        _ if memory.refused_bytes().is_some() => {
            let bytes = memory.refused_bytes().unwrap_or_default();
            (
                Class::OutOfMemory,
                format!(
                    "it wanted {bytes} bytes of memory, and {} are the most (`limits.memory`)",
                    limits.memory_bytes
                ),
            )
        }
        _ if is_too_much_returned(error) => return outputs::too_large(function),
        (Some(ended), _) => (Class::Trapped, with_details(&ended.to_string(), error, last_words)),
        (None, Some(trap)) => (Class::Trapped, with_details(&trap.to_string(), error, last_words)),
        (None, None) => (Class::Trapped, with_details(&error.root_cause().to_string(), error, last_words)),
    };
    Failure::new(class, text::clean(&reason, Failure::REASON_BYTES_MAX))
}

/// Whether what the guest returned was more than the host copies. A call of the guest into the host can be too much as
/// well; then the guest was running, and there are frames of it.
fn is_too_much_returned(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<WasmBacktrace>().is_none_or(|frames| frames.frames().is_empty())
        && error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}

/// What happened, what the guest wrote to stderr last (a panic's message, most often), and where it was.
fn with_details(what: &str, error: &wasmtime::Error, last_words: &str) -> String {
    let mut reason = what.to_owned();
    if !last_words.is_empty() {
        reason.push_str("; stderr: ");
        reason.push_str(last_words);
    }
    if let Some(frames) = error.downcast_ref::<WasmBacktrace>() {
        // The first line is a title.
        let frames = frames.to_string();
        let mut places: Vec<&str> = frames.lines().skip(1).map(place).collect();
        if places.len() > FRAMES_MAX {
            places.truncate(FRAMES_MAX);
            places.push("…");
        }
        if !places.is_empty() {
            reason.push_str("; at ");
            reason.push_str(&text::clean(&places.join(" < "), FRAMES_TEXT_BYTES_MAX));
        }
    }
    reason
}

/// What a line of a backtrace, such as `3: 0x1a2b - <unknown>!main`, says of the place: its name, or else its offset, which
/// `wasm-tools addr2line` reads.
fn place(line: &str) -> &str {
    let line = line.split_once(": ").map_or(line, |(_, line)| line).trim();
    match line.split_once(" - ").map(|(offset, name)| (offset, name.rsplit_once('!').map_or(name, |(_, name)| name))) {
        Some((offset, name)) if name.starts_with("<wasm") => offset,
        Some((_, name)) => name,
        None => line,
    }
}
