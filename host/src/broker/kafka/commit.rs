//! One transaction, from begin to a known end.
//!
//! [`commit`] turns a [`Transaction`] into [`Committed`] or a [`CommitError`] that says what is true: in each of its
//! cases nothing of the transaction is, or will become, visible. It never returns while the outcome is in doubt. The
//! order of calls is: offsets first, then deliveries, then the commit, because rdkafka's own flush would cost up to
//! 100 ms while anything is undelivered.
//!
//! - A producer is made at the first transaction, and made anew after every outcome that was in doubt: librdkafka has no
//!   KIP-890, so a late copy of an old request could otherwise end a newer transaction.
//! - A record that the broker refuses is found by sending one record a batch: a refused batch names all of its records.
//! - While the broker is away the same call is made again and again, each bounded by [`CALL`], and for [`SILENT`] by the same producer:
//!   the broker may be back, and only the producer not have noticed. A call that hangs beyond its own limit is a case for the watchdog.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::client::{Batching, Client, Delivery};
use super::errors::{self, Demand, Fault};
use super::silence::SILENT;
use super::watchdog::Guard;
use crate::broker::{CommitError, Committed, Error, Position, Pulse, Steps, Transaction};
use crate::event::{Offset, Partition, Record};

/// How long one call may wait for the broker before it is made again.
const CALL: Duration = Duration::from_secs(5);
/// How long positions may be held by a transaction: as long as one may last, and twice as long as brokers take to look for those that
/// last too long (`transaction.abort.timed.out.transaction.cleanup.interval.ms`, by default 10 s).
pub(super) const HELD: Duration = Duration::from_secs(30);
/// How long to wait for deliveries before looking whether one of them failed.
const DRAIN: Duration = Duration::from_millis(20);

/// Commits all of `transaction` or nothing.
pub(super) fn commit<C: Client>(
    client: &mut C,
    transaction: &Transaction,
    pulse: &Pulse,
    guard: &Guard,
) -> Result<Committed, CommitError> {
    let marked = mark(transaction.positions());
    let transaction = Marked { positions: &marked, records: transaction.records() };
    let result = attempt(client, transaction, Batching::Many, pulse, guard);
    let result = match result {
        // The refused batch may have held innocents, and may have been refused only for being a batch.
        Err(CommitError::Refused { .. }) if transaction.records.len() > 1 => {
            client.discard();
            let singly = attempt(client, transaction, Batching::One, pulse, guard);
            client.discard();
            singly
        }
        other => other,
    };
    if client.is_tainted() {
        client.discard();
    }
    result
}

/// A transaction whose positions carry a mark that no other has: what is found on the broker later is ours or not.
#[derive(Clone, Copy)]
struct Marked<'a> {
    positions: &'a BTreeMap<Partition, Position>,
    records: &'a [Record],
}

/// Separates the mark from the note.
const MARK_END: char = ';';

/// The positions with a new mark before each note.
fn mark(positions: &BTreeMap<Partition, Position>) -> BTreeMap<Partition, Position> {
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let marked = |(partition, position): (&Partition, &Position)| {
        let note = format!("{mark}{MARK_END}{}", position.note);
        (partition.clone(), Position { next: position.next, note })
    };
    positions.iter().map(marked).collect()
}

/// The note as it was before it was marked. One that was written by other tools stays as it is.
pub(super) fn unmarked(note: &str) -> &str {
    note.split_once(MARK_END).map_or(note, |(_, note)| note)
}

