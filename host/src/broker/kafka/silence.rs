//! When a client is not to be trusted any more to come back: nothing that it sent was answered for too long.

use std::ops::Range;
use std::time::{Duration, Instant};

/// How long one client may get no answer before another takes its place: longer than any one answer takes. librdkafka lets go of all
/// brokers that it knows when one of them answers that there is none, and may find none ever again
/// (<https://github.com/confluentinc/librdkafka/issues/5301>). A broker that stood still, or lost its controllers, answers so for a moment.
pub(super) const SILENT: Duration = Duration::from_secs(20);

/// From when till when a client got no answer: between two questions nobody answers.
#[derive(Debug, Default)]
pub(super) struct Silence(Option<Range<Instant>>);

impl Silence {
    /// Notes what became of a question.
    pub(super) fn note(&mut self, is_answered: bool) {
        if is_answered {
            self.0 = None;
        } else {
            let now = Instant::now();
            self.0.get_or_insert(now..now).end = now;
        }
    }

    /// How long it lasts, when that is too long.
    pub(super) fn too_long(&self) -> Option<Duration> {
        let silence = self.0.as_ref()?;
        Some(silence.end.duration_since(silence.start)).filter(|lasted| *lasted >= SILENT)
    }

    /// One question without an answer, so long ago.
    #[cfg(test)]
    pub(super) fn since(ago: Duration) -> Self {
        Self(Instant::now().checked_sub(ago).map(|since| since..since))
    }
}
