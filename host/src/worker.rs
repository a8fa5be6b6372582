//! One worker: a thread, its place in the group, and the partitions that it owns.
//!
//! [`Worker::step`] is the product's heart: one poll, and at most one commit.
//!
//! ```text
//! poll ──▶ Assigned: restore, then resume      Revoked: forget      Events: wait in line
//!      └─▶ batch ──▶ handle ──▶ build ──▶ commit ──▶ apply
//!                      ▲                     │ refused records: their events fail, all is handled again
//!                      └─────────────────────┘ again: the same transaction   stale: poll first   over: join again
//! ```
//!
//! There is no poll between the first handler of a batch and its commit, so ownership cannot change in between. What bounds
//! a batch is [`BatchLimits`]; what waits in line is bounded by one batch and one poll. A partition whose error event the
//! broker refuses is stopped: nothing after it may pass it. The thread and the clock live outside ([`thread`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::batch::Decided;
use self::meters::Meters;
use self::plan::Plan;
use self::restore::Restore;
use self::settle::Settle;
use self::shadow::Allowance;
use self::state::Store;
use self::tap::Tap;
use crate::admin::metrics::{Metrics, Part};
use crate::admin::status::{Phase, WorkerStatus};
use crate::broker::{Broker, CommitError, Error, Membership, Polled};
use crate::deploy::book::Number;
use crate::deploy::{self, Deploy};
use crate::event::{Event, Offset, Partition};
use crate::spans::Commit;

mod assignment;
pub mod batch;
mod descent;
pub mod error_event;
mod meters;
mod outcome;
pub mod plan;
pub mod restore;
pub mod settle;
pub mod shadow;
pub mod state;
pub mod tap;
pub mod thread;
pub mod transaction;
mod trial;
pub mod verdict;

pub use self::plan::BatchLimits;

/// Every store of a worker, by function (its index in the plan) and input partition.
pub type Stores = BTreeMap<(usize, Partition), Arc<Store>>;

/// How long a step waits for an assignment to change after the group was found to have moved on.
const STALE_WAIT: Duration = Duration::from_millis(100);

/// Time as workers see it, so that they can be simulated.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;
    /// Milliseconds since the Unix epoch.
    fn wall_ms(&self) -> u64;
    /// Lets time pass.
    fn sleep(&self, wait: Duration);
}

/// What a worker works with.
#[derive(Clone)]
pub struct Parts {
    /// For replays.
    pub broker: Arc<dyn Broker>,
    /// The group's work.
    pub plan: Arc<Plan>,
    /// Which versions are active.
    pub deploy: Arc<Deploy>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where what happens is counted.
    pub metrics: Arc<Metrics>,
    /// Where this worker's state is shown.
    pub status: WorkerStatus,
    /// Told of what is committed, if anybody looks on.
    pub tap: Option<Arc<dyn Tap>>,
}

