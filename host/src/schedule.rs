//! Schedules: slots of time become ticks, events that wake functions. One tick a slot, exactly once for all hosts of an app.
//!
//! ```text
//! clock ──▶ due slots ──▶ one transaction: a tick for each partition of the topic + the mark on <app>.schedules
//! ```
//!
//! Every host runs a [`Timekeeper`]; they share one exclusive writer. Whoever wrote last keeps it and is on time; the others look a
//! little later whether that was done ([`HANDOVER`]), and take over where it was not. The mark says which slot a schedule has reached and
//! is written in one transaction with the slot's ticks, so no slot has two and none is passed over. Slots that begin while no host
//! runs are made up for, in order, the newest [`SLOTS_MAX`] of them. A new schedule begins with the next slot.
//!
//! Slots are told by the clock of the host that writes: one that is ahead ticks early, and nobody ticks a slot again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::admin::metrics::Metrics;
use crate::app::{App, Schedule};
use crate::broker::read::read_to_end;
use crate::broker::{Broker, Error, Exclusive};
use crate::event::{Offset, Partition, Record};
use crate::worker::error_event::epoch_ms;

pub mod record;

/// How long after a slot's beginning a host looks whether the one that should have ticked did.
pub const HANDOVER: Duration = Duration::from_secs(2);
/// The most slots of one schedule that are made up for.
pub const SLOTS_MAX: u64 = 60;
/// The most ticks of one schedule in one transaction, where a slot has no more.
const TICKS_MAX: usize = 1000;
/// The longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(10);
/// A mark that is further ahead of this host's clock than this is worth a word.
const AHEAD: Duration = Duration::from_secs(60);

/// The beginning of a slot, in milliseconds since the Unix epoch.
pub type Slot = u64;

/// How far a schedule has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The newest slot that has its ticks.
    pub slot: Slot,
    /// How long slots were then, in milliseconds, as far as it was written down.
    pub every_ms: Option<u64>,
}

/// Tells the time.
pub type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Writes the ticks of an app's schedules, when no other host does.
pub struct Timekeeper {
    app: String,
    schedules: Vec<Schedule>,
    marks: Partition,
    broker: Arc<dyn Broker>,
    metrics: Arc<Metrics>,
    now: Now,
    /// How far each schedule has come, as of `next`.
    reached: BTreeMap<String, Reached>,
    /// The offset of the first mark that was not read.
    next: Offset,
    /// Held from the first tick until another host has it.
    writer: Option<Box<dyn Exclusive>>,
}

/// A slot that has begun and has no tick yet.
struct Due<'a> {
    schedule: &'a Schedule,
    slots: Vec<Slot>,
}

impl Timekeeper {
    /// The timekeeper of `app`; none when it has no schedule.
    pub fn new(app: &App, broker: Arc<dyn Broker>, metrics: Arc<Metrics>, now: Now) -> Option<Self> {
        let marks = Partition::new(app.schedules_topic()?, 0);
        app.schedules.iter().for_each(|schedule| metrics.schedule(&schedule.name, schedule.every));
        Some(Self {
            app: app.name.clone(),
            schedules: app.schedules.clone(),
            marks,
            broker,
            metrics,
            now,
            reached: BTreeMap::new(),
            next: 0,
            writer: None,
        })
    }

    /// Writes what is due, unless another host is to. Returns how long nothing will be.
    ///
    /// # Errors
    /// What the broker says; call again. Nothing was written, or all of it: the next call finds out.
    pub fn step(&mut self) -> Result<Duration, Error> {
        let now = self.now_ms();
        // Somebody may mend what is ahead.
        if self.next == 0 || self.reached.values().any(|reached| reached.slot > now + ms(AHEAD)) {
            self.read_on()?;
        }
        if self.writer.is_none() {
            // Another host has so long for it.
            let by = now.saturating_sub(ms(HANDOVER));
            if !self.is_anything_due(by) {
                return Ok(self.wait(now));
            }
            self.read_on()?;
            if !self.is_anything_due(by) {
                return Ok(self.wait(now));
            }
            // Whoever had it is fenced from here on, so what is read next is all there will be.
            self.writer = Some(self.broker.exclusive(&self.marks.topic)?);
            self.read_on()?;
        }
        if !self.is_anything_due(now) {
            return Ok(self.wait(now));
        }
        self.write(now)?;
        Ok(self.wait(self.now_ms()))
    }

