//! A worker's thread: joins, steps until told to stop, joins again when a membership ends, leaves.
//!
//! A broker that is away is waited for. A membership that ended is replaced, with growing waits. What somebody has to look
//! at ends the thread with an error, and with it the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::error_event::epoch_ms;
use super::{Clock, Ended, Parts, Stores, Worker};
use crate::admin::status::Phase;
use crate::broker::{Error, Member};

/// How long one poll may wait: also how long a stop may go unnoticed.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Between attempts to join, at first and at most.
const REJOIN_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A membership that lasted this long has worked: the waits begin anew.
const LASTED: Duration = Duration::from_secs(30);
/// Between steps while the broker is away.
const AWAY_WAIT: Duration = Duration::from_millis(200);

/// What is to be done about a transaction that never ends. Kafka 4.3 and 4.4 leave one behind when all replicas of a partition are gone
/// while it is being ended (KAFKA-20734).
const HELD: &str = "waiting for a transaction that should have ended long ago. kafka-transactions.sh --bootstrap-server BROKERS \
                    find-hanging --broker-id N --max-transaction-timeout 1 shows its partitions; end it in every one of them, \
                    __consumer_offsets last: kafka-transactions.sh --bootstrap-server BROKERS abort --topic T --partition P \
                    --start-offset START. What that means is in the README: a transaction that Kafka does not end";

/// The clock of production.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        epoch_ms(SystemTime::now())
    }

    fn sleep(&self, wait: Duration) {
        std::thread::sleep(wait);
    }
}

/// Runs a worker until `stop` is set, then leaves the group within `leave_within`.
///
/// # Errors
/// What somebody has to look at: another host with this name, a missing topic, deleted records, a denied operation.
pub fn run(parts: Parts, member: &Member, stop: &AtomicBool, leave_within: Duration) -> Result<(), Error> {
    let mut stores = Stores::new();
    let mut wait = REJOIN_WAIT.0;
    while !stop.load(Ordering::Relaxed) {
        let joined = parts.clock.now();
        let mut worker = Worker::new(parts.clone(), parts.broker.join(member)?, std::mem::take(&mut stores));
        match steps(&mut worker, &parts, stop) {
            Ok(()) => {
                if let Err(error) = worker.leave(leave_within) {
                    tracing::warn!(%error, member = member.name, "the group could not be told; it will notice by itself");
                }
                break;
            }
            Err(Ended::Rejoin(cause)) => {
                tracing::warn!(%cause, member = member.name, "the membership has ended, joining again");
                stores = worker.into_stores();
                if parts.clock.now().saturating_sub(joined) > LASTED {
                    wait = REJOIN_WAIT.0;
                }
                parts.clock.sleep(wait);
                wait = (wait * 2).min(REJOIN_WAIT.1);
            }
            Err(Ended::Away(error) | Ended::Broken(error)) => {
                parts.metrics.broker_error(&error);
                parts.status.set_phase(Phase::Over);
                return Err(error);
            }
        }
    }
    parts.status.set_phase(Phase::Over);
    Ok(())
}

/// Steps until told to stop or the membership ends.
fn steps(worker: &mut Worker, parts: &Parts, stop: &AtomicBool) -> Result<(), Ended> {
    let mut away = None;
    while !stop.load(Ordering::Relaxed) {
        match worker.step(POLL_WAIT) {
            Ok(()) => {
                if away.take().is_some() {
                    parts.status.set_phase(worker.phase());
                    tracing::info!(group = parts.plan.group, "the broker is back");
                }
            }
            Err(Ended::Away(error)) => {
                parts.metrics.broker_error(&error);
                let phase = if matches!(error, Error::Unstable { .. }) { Phase::Held } else { Phase::Away };
                if away.replace(phase) != Some(phase) {
                    parts.status.set_phase(phase);
                    match phase {
                        Phase::Held => tracing::error!(%error, group = parts.plan.group, "{HELD}"),
                        _ => tracing::warn!(%error, group = parts.plan.group, "waiting for the broker"),
                    }
                }
                parts.status.beat();
                parts.clock.sleep(AWAY_WAIT);
            }
            Err(ended) => return Err(ended),
        }
    }
    Ok(())
}

/// Spawns a worker's thread under `name`.
///
/// # Errors
/// When the system has no thread left.
pub fn spawn(
    name: String,
    parts: Parts,
    member: Member,
    stop: Arc<AtomicBool>,
    leave_within: Duration,
) -> std::io::Result<std::thread::JoinHandle<Result<(), Error>>> {
    std::thread::Builder::new().name(name).spawn(move || run(parts, &member, &stop, leave_within))
}
