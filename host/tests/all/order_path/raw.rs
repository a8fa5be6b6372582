//! One record written in Kafka's protocol by hand: what no client library lets a test write.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fnhost::event::{Offset, Partition};

use crate::kafka::{Kafka, PATIENCE};

/// A record whose header names are bytes.
pub(crate) struct RawRecord<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) headers: &'a [(&'a [u8], &'a [u8])],
    pub(crate) timestamp_ms: i64,
}

impl Kafka {
    /// Writes a record past every client library, and gives its offset.
    pub(crate) fn write_raw(&self, partition: &Partition, record: &RawRecord<'_>) -> Offset {
        let mut stream = TcpStream::connect(&self.brokers).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&produce(partition, &batch(record))).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut answer).unwrap();
        // Correlation id, one topic and its name, one partition and its number; then error code and offset.
        let at = 4 + 4 + 2 + partition.topic.len() + 4 + 4;
        let code = i16::from_be_bytes(answer[at..at + 2].try_into().unwrap());
        assert_eq!(code, 0, "the broker refuses a record written by hand");
        i64::from_be_bytes(answer[at + 2..at + 10].try_into().unwrap())
    }
}

/// A Produce request of version 3, acks=all, with its length in front.
fn produce(partition: &Partition, batch: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(0_i16.to_be_bytes());
    request.extend(3_i16.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    text(&mut request, "raw");
    request.extend((-1_i16).to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    text(&mut request, &partition.topic);
    request.extend(1_i32.to_be_bytes());
    request.extend(partition.number.to_be_bytes());
    framed(&mut request, batch);
    let mut whole = Vec::new();
    framed(&mut whole, &request);
    whole
}

/// A record batch of format 2 that holds one record.
fn batch(record: &RawRecord<'_>) -> Vec<u8> {
    let mut body = vec![0];
    varint(&mut body, 0);
    varint(&mut body, 0);
    for part in [record.key, record.value] {
        bytes(&mut body, part);
    }
    varint(&mut body, i64::try_from(record.headers.len()).unwrap());
    for (name, value) in record.headers {
        bytes(&mut body, name);
        bytes(&mut body, value);
    }
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes());
    checked.extend(0_i32.to_be_bytes());
    checked.extend(record.timestamp_ms.to_be_bytes());
    checked.extend(record.timestamp_ms.to_be_bytes());
    checked.extend((-1_i64).to_be_bytes());
    checked.extend((-1_i16).to_be_bytes());
    checked.extend((-1_i32).to_be_bytes());
    checked.extend(1_i32.to_be_bytes());
    bytes(&mut checked, &body);
    let mut after_length = Vec::new();
    after_length.extend(0_i32.to_be_bytes());
    after_length.push(2);
    after_length.extend(crc32c(&checked).to_be_bytes());
    after_length.extend(checked);
    let mut whole = 0_i64.to_be_bytes().to_vec();
    framed(&mut whole, &after_length);
    whole
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    into.extend(text.as_bytes());
}

fn framed(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
    into.extend(bytes);
}

fn bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    varint(into, i64::try_from(bytes.len()).unwrap());
    into.extend(bytes);
}

/// A number as records have it: zigzag, seven bits a byte.
fn varint(into: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        into.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    into.push(u8::try_from(left).unwrap());
}

fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum)))
}
