//! When each order was seen to be shipped.
//!
//! On Kafka a consumer is told. The embedded broker's file is the host's alone, so its admin listener is asked for the
//! notifications after the last ones seen, again and again. What that adds to a figure is up to the time from one answer
//! to the next, half of it on average; these times are told too. And the host answers on the cores that it works on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::kafka::Kafka;
use crate::orders::tells_of_shipping;
use crate::readers::reader;

/// Between an answer with nothing new and the next question.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a host may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The orders that were shipped since the last call. Waits a moment for some.
pub(crate) type Watch = Box<dyn FnMut() -> Vec<String> + Send>;

/// What was seen.
#[derive(Default)]
pub(crate) struct Sight {
    /// When each order was, by its id.
    pub(crate) shipped: HashMap<String, Instant>,
    /// The times between two looks.
    pub(crate) gaps: Vec<Duration>,
}

/// A thread that looks.
pub(crate) struct Seen {
    reader: std::thread::JoinHandle<Sight>,
    wanted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Seen {
    /// Begins to look.
    pub(crate) fn begin(watch: Watch) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let wanted = Arc::new(AtomicUsize::new(usize::MAX));
        let reader = std::thread::spawn({
            let (stop, wanted) = (Arc::clone(&stop), Arc::clone(&wanted));
            move || look(watch, &stop, &wanted)
        });
        Self { reader, wanted, stop }
    }

    /// Waits until so many orders were seen, but no longer than this.
    ///
    /// # Panics
    /// When they were not.
    pub(crate) fn end(self, orders: usize, patience: Duration) -> Sight {
        self.wanted.store(orders, Ordering::Relaxed);
        let deadline = Instant::now() + patience;
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stop.store(true, Ordering::Relaxed);
        let sight = self.reader.join().unwrap();
        assert_eq!(sight.shipped.len(), orders, "not all orders were shipped");
        sight
    }
}

fn look(mut watch: Watch, stop: &AtomicBool, wanted: &AtomicUsize) -> Sight {
    let (mut sight, mut last) = (Sight::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) && sight.shipped.len() < wanted.load(Ordering::Relaxed) {
        let orders = watch();
        let now = Instant::now();
        sight.gaps.push(now - std::mem::replace(&mut last, now));
        for order in orders {
            assert!(sight.shipped.insert(order, now).is_none(), "an order was shipped twice");
        }
    }
    sight
}

/// Reads what is committed on Kafka from now on.
pub(crate) fn on_kafka(kafka: &Kafka) -> Watch {
    let consumer: BaseConsumer = reader(kafka, &["notification"]);
    Box::new(move || {
        let Some(message) = consumer.poll(Duration::from_millis(50)) else { return vec![] };
        let message = message.unwrap();
        if !tells_of_shipping(message.payload().unwrap()) {
            return vec![];
        }
        vec![String::from_utf8(message.key().unwrap().to_vec()).unwrap()]
    })
}

/// A page of the admin listener.
#[derive(Deserialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    next: String,
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
}

/// Asks the host whose admin listener this is.
pub(crate) fn by_asking(admin: &str) -> Watch {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER)).build().into();
    let url = format!("http://{admin}/events/notification");
    let (mut from, mut was_empty) = ("earliest".to_owned(), false);
    Box::new(move || {
        if was_empty {
            std::thread::sleep(PAUSE);
        }
        let mut answer = agent.get(&url).query("from", &from).call().unwrap();
        let page: Page = serde_json::from_slice(&answer.body_mut().read_to_vec().unwrap()).unwrap();
        (from, was_empty) = (page.next, page.events.is_empty());
        let shipped = page.events.iter().filter(|event| tells_of_shipping(event.get().as_bytes()));
        shipped.map(|event| serde_json::from_str::<Keyed>(event.get()).unwrap().key).collect()
    })
}
