//! The writer: one thread that makes one durable transaction of all that waits, and then of all that came meanwhile.
//!
//! So a disk that takes a millisecond to be sure bounds how often something is written, never how much; and whoever writes
//! alone waits for the disk once. What is asked for is done in the order it came. Fences are looked at here, in the middle of
//! that order: what passes is decided before anything that is asked for later, which is what a [`Work::Barrier`] is for.
//!
//! Of a transaction that is not as it must be, nothing is written, and its neighbours are none the worse.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::catalog::{Catalog, Changed};
use super::file::{Fault, Written, text_of};
use super::group::Standing;
use super::job::{Denied, Fence, Job, Refusal, Stored, Sweep, Swept, Work, Write};
use super::log::{self, Changer, Place};
use super::partitioner::partition_of;
use super::queue::Portion;
use super::record::Draft;
use super::shared::Shared;
use crate::broker::TopicChange;
use crate::event::Partition;

/// How much one transaction of the file holds, but for a single job that is larger.
const PORTION: Portion = Portion { jobs_max: 2000, bytes_max: 8 << 20 };
/// At most this many records are deleted in one transaction of the file.
const DELETED_MAX: usize = 1000;

type Answer = Result<Vec<Stored>, Denied>;

/// Writes until the queue is closed and empty. If it breaks down, nobody is left waiting: what it had in hand is dropped, which
/// tells that its fate is unknown, and all else is refused.
pub(super) fn run(shared: &Shared) {
    let mut writer = Writer { shared, turn: 0 };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        while let Some(jobs) = shared.queue.take(PORTION) {
            writer.write(jobs);
        }
    }));
    let Err(panic) = ended else { return };
    let fault = Fault::Broken(text_of(&*panic).into());
    tracing::error!(path = %shared.file.path().display(), error = %fault, "the broker is closed");
    // What it knows of the file may be wrong from here on.
    shared.queue.close();
    shared.file.give_up(&fault);
    while let Some(jobs) = shared.queue.take(PORTION) {
        jobs.into_iter().for_each(|job| (job.done)(Err(Denied::Fault(fault.clone()))));
    }
    shared.upkeep.ring();
}

struct Writer<'a> {
    shared: &'a Shared,
    /// Counts records without a key, so that they are spread.
    turn: u32,
}

/// A topic's id and number of partitions, and which of them were written.
struct Placed {
    place: Place,
    partition: Partition,
}

