//! Hands parcels to the carrier: `order-picked-and-packed` to a notification that says so.
//!
//! A parcel is handed over once: the order again, in whatever event, has no second effect.

mod carrier;

use fnhost_sdk::prelude::*;
use order::{Carried, Notification, Order, Stage, check, topic};

/// What is kept of a shipped order. Only that it is there counts.
const SHIPPED: &[u8] = b"1";

fn handle(event: Event<'_, Carried<'_>>, context: &mut Context<'_>) -> Outcome {
    let order = &event.data.order;
    check(&event, topic::PICKED_AND_PACKED, order)?;
    if context.state.contains(order.id.as_bytes()) {
        return Ok(vec![]);
    }
    context.state.set(order.id.as_bytes(), SHIPPED);

    let notification = Notification {
        order: order.clone(),
        ordered_at: event.data.ordered_at.clone(),
        stage: Stage::Shipped,
        recipient: order.customer.email_address.clone(),
        subject: format!("Order {} is on its way", order.id).into(),
        body: body(order).into(),
        carrier_reference: Some(carrier::reference(&order.id).into()),
    };
    let (notify, notify_kind) = topic::NOTIFICATION;
    Ok(vec![context.output(&event, notify, notify_kind, &notification)?])
}

fn body(order: &Order<'_>) -> String {
    let mut text = String::with_capacity(512);
    for part in [
        "Hello ",
        &order.customer.first_name,
        ",\n\nyour order ",
        &order.id,
        " is on its way.\n\nThank you for ordering from PPE 4 Peeps.\n",
    ] {
        text.push_str(part);
    }
    text
}

fnhost_sdk::function!(handle, source = "/fulfilment/shipper");
