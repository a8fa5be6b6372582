//! Reading a changelog up to its end, whatever transactions are open in it.
//!
//! The end is the high watermark, read uncommitted: the newest committed record may lie behind an open transaction of a
//! dead writer, and a reader that stops at the last stable offset would restore state that is too old. So a replay first
//! waits until everything before that end is decided, then reads committed records until the partition's end. One reader
//! serves all replays of a host, one after the other.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::Offset as Place;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::context::Quiet;
use super::errors::Fault;
use super::rdkafka_client::{Names, event_of};
use super::settings::Settings;
use super::silence::SILENT;
use crate::broker::{Error, Replay, Replayed};
use crate::event::{Event, Offset, Partition};
use crate::sync::lock;

/// One question to the broker.
const ASK: Duration = Duration::from_secs(5);
/// How long to wait before asking again whether an open transaction has ended.
const OPEN_WAIT: Duration = Duration::from_millis(50);
/// At most this many records a call.
const RECORDS_MAX: usize = 1000;
/// At most this many idle readers are kept.
const READERS_MAX: usize = 4;

/// What replays of one host share.
pub(super) struct Readers {
    settings: Settings,
    idle: Mutex<Vec<BaseConsumer<Quiet>>>,
}

impl Readers {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, idle: Mutex::new(Vec::new()) }
    }

    /// Forgets the idle readers, and gives them to be dropped.
    pub(super) fn renew(&self) -> Vec<BaseConsumer<Quiet>> {
        std::mem::take(&mut *lock(&self.idle))
    }

    fn take(&self) -> Result<BaseConsumer<Quiet>, Fault> {
        if let Some(reader) = lock(&self.idle).pop() {
            return Ok(reader);
        }
        self.settings
            .reader("read_committed")
            .create_with_context(Quiet::default())
            .map_err(|e| Fault::of("creating a reader", &e))
    }

    fn give_back(&self, reader: BaseConsumer<Quiet>) {
        // A reader that cannot let go of its partition is dropped.
        if reader.unassign().is_ok() {
            let mut idle = lock(&self.idle);
            if idle.len() < READERS_MAX {
                idle.push(reader);
            }
        }
    }
}

/// How far a replay is.
enum Stage {
    /// Something before the end is undecided.
    Open,
    /// Reading.
    Reading,
    /// All was read.
    Done,
}

/// One replay.
pub(super) struct KafkaReplay {
    readers: Arc<Readers>,
    reader: Option<BaseConsumer<Quiet>>,
    partition: Partition,
    from: Offset,
    end: Offset,
    stage: Stage,
    /// When the reader last brought something, or began to read.
    heard: Instant,
    names: Names,
}

impl KafkaReplay {
    /// `start` and `end` are the partition's bounds, read uncommitted.
    pub(super) fn new(
        readers: &Arc<Readers>,
        partition: &Partition,
        from: Offset,
        (start, end): (Offset, Offset),
    ) -> Result<Self, Error> {
        if from > end {
            return Err(Error::Shrunk { partition: partition.clone(), expected: from, end });
        }
        let from = from.max(start);
        let stage = if from == end { Stage::Done } else { Stage::Open };
        Ok(Self {
            readers: Arc::clone(readers),
            reader: None,
            partition: partition.clone(),
            from,
            end,
            stage,
            heard: Instant::now(),
            names: Names::default(),
        })
    }

    fn endpoint(&self) -> String {
        self.readers.settings.brokers.clone()
    }

    fn fault(&self, fault: Fault) -> Error {
        fault.into_error(&self.endpoint())
    }

