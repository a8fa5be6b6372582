//! Events that the host writes, as their data.

use std::borrow::Cow;

use serde::Deserialize;

/// The data of a tick: a slot of one of the app's schedules has begun.
///
/// Each slot has one tick, whatever hosts run. The event's `time` is when the slot began, and not when somebody got round to
/// writing it: ticks can come late, and several at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the data of a tick")]
pub struct Tick<'a> {
    /// The schedule's name in `app.toml`: subject and key of the event too.
    #[serde(borrow)]
    pub schedule: Cow<'a, str>,
    /// How long a slot is, in milliseconds.
    pub every_ms: u64,
}

impl Tick<'_> {
    /// Type of the event.
    pub const TYPE: &'static str = "fnhost.tick";
}

/// The data of an error event, as far as it says what went wrong.
///
/// The event that failed is there too, under `event`, as the schema of error events has it. A function that wants it reads
/// data of a type of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "the data of an error event")]
pub struct ErrorEvent<'a> {
    /// The kind of failure, such as `rejected`.
    #[serde(borrow)]
    pub class: Cow<'a, str>,
    /// The failure in words.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// How often the event was tried.
    pub attempts: u32,
    /// Who failed it.
    #[serde(borrow)]
    pub function: Cow<'a, str>,
}

impl ErrorEvent<'_> {
    /// Type of the event.
    pub const TYPE: &'static str = "fnhost.error";
}
