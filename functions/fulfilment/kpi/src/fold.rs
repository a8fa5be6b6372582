//! What is kept of samples, and what a tick publishes of it.
//!
//! State, all of it JSON:
//!
//! | key | what |
//! |---|---|
//! | `ledger` | how far it is published, and which minutes have to be once more |
//! | `minute/2026-11-21T18:05:00Z/order-to-shipped` | the samples of one KPI in one minute, if there are any |

use std::collections::BTreeSet;

use fnhost_sdk::Tick;
use fnhost_sdk::prelude::*;
use order::{Kpi, Sample, topic};
use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::minute::Minute;

/// For as many minutes after it was published is a minute kept, and as many without a sample does one tick publish at most.
const KEPT_MINUTES: u64 = 60;
/// As many minutes does one tick publish at most; the next one goes on. With those that are published again, all fits what
/// an event may write and publish.
const MINUTES_MAX: usize = 120;
/// As many of a minute's KPIs does one tick forget at most.
const FORGOTTEN_MAX: usize = 256;
/// Samples of so many minutes are read from state at once, each up to 50 KiB.
const PAGE: u32 = 16;

const LEDGER: &[u8] = b"ledger";
const MINUTES: &str = "minute/";

/// How far it is published.
#[derive(Debug, Deserialize, Serialize)]
struct Ledger {
    /// The first minute that was ever published.
    since: Minute,
    /// The first minute that was not published yet.
    until: Minute,
    /// What has to be published once more.
    late: BTreeSet<(Minute, Kpi)>,
}

/// The samples of one KPI in one minute.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Samples {
    /// Under which number it is published next.
    revision: u32,
    count: u64,
    #[serde(default, skip_serializing_if = "Histogram::is_empty")]
    ms: Histogram,
}

/// A KPI of one minute: the data of what is published.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    kpi: Kpi,
    minute: Minute,
    count: u64,
    p50_ms: Option<u64>,
    p99_ms: Option<u64>,
    revision: u32,
}

fn key(minute: Minute, kpi: Kpi) -> String {
    format!("{MINUTES}{minute}/{kpi}")
}

/// The minute and the KPI that a key stands for.
fn of_key(key: &[u8]) -> Option<(Minute, Kpi)> {
    let (minute, name) = std::str::from_utf8(key).ok()?.strip_prefix(MINUTES)?.split_once('/')?;
    Some((Minute::read(minute)?, Kpi::ALL.into_iter().find(|kpi| kpi.as_str() == name)?))
}

/// Adds a sample to its minute.
pub(crate) fn add(sample: &Sample<'_>, at_ms: u64, state: &mut dyn State) -> Result<(), Failure> {
    let (minute, kpi) = (Minute::of(at_ms), sample.kpi);
    let ms = match (kpi, sample.ms) {
        (Kpi::OrderToShipped, None) => {
            return Err(Failure::reject(format!("a sample of {kpi} needs `ms`, how long it took")));
        }
        (Kpi::OrderToShipped, ms) => ms,
        (Kpi::InventoryErrors, _) => None,
    };
    let key = key(minute, kpi);
    let ledger: Option<Ledger> = state.get_json(LEDGER)?;
    let known: Option<Samples> = state.get_json(key.as_bytes())?;
    let is_new = known.is_none();
    let mut samples = known.unwrap_or_default();
    if let Some(mut ledger) = ledger.filter(|ledger| minute < ledger.until) {
        if minute < ledger.until.before(KEPT_MINUTES) {
            return Err(Failure::reject(format!(
                "the sample of {kpi} comes too late for {minute}, which was published more than {KEPT_MINUTES} minutes \
                 ago and is forgotten"
            )));
        }
        // Without samples it was published as 0, if that was after the beginning of all.
        if is_new && minute >= ledger.since {
            samples.revision = 1;
        }
        if ledger.late.insert((minute, kpi)) {
            state.set_json(LEDGER, &ledger)?;
        }
    }
    samples.count = samples.count.saturating_add(1);
    if let Some(ms) = ms {
        samples.ms.add(ms);
    }
    state.set_json(key.as_bytes(), &samples)
}

