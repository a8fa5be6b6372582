//! What a Rust function for fnhost is written with.
//!
//! ```text
//! RawEvent ──decode──▶ Event<T> ──handle──▶ Outcome: outputs, or a Failure
//!                                   │
//!                                Context: state, config, log, output
//! ```
//!
//! A function is a plain `handle`, and one line that makes a component of it. This one adds up what is put into
//! baskets; its test is plain code too, with state in memory:
//!
//! ```
//! use fnhost_sdk::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! /// The data of an event that comes in.
//! #[derive(Deserialize)]
//! struct Put {
//!     amount: String,
//! }
//!
//! /// What is kept of a basket, and the data of an event that is published.
//! #[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
//! struct Basket {
//!     items: u32,
//! }
//!
//! /// Why something cannot be put into a basket.
//! enum Refused {
//!     Full { most: u32 },
//! }
//!
//! impl From<Refused> for Failure {
//!     fn from(refused: Refused) -> Self {
//!         match refused {
//!             Refused::Full { most } => Self::reject(format!("a basket holds {most} items at most")),
//!         }
//!     }
//! }
//!
//! impl Basket {
//!     fn put(&mut self, amount: u32, most: u32) -> Result<(), Refused> {
//!         let items = self.items.checked_add(amount).filter(|items| *items <= most);
//!         self.items = items.ok_or(Refused::Full { most })?;
//!         Ok(())
//!     }
//! }
//!
//! fn handle(event: Event<'_, Put>, context: &mut Context<'_>) -> Outcome {
//!     let most = context.config.parsed("most")?;
//!     let amount = event.data.amount.parse().or_reject("amount")?;
//!     let id = event.subject.as_bytes();
//!     let mut basket: Basket = context.state.get_json(id)?.unwrap_or_default();
//!     basket.put(amount, most)?;
//!     context.state.set_json(id, &basket)?;
//!     Ok(vec![context.output(&event, "filled", "shop.filled", &basket)?])
//! }
//!
//! fnhost_sdk::function!(handle, source = "/shop/baskets");
//!
//! # /*
//! #[test]
//! # */
//! fn baskets_are_filled_until_they_are_full() {
//!     let put = |amount: &str| {
//!         let envelope = r#""specversion":"1.0","id":"e-1","source":"/shop","type":"shop.put","subject":"b-1""#;
//!         format!(r#"{{{envelope},"data":{{"amount":"{amount}"}}}}"#)
//!     };
//!     let mut bench = fnhost_sdk::testing::Bench::new(invoke, [("most", "3")]);
//!
//!     let outputs = bench.handle(put("2")).unwrap();
//!     assert_eq!(outputs[0].topic, "filled");
//!     let filled: serde_json::Value = serde_json::from_slice(outputs[0].value.as_deref().unwrap()).unwrap();
//!     assert_eq!(filled["data"]["items"], 2);
//!
//!     assert_eq!(bench.handle(put("2")), Err(Failure::reject("a basket holds 3 items at most")));
//!     assert_eq!(bench.handle(put("two")), Err(Failure::reject("amount: invalid digit found in string")));
//!     assert_eq!(bench.state.get_json(b"b-1"), Ok(Some(Basket { items: 2 })));
//! }
//! # fn main() { baskets_are_filled_until_they_are_full() }
//! ```
//!
//! # What becomes of an error
//!
//! A [`Failure`] says itself whether the event is rejected or tried again. Every other error is made one where it is
//! met, and nothing is made one unasked:
//!
//! | what goes wrong | what is written | what becomes of it |
//! |---|---|---|
//! | the event is no CloudEvent of your `T` | nothing: the handler is not called | reject |
//! | configuration that is missing or cannot be read | `?` | retry |
//! | state that is no `T`; an output or state that JSON cannot hold | `?` | reject |
//! | an error type of yours | `?` | what your `impl From<MyError> for Failure` says, as above |
//! | any other error that can be shown | [`.or_reject("what")?`](OrFail::or_reject) | reject |
//! | the same, when it may pass | [`.or_retry("what")?`](OrFail::or_retry) | retry |
//! | a condition of yours | `return Err(Failure::reject("why"))`, or `retry` | what it says |
//! | a panic | nothing | an error event at once, of class `trapped` |
//!
//! A handler may also return `Result<Vec<Output>, MyError>`, with the same `impl From<MyError> for Failure`. To use `?`
//! on a `Failure` there, `MyError` has to hold one: `impl From<Failure> for MyError`.
//!
//! # What the host writes itself
//!
//! A function may read the ticks of a schedule ([`Tick`]) and error events ([`ErrorEvent`]) as it reads any others. Where
//! they lie on a topic with events of another type, or it reads several topics, its event is an `Event<'_, Unread<'_>>`:
//! [`Unread`] has an example.
//!
//! # What is promised
//!
//! What the SDK promises the host: the same event, with the same state and configuration, gives the same bytes. So
//! it reads no clock and draws no random number, and the id of an output is derived from the event it answers.

