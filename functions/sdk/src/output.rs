//! CloudEvents as records: what becomes of a handler's data.
//!
//! Written straight into the record's value, attributes in a fixed order, so that equal outputs are equal bytes.

use serde::Serialize;
use uuid::Uuid;

use crate::{Event, Failure, Header, Output};

/// The namespace of all output ids. If it changes, a repeated event no longer gives the ids it gave before.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_5a9e_64d2_4f4c_9a53_2b8f_1f0e_7d41);

/// How readers of CloudEvents tell structured mode from binary mode.
const CONTENT_TYPE: &[u8] = b"application/cloudevents+json; charset=UTF-8";

/// Room for the attributes beside what the data needs.
const ATTRIBUTES_BYTES: usize = 512;

/// The output number `ordinal` with which the function `source` answers `event`.
pub(crate) fn answer<T>(
    event: &Event<'_, T>,
    source: &str,
    topic: &str,
    kind: &str,
    ordinal: u32,
    data: &impl Serialize,
) -> Result<Output, Failure> {
    let mut id = Uuid::encode_buffer();
    let id = derived(event, source, topic, ordinal).as_hyphenated().encode_lower(&mut id);
    let mut value = Vec::with_capacity(ATTRIBUTES_BYTES + event.bytes);
    let mut write = || {
        // Names and fixed values as they are: looking for what to escape in them would cost more than all the rest.
        value.extend_from_slice(br#"{"specversion":"1.0","id":""#);
        value.extend_from_slice(id.as_bytes());
        value.extend_from_slice(br#"","source":"#);
        serde_json::to_writer(&mut value, source)?;
        value.extend_from_slice(br#","type":"#);
        serde_json::to_writer(&mut value, kind)?;
        if !event.subject.is_empty() {
            value.extend_from_slice(br#","subject":"#);
            serde_json::to_writer(&mut value, &event.subject)?;
        }
        if let Some(time) = &event.time {
            value.extend_from_slice(br#","time":"#);
            serde_json::to_writer(&mut value, time)?;
        }
        value.extend_from_slice(br#","datacontenttype":"application/json","data":"#);
        serde_json::to_writer(&mut value, data)?;
        value.push(b'}');
        Ok::<_, serde_json::Error>(())
    };
    write().map_err(|error| Failure::reject(format!("the output for `{topic}` cannot be written as JSON: {error}")))?;
    Ok(Output {
        topic: topic.to_owned(),
        key: (!event.subject.is_empty()).then(|| event.subject.as_bytes().to_vec()),
        value: Some(value),
        headers: vec![Header { name: "content-type".to_owned(), value: Some(CONTENT_TYPE.to_vec()) }],
    })
}

/// UUIDv5 of what an output is: the same for a repeated event, another for every other output.
///
/// The parts are separated by a byte that UTF-8 does not know, so that no two lists of parts are one name.
fn derived<T>(event: &Event<'_, T>, source: &str, topic: &str, ordinal: u32) -> Uuid {
    let mut name = Vec::with_capacity(256);
    for part in [&event.source, &event.id, source, topic] {
        name.extend_from_slice(part.as_bytes());
        name.push(0xff);
    }
    name.extend_from_slice(&ordinal.to_be_bytes());
    Uuid::new_v5(&NAMESPACE, &name)
}
