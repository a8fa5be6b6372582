//! A record as bytes in the file, and back.
//!
//! ```text
//! timestamp in ms: u64 │ key │ value │ number of headers: u32 │ name │ value │ name │ value │ …
//! key, value, name, value: length: u32, then that many bytes; u32::MAX is null
//! ```
//! All integers are little-endian. A change needs a new [`FORMAT`](super::file::FORMAT).

use std::sync::Arc;

use super::partitioner::murmur2;
use crate::event::{Event, Header, Offset, Partition, Record};

const NULL: u32 = u32::MAX;

/// What Kafka puts around the only record of a batch (format v2): `max.message.bytes` counts it.
const BATCH_OVERHEAD_BYTES: usize = 61;

/// A record on its way into a log: encoded by whoever writes it, placed by the writer.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where to.
    pub(super) topic: Arc<str>,
    /// Which partition was asked for.
    pub(super) partition: Option<i32>,
    /// The hash of the key, if it has one.
    pub(super) hash: Option<u32>,
    /// What it would weigh in Kafka: what `max.message.bytes` limits.
    pub(super) kafka_bytes: usize,
    bytes: Vec<u8>,
}

impl Draft {
    /// Encodes a record, with no timestamp yet.
    pub(super) fn of(record: &Record) -> Self {
        let payload = record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len);
        let mut bytes = Vec::with_capacity(payload + 64);
        bytes.extend_from_slice(&0_u64.to_le_bytes());
        put(&mut bytes, record.key.as_deref());
        put(&mut bytes, record.value.as_deref());
        bytes.extend_from_slice(&length(record.headers.len()).to_le_bytes());
        for header in &record.headers {
            put(&mut bytes, Some(header.name.as_bytes()));
            put(&mut bytes, header.value.as_deref());
        }
        Self {
            topic: Arc::clone(&record.topic),
            partition: record.partition,
            hash: record.key.as_deref().map(murmur2),
            kafka_bytes: kafka_bytes(record),
            bytes,
        }
    }

    /// What it weighs while it waits.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Gives it its timestamp: these bytes go into the file.
    pub(super) fn stamped(&mut self, timestamp_ms: u64) -> &[u8] {
        if let Some(place) = self.bytes.first_chunk_mut() {
            *place = timestamp_ms.to_le_bytes();
        }
        &self.bytes
    }
}

/// A length as it is stored. What is longer is refused before it is stored: no topic allows more than `i32::MAX` bytes.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(NULL - 1)
}

fn put(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    bytes.extend_from_slice(&part.map_or(NULL, |part| length(part.len())).to_le_bytes());
    bytes.extend_from_slice(part.unwrap_or_default());
}

/// The size of the record batch that Kafka would store for this record alone, not compressed.
fn kafka_bytes(record: &Record) -> usize {
    let part = |part: Option<usize>| part.map_or(1, |bytes| varint_bytes(bytes) + bytes);
    let headers = record.headers.iter().map(|h| part(Some(h.name.len())) + part(h.value.as_ref().map(Vec::len)));
    // Attributes, timestamp and offset, the latter two as differences of 0.
    let body = 3
        + part(record.key.as_ref().map(Vec::len))
        + part(record.value.as_ref().map(Vec::len))
        + varint_bytes(record.headers.len())
        + headers.sum::<usize>();
    BATCH_OVERHEAD_BYTES + varint_bytes(body) + body
}

/// How many bytes a length takes as a zigzag varint.
fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - value.leading_zeros() + 1;
    usize::try_from(bits.div_ceil(7)).unwrap_or(1)
}

/// Bytes in the file that are no record.
#[derive(Debug, thiserror::Error)]
#[error("the record at offset {offset} is cut short or overwritten")]
pub(super) struct Malformed {
    offset: Offset,
}

/// What upkeep looks at without decoding all of a record.
#[derive(Debug)]
pub(super) struct Glance<'a> {
    /// When it was stored.
    pub(super) timestamp_ms: u64,
    /// Its key.
    pub(super) key: Option<&'a [u8]>,
    /// Whether its value is null.
    pub(super) is_tombstone: bool,
}

