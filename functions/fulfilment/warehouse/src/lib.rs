//! Picks and packs: `order-confirmed` to `order-picked-and-packed`, and a notification that says so.
//!
//! A parcel is packed once: the order again, in whatever event, has no second effect.

use fnhost_sdk::prelude::*;
use order::{Carried, Notification, Order, Stage, check, topic};

/// What is kept of a packed order. Only that it is there counts.
const PACKED: &[u8] = b"1";

/// More lines than these are counted in a message, and not listed.
const LINES_LISTED_MAX: usize = 20;

fn handle(event: Event<'_, Carried<'_>>, context: &mut Context<'_>) -> Outcome {
    let order = &event.data.order;
    check(&event, topic::CONFIRMED, order)?;
    if context.state.contains(order.id.as_bytes()) {
        return Ok(vec![]);
    }
    context.state.set(order.id.as_bytes(), PACKED);

    let notification = Notification {
        order: order.clone(),
        ordered_at: event.data.ordered_at.clone(),
        stage: Stage::Picked,
        recipient: order.customer.email_address.clone(),
        subject: format!("Order {} is packed", order.id).into(),
        body: body(order).into(),
        carrier_reference: None,
    };
    let (packed, packed_kind) = topic::PICKED_AND_PACKED;
    let (notify, notify_kind) = topic::NOTIFICATION;
    Ok(vec![
        context.output(&event, packed, packed_kind, &event.data)?,
        context.output(&event, notify, notify_kind, &notification)?,
    ])
}

fn body(order: &Order<'_>) -> String {
    let mut text = String::with_capacity(512);
    for part in ["Hello ", &order.customer.first_name, ",\n\nyour order ", &order.id, " is picked and packed:\n\n"] {
        text.push_str(part);
    }
    for product in order.products.iter().take(LINES_LISTED_MAX) {
        text.push_str(&format!("  {} x {}\n", product.quantity, product.code));
    }
    if let Some(more @ 1..) = order.products.len().checked_sub(LINES_LISTED_MAX) {
        text.push_str(&format!("  and {more} more\n"));
    }
    text.push_str("\nWe tell you when it is on its way.\n");
    text
}

fnhost_sdk::function!(handle, source = "/fulfilment/warehouse");
