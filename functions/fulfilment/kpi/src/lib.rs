//! Folds samples into KPIs, minute by minute: `kpi-sample` to `kpi`.
//!
//! A sample counts for the minute of its own time, whenever it comes. A tick of a schedule, on the same topic, publishes every
//! minute that was over by the tick's time, less a grace for samples that are on their way (config `grace-seconds`), and was
//! not published yet: each KPI of it, also where nothing happened.
//!
//! - A sample for a minute that was published already has it published again at the next tick, with the next revision.
//! - Minutes are forgotten an hour after those that were published last. A sample that comes later than that is rejected: it
//!   is on the topic `error`.
//! - Where ticks stayed away for more than an hour, nothing is said of older minutes in which nothing happened.
//! - The first tick of all begins with the oldest sample, if there is one, and with the minute in which it comes otherwise:
//!   nothing is claimed of a time when nobody measured.
//!
//! Everything is reckoned in times that lie on the topic: the same samples and ticks in the same order are the same KPIs.

mod fold;
mod histogram;
mod minute;

use fnhost_sdk::prelude::*;
use fnhost_sdk::{Tick, Unread};
use order::{Sample, time, topic};

/// How far an event's time may lie after its record's: clocks of hosts differ by less.
const AHEAD_MS_MAX: u64 = 60_000;

fn handle(event: Event<'_, Unread<'_>>, context: &mut Context<'_>) -> Outcome {
    let (_, sample) = topic::KPI_SAMPLE;
    let Some(at) = &event.time else {
        return Err(Failure::reject("the event has no `time`, which is what samples and ticks are about"));
    };
    let at_ms = time::parse("`time`", at)?;
    // A clock that was wrong, or somebody's mistake: what counts for a time that is yet to come would stand in the way of all until then.
    let written = event.timestamp.filter(|written_ms| *written_ms > 0);
    if written.is_some_and(|written_ms| at_ms > written_ms.saturating_add(AHEAD_MS_MAX)) {
        return Err(Failure::reject("its `time` is more than a minute after it was written"));
    }
    match event.kind.as_ref() {
        Tick::TYPE => {
            let grace: u32 = context.config.parsed("grace-seconds")?;
            fold::publish(event.read::<Tick<'_>>()?, at_ms.saturating_sub(1000 * u64::from(grace)), context)
        }
        kind if kind == sample => {
            fold::add(&event.read::<Sample<'_>>()?.data, at_ms, context.state)?;
            Ok(vec![])
        }
        other => Err(Failure::reject(format!(
            "the event is of type `{other}`, and `{sample}` or `{}` belongs here",
            Tick::TYPE
        ))),
    }
}

fnhost_sdk::function!(handle, source = "/fulfilment/kpi");