fn attempt<C: Client>(
    client: &mut C,
    transaction: Marked<'_>,
    batching: Batching,
    pulse: &Pulse,
    guard: &Guard,
) -> Result<Committed, CommitError> {
    if client.is_lost() {
        return Err(CommitError::Stale { cause: "the assignment was lost".into() });
    }
    let mut since = Instant::now();
    let mut step = || std::mem::replace(&mut since, Instant::now()).elapsed();
    init(client, batching, pulse, guard)?;
    guard.watch(|| client.begin()).map_err(|fault| failed(client, fault))?;

    let mut ends = Ends::default();
    let mut refused = Vec::new();
    for (index, record) in transaction.records.iter().enumerate() {
        match send(client, index, record, &mut ends, pulse) {
            Ok(()) => {}
            Err(fault) if errors::is_refused(fault.code) => refused.push((index, fault.to_string())),
            Err(fault) => return Err(undo(client, fault, ends, pulse, guard)),
        }
    }
    if !refused.is_empty() {
        abort(client, pulse, guard);
        // An abort also purges what is queued a moment later, so this producer is done with.
        client.discard();
        return Err(CommitError::Refused { refused });
    }

    let begin = step();
    let sent = by_this_producer(pulse, SILENT, || guard.watch(|| client.send_offsets(transaction.positions, CALL)));
    if let Err(fault) = sent {
        return Err(undo(client, fault, ends, pulse, guard));
    }
    let offsets = step();
    // After one failure librdkafka sends nothing more of this transaction: the rest would only time out.
    while client.in_flight() > 0 && ends.failed.is_empty() {
        pulse.beat();
        ends.take(client.drain(DRAIN));
    }
    if let Some(fault) = ends.failed() {
        return Err(undo(client, fault, ends, pulse, guard));
    }

    let deliver = step();
    match by_this_producer(pulse, SILENT, || guard.watch(|| client.commit(CALL))) {
        Ok(()) => {
            let steps = Steps { begin, offsets, deliver, commit: step() };
            Ok(Committed { ends: ends.into_ends(transaction.records), steps: Some(steps) })
        }
        Err(fault) if fault.demand == Demand::Abort => Err(undo(client, fault, ends, pulse, guard)),
        Err(fault) => find_out(client, transaction, fault, pulse, guard),
    }
}

/// Makes a producer, however long the broker takes.
fn init<C: Client>(client: &mut C, batching: Batching, pulse: &Pulse, guard: &Guard) -> Result<(), CommitError> {
    again(pulse, || guard.watch(|| client.init(batching, CALL))).map_err(|fault| {
        client.discard();
        match fault.clone().into_error("the broker") {
            broken @ (Error::Denied { .. } | Error::Unfit { .. }) => CommitError::Broken(broken),
            _ => CommitError::Over { cause: fault.boxed() },
        }
    })
}

/// Queues a record; waits for room when the queue is full.
fn send<C: Client>(client: &mut C, index: usize, record: &Record, ends: &mut Ends, pulse: &Pulse) -> Result<(), Fault> {
    loop {
        match client.send(index, record) {
            Err(fault) if fault.code == rdkafka::types::RDKafkaErrorCode::QueueFull && client.in_flight() > 0 => {
                pulse.beat();
                ends.take(client.drain(Duration::from_millis(10)));
            }
            other => return other,
        }
    }
}

