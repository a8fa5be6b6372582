//! The types that cross module borders: what is read ([`Event`]), what a function returns ([`Output`]), what an
//! invocation did ([`Outcome`]) and what is written ([`Record`]).
//!
//! They know neither Kafka nor wasmtime, and nothing here reads a clock. Sizes are bounded where bytes come in:
//! by the broker's fetch limits, the sandbox's output limits and ingress' body limit.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub mod trace;

/// A place in a partition's log. The offset of a record, or the one after the last.
pub type Offset = i64;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub number: i32,
}

impl Partition {
    /// Partition `number` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, number: i32) -> Self {
        Self { topic: topic.into(), number }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.number)
    }
}

/// A Kafka header. Names may repeat; order is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, which Kafka's protocol has as UTF-8.
    pub name: String,
    /// The bytes; `None` is Kafka's null, which differs from empty.
    pub value: Option<Vec<u8>>,
}

/// One Kafka record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it lies. A function does not see it.
    pub partition: Partition,
    /// Its offset in that partition. Gaps between offsets are ordinary: transaction markers take them.
    pub offset: Offset,
    /// Milliseconds since the Unix epoch; `None` when the record carries none.
    pub timestamp_ms: Option<u64>,
    /// `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
    /// In the order of the record.
    pub headers: Vec<Header>,
}

impl Event {
    /// What the record's parts weigh, in bytes: key, value, header names and values.
    pub fn size_bytes(&self) -> usize {
        size_bytes(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

fn size_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
    let headers: usize = headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Vec::len)).sum();
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
}

/// One record to be written, in a transaction or by a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where to.
    pub topic: Arc<str>,
    /// Which partition; `None` lets the key decide (murmur2, as Java's clients do).
    pub partition: Option<i32>,
    /// `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// `None` is Kafka's null, on a compacted topic a deletion.
    pub value: Option<Vec<u8>>,
    /// In this order.
    pub headers: Vec<Header>,
}

impl Record {
    /// What the record's parts weigh, in bytes: key, value, header names and values.
    pub fn size_bytes(&self) -> usize {
        size_bytes(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

/// One record that a function returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// A topic that the manifest lets this function write to.
    pub topic: Arc<str>,
    /// `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
    /// In this order.
    pub headers: Vec<Header>,
}

/// One change of a function's state: the key, and its new value or `None` for a deletion.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

impl Output {
    /// What the record's parts weigh, in bytes: key, value, header names and values.
    pub fn size_bytes(&self) -> usize {
        size_bytes(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

/// What an invocation that completed wants to be visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What to publish, in this order.
    pub outputs: Vec<Output>,
    /// What to change in the function's state, ordered by key, one change a key.
    pub changes: Vec<Change>,
}

impl Effects {
    /// What all of it weighs, in bytes.
    pub fn size_bytes(&self) -> usize {
        let outputs: usize = self.outputs.iter().map(Output::size_bytes).sum();
        let changes: usize =
            self.changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
        outputs + changes
    }
}

/// What an invocation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned; its effects are to be applied.
    Completed(Effects),
    /// It did not, or what it returned cannot be published.
    Failed(Failure),
    /// It asked to be tried again, for this reason.
    RetryAsked(String),
}

/// Why an event could not be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind, for people and metrics.
    pub class: Class,
    /// What happened, for people. At most [`Failure::REASON_BYTES_MAX`].
    pub reason: String,
}

impl Failure {
    /// A longer reason is cut.
    pub const REASON_BYTES_MAX: usize = 2048;

    /// A failure; a reason that is too long is cut at a character's border.
    pub fn new(class: Class, reason: impl Into<String>) -> Self {
        Self { class, reason: cut(reason.into(), Self::REASON_BYTES_MAX) }
    }
}

/// The text, if it is longer than `bytes_max` ended at a character's border by `…`.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max.saturating_sub('…'.len_utf8())).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// The kinds of failure. Their names stand in error events and metrics: a change breaks whoever reads those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The function said that the event will never work.
    Rejected,
    /// The function asked for one more try than `retry.attempts` allows.
    RetriesExhausted,
    /// The component trapped: a panic, `unreachable`, a stack overflow, an import that is not there for functions.
    Trapped,
    /// `limits.time` ran out.
    TimedOut,
    /// `limits.memory` was not enough.
    OutOfMemory,
    /// An output went to a topic that the function's `output` does not name.
    UndeclaredTopic,
    /// An output does not fit the schema of its topic.
    SchemaMismatch,
    /// The outputs are more bytes or records than `limits.output` allows.
    OutputTooLarge,
    /// A state key, value or the number of changes is beyond its limit.
    StateTooLarge,
    /// The broker will never take one of the outputs or state changes.
    PublishRefused,
}

impl Class {
    /// Every class, in a fixed order.
    pub const ALL: [Self; 10] = [
        Self::Rejected,
        Self::RetriesExhausted,
        Self::Trapped,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::UndeclaredTopic,
        Self::SchemaMismatch,
        Self::OutputTooLarge,
        Self::StateTooLarge,
        Self::PublishRefused,
    ];

    /// The name in error events, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::RetriesExhausted => "retries-exhausted",
            Self::Trapped => "trapped",
            Self::TimedOut => "timed-out",
            Self::OutOfMemory => "out-of-memory",
            Self::UndeclaredTopic => "undeclared-topic",
            Self::SchemaMismatch => "schema-mismatch",
            Self::OutputTooLarge => "output-too-large",
            Self::StateTooLarge => "state-too-large",
            Self::PublishRefused => "publish-refused",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A component's name: the SHA-256 of its bytes. Written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of a component's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The 64 hexadecimal digits, without the algorithm's name.
    pub fn hex(&self) -> String {
        digits(&self.0)
    }

    /// The first seven digits, for people.
    pub fn short(&self) -> String {
        self.hex().chars().take(7).collect()
    }
}

/// Bytes as hexadecimal digits.
fn digits(bytes: &[u8]) -> String {
    // Not by `write!`, which costs more than all else that carries a trace from one event to the next.
    let mut digits = String::with_capacity(2 * bytes.len());
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.extend(halves.filter_map(|half| char::from_digit(half.into(), 16)));
    digits
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const NONE: &str = "it is to be `sha256:` and 64 hexadecimal digits";
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64).ok_or(NONE)?;
        let mut digest = [0; 32];
        for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|d| d.is_ascii_hexdigit()));
            *byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(NONE)?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
