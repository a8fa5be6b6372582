//! Notifications as messages. Pure: nothing is sent here.

use fnhost_sdk::Failure;
use order::{BODY_CHARS_MAX, CARRIER_REFERENCE_CHARS_MAX, Notification, RECIPIENT_CHARS_MAX, SUBJECT_CHARS_MAX, Stage};

/// A message, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The address it goes to.
    pub(crate) recipient: &'a str,
    /// One line.
    pub(crate) subject: &'a str,
    /// The text, with the carrier's reference below when there is one.
    pub(crate) text: String,
}

/// Makes a message of `notification`, or says why it is none.
pub(crate) fn message<'a>(notification: &'a Notification<'_>) -> Result<Message<'a>, Failure> {
    let Notification { recipient, subject, body, .. } = notification;
    check_line("recipient", recipient)?;
    check_length("recipient", recipient, RECIPIENT_CHARS_MAX)?;
    check_line("subject", subject)?;
    check_length("subject", subject, SUBJECT_CHARS_MAX)?;
    check_length("body", body, BODY_CHARS_MAX)?;

    let text = match (notification.stage, &notification.carrier_reference) {
        (Stage::Picked, None) => body.to_string(),
        (Stage::Shipped, Some(reference)) => {
            check_line("carrierReference", reference)?;
            check_length("carrierReference", reference, CARRIER_REFERENCE_CHARS_MAX)?;
            format!("{body}\nCarrier reference: {reference}\n")
        }
        (Stage::Picked, Some(_)) => return Err(Failure::reject("a picked order has no `carrierReference` yet")),
        (Stage::Shipped, None) => return Err(Failure::reject("a shipped order needs a `carrierReference`")),
    };
    Ok(Message { recipient, subject, text })
}

/// A line break in what becomes a mail header would let whoever wrote it write headers.
fn check_line(field: &str, value: &str) -> Result<(), Failure> {
    if value.contains(char::is_control) {
        return Err(Failure::reject(format!("`{field}` is not one line of text")));
    }
    Ok(())
}

fn check_length(field: &str, value: &str, chars_max: usize) -> Result<(), Failure> {
    if value.is_empty() {
        return Err(Failure::reject(format!("`{field}` is empty")));
    }
    // No string has more characters than bytes, and counting is what costs.
    if value.len() > chars_max && value.chars().count() > chars_max {
        return Err(Failure::reject(format!("`{field}` has more than {chars_max} characters")));
    }
    Ok(())
}