/// The same call until it is no longer to be made again.
fn again(pulse: &Pulse, mut call: impl FnMut() -> Result<(), Fault>) -> Result<(), Fault> {
    let mut times = 0_u32;
    loop {
        pulse.beat();
        match call() {
            Err(fault) if fault.demand == Demand::Retry => {
                times += 1;
                if times == 1 || times.is_multiple_of(6) {
                    tracing::warn!(error = %fault, times, "the broker does not answer, trying on");
                }
                // An error that comes back at once must not make this a busy loop.
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// The same call until it is no longer to be made again, or this producer is no longer the one to make it.
fn by_this_producer(pulse: &Pulse, silent: Duration, mut call: impl FnMut() -> Result<(), Fault>) -> Result<(), Fault> {
    let began = Instant::now();
    again(pulse, || {
        call().map_err(|fault| match fault.demand {
            Demand::Retry if began.elapsed() >= silent => Fault { demand: Demand::Replace, ..fault },
            _ => fault,
        })
    })
}

/// Nothing is committed yet and nothing will be: aborts, and says what follows.
fn undo<C: Client>(client: &mut C, fault: Fault, mut ends: Ends, pulse: &Pulse, guard: &Guard) -> CommitError {
    if fault.demand != Demand::Replace {
        abort(client, pulse, guard);
    }
    // What was sent has an answer by now: an abort purges the queues.
    ends.take(client.drain(Duration::from_secs(1)));
    let refused = ends.refused();
    client.discard();
    if refused.is_empty() { failed(client, fault) } else { CommitError::Refused { refused } }
}

/// What follows from an error before the commit was asked for.
fn failed<C: Client>(client: &mut C, fault: Fault) -> CommitError {
    client.discard();
    if errors::is_stale(fault.code) || client.is_lost() {
        CommitError::Stale { cause: fault.boxed() }
    } else {
        CommitError::Again { cause: fault.boxed() }
    }
}

/// Aborts. A producer that cannot even do that is replaced, and its successor aborts by being initialised.
fn abort<C: Client>(client: &mut C, pulse: &Pulse, guard: &Guard) {
    if let Err(fault) = by_this_producer(pulse, SILENT, || guard.watch(|| client.abort(CALL))) {
        tracing::warn!(error = %fault, "aborting by a new producer");
        client.discard();
    }
}

/// The commit was asked for and its answer is in doubt. A new producer with the same id ends the old transaction one way or
/// the other; then the group's stable positions tell which.
fn find_out<C: Client>(
    client: &mut C,
    transaction: Marked<'_>,
    fault: Fault,
    pulse: &Pulse,
    guard: &Guard,
) -> Result<Committed, CommitError> {
    tracing::warn!(error = %fault, "the outcome of a commit is unknown, finding out");
    client.discard();
    init(client, Batching::Many, pulse, guard)?;
    let partitions: Vec<Partition> = transaction.positions.keys().cloned().collect();
    let mut found = BTreeMap::new();
    let asked = Instant::now();
    again(pulse, || {
        let answer = guard.watch(|| client.committed(&partitions, CALL));
        found = answer.map_err(|fault| match fault.demand {
            // Whoever joins anew tells what stands in the way, and that it does.
            Demand::Retry if asked.elapsed() >= HELD && guard.watch(|| client.is_held(&partitions, CALL)) => {
                Fault { demand: Demand::Replace, ..fault }
            }
            _ => fault,
        })?;
        Ok(())
    })
    .map_err(|fault| CommitError::Over { cause: fault.boxed() })?;
    let is_ours = transaction.positions.iter().all(|(partition, ours)| {
        found.get(partition).is_some_and(|theirs| theirs.next == ours.next && theirs.note == ours.note)
    });
    if client.is_lost() {
        // Whoever owns the partitions now reads the truth from the log; what is in memory here is to be forgotten.
        return Err(CommitError::Stale { cause: fault.boxed() });
    }
    if is_ours { Ok(Committed::default()) } else { Err(CommitError::Again { cause: fault.boxed() }) }
}

/// What the deliveries of one attempt told.
#[derive(Default)]
struct Ends {
    delivered: Vec<(usize, i32, Offset)>,
    failed: Vec<(usize, Fault)>,
}

impl Ends {
    fn take(&mut self, deliveries: Vec<Delivery>) {
        for Delivery { index, result } in deliveries {
            match result {
                Ok((partition, offset)) => self.delivered.push((index, partition, offset)),
                Err(fault) => self.failed.push((index, fault)),
            }
        }
    }

    /// The first failure, sorted: a record that was not stored demands an abort, whatever else is true of it.
    fn failed(&self) -> Option<Fault> {
        let (_, fault) =
            self.failed.iter().find(|(_, f)| errors::is_refused(f.code)).or_else(|| self.failed.first())?;
        let demand = if errors::is_fenced(fault.code) { Demand::Replace } else { Demand::Abort };
        Some(Fault { demand, ..fault.clone() })
    }

    fn refused(&self) -> Vec<(usize, String)> {
        self.failed.iter().filter(|(_, f)| errors::is_refused(f.code)).map(|(i, f)| (*i, f.to_string())).collect()
    }

    fn into_ends(self, records: &[Record]) -> BTreeMap<Partition, Offset> {
        let mut ends: BTreeMap<Partition, Offset> = BTreeMap::new();
        for (index, number, offset) in self.delivered {
            if let Some(record) = records.get(index) {
                let end = ends.entry(Partition::new(std::sync::Arc::clone(&record.topic), number)).or_default();
                *end = (*end).max(offset + 1);
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn a_call_is_made_again_until_its_producer_has_been_silent_for_too_long() {
        let unanswered = || Fault {
            call: "aborting",
            code: Code::OperationTimedOut,
            demand: Demand::Retry,
            text: "no answer".to_owned(),
        };
        let mut left = 3;
        let third = || {
            left -= 1;
            if left > 0 { Err(unanswered()) } else { Ok(()) }
        };
        by_this_producer(&Pulse::default(), SILENT, third).unwrap();
        let given_up = by_this_producer(&Pulse::default(), Duration::ZERO, || Err(unanswered())).unwrap_err();
        assert_eq!((given_up.demand, given_up.code), (Demand::Replace, Code::OperationTimedOut));
    }
}
