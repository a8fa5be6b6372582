//! Orders written straight to `order-received`, always so many ahead that batches are full, and never more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::kafka::Kafka;
use crate::orders::Writer;

use super::witness::Progress;

/// How many orders lie before inventory.
const AHEAD: usize = 20_000;
/// How many may be on their way at most: when the functions after inventory fall behind, the disk must not fill.
const ON_THEIR_WAY_MAX: usize = 3 * AHEAD;
/// Between two looks at what was done.
const PAUSE: Duration = Duration::from_millis(2);

/// A thread that writes orders.
pub(super) struct Load {
    thread: JoinHandle<usize>,
    stop: Arc<AtomicBool>,
    least: Arc<AtomicUsize>,
}

impl Load {
    /// Writes orders, and from then on as many as are confirmed.
    pub(super) fn begin(kafka: &Kafka, progress: Arc<Progress>) -> Self {
        let (stop, least) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(usize::MAX)));
        let thread = std::thread::spawn({
            let (kafka, stop, least) = (kafka.clone(), Arc::clone(&stop), Arc::clone(&least));
            move || write(&kafka, &progress, &stop, &least)
        });
        Self { thread, stop, least }
    }

    /// The fewest orders that lay before inventory since the last call.
    pub(super) fn least_ahead(&self) -> usize {
        self.least.swap(usize::MAX, Ordering::Relaxed)
    }

    /// Writes no more, and tells how many orders were written.
    pub(super) fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn write(kafka: &Kafka, progress: &Progress, stop: &AtomicBool, least: &AtomicUsize) -> usize {
    let writer = Writer::new(kafka);
    let mut written = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let (decided, ended) = progress.decided_and_ended();
        let (ahead, on_their_way) = (written.saturating_sub(decided), written.saturating_sub(ended));
        least.fetch_min(ahead, Ordering::Relaxed);
        let room = AHEAD.saturating_sub(ahead).min(ON_THEIR_WAY_MAX.saturating_sub(on_their_way));
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
