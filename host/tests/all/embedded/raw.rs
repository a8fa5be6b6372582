//! The file as other code reads it: its tables and records, written down a second time to compare with.

use std::fs;
use std::path::Path;

use fnhost::event::{Event, Header, Partition};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase as _, StorageBackend as _, TableDefinition};

/// Name to id, partitions and configuration.
const TOPICS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("topics");
/// Topic id, partition and offset to a record.
const RECORDS: TableDefinition<'static, (u32, i32, i64), &[u8]> = TableDefinition::new("records");

/// All records of a topic in a copy of the file as it is now, as after a kill. Nobody may be writing.
pub(crate) fn read_a_copy(path: &Path, topic: &str) -> Vec<Event> {
    let (bytes, copy) = (fs::read(path).unwrap(), InMemoryBackend::new());
    copy.set_len(bytes.len() as u64).unwrap();
    copy.write(0, &bytes).unwrap();
    let database = Database::builder().create_with_backend(copy).unwrap();
    let read = database.begin_read().unwrap();
    let topics = read.open_table(TOPICS).unwrap();
    let Some(stored) = topics.get(topic).unwrap() else { return Vec::new() };
    let stored: serde_json::Value = serde_json::from_slice(stored.value()).unwrap();
    let id = u32::try_from(stored["id"].as_u64().unwrap()).unwrap();
    let records = read.open_table(RECORDS).unwrap();
    let of_it = records.range((id, 0, 0)..(id + 1, 0, 0)).unwrap();
    of_it
        .map(|entry| {
            let (key, bytes) = entry.unwrap();
            let (_, number, offset) = key.value();
            decode(Partition::new(topic, number), offset, bytes.value())
        })
        .collect()
}

fn decode(partition: Partition, offset: i64, mut bytes: &[u8]) -> Event {
    let timestamp_ms = Some(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap()));
    let (key, value) = (part(&mut bytes), part(&mut bytes));
    let count = length(&mut bytes);
    let headers = (0..count)
        .map(|_| Header { name: String::from_utf8(part(&mut bytes).unwrap()).unwrap(), value: part(&mut bytes) })
        .collect();
    assert_eq!(bytes, b"", "nothing follows a record");
    Event { partition, offset, timestamp_ms, key, value, headers }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn length(bytes: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(bytes, 4).try_into().unwrap())
}

fn part(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let length = length(bytes);
    (length != u32::MAX).then(|| take(bytes, length as usize).to_vec())
}

/// Makes the file one of another format.
pub(crate) fn set_format(path: &Path, format: u64) {
    let database = Database::open(path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", format).unwrap();
    write.commit().unwrap();
}
