//! [`Client`] over rdkafka: conversions, and nothing that decides.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Offset as Place;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header as SentHeader, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::admin;
use super::client::{Batching, Client, Delivery, Signal, Start};
use super::context::{Change, Deliveries, Member, Producing, Talk};
use super::ending::end;
use super::errors::{Demand, Fault};
use super::polled::Polled;
use super::settings::Settings;
use crate::broker::{self, Position};
use crate::event::{Event, Header, Offset, Partition, Record};

/// How long freeing a delivery report may take: some microseconds in truth.
const FREED_WAIT: Duration = Duration::from_millis(50);

/// A transactional producer and what its callbacks write to.
struct Transactor {
    producer: Polled,
    deliveries: Arc<Deliveries>,
    talk: Arc<Talk>,
    batching: Batching,
    in_flight: usize,
}

/// A membership's consumer and producer.
pub(super) struct RdkafkaClient {
    settings: Settings,
    group: String,
    transactional_id: String,
    /// Whether the place outlives this client.
    stable: bool,
    consumer: Arc<BaseConsumer<Member>>,
    /// Whether it has left its group, or need not.
    has_left: bool,
    transactor: Option<Transactor>,
    /// The place in the group that the present assignment was given to. Written by `assign`; a commit names it.
    generation: Option<ConsumerGroupMetadata>,
    names: Names,
}

impl RdkafkaClient {
    /// Creates and subscribes the consumer. Nothing is sent yet.
    pub(super) fn new(settings: &Settings, member: &broker::Member) -> Result<Self, Fault> {
        let consumer: BaseConsumer<Member> = settings
            .member(member)
            .create_with_context(Member::default())
            .map_err(|e| Fault::of("creating the consumer", &e))?;
        let topics: Vec<&str> = member.topics.keys().map(AsRef::as_ref).collect();
        consumer.subscribe(&topics).map_err(|e| Fault::of("subscribing", &e))?;
        let names = Names::default();
        Ok(Self {
            settings: settings.clone(),
            group: member.group.clone(),
            transactional_id: member.name.clone(),
            stable: member.stable,
            consumer: Arc::new(consumer),
            has_left: false,
            transactor: None,
            generation: None,
            names,
        })
    }

    fn transactor(&self, call: &'static str) -> Result<&Transactor, Fault> {
        self.transactor.as_ref().ok_or_else(|| Fault {
            call,
            code: rdkafka::types::RDKafkaErrorCode::State,
            demand: Demand::Replace,
            text: "no producer".to_owned(),
        })
    }
}

impl Drop for RdkafkaClient {
    fn drop(&mut self) {
        self.consumer.context().set_closing();
        self.discard();
        // One that was told to leave does so now. Any other may have nobody to leave.
        if !self.has_left {
            end(Arc::clone(&self.consumer));
        }
    }
}

impl Client for RdkafkaClient {
    fn poll(&mut self, wait: Duration) -> Signal {
        // What the callback noted comes first: events that follow were read under it.
        if let Some(change) = self.consumer.context().next_change() {
            return change.into();
        }
        let polled = match self.consumer.poll(wait) {
            None => Signal::Nothing,
            Some(Ok(message)) => Signal::Event(Box::new(event_of(&message, &mut self.names))),
            Some(Err(error)) => {
                let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
                Signal::Fault { fault: Fault::of("consuming", &error), fatal }
            }
        };
        match self.consumer.context().next_change() {
            // A poll that ran the callback returns nothing else.
            Some(change) => change.into(),
            None => polled,
        }
    }

    fn is_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    fn committed(
        &mut self,
        partitions: &[Partition],
        within: Duration,
    ) -> Result<BTreeMap<Partition, Position>, Fault> {
        const CALL: &str = "reading committed positions";
        let asked = list(partitions.iter(), |_| Place::Invalid)?;
        let found = self.consumer.committed_offsets(asked, within).map_err(|e| Fault::of(CALL, &e))?;
        let mut positions = BTreeMap::new();
        for element in found.elements() {
            element.error().map_err(|e| Fault::of(CALL, &e))?;
            let next = match element.offset() {
                Place::Offset(offset) => Some(offset),
                _ => None,
            };
            let position = Position { next, note: element.metadata().to_owned() };
            positions.insert(self.names.partition(element.topic(), element.partition()), position);
        }
        Ok(positions)
    }

    fn is_answered(&mut self, within: Duration) -> bool {
        admin::is_answered(&self.consumer, within).is_ok()
    }

    fn is_held(&mut self, partitions: &[Partition], within: Duration) -> bool {
        let asked = list(partitions.iter(), |_| Place::Invalid);
        asked.is_ok_and(|asked| admin::unstable(&self.settings, &self.group, asked, within).is_ok())
    }

