//! What waits for the writer.
//!
//! Records from outside are bounded in number and bytes: beyond that they are turned away. Callers that wait for the
//! answer are let in always: each has one job here at most, so there are no more of those than threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::job::Job;
use crate::sync::lock;

/// How many jobs may wait before records from outside are turned away.
const JOBS_MAX: usize = 10_000;
/// How many bytes may.
const BYTES_MAX: usize = 64 << 20;

/// How much is written at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portion {
    pub(super) jobs_max: usize,
    /// No further job once there are this many.
    pub(super) bytes_max: usize,
}

/// Why a job was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    Full,
    Closed,
}

/// Jobs in the order they came.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    /// Lets a job in if there is room. Never blocks for long.
    pub(super) fn offer(&self, job: Job) -> Result<(), Shut> {
        let waiting = lock(&self.waiting);
        if waiting.jobs.len() >= JOBS_MAX || waiting.bytes >= BYTES_MAX {
            return Err(Shut::Full);
        }
        self.let_in(waiting, job)
    }

    /// Lets in the job of a caller that waits for its answer.
    pub(super) fn push(&self, job: Job) -> Result<(), Shut> {
        self.let_in(lock(&self.waiting), job)
    }

    fn let_in(&self, mut waiting: std::sync::MutexGuard<'_, Waiting>, job: Job) -> Result<(), Shut> {
        if waiting.is_closed {
            return Err(Shut::Closed);
        }
        waiting.bytes += job.size_bytes();
        waiting.jobs.push_back(job);
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    /// Waits for jobs, and takes as many as are to be written at once. `None` when it is closed and empty.
    pub(super) fn take(&self, portion: Portion) -> Option<Vec<Job>> {
        let mut waiting = lock(&self.waiting);
        while waiting.jobs.is_empty() {
            if waiting.is_closed {
                return None;
            }
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < portion.jobs_max && bytes < portion.bytes_max {
            let is_alone = waiting.jobs.front().is_some_and(Job::is_alone);
            if is_alone && !taken.is_empty() {
                break;
            }
            let Some(job) = waiting.jobs.pop_front() else { break };
            bytes += job.size_bytes();
            taken.push(job);
            if is_alone {
                break;
            }
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        Some(taken)
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).jobs.len()
    }

    /// Lets nothing more in. What waits is still taken.
    pub(super) fn close(&self) {
        lock(&self.waiting).is_closed = true;
        self.came.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::{Fence, Work, Write};
    use super::super::record::Draft;
    use super::*;
    use crate::broker::TopicChange;
    use crate::event::Record;

    const ALL: Portion = Portion { jobs_max: usize::MAX, bytes_max: usize::MAX };

    fn job(work: Work) -> Job {
        Job { work, done: Box::new(drop) }
    }

    fn write(bytes: usize) -> Job {
        let record =
            Record { topic: "t".into(), partition: None, key: None, value: Some(vec![0; bytes]), headers: vec![] };
        let records = vec![Draft::of(&record)];
        let positions = std::collections::BTreeMap::new();
        job(Work::Write(Write { fence: Fence::None, group: String::new(), positions, records }))
    }

    fn change() -> Job {
        job(Work::Change(TopicChange::Grow { name: "t".to_owned(), partitions: 2 }))
    }

    #[test]
    fn records_from_outside_are_turned_away_when_too_much_waits_and_callers_that_wait_are_not() {
        let queue = Queue::default();
        queue.offer(write(BYTES_MAX)).unwrap();
        assert_eq!(queue.offer(write(1)), Err(Shut::Full));
        queue.push(write(1)).unwrap();
        assert_eq!(queue.take(ALL).unwrap().len(), 2);
        queue.offer(write(1)).unwrap();
    }

    #[test]
    fn a_change_of_a_topic_is_taken_alone_and_in_its_turn() {
        let queue = Queue::default();
        for job in [write(1), write(1), change(), write(1)] {
            queue.push(job).unwrap();
        }
        let taken: Vec<_> = (0..3).map(|_| queue.take(ALL).unwrap().len()).collect();
        assert_eq!(taken, [2, 1, 1]);
    }

    #[test]
    fn a_portion_is_bounded_and_a_closed_queue_is_emptied_first() {
        let queue = Queue::default();
        (0..5).for_each(|_| queue.push(write(100)).unwrap());
        queue.close();
        assert_eq!(queue.push(write(1)), Err(Shut::Closed));
        assert_eq!(queue.take(Portion { jobs_max: 2, ..ALL }).unwrap().len(), 2);
        assert_eq!(queue.take(Portion { bytes_max: 150, ..ALL }).unwrap().len(), 2);
        assert_eq!(queue.take(ALL).unwrap().len(), 1);
        assert!(queue.take(ALL).is_none());
    }
}
