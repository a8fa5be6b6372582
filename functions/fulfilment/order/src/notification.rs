//! The notification: what warehouse and shipper write and notification reads.

use std::borrow::Cow;
use std::fmt;

use fnhost_sdk::Verbatim;
use serde::{Deserialize, Serialize};

use crate::Order;

/// The most characters that a subject line has.
pub const SUBJECT_CHARS_MAX: usize = 200;

/// The most characters that a text has.
pub const BODY_CHARS_MAX: usize = 10_000;

/// The most characters that an address has.
pub const RECIPIENT_CHARS_MAX: usize = 254;

/// The most characters that a carrier's name for a parcel has.
pub const CARRIER_REFERENCE_CHARS_MAX: usize = 64;

/// How far the order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It lies ready in a parcel.
    Picked,
    /// The carrier has it.
    Shipped,
}

impl Stage {
    /// The stage as it is written. It is part of state keys: if it changes, a notification may be sent twice.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Picked => "picked",
            Self::Shipped => "shipped",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A message that the customer is to get: the data of a notification event.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", expecting = "a notification")]
pub struct Notification<'a> {
    /// The order it is about.
    #[serde(borrow)]
    pub order: Verbatim<'a, Order<'a>>,
    /// When the order came in, as it was written (RFC 3339). Absent on events that were written before this was.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<Cow<'a, str>>,
    /// How far the order is.
    pub stage: Stage,
    /// The address it goes to. Personal data.
    #[serde(borrow)]
    pub recipient: Cow<'a, str>,
    /// Its subject line.
    #[serde(borrow)]
    pub subject: Cow<'a, str>,
    /// Its text. Personal data.
    #[serde(borrow)]
    pub body: Cow<'a, str>,
    /// The carrier's name for the parcel: there when the order is shipped, and only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(borrow)]
    pub carrier_reference: Option<Cow<'a, str>>,
}
