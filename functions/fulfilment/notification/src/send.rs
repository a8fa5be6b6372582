//! Sending messages: for now, a line in the log.
//!
//! A function reaches no network, and what it does is undone when the event fails. So a real sender will be another
//! program, that reads what this one publishes; it goes where this log line is.

use fnhost_sdk::Log;
use order::Notification;

use crate::render::Message;

/// Sends `message`. The line that everybody may read has no personal data.
pub(crate) fn message(message: &Message<'_>, notification: &Notification<'_>, log: &mut dyn Log) {
    log.info("send", &format!("order {} is {}: customer told", notification.order.id, notification.stage));
    log.debug("send", &format!("to {}: {}\n{}", message.recipient, message.subject, message.text));
}