    /// Begins to read once all before the end is decided.
    fn open(&mut self, wait: Duration) -> Result<Replayed, Error> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.readers.take().map_err(|f| self.fault(f))?,
        };
        // A read-committed client is told the last stable offset for the high watermark.
        let stable = reader
            .fetch_watermarks(&self.partition.topic, self.partition.number, ASK)
            .map_err(|e| self.fault(Fault::of("reading the last stable offset", &e)));
        match stable {
            Ok((_, stable)) if stable >= self.end => {
                let mut list = TopicPartitionList::new();
                list.add_partition_offset(&self.partition.topic, self.partition.number, Place::Offset(self.from))
                    .and_then(|()| reader.assign(&list))
                    .map_err(|e| self.fault(Fault::of("assigning a reader", &e)))?;
                self.reader = Some(reader);
                self.stage = Stage::Reading;
                self.heard = Instant::now();
                self.read(wait)
            }
            Ok(_) => {
                self.reader = Some(reader);
                std::thread::sleep(wait.min(OPEN_WAIT));
                Ok(Replayed::Waiting)
            }
            Err(error) => Err(error),
        }
    }

    /// All up to the end was read. A topic that is written to all the time must not keep a replay going.
    fn done(&mut self, records: Vec<Event>) -> Replayed {
        self.stage = Stage::Done;
        self.from = self.end;
        if let Some(reader) = self.reader.take() {
            self.readers.give_back(reader);
        }
        if records.is_empty() { Replayed::Done { next: self.end } } else { Replayed::Records(records) }
    }

    /// The leader has nothing more. A leader that took over since may have less than the one that was asked for the end.
    fn ended(&mut self, records: Vec<Event>) -> Result<Replayed, Error> {
        let Some(reader) = &self.reader else { return Ok(self.done(records)) };
        let stable = reader
            .fetch_watermarks(&self.partition.topic, self.partition.number, ASK)
            .map_err(|e| self.fault(Fault::of("reading the last stable offset", &e)));
        match stable {
            Ok((_, stable)) if stable >= self.end => Ok(self.done(records)),
            Ok((_, stable)) if stable < self.from => {
                Err(Error::Shrunk { partition: self.partition.clone(), expected: self.from, end: stable })
            }
            // Asked again from where it is, like at first.
            Ok(_) | Err(_) => {
                self.stage = Stage::Open;
                Ok(if records.is_empty() { Replayed::Waiting } else { Replayed::Records(records) })
            }
        }
    }

    fn read(&mut self, wait: Duration) -> Result<Replayed, Error> {
        let Some(reader) = &self.reader else {
            return Err(Error::Bug { what: "a replay without a reader", cause: self.partition.to_string().into() });
        };
        let until = Instant::now() + wait;
        let mut records: Vec<Event> = Vec::new();
        loop {
            let left =
                if records.is_empty() { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            match reader.poll(left) {
                Some(Ok(message)) => {
                    self.heard = Instant::now();
                    let event = event_of(&message, &mut self.names);
                    if event.partition != self.partition {
                        return Err(Error::Bug {
                            what: "a reader brought a record of another partition",
                            cause: event.partition.to_string().into(),
                        });
                    }
                    if event.offset >= self.end {
                        return Ok(self.done(records));
                    }
                    self.from = event.offset + 1;
                    records.push(event);
                    if self.from >= self.end {
                        return Ok(self.done(records));
                    }
                    if records.len() >= RECORDS_MAX {
                        return Ok(Replayed::Records(records));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return self.ended(records),
                Some(Err(error)) => {
                    let fault = Fault::of("replaying", &error);
                    if records.is_empty() {
                        return Err(self.fault(fault));
                    }
                    return Ok(Replayed::Records(records));
                }
                None if records.is_empty() => {
                    if self.heard.elapsed() >= SILENT {
                        // Another reader goes on from here.
                        (self.reader, self.stage) = (None, Stage::Open);
                    }
                    return Ok(Replayed::Waiting);
                }
                None => return Ok(Replayed::Records(records)),
            }
        }
    }
}

/// A replay that is given up before its end leaves its reader to the next one.
impl Drop for KafkaReplay {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.readers.give_back(reader);
        }
    }
}

impl Replay for KafkaReplay {
    fn next(&mut self, wait: Duration) -> Result<Replayed, Error> {
        match self.stage {
            Stage::Open => self.open(wait),
            Stage::Reading => self.read(wait),
            Stage::Done => Ok(Replayed::Done { next: self.from }),
        }
    }
}