/// Publishes what was over by `over_ms`, and what came late.
pub(crate) fn publish(mut tick: Event<'_, Tick<'_>>, over_ms: u64, context: &mut Context<'_>) -> Outcome {
    let over = Minute::of(over_ms);
    let mut ledger = match context.state.get_json(LEDGER)? {
        Some(ledger) => ledger,
        None => {
            let oldest = context.state.scan(MINUTES.as_bytes(), None, 1).first().and_then(|(key, _)| of_key(key));
            let since = oldest.map_or(over, |(oldest, _)| oldest.min(over));
            Ledger { since, until: since, late: BTreeSet::new() }
        }
    };

    let mut due: Vec<(Minute, Kpi)> = std::mem::take(&mut ledger.late).into_iter().collect();
    if ledger.until < over {
        let mut minutes = with_samples(context.state, ledger.until, over);
        let first = ledger.until.max(over.before(KEPT_MINUTES));
        minutes.extend((first.0..over.0).map(Minute));
        let more = minutes.iter().nth(MINUTES_MAX).copied();
        ledger.until = more.unwrap_or(over);
        let new = minutes.into_iter().take(MINUTES_MAX);
        due.extend(new.flat_map(|minute| Kpi::ALL.map(|kpi| (minute, kpi))));
    }

    let mut outputs = Vec::with_capacity(due.len());
    for (minute, kpi) in due {
        let key = key(minute, kpi);
        let known: Option<Samples> = context.state.get_json(key.as_bytes())?;
        let is_known = known.is_some();
        let mut samples = known.unwrap_or_default();
        let (p50_ms, p99_ms) = (samples.ms.quantile(50), samples.ms.quantile(99));
        let published = Published { kpi, minute, count: samples.count, p50_ms, p99_ms, revision: samples.revision };
        tick.subject = kpi.as_str().into();
        let (name, kind) = topic::KPI;
        outputs.push(context.output(&tick, name, kind, &published)?);
        if is_known {
            samples.revision = samples.revision.saturating_add(1);
            context.state.set_json(key.as_bytes(), &samples)?;
        }
    }
    forget(context.state, ledger.until.before(KEPT_MINUTES));
    context.state.set_json(LEDGER, &ledger)?;
    Ok(outputs)
}

/// The minutes from `first` to before `end` that have samples: as many as may be published, and one more.
fn with_samples(state: &dyn State, first: Minute, end: Minute) -> BTreeSet<Minute> {
    let mut minutes = BTreeSet::new();
    // Before all keys of its minute.
    let mut after = format!("{MINUTES}{first}").into_bytes();
    loop {
        let page = state.scan(MINUTES.as_bytes(), Some(&after), PAGE);
        let Some((last, _)) = page.last() else { return minutes };
        after.clone_from(last);
        for (minute, _) in page.iter().filter_map(|(key, _)| of_key(key)) {
            if minute >= end || minutes.len() > MINUTES_MAX {
                return minutes;
            }
            minutes.insert(minute);
        }
    }
}

/// Forgets samples of minutes before `end`.
fn forget(state: &mut dyn State, end: Minute) {
    let mut forgotten = 0;
    while forgotten < FORGOTTEN_MAX {
        let page = state.scan(MINUTES.as_bytes(), None, PAGE);
        let old = |key: &[u8]| of_key(key).is_none_or(|(minute, _)| minute < end);
        let keys: Vec<Vec<u8>> = page.into_iter().map(|(key, _)| key).take_while(|key| old(key)).collect();
        if keys.is_empty() {
            return;
        }
        forgotten += keys.len();
        keys.iter().for_each(|key| state.delete(key));
    }
}
