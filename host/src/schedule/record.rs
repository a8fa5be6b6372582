//! What schedules write, byte for byte: ticks, which are CloudEvents 1.0 in structured mode, and marks.
//!
//! A mark's key is its schedule's name, its value the beginning of the newest slot that has a tick, and how long slots are:
//! `{"slot":"2026-11-21T18:05:00.000Z","everyMs":60000}`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Reached, Slot};
use crate::app::Schedule;
use crate::event::{Event, Header, Partition, Record};
use crate::form::milliseconds;
use crate::worker::error_event::rfc3339;

/// How many partitions the topic of marks has.
pub const PARTITIONS: i32 = 1;

/// The CloudEvents `type` of a tick.
pub const TYPE: &str = "fnhost.tick";
/// Ids of ticks derive from this.
const NAMESPACE: Uuid = Uuid::from_u128(0x0d7a_4e43_3c5f_4b0e_9a55_2f7e_66c1_b7d4);

#[derive(Serialize)]
struct Tick<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    schedule: &'a str,
    every_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    slot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
}

/// A mark that is none.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON, or another one.
    #[error("it cannot be read")]
    Value(#[from] serde_json::Error),
    /// It names no time.
    #[error("`{0}` is no time")]
    Time(String),
}

/// The tick of one slot for one partition. Its time is the slot's beginning.
///
/// # Errors
/// None that is known: everything in it is a string or a number.
pub fn tick(app: &str, schedule: &Schedule, slot: Slot, partition: i32) -> serde_json::Result<Record> {
    let place = format!("{app}/{}/{slot}/{partition}", schedule.name);
    let tick = Tick {
        specversion: "1.0",
        id: Uuid::new_v5(&NAMESPACE, place.as_bytes()).to_string(),
        source: format!("/{app}/schedules"),
        kind: TYPE,
        subject: &schedule.name,
        time: text(slot),
        datacontenttype: "application/json",
        data: Data { schedule: &schedule.name, every_ms: super::ms(schedule.every) },
    };
    Ok(Record {
        topic: schedule.topic.clone(),
        partition: Some(partition),
        key: Some(schedule.name.clone().into_bytes()),
        value: Some(serde_json::to_vec(&tick)?),
        headers: vec![Header {
            name: "content-type".to_owned(),
            value: Some(b"application/cloudevents+json".to_vec()),
        }],
    })
}

/// Says how far a schedule has come.
///
/// # Errors
/// None that is known.
pub fn mark(marks: &Partition, schedule: &str, reached: Reached) -> serde_json::Result<Record> {
    let mark = Mark { slot: text(reached.slot), every_ms: reached.every_ms };
    Ok(Record {
        topic: marks.topic.clone(),
        partition: Some(marks.number),
        key: Some(schedule.as_bytes().to_vec()),
        value: Some(serde_json::to_vec(&mark)?),
        headers: Vec::new(),
    })
}

/// The schedule of a mark, and how far it has come; nowhere, when the mark was taken back by hand.
///
/// # Errors
/// [`Unreadable`].
pub fn read(event: &Event) -> Result<(String, Option<Reached>), Unreadable> {
    let schedule = String::from_utf8_lossy(event.key.as_deref().unwrap_or_default()).into_owned();
    let Some(value) = &event.value else { return Ok((schedule, None)) };
    let Mark { slot, every_ms } = serde_json::from_slice(value)?;
    let slot = milliseconds(&slot).ok_or(Unreadable::Time(slot))?;
    Ok((schedule, Some(Reached { slot, every_ms })))
}

/// A slot, for people and in records.
pub(super) fn text(slot: Slot) -> String {
    rfc3339(slot)
}
