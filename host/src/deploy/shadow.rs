//! A candidate beside the active version: what it would have done, counted and never visible.
//!
//! Workers hand it every event that the active version handles (`worker/shadow.rs`) and note here how the two differ. Counts are of
//! this host, since the candidate came to it. Bounded: [`EXAMPLES_MAX`] examples of each kind of difference, texts of
//! [`TEXT_BYTES_MAX`], and two histograms.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::event::{Offset, Partition};
use crate::invocation::Handler;
use crate::sync::lock;

/// How many examples of one kind of difference are kept: the first ones.
pub const EXAMPLES_MAX: usize = 4;
/// A longer text of an example is cut.
pub const TEXT_BYTES_MAX: usize = 512;
/// Times beyond this are counted as this.
const TIME_MAX: Duration = Duration::from_secs(60);

/// A candidate, and what is known of it.
pub struct Shadow {
    /// What handles events beside the active version.
    pub version: Arc<dyn Handler>,
    tally: Mutex<Tally>,
}

/// In what a candidate differs from the active version. The first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// One fails the event and the other does not, or they fail it for other reasons.
    Verdict,
    /// Both apply, and publish something else.
    Outputs,
    /// They publish the same, and keep something else.
    State,
}

impl Difference {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Verdict, Self::Outputs, Self::State];

    /// Its name in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Outputs => "outputs",
            Self::State => "state",
        }
    }
}

/// One event that the two made something else of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Where it lies.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// In what they differ.
    pub difference: Difference,
    /// What the active version did, for people.
    pub active: String,
    /// What the candidate would have done, for people.
    pub candidate: String,
}

/// One event that both handled.
pub struct Compared {
    /// What differs, if anything does.
    pub example: Option<Example>,
    /// What the active version's invocation took.
    pub active_took: Duration,
    /// What the candidate's took.
    pub candidate_took: Duration,
}

/// What came of the events of one batch.
#[derive(Default)]
pub struct Counts {
    /// Those that both handled.
    pub compared: Vec<Compared>,
    /// How many the candidate was not given.
    pub passed_over: u64,
    /// How many it was stopped in the middle of.
    pub cut_short: u64,
}

/// What is known of a candidate on this host.
#[derive(Clone)]
pub struct Tally {
    /// Events of which both made the same.
    pub same: u64,
    /// Events of which they did not, by [`Difference::ALL`].
    pub differ: [u64; Difference::ALL.len()],
    /// Events that the candidate was not given: it would have held up the active version.
    pub passed_over: u64,
    /// Events that the candidate was stopped in the middle of: it took longer than the active version could wait.
    pub cut_short: u64,
    /// Some that differ, the oldest first.
    pub examples: Vec<Example>,
    active: Histogram<u64>,
    candidate: Histogram<u64>,
}

/// How long invocations took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Half of them at most.
    pub p50: Duration,
    /// All but one in a hundred at most.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Shadow {
    /// A candidate of which nothing is known; none where no memory for it can be had.
    pub fn new(version: Arc<dyn Handler>) -> Option<Self> {
        // Two digits are enough to compare by; the bounds are constants, so an error is no surprise at run time.
        let times = || Histogram::new_with_max(nanos(TIME_MAX), 2).ok();
        let (active, candidate) = (times()?, times()?);
        let (differ, examples) = ([0; Difference::ALL.len()], Vec::new());
        let tally = Tally { same: 0, differ, passed_over: 0, cut_short: 0, examples, active, candidate };
        Some(Self { version, tally: Mutex::new(tally) })
    }

    /// What is known by now.
    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Takes in what became of the events of one batch.
    pub fn count(&self, counts: Counts) {
        let Counts { compared, passed_over, cut_short } = counts;
        let mut tally = lock(&self.tally);
        tally.passed_over += passed_over;
        tally.cut_short += cut_short;
        for Compared { example, active_took, candidate_took } in compared {
            tally.active.saturating_record(nanos(active_took));
            tally.candidate.saturating_record(nanos(candidate_took));
            let Some(example) = example else {
                tally.same += 1;
                continue;
            };
            if let Some(count) = tally.differ.get_mut(example.difference as usize) {
                *count += 1;
            }
            let known = tally.examples.iter().filter(|known| known.difference == example.difference).count();
            if known < EXAMPLES_MAX {
                tally.examples.push(example);
            }
        }
    }
}

impl Tally {
    /// What the active version's invocations took, of the events that both handled.
    pub fn active_times(&self) -> Times {
        times(&self.active)
    }

    /// What the candidate's took.
    pub fn candidate_times(&self) -> Times {
        times(&self.candidate)
    }
}

fn times(histogram: &Histogram<u64>) -> Times {
    let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
    Times { p50: at(0.5), p99: at(0.99), max: Duration::from_nanos(histogram.max()) }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
