//! One component for the host's tests: it does what the event's value asks, on bytes as they are.
//!
//! The value is a script: steps, separated by `;` or line breaks, carried out one after the other until one fails (no
//! text can hold either). It is plain text, or JSON: `{"do": "<script>"}`, other members being ignored (padding, ids). A step is a command
//! and its arguments, separated by spaces; what is `text` below is the rest of the step. Topics come from the script,
//! so the host's tests decide what is declared. An empty script completes and does nothing. What a step reports, it
//! publishes: to `topic`, with the event's key, the value described below, and no headers.
//!
//! | step | what it does |
//! |---|---|
//! | `echo topic` | publishes the event's key, value and headers as they are |
//! | `emit topic text` | publishes `text` |
//! | `see topic` | publishes what the event looks like: `topic=… timestamp=… key=… value=… headers=…`, bytes as Rust's debug text |
//! | `count topic n` | publishes `n` outputs with the values `0` to `n-1` |
//! | `size topic n` | publishes one output of `n` bytes `x` |
//! | `null topic` | publishes null key and value, and the headers `h=1`, `h=2`, `h=null`, `h=` (empty) |
//! | `nullkey topic text` | publishes `text` under a null key |
//! | `key topic key text` | publishes `text` under `key` |
//! | `reject text` | fails: it will never work |
//! | `retry text` | fails: it may work later |
//! | `retry-unless key text` | fails so unless `key` is set in the state |
//! | `trap` | traps: `unreachable` |
//! | `panic text` | panics, with `text` on stderr |
//! | `abort` | ends the process by `std::process::abort` |
//! | `exit n` | ends the process by `std::process::exit(n)` |
//! | `loop` | never returns |
//! | `recurse` | calls itself until the stack is full |
//! | `allocate n` | allocates and touches `n` bytes, and traps when it does not get them |
//! | `allocate-all topic` | allocates MiB by MiB until it gets no more, lets go, reports how many it got |
//! | `grow n` | asks for `n` pages of 64 KiB by `memory.grow`, and traps when refused |
//! | `sleep n` | `std::thread::sleep` for `n` ms (an hour: `sleep 3600000`) |
//! | `spin n` | asks `Instant` again and again until `n` ms have passed |
//! | `burn n` | counts to `n` without calling anything: work that only takes time |
//! | `clocks topic` | reports `SystemTime` in ms since the epoch, and how many ns two readings of `Instant` are apart: `<ms> <ns>` |
//! | `random topic` | reports 32 bytes of `wasi:random/random`, as hex |
//! | `seed topic` | reports what a `HashMap` of `std` is seeded with (`wasi:random/insecure-seed`), as hex |
//! | `env topic` | reports environment and arguments as Rust's debug text |
//! | `open topic path` | opens a file, reports `opened` or the error |
//! | `write topic path` | creates a file, reports `opened` or the error |
//! | `connect topic address` | connects by TCP, reports `connected` or the error. Only with feature `network`: its imports are refused |
//! | `stdin topic` | reads standard input to its end, reports how many bytes there were |
//! | `print n` | prints `n` bytes to stdout, in lines of 100 |
//! | `eprint n` | the same to stderr |
//! | `log n` | logs `n` lines at `info`, `line 0` to `line n-1` |
//! | `log-levels text` | logs `text` once at every level |
//! | `log-size n` | logs one line of `n` bytes |
//! | `config topic key` | reports the value of `key` in the config, or `none` |
//! | `config-all topic` | reports all keys and values: `k=v k=v …` |
//! | `set key text` | sets `key` in the state |
//! | `set-size key n` | sets `key` to `n` bytes `x` |
//! | `set-key-size n` | sets a key of `n` bytes |
//! | `set-many prefix n` | sets `prefix` + `0000` to `n-1`, each to its number |
//! | `get topic key` | reports the value of `key`, or publishes null |
//! | `delete key` | removes `key` |
//! | `scan topic prefix limit [after]` | reports `key=value key=value …`; `prefix` `*` is the empty one |
//! | `scan-all topic prefix` | the same for all pages, reports how many pairs there were |
//! | `fold topic` | keeps count and checksum of the values seen under the event's key, reports `<count> <checksum>` |
//! | `fold-text topic text` | the same, with `text` in the place of the event's value |
//! | `broken step` | does `step` in a version whose bytes tests have changed so that it is broken; else nothing |
//!
//! Anything else is rejected with `unknown step`. The checksum of `fold` is FNV-1a over 64 bits, beginning with the
//! checksum before (first: `cbf29ce484222325`), as 16 hex digits: see [`checksum`]. The state key is `fold/` and
//! the event's key.

