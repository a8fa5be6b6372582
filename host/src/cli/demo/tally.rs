//! What came of the orders, counted.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::orders::{Fate, Placed, Sample};
use crate::worker::tap::Passed;

/// How many notifications a shipped order has: picked, and shipped.
const NOTIFICATIONS: usize = 2;

/// What was seen.
#[derive(Default)]
pub(super) struct Tally {
    /// When an order was first placed.
    first: BTreeMap<String, Instant>,
    accepted: usize,
    refused: usize,
    /// From when an order was placed until it was shipped.
    shipped: BTreeMap<String, Duration>,
    /// How often the same order was shipped once more: never.
    shipped_again: usize,
    notified: BTreeMap<String, usize>,
    without_effect: usize,
    error_events: usize,
}

impl Tally {
    pub(super) fn placed(&mut self, placed: Placed) {
        match placed.status {
            202 => self.accepted += 1,
            _ => self.refused += 1,
        }
        self.first.entry(placed.id).or_insert(placed.at);
    }

    pub(super) fn passed(&mut self, id: &str, event: &Passed) {
        match (event.function.as_str(), &event.failure) {
            (_, Some(_)) => self.error_events += 1,
            ("inventory", None) if event.outputs.is_empty() => self.without_effect += 1,
            ("shipper", None) if event.outputs.is_empty() => {}
            ("shipper", None) => {
                let took = self.first.get(id).map(Instant::elapsed).unwrap_or_default();
                if self.shipped.insert(id.to_owned(), took).is_some() {
                    self.shipped_again += 1;
                }
            }
            ("notification", None) => *self.notified.entry(id.to_owned()).or_default() += 1,
            _ => {}
        }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_complete(&self, samples: &[Sample]) -> bool {
        self.unmet(samples).is_empty()
    }

    /// What is not as it must be, a line each.
    pub(super) fn unmet(&self, samples: &[Sample]) -> Vec<String> {
        let of = |fate| samples.iter().filter(|sample| sample.fate == fate).count();
        let good = of(Fate::Shipped);
        let expected = [
            ("orders accepted", self.accepted, samples.len() - of(Fate::Refused)),
            ("orders refused at the door", self.refused, of(Fate::Refused)),
            ("orders shipped", self.shipped.len(), good),
            ("orders shipped twice", self.shipped_again, 0),
            ("notifications sent", self.notified.values().sum(), good * NOTIFICATIONS),
            ("duplicates without effect", self.without_effect, of(Fate::Again)),
            ("error events", self.error_events, of(Fate::Rejected)),
        ];
        let wrong = expected.into_iter().filter(|(_, is, must)| is != must);
        wrong.map(|(what, is, must)| format!("{what}: {is}, must be {must}")).collect()
    }

    /// The table at the end.
    pub(super) fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for (what, count) in [
            ("placed", self.accepted + self.refused),
            ("refused at the door", self.refused),
            ("shipped", self.shipped.len()),
            ("duplicates without effect", self.without_effect),
            ("error events", self.error_events),
        ] {
            writeln!(out, "{what:<27} {count:>5}")?;
        }
        let mut times: Vec<Duration> = self.shipped.values().copied().collect();
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
        let millis = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
        writeln!(out, "{:<27} {:>5.0} ms", "time per order, p50", millis(at(50)))?;
        writeln!(out, "{:<27} {:>5.0} ms", "time per order, p99", millis(at(99)))
    }
}
