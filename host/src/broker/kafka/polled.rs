//! A transactional producer with a thread that takes its delivery reports.
//!
//! It is rdkafka's `ThreadedProducer` but for the time when nothing comes. rdkafka waits in whole milliseconds and turns round in what is
//! left of the last one: at its ten waits a second that is a hundredth of a core for each producer there is. Here the thread of a
//! producer that nobody used for [`QUIET`] rests, once nothing is in flight, and whoever uses the producer wakes it ([`Polled::awake`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer as _};

use super::context::Producing;

/// One wait for reports.
const WAIT: Duration = Duration::from_millis(100);
/// How long the thread rests before it looks by itself: errors that belong to no record are only logged.
const REST: Duration = Duration::from_secs(1);
/// How long nobody must have used the producer before it rests: longer than any one call, for what librdkafka logs meanwhile decides
/// whether the producer is still trusted.
const QUIET: Duration = Duration::from_secs(15);

/// The producer. Has ended when it is dropped.
pub(super) struct Polled {
    producer: Arc<BaseProducer<Producing>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the producer's users and its thread tell each other.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    rests: AtomicBool,
    /// How often the producer was used.
    uses: AtomicU64,
}

impl Polled {
    /// Creates it. Nothing is sent yet.
    pub(super) fn create(config: &ClientConfig, context: Producing) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("reports".to_owned()).spawn({
            let (producer, shared) = (Arc::clone(&producer), Arc::clone(&shared));
            move || {
                let uses = || shared.uses.load(Ordering::SeqCst);
                let (mut last, mut since) = (uses(), Instant::now());
                while !shared.stop.load(Ordering::SeqCst) {
                    let now = uses();
                    if std::mem::replace(&mut last, now) != now {
                        since = Instant::now();
                    }
                    let is_quiet = since.elapsed() >= QUIET && producer.in_flight_count() == 0;
                    shared.rests.store(is_quiet, Ordering::SeqCst);
                    // Whoever used it in between has seen no rest to wake it from.
                    if is_quiet && uses() == last {
                        std::thread::park_timeout(REST);
                    }
                    producer.poll(if is_quiet { Duration::ZERO } else { WAIT });
                }
            }
        });
        let thread = thread.map_err(|_| KafkaError::MessageProduction(Code::Fail))?;
        Ok(Self { producer, shared, thread: Some(thread) })
    }

    /// The producer, whose reports are taken as they come. To be called for each use: its thread may have gone to rest since the last.
    pub(super) fn awake(&self) -> &BaseProducer<Producing> {
        self.shared.uses.fetch_add(1, Ordering::SeqCst);
        if self.shared.rests.load(Ordering::SeqCst) && self.shared.rests.swap(false, Ordering::SeqCst) {
            self.wake();
        }
        &self.producer
    }

    fn wake(&self) {
        self.thread.iter().for_each(|thread| thread.thread().unpark());
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        // What it panicked with was logged, and there is nobody left to tell.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
