//! What is on the deployments topic, byte for byte.
//!
//! | partition | key | value |
//! |---|---|---|
//! | 0 | a function's name | its [`Deployment`], as JSON |
//! | 1 | a module's digest, `/`, the number of a chunk from 0 | that part of the component's bytes |
//!
//! The topic is compacted: of each function the newest deployment stays, and a module for as long as one of them leads to it. Every
//! record says its format in a header; one of another format is refused, not guessed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::book::{Deployed, Deployment, Module};
use crate::event::{Digest, Event, Header, Partition, Record};

/// Where deployments are.
pub const DEPLOYMENTS: i32 = 0;
/// Where modules are.
pub const MODULES: i32 = 1;
/// How many partitions the topic has.
pub const PARTITIONS: i32 = 2;

/// How much of a module is in one record: half of what Kafka takes unless told otherwise.
pub const CHUNK_BYTES: usize = 512 << 10;

/// The layout of these records.
const FORMAT: &[u8] = b"1";
/// The header that carries it.
const FORMAT_HEADER: &str = "fnhost-format";

/// A record that cannot be one of ours.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A newer host wrote it, or somebody else.
    #[error("it has format `{0}`, and this host knows format 1; a newer fnhost wrote it, or something else did")]
    Format(String),
    /// Its bytes are none.
    #[error("it cannot be read")]
    Value(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    number: u64,
    active: Option<Digest>,
    versions: Vec<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow: Option<Version>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    digest: Digest,
    number: u64,
    bytes: u64,
    first_offset: i64,
    note: String,
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// The record of a deployment.
///
/// # Errors
/// None that is known: every deployment is JSON.
pub fn deployment(topic: &Arc<str>, deployment: &Deployment) -> serde_json::Result<Record> {
    let version = |deployed: &Deployed| Version {
        digest: deployed.digest,
        number: deployed.number,
        bytes: deployed.module.bytes,
        first_offset: deployed.module.first,
        note: deployed.note.clone(),
        at_ms: deployed.at_ms,
        state_format: deployed.state_format.clone(),
        failed: deployed.failed.clone(),
    };
    let written = Written {
        number: deployment.number,
        active: deployment.active,
        versions: deployment.versions.iter().map(version).collect(),
        shadow: deployment.shadow.as_ref().map(version),
    };
    let value = serde_json::to_vec(&written)?;
    Ok(record(topic, DEPLOYMENTS, deployment.function.clone().into_bytes(), Some(value)))
}

/// The deployment that a record of partition 0 holds; `None` for one that was taken back by hand.
///
/// # Errors
/// [`Unreadable`].
pub fn read(event: &Event) -> Result<Option<Deployment>, Unreadable> {
    let (Some(key), Some(value)) = (&event.key, &event.value) else { return Ok(None) };
    check_format(event)?;
    let Written { number, active, versions, shadow } = serde_json::from_slice(value)?;
    let deployed = |version: Version| Deployed {
        digest: version.digest,
        number: version.number,
        module: Module { bytes: version.bytes, first: version.first_offset },
        note: version.note,
        at_ms: version.at_ms,
        state_format: version.state_format,
        failed: version.failed,
    };
    let function = String::from_utf8_lossy(key).into_owned();
    let versions = versions.into_iter().map(deployed).collect();
    Ok(Some(Deployment { number, function, active, versions, shadow: shadow.map(deployed) }))
}

/// The records of a module's bytes, in order.
pub fn chunks<'a>(topic: &'a Arc<str>, digest: Digest, wasm: &'a [u8]) -> impl Iterator<Item = Record> + 'a {
    let chunk =
        move |(number, bytes): (usize, &[u8])| record(topic, MODULES, key(digest, number), Some(bytes.to_vec()));
    wasm.chunks(CHUNK_BYTES).enumerate().map(chunk)
}

/// The records that take a module of so many bytes away.
pub fn tombstones(topic: &Arc<str>, digest: Digest, bytes: u64) -> impl Iterator<Item = Record> {
    (0..chunk_count(bytes)).map(move |number| record(topic, MODULES, key(digest, number), None))
}

/// How many records a module of so many bytes is.
pub fn chunk_count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(CHUNK_BYTES)
}

