//! A body becomes an event: checked, given its id, wrapped as a CloudEvent 1.0 in structured mode, checked again.
//!
//! Pure: bytes, key and time go in, a record comes out. The same body and key always give the same `data`, byte for
//! byte, and the same event id; only `time` differs.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::Target;
use super::ids::{self, Caller};
use super::json::{self, Json};
use super::problem::Problem;
use crate::app::schemas::Mismatch;
use crate::event::{Header, Record};

/// The longest id, in bytes, where the schema does not say less.
const ID_BYTES_MAX: usize = 255;

/// What CloudEvents' Kafka binding calls a record in structured mode by.
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// A finished event.
#[derive(Debug)]
pub(super) struct Composed {
    /// Subject and key; what the answer calls it.
    pub(super) id: String,
    pub(super) record: Record,
}

/// CloudEvents 1.0, its attributes in the order of the specification.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: BTreeMap<&'a str, Json<'a>>,
}

/// Makes the event of one request.
pub(super) fn compose(target: &Target, key: Option<&str>, body: &[u8], now: SystemTime) -> Result<Composed, Problem> {
    let (mut json, value) = json::read(body).map_err(not_json)?;
    target.body.check(&value).map_err(|mismatches| misfit(target, mismatches))?;
    drop(value);
    let id = place_id(target, key, &mut json, now).map_err(|mismatch| misfit(target, [mismatch]))?;
    let route = &target.route;
    let event = CloudEvent {
        specversion: "1.0",
        id: ids::of_event(&target.app, &target.label, &id).to_string(),
        source: format!("/{}/ingress", target.app),
        kind: &route.event_type,
        subject: &id,
        time: humantime::format_rfc3339_millis(now.max(UNIX_EPOCH)).to_string(),
        datacontenttype: "application/json",
        data: BTreeMap::from([(route.member.as_str(), json)]),
    };
    let value = serde_json::to_vec(&event).map_err(unwritten)?;
    check_event(target, &value)?;
    let record = Record {
        topic: route.topic.clone(),
        partition: None,
        key: Some(id.clone().into_bytes()),
        value: Some(value),
        headers: vec![Header { name: "content-type".to_owned(), value: Some(CONTENT_TYPE.into()) }],
    };
    Ok(Composed { id, record })
}

/// The body's id, or a new one that is put into the body.
fn place_id(target: &Target, key: Option<&str>, body: &mut Json<'_>, now: SystemTime) -> Result<String, Mismatch> {
    let wrong = |detail: &str| Mismatch { pointer: target.route.id.clone(), detail: detail.to_owned() };
    let home = target.id.home(body).ok_or_else(|| wrong("there is no object here that could hold an id"))?;
    match home.get(target.id.member()) {
        Some(Json::Text(id)) if id.is_empty() => Err(wrong("an id cannot be empty")),
        Some(Json::Text(id)) if id.len() > ID_BYTES_MAX => Err(wrong("an id has 255 bytes at most")),
        Some(Json::Text(id)) => Ok(id.clone()),
        Some(_) => Err(wrong("an id is a string")),
        None => {
            let id = match key {
                Some(key) => ids::of_key(&target.app, &target.label, Caller::NOBODY, key),
                None => ids::fresh(now),
            };
            home.insert(target.id.member().to_owned(), Json::Text(id.to_string()));
            Ok(id.to_string())
        }
    }
}

/// Refuses an event that does not fit the schema of its topic: what is read there has to.
fn check_event(target: &Target, event: &[u8]) -> Result<(), Problem> {
    let Some(schema) = &target.event else { return Ok(()) };
    let event: Value = serde_json::from_slice(event).map_err(unwritten)?;
    schema.check(&event).map_err(|mismatches| {
        let inside = format!("/data/{}", target.route.member);
        let seen_from_body = |mismatch: Mismatch| match mismatch.pointer.strip_prefix(&inside) {
            Some(pointer) => Mismatch { pointer: pointer.to_owned(), detail: mismatch.detail },
            None if mismatch.pointer == "/subject" => Mismatch { pointer: target.route.id.clone(), ..mismatch },
            None => {
                let detail = format!("the event's {}: {}", mismatch.pointer, mismatch.detail);
                Mismatch { pointer: String::new(), detail }
            }
        };
        misfit(target, mismatches.into_iter().map(seen_from_body))
    })
}

fn not_json(fault: json::Fault) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, "the body is not JSON");
    match fault.pointer {
        None => problem.detail(fault.detail),
        Some(pointer) => problem.errors([Mismatch { pointer, detail: fault.detail }]),
    }
}

fn misfit(target: &Target, mismatches: impl IntoIterator<Item = Mismatch>) -> Problem {
    let title = format!("the {} does not fit its schema", target.route.member);
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title).errors(mismatches)
}

/// Cannot happen: what was read as JSON is written as JSON.
fn unwritten(error: serde_json::Error) -> Problem {
    tracing::error!(%error, "an event could not be written");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the event could not be written")
}

#[cfg(test)]
mod tests;
