//! A broker that is read only: topics in memory, whose ends and open transactions are as a test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnhost::broker::{
    Broker, Error, Exclusive, Identity, Member, Membership, Progress, Publisher, Replay, Replayed, Topic, TopicChange,
};
use fnhost::event::{Event, Offset, Partition};
use tokio::sync::Semaphore;

/// One partition's log.
#[derive(Clone, Default)]
struct Log {
    events: Vec<Event>,
    end: Offset,
    /// A transaction that is open before the end.
    open: bool,
}

#[derive(Default)]
pub(super) struct Logs {
    logs: Mutex<BTreeMap<Partition, Log>>,
    /// When set, whoever asks for a topic's bounds waits for a permit of the second, having given one to the first.
    held: Mutex<Option<(Arc<Semaphore>, Arc<Semaphore>)>>,
}

impl Logs {
    /// Puts an event at the end of a partition.
    pub(super) fn push(&self, partition: &Partition, timestamp_ms: u64, key: &str, value: impl Into<Vec<u8>>) {
        let mut logs = self.logs.lock().unwrap();
        let log = logs.entry(partition.clone()).or_default();
        log.events.push(Event {
            partition: partition.clone(),
            offset: log.end,
            timestamp_ms: Some(timestamp_ms),
            key: Some(key.into()),
            value: Some(value.into()),
            headers: vec![],
        });
        log.end += 1;
    }

    /// Moves a partition's end past a transaction's marker.
    pub(super) fn mark(&self, partition: &Partition) {
        self.logs.lock().unwrap().get_mut(partition).unwrap().end += 1;
    }

    pub(super) fn set_open(&self, partition: &Partition, open: bool) {
        self.logs.lock().unwrap().get_mut(partition).unwrap().open = open;
    }

    /// Holds up whoever reads from now on. The first semaphore counts them, the second lets them go on.
    pub(super) fn hold(&self) -> (Arc<Semaphore>, Arc<Semaphore>) {
        let held = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        *self.held.lock().unwrap() = Some(held.clone());
        held
    }
}

impl Broker for Logs {
    fn progress(&self, group: &str, topics: &[&str]) -> Result<Vec<Progress>, Error> {
        assert_eq!(group, "fulfilment.events", "it lies beneath the app's name");
        let held = self.held.lock().unwrap().clone();
        if let Some((arrived, go)) = held {
            arrived.add_permits(1);
            crate::kafka::block_on(go.acquire()).unwrap().forget();
        }
        let logs = self.logs.lock().unwrap();
        let of = logs.iter().filter(|(partition, _)| topics.contains(&&*partition.topic));
        let progress = |(partition, log): (&Partition, &Log)| {
            let start = log.events.first().map_or(log.end, |event| event.offset);
            Progress { partition: partition.clone(), position: None, start, end: log.end }
        };
        Ok(of.map(progress).collect())
    }

    fn replay(&self, partition: &Partition, from: Offset) -> Result<Box<dyn Replay>, Error> {
        let log = self.logs.lock().unwrap()[partition].clone();
        if from > log.end {
            return Err(Error::Shrunk { partition: partition.clone(), expected: from, end: log.end });
        }
        Ok(Box::new(Reading { log, next: from }))
    }

    fn join(&self, _: &Member) -> Result<Box<dyn Membership>, Error> {
        unreachable!()
    }
    fn exclusive(&self, _: &str) -> Result<Box<dyn Exclusive>, Error> {
        unreachable!()
    }
    fn publisher(&self) -> Result<Arc<dyn Publisher>, Error> {
        unreachable!()
    }
    fn topics(&self, _: &[&str]) -> Result<Vec<Topic>, Error> {
        unreachable!()
    }
    fn partitions(&self, _: &[&str]) -> Result<BTreeMap<String, i32>, Error> {
        Ok(BTreeMap::new())
    }

    fn apply(&self, _: &[TopicChange]) -> Result<(), Error> {
        unreachable!()
    }
    fn check(&self, _: Duration) -> Result<Identity, Error> {
        unreachable!()
    }
}

struct Reading {
    log: Log,
    next: Offset,
}

impl Replay for Reading {
    fn next(&mut self, wait: Duration) -> Result<Replayed, Error> {
        if self.log.open {
            std::thread::park_timeout(wait);
            return Ok(Replayed::Waiting);
        }
        let left = self.log.events.iter().filter(|event| event.offset >= self.next);
        let part: Vec<Event> = left.take(1000).cloned().collect();
        match part.last() {
            Some(last) => {
                self.next = last.offset + 1;
                Ok(Replayed::Records(part))
            }
            None => Ok(Replayed::Done { next: self.log.end }),
        }
    }
}