/// Why a membership ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Drop it and join again; nothing is lost.
    #[error("the membership has ended")]
    Rejoin(#[source] crate::broker::Cause),
    /// The broker is away: step again, nothing is lost.
    #[error(transparent)]
    Away(Error),
    /// Somebody has to look.
    #[error(transparent)]
    Broken(#[from] Error),
}

/// A worker with a membership.
pub struct Worker {
    parts: Parts,
    membership: Box<dyn Membership>,
    /// What is owned: the next offset to handle, when there is one yet.
    owned: BTreeMap<Partition, Option<Offset>>,
    /// Kept across assignments as caches.
    stores: Stores,
    /// When each store was last known to be the newest: when its partition went away. Those of no such time begin anew.
    left_at: BTreeMap<Partition, Duration>,
    restore: Restore,
    restore_began: Duration,
    /// Owned and not resumed yet, each with the deployment that its owner before had reached.
    unrestored: BTreeMap<Partition, Number>,
    /// Read and not handled yet, in order within each partition.
    waiting: VecDeque<Event>,
    /// Whether more than a batch waits, so that owned partitions are paused.
    held: bool,
    /// The last commit found the group moved on: poll before handling again.
    stale: bool,
    /// Stopped partitions, and why.
    stopped: BTreeMap<Partition, String>,
    settle: Settle,
    meters: Meters,
    /// For candidates.
    allowance: Allowance,
}

impl Worker {
    /// A worker over a new membership. `stores` are what an earlier membership of this thread left, as caches.
    pub fn new(parts: Parts, membership: Box<dyn Membership>, stores: Stores) -> Self {
        let now = parts.clock.now();
        let left_at = stores.keys().map(|(_, partition)| (partition.clone(), now)).collect();
        parts.status.set_phase(Phase::Joining);
        parts.status.set_stopped(BTreeMap::new());
        parts.status.set_partitions([]);
        let mut meters = Meters::new(&parts.metrics, &parts.plan);
        meters.hold(&stores);
        Self {
            parts,
            membership,
            owned: BTreeMap::new(),
            stores,
            left_at,
            restore: Restore::default(),
            restore_began: now,
            unrestored: BTreeMap::new(),
            waiting: VecDeque::new(),
            held: false,
            stale: false,
            stopped: BTreeMap::new(),
            settle: Settle::new(now),
            meters,
            allowance: Allowance::default(),
        }
    }

    /// One poll of at most `wait`, and at most one commit.
    ///
    /// # Errors
    /// See [`Ended`]. After [`Ended::Away`] step again; after the others the worker is done for.
    pub fn step(&mut self, wait: Duration) -> Result<(), Ended> {
        self.parts.status.beat();
        // Before the poll, when what waits is what a batch left over: to pause costs librdkafka all that it has prefetched.
        self.hold()?;
        let busy = !self.waiting.is_empty() || !self.restore.is_empty();
        let wait = match (busy, std::mem::take(&mut self.stale)) {
            (_, true) => wait.min(STALE_WAIT),
            (true, false) => Duration::ZERO,
            (false, false) => wait,
        };
        match self.membership.poll(wait).map_err(sort)? {
            Polled::Idle => {}
            Polled::Assigned(positions) => self.take(positions),
            Polled::Revoked { partitions, lost } => self.forget(&partitions, lost),
            Polled::Events(events) => self.waiting.extend(events),
        }
        self.restore_some()?;
        if !self.waiting.is_empty() {
            self.settle.touch(self.parts.clock.now());
            self.work()
        } else if self.restore.is_empty() && !busy {
            self.settle_one()
        } else {
            Ok(())
        }
    }

    /// Leaves the group; what is uncommitted stays for whoever comes next.
    ///
    /// # Errors
    /// [`Error::Away`] when the group could not be told within `within`.
    pub fn leave(self, within: Duration) -> Result<(), Error> {
        self.membership.leave(within)
    }

    /// Where it is, while the broker answers.
    pub fn phase(&self) -> Phase {
        match (self.owned.is_empty(), self.unrestored.is_empty()) {
            (true, _) => Phase::Joining,
            (false, false) => Phase::Restoring,
            (false, true) => Phase::Running,
        }
    }

    /// The stores, as caches for the next membership of this thread.
    pub fn into_stores(mut self) -> Stores {
        // Those of partitions that were lost earlier may be too old by the time they are asked for.
        let owned = std::mem::take(&mut self.owned);
        let unrestored = &self.unrestored;
        self.stores.retain(|(_, p), _| owned.contains_key(p) && !unrestored.contains_key(p));
        self.stores.values_mut().for_each(|store| Arc::make_mut(store).undo());
        self.stores
    }

    /// Makes a batch of what waits, and brings it to its end.
    fn work(&mut self) -> Result<(), Ended> {
        let events = self.batch();
        let active = self.parts.deploy.active();
        let plan = Arc::clone(&self.parts.plan);
        let version = |planned: &plan::Planned| active.versions.get(&planned.function.name).cloned();
        let versions: Option<Vec<_>> = plan.functions.iter().map(version).collect();
        let Some(mut versions) = versions else {
            let cause = "a function of the group has no version".into();
            return Err(Ended::Broken(Error::Bug { what: "looking up versions", cause }));
        };
        let mut events = events;
        let mut decided = Decided::new();
        self.meters.begin(&events);
        // Every round but the last decides an event more, so there are no more rounds than works.
        loop {
            let began = self.parts.clock.now();
            let mut handled = self.handle(&events, &active, &mut versions, &mut decided);
            let then = self.parts.clock.now();
            self.parts.metrics.part(Part::Handle, then.saturating_sub(began));
            let built = transaction::build(&plan, &events, &mut handled, &self.stores, active.number)
                .map_err(|e| Error::Bug { what: "writing an error event", cause: Box::new(e) })?;
            let Some(transaction) = built.transaction else { return Ok(()) };
            let handed_in = self.parts.clock.now();
            self.parts.metrics.part(Part::Build, handed_in.saturating_sub(then));
            match self.commit_beside(&active, &events, &handled, &transaction) {
                Ok(committed) => {
                    if let Some(spans) = &plan.spans {
                        let (clock, deployment) = (self.parts.clock.as_ref(), active.number);
                        let (events, handled, records) = (&events, &handled, built.origins.len());
                        let plan = plan.as_ref();
                        spans.committed(&Commit { plan, events, handled, clock, handed_in, records, deployment });
                    }
                    self.applied(&events, &handled, &committed);
                    self.count_trials(&active, &handled);
                    if let Some(tap) = &self.parts.tap {
                        tap.passed(tap::passed(&plan, &events, &handled, &transaction, &built.origins));
                    }
                    self.put_back(events, handled.events);
                    return self.hold();
                }
                Err(CommitError::Stale { cause }) => {
                    tracing::info!(group = plan.group, cause = %cause, "the batch is handled again after a poll");
                    self.undo(&events);
                    self.put_back(events, 0);
                    self.stale = true;
                    return Ok(());
                }
                Err(CommitError::Refused { refused }) => {
                    self.undo(&events);
                    let known = decided.len();
                    if self.refuse(&events, &handled, &built.origins, &refused, &mut decided)? {
                        // A stopped partition: what is left of the batch is handled without it.
                        self.put_back(events, 0);
                        self.waiting.retain(|event| !self.stopped.contains_key(&event.partition));
                        return self.hold();
                    }
                    // librdkafka sends nothing behind what was refused, so nothing is known of it: that is for the next batch.
                    let last = decided.keys().map(|(event, _)| *event).max().unwrap_or(0);
                    for event in events.split_off((last + 1).min(events.len())).into_iter().rev() {
                        self.waiting.push_front(event);
                    }
                    if decided.len() == known {
                        let cause = format!("{} records that belong to no event", refused.len());
                        return Err(Ended::Broken(Error::Bug { what: "the broker refused", cause: cause.into() }));
                    }
                }
                Err(CommitError::Over { cause } | CommitError::Again { cause }) => return Err(Ended::Rejoin(cause)),
                Err(CommitError::Broken(error)) => return Err(Ended::Broken(error)),
            }
        }
    }

    /// Takes a batch off the line.
    fn batch(&mut self) -> Vec<Event> {
        let limits = self.parts.plan.limits;
        let mut bytes = 0_usize;
        let mut events = Vec::with_capacity(self.waiting.len().min(limits.events_max));
        while let Some(event) = self.waiting.front() {
            bytes = bytes.saturating_add(event.size_bytes());
            if events.len() >= limits.events_max || (bytes > limits.bytes_max && !events.is_empty()) {
                break;
            }
            events.extend(self.waiting.pop_front());
        }
        self.parts.metrics.batch(events.len(), bytes);
        events
    }

    /// Puts events back in front of the line, but for the first `done`.
    fn put_back(&mut self, events: Vec<Event>, done: usize) {
        for event in events.into_iter().skip(done).rev() {
            self.waiting.push_front(event);
        }
    }

    /// Pauses when more than a batch waits, resumes when less does.
    fn hold(&mut self) -> Result<(), Ended> {
        let limits = self.parts.plan.limits;
        let bytes: usize = self.waiting.iter().map(Event::size_bytes).sum();
        let much = self.waiting.len() >= limits.events_max || bytes >= limits.bytes_max;
        if much == self.held || (self.held && !self.waiting.is_empty()) {
            return Ok(());
        }
        let running: Vec<Partition> = self
            .owned
            .keys()
            .filter(|p| !self.unrestored.contains_key(*p) && !self.stopped.contains_key(*p))
            .cloned()
            .collect();
        if much {
            self.membership.pause(&running)?;
        } else {
            self.membership.resume(&running)?;
        }
        self.held = much;
        Ok(())
    }

    /// Moves one idle partition's position past what is no event: transaction markers and undone records.
    fn settle_one(&mut self) -> Result<(), Ended> {
        let now = self.parts.clock.now();
        self.drop_aged(now);
        let Some(partition) = self.settle.next(now) else { return Ok(()) };
        let Some(Some(next)) = self.owned.get(&partition).copied() else { return Ok(()) };
        let note = deploy::note(self.parts.deploy.active().number);
        let transaction = match settle::end(self.parts.broker.as_ref(), &partition, next, note) {
            Ok(settle::End::Ahead(transaction)) => transaction,
            Ok(settle::End::Settled) => return Ok(()),
            Ok(settle::End::Undecided) => {
                self.settle.put_off(partition);
                return Ok(());
            }
            Err(error) => {
                self.settle.put_off(partition);
                return Err(sort(error));
            }
        };
        match self.membership.commit(&transaction) {
            Ok(_) => {
                let settled = transaction.positions().get(&partition).and_then(|position| position.next);
                self.owned.insert(partition, settled);
                Ok(())
            }
            Err(CommitError::Over { cause }) => Err(Ended::Rejoin(cause)),
            Err(CommitError::Broken(error)) => Err(Ended::Broken(error)),
            // It was only tidying: the next time will do.
            Err(CommitError::Again { .. } | CommitError::Stale { .. } | CommitError::Refused { .. }) => {
                self.settle.put_off(partition);
                Ok(())
            }
        }
    }
}

fn sort(error: Error) -> Ended {
    match error {
        // A topic that is missing may be one that a broker has not learnt of yet; whoever watches the broker finds out.
        passing @ (Error::Away { .. } | Error::NoSuchTopic { .. } | Error::Unstable { .. }) => Ended::Away(passing),
        expired @ Error::Expired { .. } => Ended::Rejoin(Box::new(expired)),
        other => Ended::Broken(other),
    }
}