    /// Writes ticks and marks of all that is due, in one transaction.
    fn write(&mut self, now: u64) -> Result<(), Error> {
        let mut due: Vec<Due<'_>> = self.schedules.iter().filter_map(|schedule| self.due(schedule, now)).collect();
        let topics: BTreeSet<&str> = due.iter().map(|due| &*due.schedule.topic).collect();
        let known = self.broker.partitions(&Vec::from_iter(topics))?;
        let mut records: Vec<Record> = Vec::new();
        let mut reached = BTreeMap::new();
        for Due { schedule, slots } in &mut due {
            let partitions = known.get(&*schedule.topic).copied();
            let partitions = partitions.ok_or_else(|| Error::NoSuchTopic { topic: schedule.topic.to_string() })?;
            // The rest is for the next step, which follows at once.
            slots.truncate((TICKS_MAX / usize::try_from(partitions).unwrap_or(1).max(1)).max(1));
            let bug = |cause: serde_json::Error| Error::Bug { what: "writing a tick", cause: Box::new(cause) };
            for slot in slots.iter() {
                for partition in 0..partitions {
                    records.push(record::tick(&self.app, schedule, *slot, partition).map_err(bug)?);
                }
            }
            // A new schedule has no slot that is due, and begins with the one after this.
            let slot = slots.last().copied().unwrap_or_else(|| slot_at(schedule, now));
            let mark = Reached { slot, every_ms: Some(ms(schedule.every)) };
            records.push(record::mark(&self.marks, &schedule.name, mark).map_err(bug)?);
            reached.insert(schedule.name.clone(), Some(mark));
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let result = if records.is_empty() { Ok(()) } else { writer.write(&records).map(drop) };
        match result {
            Ok(()) => {
                for Due { schedule, slots } in &due {
                    self.metrics.ticked(&schedule.name, slots.len() as u64);
                    tracing::debug!(schedule = schedule.name, slots = slots.len(), "ticked");
                }
                self.reach(reached);
                Ok(())
            }
            Err(error) => {
                // Whether it was written is on the topic, for whoever has the writer next.
                self.writer = None;
                match error {
                    Error::Fenced { .. } => self.read_on(),
                    other => Err(other),
                }
            }
        }
    }

    /// The slots of a schedule that have begun and have no tick; `None` when there are none, and an empty list for a schedule that is new.
    fn due<'a>(&self, schedule: &'a Schedule, now: u64) -> Option<Due<'a>> {
        let Some(reached) = self.reached.get(&schedule.name).copied() else {
            return Some(Due { schedule, slots: Vec::new() });
        };
        let (mut slots, passed_over) = slots(schedule, reached.slot, now);
        if reached.every_ms.is_some_and(|every_ms| every_ms != ms(schedule.every)) {
            // Slots that there were not then are not made up for.
            slots.drain(..slots.len().saturating_sub(1));
        } else if passed_over > 0 {
            tracing::warn!(
                schedule = schedule.name,
                slots = passed_over,
                since = record::text(reached.slot),
                "slots have no tick: no host ran for so long that only the newest {SLOTS_MAX} are made up for",
            );
        }
        (!slots.is_empty()).then_some(Due { schedule, slots })
    }

    /// Whether a slot without a tick had begun by then.
    fn is_anything_due(&self, by: u64) -> bool {
        self.schedules.iter().any(|schedule| self.next_slot(schedule).is_none_or(|slot| slot <= by))
    }

    /// The next slot without a tick; none for a schedule that has none yet.
    fn next_slot(&self, schedule: &Schedule) -> Option<Slot> {
        let reached = self.reached.get(&schedule.name)?;
        Some(slot_at(schedule, reached.slot) + ms(schedule.every))
    }

    /// How long until this host has something to look after.
    fn wait(&self, now: u64) -> Duration {
        let handover = if self.writer.is_some() { 0 } else { ms(HANDOVER) };
        let next = self.schedules.iter().filter_map(|schedule| self.next_slot(schedule)).min();
        let wait = next.map_or(LOOK, |slot| Duration::from_millis((slot + handover).saturating_sub(now)));
        wait.min(LOOK)
    }

    /// Reads the marks that were written since.
    fn read_on(&mut self) -> Result<(), Error> {
        let mut reached = BTreeMap::new();
        let read = |from, reached: &mut BTreeMap<String, Option<Reached>>| {
            read_to_end(self.broker.as_ref(), &self.marks, from, |event| {
                match record::read(event) {
                    Ok((schedule, mark)) => drop(reached.insert(schedule, mark)),
                    // Anybody may write to a topic.
                    Err(error) => {
                        tracing::error!(partition = %self.marks, offset = event.offset, %error, "a mark of a schedule is none");
                    }
                }
                Ok(false)
            })
        };
        let next = match read(self.next, &mut reached) {
            Err(Error::Shrunk { partition, expected, end }) => {
                tracing::error!(%partition, expected, end, "the topic of schedules is shorter than it was; reading it anew");
                self.reached.clear();
                read(0, &mut reached)?
            }
            next => next?,
        };
        self.next = next.unwrap_or(self.next);
        self.reach(reached);
        Ok(())
    }

    fn reach(&mut self, reached: BTreeMap<String, Option<Reached>>) {
        let now = self.now_ms();
        for (schedule, mark) in reached {
            let Some(mark) = mark else {
                self.reached.remove(&schedule);
                continue;
            };
            let slot = mark.slot;
            if slot > now + ms(AHEAD) {
                tracing::error!(
                    schedule,
                    reached = record::text(slot),
                    now = record::text(now),
                    "a schedule is ahead of this host's clock, and ticks no more until that has come there; if another clock was wrong, \
                     write a null under the schedule's name to the topic of schedules, and it begins anew",
                );
            }
            self.metrics.reached(&schedule, slot);
            self.reached.insert(schedule, mark);
        }
    }

    fn now_ms(&self) -> u64 {
        epoch_ms((self.now)())
    }
}

/// The slot that `at` lies in.
fn slot_at(schedule: &Schedule, at: u64) -> Slot {
    at - at % ms(schedule.every)
}

/// The slots after the one that was reached, until now: the newest of them, and how many there are besides.
fn slots(schedule: &Schedule, reached: Slot, now: u64) -> (Vec<Slot>, u64) {
    let every = ms(schedule.every);
    let count = (now / every).saturating_sub(reached / every);
    let newest = slot_at(schedule, now);
    let made_up_for = count.min(SLOTS_MAX);
    ((0..made_up_for).rev().map(|back| newest - back * every).collect(), count - made_up_for)
}

fn ms(duration: Duration) -> u64 {
    // Never 0, by which nothing can be divided.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