impl Writer<'_> {
    fn write(&mut self, mut jobs: Vec<Job>) {
        if let [Job { work: Work::Change(change), .. }] = jobs.as_slice() {
            let answer = self.change(change);
            jobs.into_iter().for_each(|job| (job.done)(answer.clone()));
            return;
        }
        // A file that failed is tried by whoever asks for nothing, too.
        let is_probe = self.shared.file.is_in_trouble();
        let mut written = BTreeSet::new();
        let result = self.shared.file.write(|transaction| {
            let mut changer = Changer::new(transaction)?;
            let mut answers = Vec::with_capacity(jobs.len());
            for job in &mut jobs {
                answers.push(self.job(&mut job.work, &mut changer, &mut written)?);
            }
            let is_changed = is_probe || changer.is_changed;
            let touched = changer.finish()?;
            let done = (answers, touched);
            Ok(if is_changed { Written::Commit(done) } else { Written::Nothing(done) })
        });
        match result {
            Ok((answers, touched)) => {
                self.catalog_mut().touch(&touched);
                self.shared.groups.ring(&written);
                jobs.into_iter().zip(answers).for_each(|(job, answer)| (job.done)(answer));
            }
            Err(fault) => {
                jobs.into_iter().for_each(|job| (job.done)(Err(Denied::Fault(fault.clone()))));
            }
        }
    }

    fn catalog_mut(&self) -> std::sync::RwLockWriteGuard<'_, Catalog> {
        self.shared.catalog.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn job(
        &mut self,
        work: &mut Work,
        changer: &mut Changer<'_>,
        written: &mut BTreeSet<Partition>,
    ) -> Result<Answer, redb::Error> {
        match work {
            Work::Write(write) => self.transaction(write, changer, written),
            Work::Sweep(sweep) => self.sweep(sweep, changer),
            Work::Barrier => Ok(Ok(Vec::new())),
            Work::Change(change) => {
                let what = format!("a change of `{}` in company", change.topic());
                Ok(Err(Denied::Unchanged(what)))
            }
        }
    }

    /// Everything is looked at before anything is written.
    fn transaction(
        &mut self,
        write: &mut Write,
        changer: &mut Changer<'_>,
        written: &mut BTreeSet<Partition>,
    ) -> Result<Answer, redb::Error> {
        if let Err(denied) = self.pass(write) {
            return Ok(Err(denied));
        }
        let catalog = self.shared.catalog();
        let placed = match place_all(&catalog, &write.records, &mut self.turn) {
            Ok(placed) => placed,
            Err(denied) => return Ok(Err(denied)),
        };
        let now_ms = self.shared.now_ms();
        let mut stored = Vec::with_capacity(placed.len());
        for (draft, Placed { place, partition }) in write.records.iter_mut().zip(placed) {
            let (_, known) = catalog.find(&partition).unwrap_or_default();
            let offset = changer.append(place, known, draft.stamped(now_ms))?;
            stored.push(Stored { partition: partition.number, offset });
            written.insert(partition);
        }
        for (partition, position) in &write.positions {
            let (Some((id, _)), Some(next)) = (catalog.find(partition), position.next) else { continue };
            changer.move_to(&write.group, (id, partition.number), next, &position.note)?;
        }
        Ok(Ok(stored))
    }

    /// Whether a transaction may be written at all.
    fn pass(&self, write: &Write) -> Result<(), Denied> {
        match &write.fence {
            Fence::None => Ok(()),
            Fence::Exclusive { name, ticket } => {
                if self.shared.has_name(name, *ticket) {
                    Ok(())
                } else {
                    Err(Denied::Fenced)
                }
            }
            Fence::Member { name, ticket } => {
                passed(self.shared.groups.standing(&write.group, name, *ticket, write.positions.keys()))
            }
            Fence::Taker { name, ticket, number } => {
                passed(self.shared.groups.taking(&write.group, name, *ticket, *number))
            }
        }
    }

    fn sweep(&self, sweep: &Sweep, changer: &mut Changer<'_>) -> Result<Answer, redb::Error> {
        let Sweep { partition, what } = sweep;
        if self.shared.is_replayed(partition) {
            return Ok(Err(Denied::Replayed));
        }
        let Some((id, known)) = self.shared.catalog().find(partition) else {
            return Ok(Err(Denied::NoSuchTopic(Arc::clone(&partition.topic))));
        };
        let place = (id, partition.number);
        match what {
            Swept::Before(offset) => changer.delete_before(place, known, *offset, DELETED_MAX)?,
            Swept::Superseded(offsets) => changer.delete(place, known, offsets)?,
            Swept::Cleaned(offset) => changer.set_cleaned(place, known, *offset),
        }
        Ok(Ok(Vec::new()))
    }

    fn change(&self, change: &TopicChange) -> Answer {
        let changed = self.shared.catalog().plan(change).map_err(Denied::Unchanged)?;
        let write = |Changed { name, stored, first }: &Changed| {
            self.shared.file.write(|transaction| {
                log::put_topic(transaction, name, stored, *first)?;
                Ok(Written::Commit(()))
            })
        };
        write(&changed).map_err(Denied::Fault)?;
        let name = Arc::clone(&changed.name);
        let moves_partitions = changed.first < changed.stored.partitions;
        self.catalog_mut().take_over(changed).map_err(|why| Denied::Fault(Fault::Damaged(why.into())))?;
        if moves_partitions {
            self.shared.groups.topic_changed(&name);
        }
        Ok(Vec::new())
    }
}

fn passed(standing: Standing) -> Result<(), Denied> {
    match standing {
        Standing::Owns => Ok(()),
        Standing::Moved => Err(Denied::Moved),
        Standing::Fenced => Err(Denied::Fenced),
    }
}

/// Where each record goes, or why they cannot all go somewhere.
fn place_all(catalog: &Catalog, records: &[Draft], turn: &mut u32) -> Result<Vec<Placed>, Denied> {
    let mut placed = Vec::with_capacity(records.len());
    let mut refused = Vec::new();
    for (index, draft) in records.iter().enumerate() {
        let Some(held) = catalog.get(&draft.topic) else {
            return Err(Denied::NoSuchTopic(Arc::clone(&draft.topic)));
        };
        let mut refuse = |too_large, reason| refused.push(Refusal { index, too_large, reason });
        let (name, limit) = (&held.name, held.limits.message_bytes_max);
        if draft.kafka_bytes > limit {
            let bytes = draft.kafka_bytes;
            refuse(true, format!("it has {bytes} bytes, and topic `{name}` takes {limit} (max.message.bytes)"));
            continue;
        }
        if held.limits.compacts && draft.hash.is_none() {
            refuse(false, format!("it has no key, and topic `{name}` is compacted by key"));
            continue;
        }
        if draft.hash.is_none() {
            *turn = turn.wrapping_add(1);
        }
        let number = draft.partition.or_else(|| partition_of(draft.hash, *turn, held.stored.partitions));
        match number.filter(|number| held.bounds_of(*number).is_some()) {
            Some(number) => placed
                .push(Placed { place: (held.stored.id, number), partition: Partition::new(Arc::clone(name), number) }),
            None => refuse(false, format!("topic `{name}` has no partition {}", number.unwrap_or(-1))),
        }
    }
    if refused.is_empty() { Ok(placed) } else { Err(Denied::Refused(refused)) }
}
