//! Takes samples of KPIs: `error` and `notification` to `kpi-sample`.
//!
//! - `inventory-errors`: one for every error event of inventory, at the time of the failure.
//! - `order-to-shipped`: one for every order that was shipped, at the time when its notification was written. It took from
//!   then on that the order came in over HTTP (`orderedAt`, by the clock of the host that answered) until shipper's
//!   transaction was written (the timestamp of the notification's record, by the clock of the host that ran shipper, or of
//!   the broker). Clocks that disagree make it shorter or longer, and never less than 0.
//!
//! Both times lie on topics, so that it takes the same samples whenever it runs. An order whose `orderedAt` is not known, on
//! events that were written before there was one, is not measured.

use std::borrow::Cow;

use fnhost_sdk::prelude::*;
use fnhost_sdk::{ErrorEvent, Unread};
use order::{Kpi, Sample, Stage, time, topic};
use serde::Deserialize;

/// The function whose errors count.
const INVENTORY: &str = "inventory";

/// A notification, as far as it is measured.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a notification")]
struct Notified<'a> {
    stage: Stage,
    #[serde(borrow, default)]
    ordered_at: Option<Cow<'a, str>>,
}

fn handle(event: Event<'_, Unread<'_>>, context: &mut Context<'_>) -> Outcome {
    let (_, notification) = topic::NOTIFICATION;
    match event.kind.as_ref() {
        ErrorEvent::TYPE => failed(event.read()?, context),
        kind if kind == notification => notified(event.read()?, context),
        other => Err(Failure::reject(format!(
            "the event is of type `{other}`, and `{}` or `{notification}` belongs here",
            ErrorEvent::TYPE
        ))),
    }
}

fn failed(event: Event<'_, ErrorEvent<'_>>, context: &mut Context<'_>) -> Outcome {
    if event.data.function != INVENTORY {
        return Ok(vec![]);
    }
    sample(event, Kpi::InventoryErrors, None, context)
}

fn notified(mut event: Event<'_, Notified<'_>>, context: &mut Context<'_>) -> Outcome {
    if event.data.stage != Stage::Shipped {
        return Ok(vec![]);
    }
    let (Some(ordered_at), Some(shipped)) = (&event.data.ordered_at, event.timestamp) else {
        let id = &event.subject;
        context.log.info("measure", &format!("order {id} is not measured: nobody wrote down when it came in"));
        return Ok(vec![]);
    };
    let ordered = time::parse("`data.orderedAt`", ordered_at)?;
    event.time = Some(time::with_millis(shipped).into());
    sample(event, Kpi::OrderToShipped, Some(shipped.saturating_sub(ordered)), context)
}

/// A sample of `kpi` from `event`, at its time.
fn sample<T>(mut event: Event<'_, T>, kpi: Kpi, ms: Option<u64>, context: &mut Context<'_>) -> Outcome {
    // Samples lie under the KPI, and not under what they are about: an error event may be about nothing.
    let order = Some(std::mem::replace(&mut event.subject, kpi.as_str().into())).filter(|order| !order.is_empty());
    let (name, kind) = topic::KPI_SAMPLE;
    Ok(vec![context.output(&event, name, kind, &Sample { kpi, order, ms })?])
}

fnhost_sdk::function!(handle, source = "/fulfilment/measure");
