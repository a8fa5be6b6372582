//! Tells customers: what is on `notification` is made a message of, and sent.
//!
//! A message is sent once: the notification of one order and stage again, in whatever event, has no second effect.

mod render;
mod send;

use fnhost_sdk::prelude::*;
use order::{Notification, check, topic};

/// What is kept of a message that was sent. Only that it is there counts.
const SENT: &[u8] = b"1";

fn handle(event: Event<'_, Notification<'_>>, context: &mut Context<'_>) -> Outcome {
    let notification = &event.data;
    check(&event, topic::NOTIFICATION, &notification.order)?;
    let message = render::message(notification)?;

    let key = format!("{}/{}", notification.stage, notification.order.id);
    if !context.state.contains(key.as_bytes()) {
        context.state.set(key.as_bytes(), SENT);
        send::message(&message, notification, context.log);
    }
    Ok(vec![])
}

fnhost_sdk::function!(handle, source = "/fulfilment/notification");