    fn bounds(&mut self, partition: &Partition, within: Duration) -> Result<(Offset, Offset), Fault> {
        self.consumer
            .fetch_watermarks(&partition.topic, partition.number, within)
            .map_err(|e| Fault::of("reading a partition's bounds", &e))
    }

    fn keep(&mut self, positions: &BTreeMap<Partition, Position>) -> Result<(), Fault> {
        let at = |p: &Partition| positions.get(p).and_then(|p| p.next).map_or(Place::Invalid, Place::Offset);
        let list = list(positions.keys(), at)?;
        self.consumer.commit(&list, CommitMode::Sync).map_err(|e| Fault::of("keeping where the group begins", &e))
    }

    fn assign(&mut self, starts: &BTreeMap<Partition, Start>) -> Result<(), Fault> {
        let at = |partition: &Partition| match starts.get(partition) {
            Some(Start::At(offset)) => Place::Offset(*offset),
            Some(Start::Oldest) | None => Place::Beginning,
        };
        let list = list(starts.keys(), at)?;
        self.consumer.assign(&list).map_err(|e| Fault::of("assigning", &e))?;
        self.generation = self.consumer.group_metadata();
        self.consumer.pause(&list).map_err(|e| Fault::of("pausing", &e))
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Fault> {
        let list = list(partitions.iter(), |_| Place::Invalid)?;
        self.consumer.pause(&list).map_err(|e| Fault::of("pausing", &e))
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Fault> {
        let list = list(partitions.iter(), |_| Place::Invalid)?;
        self.consumer.resume(&list).map_err(|e| Fault::of("resuming", &e))
    }

    fn init(&mut self, batching: Batching, within: Duration) -> Result<(), Fault> {
        if self.transactor.as_ref().is_some_and(|t| t.batching == batching) {
            return Ok(());
        }
        self.discard();
        let context = Producing::default();
        let (deliveries, talk) = (Arc::clone(&context.deliveries), Arc::clone(&context.talk));
        let mut config = self.settings.transactional(&self.transactional_id);
        if batching == Batching::One {
            config.set("batch.num.messages", "1");
        }
        let producer = Polled::create(&config, context).map_err(|e| Fault::of("creating the producer", &e))?;
        producer
            .awake()
            .init_transactions(within)
            .map_err(|e| Fault::of_transaction("initialising transactions", &e))?;
        self.transactor = Some(Transactor { producer, deliveries, talk, batching, in_flight: 0 });
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Fault> {
        const CALL: &str = "beginning a transaction";
        self.transactor(CALL)?.producer.awake().begin_transaction().map_err(|e| Fault::of_transaction(CALL, &e))
    }

    fn send(&mut self, index: usize, record: &Record) -> Result<(), Fault> {
        const CALL: &str = "sending a record";
        send(self.transactor(CALL)?.producer.awake(), index, record).map_err(|e| Fault::of(CALL, &e))?;
        if let Some(transactor) = &mut self.transactor {
            transactor.in_flight += 1;
        }
        Ok(())
    }

    fn drain(&mut self, within: Duration) -> Vec<Delivery> {
        let Some(transactor) = &mut self.transactor else {
            return Vec::new();
        };
        transactor.producer.awake();
        let came = transactor.deliveries.take(transactor.in_flight, within);
        transactor.in_flight = transactor.in_flight.saturating_sub(came.len());
        came
    }

    fn in_flight(&self) -> usize {
        self.transactor.as_ref().map_or(0, |t| t.in_flight)
    }

    fn send_offsets(&mut self, positions: &BTreeMap<Partition, Position>, within: Duration) -> Result<(), Fault> {
        const CALL: &str = "sending positions";
        let list =
            list(positions.keys(), |p| positions.get(p).and_then(|p| p.next).map_or(Place::Invalid, Place::Offset))?;
        for (partition, position) in positions {
            if let Some(mut element) = list.find_partition(&partition.topic, partition.number)
                && !position.note.is_empty()
            {
                element.set_metadata(&position.note);
            }
        }
        // Never asked for anew: a consumer that was thrown out has neither generation nor member id, and brokers take
        // such a commit from anyone.
        let Some(group) = &self.generation else {
            return Err(Fault {
                call: CALL,
                code: rdkafka::types::RDKafkaErrorCode::UnknownMemberId,
                demand: Demand::Abort,
                text: "the consumer has no group".to_owned(),
            });
        };
        let transactor = self.transactor(CALL)?;
        transactor
            .producer
            .awake()
            .send_offsets_to_transaction(&list, group, within)
            .map_err(|e| Fault::of_transaction(CALL, &e))
    }

    fn commit(&mut self, within: Duration) -> Result<(), Fault> {
        const CALL: &str = "committing";
        let producer = self.transactor(CALL)?.producer.awake();
        freed(producer);
        producer.commit_transaction(within).map_err(|e| Fault::of_transaction(CALL, &e))
    }

    fn abort(&mut self, within: Duration) -> Result<(), Fault> {
        const CALL: &str = "aborting";
        self.transactor(CALL)?.producer.awake().abort_transaction(within).map_err(|e| Fault::of_transaction(CALL, &e))
    }

    fn discard(&mut self) {
        if let Some(transactor) = self.transactor.take() {
            end(Arc::new(transactor));
        }
    }

    fn is_tainted(&mut self) -> bool {
        self.transactor.as_ref().is_some_and(|t| t.talk.take_taint())
    }

    fn close(&mut self, within: Duration) -> Result<(), Fault> {
        const CALL: &str = "leaving the group";
        self.consumer.context().set_closing();
        self.discard();
        if self.stable {
            self.has_left = true;
            // To unsubscribe leaves the group, static or not; to be dropped does not.
            return Ok(());
        }
        self.consumer.unsubscribe();
        // The revocation that follows is served by polls; then the consumer is dropped, which leaves the group.
        let until = Instant::now() + within;
        while self.consumer.assignment().is_ok_and(|a| a.count() > 0) {
            if Instant::now() >= until {
                return Err(Fault {
                    call: CALL,
                    code: rdkafka::types::RDKafkaErrorCode::OperationTimedOut,
                    demand: Demand::Retry,
                    text: "the group did not answer".to_owned(),
                });
            }
            drop(self.consumer.poll(Duration::from_millis(10)));
        }
        self.has_left = true;
        Ok(())
    }
}

/// Waits until the polling thread has let go of the last delivery report, which it frees a moment after we heard of it. rdkafka's
/// commit flushes, and a flush that finds a report sleeps for 100 ms.
fn freed(producer: &BaseProducer<Producing>) {
    let until = Instant::now() + FREED_WAIT;
    while producer.in_flight_count() > 0 && Instant::now() < until {
        std::thread::yield_now();
    }
}

impl From<Change> for Signal {
    fn from(change: Change) -> Self {
        match change {
            Change::Assigned(partitions) => Self::Assigned(partitions),
            Change::Revoked { partitions, lost } => Self::Revoked { partitions, lost },
        }
    }
}

/// Queues a record with any producer whose opaque is an index.
pub(super) fn send(producer: &BaseProducer<Producing>, index: usize, record: &Record) -> Result<(), KafkaError> {
    let mut sent: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&record.topic, index);
    sent.partition = record.partition;
    sent.key = record.key.as_deref();
    sent.payload = record.value.as_deref();
    sent.headers = headers_of(&record.headers);
    producer.send(sent).map_err(|(error, _)| error)
}

/// Headers as rdkafka has them.
pub(super) fn headers_of(headers: &[Header]) -> Option<OwnedHeaders> {
    (!headers.is_empty()).then(|| {
        headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, header| {
            owned.insert(SentHeader { key: &header.name, value: header.value.as_deref() })
        })
    })
}

/// Topic names, each held once.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Arc<str>>);

impl Names {
    pub(super) fn partition(&mut self, topic: &str, number: i32) -> Partition {
        // A member reads a handful of topics: a scan beats a map.
        if let Some(known) = self.0.iter().find(|known| ***known == *topic) {
            return Partition::new(Arc::clone(known), number);
        }
        let topic: Arc<str> = topic.into();
        self.0.push(Arc::clone(&topic));
        Partition::new(topic, number)
    }
}

/// An event of a message that was read.
pub(super) fn event_of(message: &BorrowedMessage<'_>, names: &mut Names) -> Event {
    Event {
        partition: names.partition(message.topic(), message.partition()),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(read_headers).unwrap_or_default(),
    }
}

fn read_headers<H: Headers>(headers: &H) -> Vec<Header> {
    (0..headers.count())
        .map(|index| {
            // rdkafka panics on a name that is not UTF-8, which Kafka's protocol forbids and its brokers let through.
            let read = catch_unwind(AssertUnwindSafe(|| {
                let header = headers.get(index);
                Header { name: header.key.to_owned(), value: header.value.map(<[u8]>::to_vec) }
            }));
            read.unwrap_or_else(|_| Header { name: char::REPLACEMENT_CHARACTER.to_string(), value: None })
        })
        .collect()
}

fn list<'a>(
    partitions: impl Iterator<Item = &'a Partition>,
    at: impl Fn(&Partition) -> Place,
) -> Result<TopicPartitionList, Fault> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(&partition.topic, partition.number, at(partition))
            .map_err(|e| Fault::of("naming partitions", &e))?;
    }
    Ok(list)
}