/// Which chunk of `digest` a record of partition 1 is, with its bytes.
///
/// # Errors
/// [`Unreadable::Format`].
pub fn chunk(event: &Event, digest: Digest) -> Result<Option<(usize, &[u8])>, Unreadable> {
    let number = event.key.as_deref().and_then(|key| {
        let (of, number) = std::str::from_utf8(key).ok()?.split_once('/')?;
        (of == digest.hex()).then(|| number.parse().ok())?
    });
    match (number, &event.value) {
        (Some(number), Some(bytes)) => check_format(event).map(|()| Some((number, bytes.as_slice()))),
        _ => Ok(None),
    }
}

fn key(digest: Digest, number: usize) -> Vec<u8> {
    format!("{}/{number}", digest.hex()).into_bytes()
}

fn record(topic: &Arc<str>, partition: i32, key: Vec<u8>, value: Option<Vec<u8>>) -> Record {
    let format = Header { name: FORMAT_HEADER.to_owned(), value: Some(FORMAT.to_vec()) };
    Record { topic: Arc::clone(topic), partition: Some(partition), key: Some(key), value, headers: vec![format] }
}

fn check_format(event: &Event) -> Result<(), Unreadable> {
    let format = event.headers.iter().find(|header| header.name == FORMAT_HEADER).and_then(|h| h.value.as_deref());
    if format == Some(FORMAT) {
        return Ok(());
    }
    Err(Unreadable::Format(String::from_utf8_lossy(format.unwrap_or_default()).into_owned()))
}

/// One of the topic's partitions.
pub fn partition(topic: &Arc<str>, number: i32) -> Partition {
    Partition::new(Arc::clone(topic), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(record: Record) -> Event {
        let Record { topic, partition, key, value, headers } = record;
        let partition = Partition::new(topic, partition.unwrap());
        Event { partition, offset: 7, timestamp_ms: None, key, value, headers }
    }

    fn deployed() -> Deployment {
        let version = |byte, failed: Option<&str>| Deployed {
            digest: Digest([byte; 32]),
            number: 4,
            module: Module { bytes: 3, first: 12 },
            note: "faster".into(),
            at_ms: 1_795_230_001_022,
            state_format: failed.map(|_| "2".to_owned()),
            failed: failed.map(str::to_owned),
        };
        let versions = vec![version(2, None), version(1, Some("it traps"))];
        let shadow = versions.last().cloned();
        Deployment { number: 9, function: "inventory".into(), active: Some(Digest([2; 32])), versions, shadow }
    }

    #[test]
    fn a_deployment_is_read_as_it_was_written() {
        let topic = "shop.deployments".into();
        let event = read_back(deployment(&topic, &deployed()).unwrap());
        assert_eq!(read(&event).unwrap(), Some(deployed()));
        let removed = Deployment { active: None, versions: vec![], ..deployed() };
        assert_eq!(read(&read_back(deployment(&topic, &removed).unwrap())).unwrap(), Some(removed));
    }

    #[test]
    fn a_deployment_of_another_format_is_refused() {
        let mut event = read_back(deployment(&"t".into(), &deployed()).unwrap());
        event.headers[0].value = Some(b"2".to_vec());
        assert!(read(&event).unwrap_err().to_string().starts_with("it has format `2`"));
        event.headers.clear();
        assert!(read(&event).is_err());
        event.headers.push(Header { name: FORMAT_HEADER.into(), value: Some(FORMAT.to_vec()) });
        event.value = Some(b"{".to_vec());
        assert!(read(&event).is_err());
    }

    #[test]
    fn the_chunks_of_a_module_are_its_bytes_and_no_other_ones() {
        let wasm: Vec<u8> = (0..CHUNK_BYTES * 2 + 5).map(|n| n.to_le_bytes()[0]).collect();
        let (digest, topic) = (Digest::of(&wasm), "t".into());
        let records: Vec<Record> = chunks(&topic, digest, &wasm).collect();
        assert_eq!(records.len(), chunk_count(wasm.len() as u64));
        let events: Vec<Event> = records.into_iter().map(read_back).collect();
        let parts: Vec<(usize, &[u8])> = events.iter().filter_map(|event| chunk(event, digest).unwrap()).collect();
        assert_eq!(parts.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(parts.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect::<Vec<_>>(), wasm);
        assert_eq!(chunk(&events[0], Digest([0; 32])).unwrap(), None);
        let gone: Vec<_> = tombstones(&topic, digest, wasm.len() as u64).map(|record| record.key).collect();
        assert_eq!(gone, events.iter().map(|event| event.key.clone()).collect::<Vec<_>>());
    }
}
