//! What a Rust function for fnhost is written with.
//!
//! ```text
//! RawEvent ──decode──▶ Event<T> ──handle──▶ Outcome: outputs, or a Failure
//!                                   │
//!                                Context: state, config, log, output
//! ```
//!
//! A function is a plain `handle`, and one line that makes a component of it:
//!
//! ```
//! use fnhost_sdk::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greeting<'a> {
//!     name: &'a str,
//! }
//!
//! fn handle(event: Event<'_, Greeting<'_>>, context: &mut Context<'_>) -> Outcome {
//!     if context.state.contains(event.subject.as_bytes()) {
//!         return Ok(vec![]);
//!     }
//!     context.state.set(event.subject.as_bytes(), b"greeted");
//!     Ok(vec![context.output(&event, "greeted", "example.greeted", &event.data)?])
//! }
//!
//! fnhost_sdk::function!(handle, source = "/example/greeter");
//! # fn main() {}
//! ```
//!
//! What the SDK promises the host: the same event, with the same state and configuration, gives the same bytes. So
//! it reads no clock and draws no random number, and the id of an output is derived from the event it answers.

pub mod bindings;
mod config;
mod context;
mod event;
mod failure;
#[cfg(target_family = "wasm")]
mod imports;
mod log;
mod output;
mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod verbatim;

pub use bindings::fnhost::function::types::{Event as RawEvent, Failure, Header, Output};
pub use bindings::wasi::logging::logging::Level;
pub use config::Config;
pub use context::Context;
pub use event::Event;
#[cfg(target_family = "wasm")]
pub use imports::imports;
pub use log::Log;
pub use state::State;
pub use verbatim::Verbatim;

/// What a function answers: what is to be published, in order, or why the event cannot be processed.
pub type Outcome = Result<Vec<Output>, Failure>;

/// What nearly every function needs.
pub mod prelude {
    pub use crate::{Config, Context, Event, Failure, Log, Outcome, Output, State, Verbatim};
}

/// Makes a component of a handler.
///
/// `source` is the CloudEvents `source` of everything the function publishes. It takes part in the ids of outputs:
/// if it changes, a repeated event no longer gives the ids it gave before.
///
/// The handler is called by the generated `invoke`, natively (tests, benches) as on the host; the export itself
/// exists on WebAssembly only.
#[rustfmt::skip]
#[macro_export]
macro_rules! function {
    ($handle:path, source = $source:expr) => {
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
