//! One page of a topic's events: what its partitions hold from a cursor on, put together in the order of time.
//!
//! Each partition is replayed for a part of the page, then the parts are merged by timestamp, and the cursor moves past what
//! came out; what did not is read again for the next page. The order holds within a partition always, between partitions as
//! far as their clocks agree and nobody's open transaction keeps one of them back. Only what is committed is read.
//!
//! Bounded by [`Limits`]. Everything here blocks.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::broker::{Broker, Error, Progress, Replayed};
use crate::event::{Event, Offset, Partition};

/// Where to read from, in each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event.
    Earliest,
    /// After the newest event.
    Latest,
    /// At this offset, or the nearest that there is.
    Offset(Offset),
    /// At these offsets, by partition; at the oldest event of one that is not named. What a page calls `next`.
    Cursor(BTreeMap<i32, Offset>),
}

/// What may be written for [`Start`].
pub const STARTS: &str = "`earliest`, `latest`, an offset, or PARTITION:OFFSET,… such as 0:17,1:4";

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let offset = |text: &str| text.parse::<Offset>().ok().filter(|offset| *offset >= 0);
        let place = |text: &str| {
            let (number, at) = text.split_once(':')?;
            Some((number.parse().ok().filter(|number: &i32| *number >= 0)?, offset(at)?))
        };
        let start = match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            text if text.contains(':') => text.split(',').map(place).collect::<Option<_>>().map(Self::Cursor),
            text => offset(text).map(Self::Offset),
        };
        start.ok_or_else(|| format!("it is to be {STARTS}"))
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Offset(offset) => offset.fmt(f),
            Self::Cursor(places) => {
                for (i, (number, offset)) in places.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{number}:{offset}")?;
                }
                Ok(())
            }
        }
    }
}

/// What is wanted of a topic.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) topic: String,
    pub(super) from: Start,
    /// Only events with this key.
    pub(super) key: Option<Vec<u8>>,
    /// Only events that are no older, in milliseconds since the Unix epoch.
    pub(super) since_ms: Option<u64>,
    /// At most this many events.
    pub(super) limit: usize,
}

impl Wanted {
    fn takes(&self, event: &Event) -> bool {
        // One without a time may be as new as any.
        let is_old = event.timestamp_ms.zip(self.since_ms).is_some_and(|(at, since)| at < since);
        !is_old && (self.key.is_none() || event.key == self.key)
    }
}

/// What bounds a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// All events together, in bytes. A larger one comes alone.
    pub(super) bytes: usize,
    /// How many records of one partition are looked at, whatever their keys.
    pub(super) records: usize,
    /// How long one partition may have nothing to give: a transaction is open there, or the broker is slow.
    pub(super) patience: Duration,
    /// How long all of it may take before no further partition is begun.
    pub(super) time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, records: 20_000, patience: Duration::from_secs(1), time: Duration::from_secs(5) }
    }
}

/// What was read.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<Event>,
    /// Where to go on, in every partition.
    pub(super) next: Start,
    /// Whether there is more to be read already.
    pub(super) more: bool,
}

/// Reads a page. `group` is one that never has positions: a topic's bounds are asked of the broker on its behalf.
///
/// # Errors
/// [`Error::NoSuchTopic`]; [`Error::Shrunk`] when a cursor lies beyond a partition's end; otherwise the broker's.
pub(super) fn read(broker: &dyn Broker, group: &str, wanted: &Wanted, limits: &Limits) -> Result<Page, Error> {
    let bounds = broker.progress(group, &[&wanted.topic])?;
    if bounds.is_empty() {
        return Err(Error::NoSuchTopic { topic: wanted.topic.clone() });
    }
    let mut parts: Vec<Part> = bounds.into_iter().map(|bounds| Part::new(bounds, &wanted.from)).collect();
    let busy = parts.iter().filter(|part| part.state == State::Unread).count();
    let share = limits.bytes / busy.max(1);
    let until = Instant::now() + limits.time;
    for part in parts.iter_mut().filter(|part| part.state == State::Unread) {
        if Instant::now() < until {
            part.fill(broker, wanted, share, limits)?;
        }
    }
    let events = merge(&mut parts, wanted.limit);
    let more = parts.iter().any(|part| part.state != State::Ended || !part.events.is_empty());
    let next = parts.iter().map(|part| (part.partition.number, part.next())).collect();
    Ok(Page { events, next: Start::Cursor(next), more })
}

/// The oldest events of all parts. Ends before a part that was cut would be missed.
fn merge(parts: &mut [Part], limit: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < limit && !parts.iter().any(|part| part.state == State::Cut && part.events.is_empty()) {
        let oldest = parts.iter_mut().min_by_key(|part| match part.events.front() {
            Some(event) => (false, event.timestamp_ms),
            None => (true, None),
        });
        let Some(event) = oldest.and_then(|part| part.events.pop_front()) else { break };
        events.push(event);
    }
    events
}

/// How far one partition was read for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not yet, or not far enough within the time that it had.
    Unread,
    /// Until its share of the page was full.
    Cut,
    /// To its end.
    Ended,
}

/// One partition's part of a page.
struct Part {
    partition: Partition,
    state: State,
    /// What was read, and does not stand on the page yet.
    events: VecDeque<Event>,
    /// The offset behind all that was looked at.
    looked: Offset,
}

impl Part {
    fn new(bounds: Progress, from: &Start) -> Self {
        let Progress { partition, start, end, .. } = bounds;
        let looked = match from {
            Start::Earliest => start,
            Start::Latest => end,
            Start::Offset(offset) => (*offset).clamp(start, end),
            Start::Cursor(places) => places.get(&partition.number).copied().unwrap_or(start).max(start),
        };
        // One beyond the end is for the broker to judge, which knows of what is not committed yet.
        let state = if looked == end { State::Ended } else { State::Unread };
        Self { partition, state, events: VecDeque::new(), looked }
    }

    /// Where to go on when the page ends here.
    fn next(&self) -> Offset {
        self.events.front().map_or(self.looked, |event| event.offset)
    }

    fn fill(&mut self, broker: &dyn Broker, wanted: &Wanted, bytes_max: usize, limits: &Limits) -> Result<(), Error> {
        let mut replay = broker.replay(&self.partition, self.looked)?;
        let (mut bytes, mut records) = (0, 0);
        let mut until = Instant::now() + limits.patience;
        loop {
            match replay.next(until.saturating_duration_since(Instant::now()))? {
                Replayed::Records(events) => {
                    for event in events {
                        let kept = wanted.takes(&event);
                        let size = event.size_bytes();
                        let full = kept && !self.events.is_empty() && bytes + size > bytes_max;
                        if full || records == limits.records || self.events.len() == wanted.limit {
                            self.state = State::Cut;
                            return Ok(());
                        }
                        self.looked = event.offset + 1;
                        records += 1;
                        if kept {
                            bytes += size;
                            self.events.push_back(event);
                        }
                    }
                    until = Instant::now() + limits.patience;
                }
                Replayed::Done { next } => {
                    self.looked = next;
                    self.state = State::Ended;
                    return Ok(());
                }
                Replayed::Waiting if Instant::now() >= until => return Ok(()),
                Replayed::Waiting => {}
            }
        }
    }
}
