//! What descends from an error event says so, and never comes back as one: no function feeds itself by failing.
//!
//! Functions may read the error topic. Were they handed what they fail on, or what others fail on that they published, one failure would
//! go round for ever. So a function that error events reach, directly or by way of other functions ([`App::fed_by_errors`]), marks what
//! it publishes and its error events; any function that handles a marked event does the same, in whichever app it is; and a marked
//! error event is handed to no function. It stays on the error topic, where people see it. What a function of another app publishes
//! much later, from state, is not marked.
//!
//! [`App::fed_by_errors`]: crate::app::App::fed_by_errors

use super::plan::Planned;
use crate::event::{Event, Header};

/// The header that marks what descends from an error event.
const HEADER: &str = "fnhost-from-error";

/// Whether an event descends from an error event.
pub(super) fn is_marked(event: &Event) -> bool {
    event.headers.iter().any(is_mark)
}

/// The mark of what a function makes of `event`, if it is to have one.
pub(super) fn mark(event: &Event, planned: &Planned) -> Option<Header> {
    let is_to_be = planned.is_fed_by_errors || is_marked(event);
    is_to_be.then(|| Header { name: HEADER.to_owned(), value: Some(b"1".to_vec()) })
}

/// Whether a header is the mark, which nobody else gives.
pub(super) fn is_mark(header: &Header) -> bool {
    header.name == HEADER
}