pub mod bindings;
mod config;
mod context;
mod event;
mod failure;
mod host_events;
#[cfg(target_family = "wasm")]
mod imports;
mod log;
mod output;
mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod typed_state;
mod verbatim;

pub use bindings::fnhost::function::types::{Event as RawEvent, Failure, Header, Output};
pub use bindings::wasi::logging::logging::Level;
pub use config::Config;
pub use context::Context;
pub use event::{Event, Unread};
pub use failure::OrFail;
pub use host_events::{ErrorEvent, Tick};
#[cfg(target_family = "wasm")]
pub use imports::imports;
pub use log::Log;
pub use state::State;
pub use typed_state::TypedState;
pub use verbatim::Verbatim;

/// What a function answers: what is to be published, in order, or why the event cannot be processed.
pub type Outcome = Result<Vec<Output>, Failure>;

/// What nearly every function needs.
pub mod prelude {
    pub use crate::{Config, Context, Event, Failure, Log, OrFail, Outcome, Output, State, TypedState, Verbatim};
}

/// Makes a component of a handler.
///
/// `source` is the CloudEvents `source` of everything the function publishes, a constant. It takes part in the ids of outputs:
/// if it changes, a repeated event no longer gives the ids it gave before. The component carries it, and a host does not deploy it in the
/// place of one with another source unless told to.
///
/// A function that keeps state in another layout than the version before it says so, with a `state_format` of its own
/// (`"1"` when left out): the host then does not go back to a version that could not read what this one wrote.
///
/// ```
/// # use fnhost_sdk::prelude::*;
/// # fn handle(_: Event<'_, u32>, _: &mut Context<'_>) -> Outcome { Ok(vec![]) }
/// fnhost_sdk::function!(handle, source = "/shop/baskets", state_format = "2");
/// # fn main() {}
/// ```
///
/// The handler takes an [`Event`] of its data and a [`Context`], and returns an [`Outcome`], or a `Result` with any other
/// error that becomes a [`Failure`] by `Into`.
///
/// The handler is called by the generated `invoke`, natively (tests, benches) as on the host; the export itself
/// exists on WebAssembly only.
#[rustfmt::skip]
#[macro_export]
macro_rules! function {
    ($handle:path, source = $source:expr, state_format = $format:expr) => {
        $crate::function!(@section "fnhost:state-format", $format);
        $crate::function!($handle, source = $source);
    };
    (@section $name:literal, $text:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            const TEXT: &str = $text;
            const BYTES: [u8; TEXT.len()] = match TEXT.as_bytes().first_chunk() {
                Some(bytes) => *bytes,
                None => [0; TEXT.len()],
            };

            /// A section of the component, which the host reads before it runs it.
            #[used]
            #[allow(unsafe_code, reason = "a name for a section, which no other crate gives one")]
            #[unsafe(link_section = $name)]
            static SECTION: [u8; TEXT.len()] = BYTES;
        };
    };
    ($handle:path, source = $source:expr) => {
        $crate::function!(@section "fnhost:source", $source);

        /// Handles one event as it lies on its topic: what the host calls, and what a test can call too.
        ///
        /// # Errors
        ///
        /// When the event is no CloudEvent of the expected shape, and when the handler says so.
        pub fn invoke(
            event: &$crate::RawEvent,
            state: &mut dyn $crate::State,
            config: &dyn $crate::Config,
            log: &mut dyn $crate::Log,
        ) -> $crate::Outcome {
            $handle($crate::Event::decode(event)?, &mut $crate::Context::new($source, state, config, log))
                .map_err(::core::convert::Into::into)
        }

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl $crate::bindings::exports::fnhost::function::handler::Guest for Component {
                fn handle(event: $crate::RawEvent) -> $crate::Outcome {
                    let (mut state, config, mut log) = $crate::imports();
                    invoke(&event, &mut state, &config, &mut log)
                }
            }

            $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
