//! Orders written straight to `order-received`, so that so many are always on their way, and never more.
//!
//! An order ends when its customer was told that it is shipped, which is the last that is done. However slow a function is, its events
//! are handled before the topics forget them; and since some always wait somewhere, workers have full batches all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;

use crate::kafka::{Kafka, PATIENCE};
use crate::orders::Writer;

use super::witness::Progress;

/// How many orders are on their way.
const ON_THEIR_WAY: usize = 5_000;
/// What each order tells its customer: that it is picked, and that it is shipped.
const NOTIFICATIONS: usize = 2;
/// Between two looks at what was done.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two questions how many customers are still to be told. Orders come in portions of what was done in it.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A thread that writes orders, and one that asks how many notifications wait.
pub(super) struct Load {
    writing: JoinHandle<usize>,
    asking: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    least: Arc<AtomicUsize>,
}

impl Load {
    /// Writes orders, and from then on as many as end.
    pub(super) fn begin(kafka: &Kafka, group: &str, progress: Arc<Progress>) -> Self {
        let (stop, least) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(usize::MAX)));
        let untold = Arc::new(AtomicUsize::new(0));
        let asking = std::thread::spawn({
            let (stop, untold) = (Arc::clone(&stop), Arc::clone(&untold));
            // What is open counts as done: nobody waits for it.
            let mut asker = kafka.client();
            let asker: BaseConsumer =
                asker.set("group.id", group).set("isolation.level", "read_uncommitted").create().unwrap();
            let partitions: Vec<i32> = kafka.partitions("notification").iter().map(|p| p.number).collect();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    // A broker that is busy answers the next question.
                    if let Ok(count) = count_untold(&asker, &partitions) {
                        untold.store(count, Ordering::Relaxed);
                    }
                    std::thread::sleep(ASK_EVERY);
                }
            }
        });
        let writing = std::thread::spawn({
            let (kafka, stop, least) = (kafka.clone(), Arc::clone(&stop), Arc::clone(&least));
            move || write(&kafka, &progress, &stop, &least, &untold)
        });
        Self { writing, asking, stop, least }
    }

    /// The fewest orders that were on their way since the last call.
    pub(super) fn least(&self) -> usize {
        self.least.swap(usize::MAX, Ordering::Relaxed)
    }

    /// Writes no more, and tells how many orders were written.
    pub(super) fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.join().unwrap();
        self.writing.join().unwrap()
    }
}

/// The notifications that the group has not handled.
fn count_untold(asker: &BaseConsumer, partitions: &[i32]) -> KafkaResult<usize> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition("notification", *partition);
    }
    let mut count = 0;
    for element in asker.committed_offsets(list, PATIENCE)?.elements() {
        let (start, end) = asker.fetch_watermarks("notification", element.partition(), PATIENCE)?;
        count += end - element.offset().to_raw().filter(|next| *next >= 0).unwrap_or(start);
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

fn write(kafka: &Kafka, progress: &Progress, stop: &AtomicBool, least: &AtomicUsize, untold: &AtomicUsize) -> usize {
    let writer = Writer::new(kafka);
    let mut written = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let (_, shipped) = progress.decided_and_ended();
        let on_their_way = written.saturating_sub(shipped) + untold.load(Ordering::Relaxed) / NOTIFICATIONS;
        least.fetch_min(on_their_way, Ordering::Relaxed);
        let room = ON_THEIR_WAY.saturating_sub(on_their_way);
        for number in written..written + room {
            writer.write(number, times(number));
        }
        written += room;
        if room == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    writer.flush();
    written
}

/// How often an order is placed: 1 % twice, and of those none that is rejected, for each time would be.
fn times(number: usize) -> usize {
    if number % 100 == 50 { 2 } else { 1 }
}