use fnhost_sdk::bindings::exports::fnhost::function::handler::Guest;
use fnhost_sdk::bindings::fnhost::function::types::{Event, Failure, Output};

mod checksum;
mod memory;
mod misbehave;
mod publish;
mod script;
mod world;

pub use checksum::{FNV_START, checksum};
use publish::Outputs;
use script::Step;

/// The test guest as a component; natively, the same without state, config and log.
#[derive(Debug)]
pub struct Component;

impl Guest for Component {
    fn handle(event: Event) -> Result<Vec<Output>, Failure> {
        handle(&event)
    }
}

fn handle(event: &Event) -> Result<Vec<Output>, Failure> {
    let mut outputs = Outputs::of(event);
    for step in script::of(event)?.split([';', '\n']).map(Step::of) {
        run(&step, event, &mut outputs)?;
    }
    Ok(outputs.made)
}

/// Tests write `broken` over the last word, in the component's bytes: that makes another version, which is broken.
static MADE: &str = "this test guest is well-made";

fn is_broken() -> bool {
    std::hint::black_box(MADE).trim_end().ends_with("broken")
}

/// A step is known to one of these; each says whether it was.
fn run(step: &Step<'_>, event: &Event, outputs: &mut Outputs<'_>) -> Result<(), Failure> {
    if step.command == "broken" {
        return if is_broken() { run(&Step::of(step.text()), event, outputs) } else { Ok(()) };
    }
    let known = step.command.is_empty()
        || publish::run(step, event, outputs)?
        || misbehave::run(step)?
        || world::run(step, outputs)?
        || memory::run(step, event, outputs)?;
    if known { Ok(()) } else { Err(Failure::reject(format!("unknown step `{}`", step.command))) }
}

#[cfg(target_family = "wasm")]
fnhost_sdk::bindings::export!(Component with_types_in fnhost_sdk::bindings);

#[cfg(test)]
mod tests {
    use fnhost_sdk::bindings::fnhost::function::types::Header;

    use super::*;

    fn event(value: &str) -> Event {
        Event {
            topic: "in".into(),
            timestamp: Some(7),
            key: Some(b"k".to_vec()),
            value: Some(value.into()),
            headers: vec![Header { name: "h".into(), value: None }],
        }
    }

    #[test]
    fn steps_run_in_order_and_their_outputs_come_in_that_order() {
        let outputs = Component::handle(event("emit a one two; echo b\ncount c 2")).unwrap();
        let topics: Vec<_> = outputs.iter().map(|output| output.topic.as_str()).collect();
        assert_eq!(topics, ["a", "b", "c", "c"]);
        assert_eq!(outputs[0].value.as_deref(), Some(b"one two".as_slice()));
        assert_eq!(outputs[1].headers.len(), 1);
    }

    #[test]
    fn a_script_in_json_does_what_the_plain_one_does() {
        let plain = Component::handle(event("emit a x; reject because"));
        assert_eq!(Component::handle(event(r#"{"do": "emit a x; reject because", "padding": [1]}"#)), plain);
        assert_eq!(plain, Err(Failure::Reject("because".into())));
    }

    #[test]
    fn unknown_steps_are_rejected_by_name() {
        assert_eq!(Component::handle(event("dance")), Err(Failure::Reject("unknown step `dance`".into())));
    }

    #[test]
    fn an_empty_script_completes() {
        assert_eq!(Component::handle(event("")), Ok(vec![]));
    }
}