/// The first parts of a record.
pub(super) fn glance(offset: Offset, bytes: &[u8]) -> Result<Glance<'_>, Malformed> {
    let mut rest = Rest { offset, bytes };
    let timestamp_ms = rest.timestamp()?;
    Ok(Glance { timestamp_ms, key: rest.part()?, is_tombstone: rest.part()?.is_none() })
}

/// A record as an event.
pub(super) fn decode(partition: &Partition, offset: Offset, bytes: &[u8]) -> Result<Event, Malformed> {
    let mut rest = Rest { offset, bytes };
    let timestamp_ms = rest.timestamp()?;
    let key = rest.part()?.map(<[u8]>::to_vec);
    let value = rest.part()?.map(<[u8]>::to_vec);
    let mut headers = Vec::new();
    for _ in 0..rest.length()? {
        let name = String::from_utf8(rest.part()?.unwrap_or_default().to_vec()).map_err(|_| Malformed { offset })?;
        headers.push(Header { name, value: rest.part()?.map(<[u8]>::to_vec) });
    }
    if !rest.bytes.is_empty() {
        return Err(Malformed { offset });
    }
    Ok(Event { partition: partition.clone(), offset, timestamp_ms: Some(timestamp_ms), key, value, headers })
}

/// What is left to be read of a record.
struct Rest<'a> {
    offset: Offset,
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (chunk, rest) = self.bytes.split_first_chunk().ok_or(Malformed { offset: self.offset })?;
        self.bytes = rest;
        Ok(*chunk)
    }

    fn timestamp(&mut self) -> Result<u64, Malformed> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Result<u32, Malformed> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn part(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let length = self.length()?;
        if length == NULL {
            return Ok(None);
        }
        let malformed = Malformed { offset: self.offset };
        let Some((part, rest)) = usize::try_from(length).ok().and_then(|at| self.bytes.split_at_checked(at)) else {
            return Err(malformed);
        };
        self.bytes = rest;
        Ok(Some(part))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let part = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
        let header = (".{0,20}", part()).prop_map(|(name, value)| Header { name, value });
        (part(), part(), proptest::collection::vec(header, 0..4)).prop_map(|(key, value, headers)| Record {
            topic: "t".into(),
            partition: None,
            key,
            value,
            headers,
        })
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was(record in any_record(), timestamp_ms: u64) {
            let mut draft = Draft::of(&record);
            let bytes = draft.stamped(timestamp_ms);
            let event = decode(&Partition::new("t", 3), 7, bytes).unwrap();
            prop_assert_eq!((event.offset, event.timestamp_ms), (7, Some(timestamp_ms)));
            prop_assert_eq!((&event.key, &event.value, &event.headers), (&record.key, &record.value, &record.headers));
            let glance = glance(7, bytes).unwrap();
            prop_assert_eq!((glance.timestamp_ms, glance.key), (timestamp_ms, record.key.as_deref()));
            prop_assert_eq!(glance.is_tombstone, record.value.is_none());
        }

        #[test]
        fn a_record_that_is_cut_short_is_told_from_a_whole_one(record in any_record(), cut in 0.0..1.0_f64) {
            let mut draft = Draft::of(&record);
            let bytes = draft.stamped(1);
            let end = (bytes.len() as f64 * cut) as usize;
            prop_assert!(decode(&Partition::new("t", 0), 0, &bytes[..end]).is_err());
        }
    }

    #[test]
    fn a_record_weighs_what_kafka_says() {
        // By the layout of record format v2, with lengths of one and of two bytes.
        let record = |key: Option<&str>, value: usize| Record {
            topic: "t".into(),
            partition: None,
            key: key.map(Into::into),
            value: Some(vec![0; value]),
            headers: Vec::new(),
        };
        assert_eq!(kafka_bytes(&record(None, 1)), 61 + 1 + 7);
        assert_eq!(kafka_bytes(&record(Some("k"), 63)), 61 + 2 + 3 + 2 + 64 + 1);
        assert_eq!(kafka_bytes(&record(Some("k"), 64)), 61 + 2 + 3 + 2 + 66 + 1);
    }
}
