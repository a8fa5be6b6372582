//! Reads what is committed while it is written: a run is longer than its topics keep their records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{BorrowedMessage, Headers as _};
use serde_json::Value;
use uuid::Uuid;

use crate::kafka::{Kafka, say};
use crate::orders::{id, is_good, tells_of_shipping};
use crate::readers::reader;

/// How long the last orders may take.
const LAST: Duration = Duration::from_secs(300);
/// How long a version may take to its first event.
const FIRST: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// An event of `order-confirmed`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirmed {
    pub(super) offset: i64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(super) at: u64,
    /// Which of [`Sight::versions`] made it.
    pub(super) version: usize,
}

/// How far the orders are.
#[derive(Default)]
pub(super) struct Progress {
    confirmed: AtomicUsize,
    rejected: AtomicUsize,
    shipped: AtomicUsize,
    /// The newest version in each partition.
    newest: Mutex<HashMap<i32, String>>,
}

impl Progress {
    /// How many orders inventory is through with, and how many everybody is.
    pub(super) fn decided_and_ended(&self) -> (usize, usize) {
        let [confirmed, rejected, shipped] =
            [&self.confirmed, &self.rejected, &self.shipped].map(|count| count.load(Ordering::Relaxed));
        (confirmed + rejected, shipped + rejected)
    }

    /// Forgets where this version was before.
    pub(super) fn forget(&self, version: &str) {
        self.newest.lock().unwrap().retain(|_, newest| newest != version);
    }

    /// Waits until an order was confirmed by this version.
    pub(super) fn await_version(&self, version: &str) {
        let deadline = Instant::now() + FIRST;
        while !self.newest.lock().unwrap().values().any(|newest| newest == version) {
            assert!(Instant::now() < deadline, "no order was confirmed by {version}");
            std::thread::sleep(PAUSE);
        }
    }
}

/// What became of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    confirmed: u8,
    shipped: u8,
    rejected: u8,
}

/// What was seen.
#[derive(Default)]
pub(super) struct Sight {
    /// By partition, in order.
    pub(super) confirmed: HashMap<i32, Vec<Confirmed>>,
    pub(super) versions: Vec<String>,
    fates: HashMap<Uuid, Fate>,
}

/// A thread that reads.
pub(super) struct Witness {
    thread: JoinHandle<Sight>,
    pub(super) progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

impl Witness {
    /// Begins to read.
    pub(super) fn begin(kafka: &Kafka) -> Self {
        let consumer = reader(kafka, &["order-confirmed", "notification", "error"]);
        let (progress, stop) = (Arc::new(Progress::default()), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (progress, stop) = (Arc::clone(&progress), Arc::clone(&stop));
            move || read(&consumer, &progress, &stop)
        });
        Self { thread, progress, stop }
    }

    /// Waits until so many orders have ended, and for what should not come after that.
    ///
    /// # Panics
    /// When they do not end.
    pub(super) fn end(self, orders: usize) -> Sight {
        let deadline = Instant::now() + LAST;
        while self.progress.decided_and_ended().1 < orders && !self.thread.is_finished() {
            let (decided, ended) = self.progress.decided_and_ended();
            assert!(Instant::now() < deadline, "of {orders} orders {decided} were decided, {ended} ended");
            std::thread::sleep(PAUSE);
        }
        std::thread::sleep(Duration::from_secs(2));
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Sight {
    /// Good orders were confirmed once and shipped once, the others rejected once, and there are no others.
    pub(super) fn each_had_its_effect_once(&self, orders: usize) {
        assert_eq!(self.fates.len(), orders, "orders that something became of");
        for number in 0..orders {
            let fate = self.fates.get(&Uuid::parse_str(&id("backlog", number)).unwrap()).copied();
            let wanted = match is_good(number) {
                true => Fate { confirmed: 1, shipped: 1, rejected: 0 },
                false => Fate { confirmed: 0, shipped: 0, rejected: 1 },
            };
            assert_eq!(fate, Some(wanted), "order {number}");
        }
    }
}

fn read(consumer: &BaseConsumer, progress: &Progress, stop: &AtomicBool) -> Sight {
    let mut sight = Sight::default();
    while !stop.load(Ordering::Relaxed) {
        let Some(message) = consumer.poll(Duration::from_millis(50)) else { continue };
        let message = match message {
            Ok(message) => message,
            // The client connects again by itself.
            Err(error)
                if matches!(error.rdkafka_error_code(), Some(Code::AllBrokersDown | Code::BrokerTransportFailure)) =>
            {
                say(&format!("the reader: {error}"));
                continue;
            }
            Err(error) => panic!("cannot read: {error}"),
        };
        let value = message.payload().unwrap();
        let order = Uuid::try_parse_ascii(message.key().unwrap()).unwrap();
        let fate = sight.fates.entry(order).or_default();
        let (times, count) = match message.topic() {
            "order-confirmed" => (&mut fate.confirmed, &progress.confirmed),
            "error" => {
                let data = &serde_json::from_slice::<Value>(value).unwrap()["data"];
                assert_eq!((&data["class"], &data["function"]), (&"rejected".into(), &"inventory".into()), "{data}");
                (&mut fate.rejected, &progress.rejected)
            }
            _ if tells_of_shipping(value) => (&mut fate.shipped, &progress.shipped),
            _ => continue,
        };
        *times += 1;
        count.fetch_add(1, Ordering::Relaxed);
        if message.topic() == "order-confirmed" {
            let (partition, version) = (message.partition(), version_of(&message));
            let known = sight.versions.iter().position(|known| known == version);
            let index = known.unwrap_or_else(|| {
                sight.versions.push(version.to_owned());
                sight.versions.len() - 1
            });
            let at = u64::try_from(message.timestamp().to_millis().unwrap()).unwrap();
            let all = sight.confirmed.entry(partition).or_default();
            if all.last().is_none_or(|last| last.version != index) {
                progress.newest.lock().unwrap().insert(partition, version.to_owned());
            }
            all.push(Confirmed { offset: message.offset(), at, version: index });
        }
    }
    sight
}

/// What its header says of who made it.
fn version_of<'a>(message: &'a BorrowedMessage<'_>) -> &'a str {
    let headers = message.headers().unwrap();
    let header = headers.iter().find(|header| header.key == fnhost::worker::error_event::VERSION_HEADER).unwrap();
    std::str::from_utf8(header.value.unwrap()).unwrap()
}
