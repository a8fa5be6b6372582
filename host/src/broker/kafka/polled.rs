//! A transactional producer with a thread that takes its delivery reports.
//!
//! It is rdkafka's `ThreadedProducer` but for the time when nothing comes. rdkafka waits in whole milliseconds and turns round in what is
//! left of the last one: at its ten waits a second that is a hundredth of a core for each producer there is. Here the thread of a
//! producer that nothing came to for [`QUIET`] rests, and whoever uses the producer wakes it ([`Polled::awake`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
/// How long nothing must have come before it rests.
const QUIET: Duration = Duration::from_secs(5);

/// The producer. Has ended when it is dropped.
pub(super) struct Polled {
    producer: Arc<BaseProducer<Producing>>,
    stop: Arc<AtomicBool>,
    rests: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Polled {
    /// Creates it. Nothing is sent yet.
    pub(super) fn create(config: &ClientConfig, context: Producing) -> KafkaResult<Self> {
        let deliveries = Arc::clone(&context.deliveries);
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let (stop, rests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::Builder::new().name("reports".to_owned()).spawn({
            let (producer, stop, rests) = (Arc::clone(&producer), Arc::clone(&stop), Arc::clone(&rests));
            move || {
                let (mut came, mut since) = (0, Instant::now());
                while !stop.load(Ordering::SeqCst) {
                    let is_quiet = since.elapsed() >= QUIET && producer.in_flight_count() == 0;
                    rests.store(is_quiet, Ordering::SeqCst);
                    if is_quiet {
                        std::thread::park_timeout(REST);
                        // Somebody has woken it.
                        if !rests.load(Ordering::SeqCst) {
                            since = Instant::now();
                        }
                    }
                    producer.poll(if is_quiet { Duration::ZERO } else { WAIT });
                    let count = deliveries.count();
                    if std::mem::replace(&mut came, count) != count {
                        since = Instant::now();
                    }
                }
            }
        });
        let thread = thread.map_err(|_| KafkaError::MessageProduction(Code::Fail))?;
        Ok(Self { producer, stop, rests, thread: Some(thread) })
    }

    /// The producer, whose reports are taken as they come. To be called for each use: its thread may have gone to rest since the last.
    pub(super) fn awake(&self) -> &BaseProducer<Producing> {
        if self.rests.load(Ordering::SeqCst) && self.rests.swap(false, Ordering::SeqCst) {
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
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
        // What it panicked with was logged, and there is nobody left to tell.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
