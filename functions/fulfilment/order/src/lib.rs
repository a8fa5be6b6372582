//! What the functions of order fulfilment share: the order, the events that carry it, the notification, and samples of KPIs.
//!
//! Shapes are read as far as the functions need them, and borrow from the event. What may be in a field is the
//! schemas' business (`schemas/common.schema.json`), apart from what would do harm here: an id becomes a key.

use std::borrow::Cow;

use fnhost_sdk::{Event, Failure, Verbatim};
use serde::{Deserialize, Serialize};

mod notification;
mod quantity;
mod sample;
pub mod time;

pub use notification::{
    BODY_CHARS_MAX, CARRIER_REFERENCE_CHARS_MAX, Notification, RECIPIENT_CHARS_MAX, SUBJECT_CHARS_MAX, Stage,
};
pub use quantity::Quantity;
pub use sample::{Kpi, Sample};

/// Type and topic of the events, one constant a topic.
pub mod topic {
    /// An order as it came in.
    pub const RECEIVED: (&str, &str) = ("order-received", "ppe4peeps.order-received");
    /// An order that is no duplicate and can be filled.
    pub const CONFIRMED: (&str, &str) = ("order-confirmed", "ppe4peeps.order-confirmed");
    /// An order that lies ready in a parcel.
    pub const PICKED_AND_PACKED: (&str, &str) = ("order-picked-and-packed", "ppe4peeps.order-picked-and-packed");
    /// A message that the customer is to get.
    pub const NOTIFICATION: (&str, &str) = ("notification", "ppe4peeps.notification");
    /// What one event adds to a KPI.
    pub const KPI_SAMPLE: (&str, &str) = ("kpi-sample", "ppe4peeps.kpi-sample");
    /// A KPI of one minute.
    pub const KPI: (&str, &str) = ("kpi", "ppe4peeps.kpi");
}

/// The most characters that an order id has.
pub const ORDER_ID_CHARS_MAX: usize = 64;

/// An order as the customer placed it.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "an order")]
pub struct Order<'a> {
    /// What every event about the order has as its subject.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// What is to be delivered.
    #[serde(borrow)]
    pub products: Vec<Product<'a>>,
    /// Who gets it.
    #[serde(borrow)]
    pub customer: Customer<'a>,
}

/// One line of an order.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "an order line")]
pub struct Product<'a> {
    /// What it is. Which codes there are is inventory's configuration.
    #[serde(borrow, rename = "productCode")]
    pub code: Cow<'a, str>,
    /// How many of it.
    pub quantity: Quantity,
}

/// Who ordered. Personal data: none of it belongs in a reason or a log line above `debug`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a customer")]
pub struct Customer<'a> {
    /// Given name.
    #[serde(borrow)]
    pub first_name: Cow<'a, str>,
    /// Family name.
    #[serde(borrow)]
    pub last_name: Cow<'a, str>,
    /// Where notifications go.
    #[serde(borrow)]
    pub email_address: Cow<'a, str>,
    /// Where the parcel goes.
    #[serde(borrow)]
    pub shipping_address: ShippingAddress<'a>,
}

/// Where the parcel goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an address")]
pub struct ShippingAddress<'a> {
    /// Street and number.
    #[serde(borrow)]
    pub line1: Cow<'a, str>,
    /// Floor, flat and the like; empty when there is none.
    #[serde(borrow, default)]
    pub line2: Cow<'a, str>,
    /// City.
    #[serde(borrow)]
    pub city: Cow<'a, str>,
    /// State or province.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    /// Postal code.
    #[serde(borrow)]
    pub postal_code: Cow<'a, str>,
}

/// The data of the events that carry an order and nothing else but when it came in.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", expecting = "an object with an order")]
pub struct Carried<'a> {
    /// The order, passed on as the customer wrote it.
    #[serde(borrow)]
    pub order: Verbatim<'a, Order<'a>>,
    /// When the order came in, as it was written (RFC 3339). Absent before inventory took it in, and on events that were
    /// written before this was.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<Cow<'a, str>>,
}

/// Rejects an event that is of another type, is not about the order it carries, or whose order id is none.
///
/// # Errors
///
/// When the type is not that of `topic`, the subject is not the order's id, or the id is not 1 to 64 characters of
/// `A-Z a-z 0-9 . _ : -`.
pub fn check<T>(event: &Event<'_, T>, topic: (&str, &str), order: &Order<'_>) -> Result<(), Failure> {
    let (_, kind) = topic;
    if event.kind != kind {
        return Err(Failure::reject(format!("the event is of type `{}`, and `{kind}` belongs here", event.kind)));
    }
    let id = order.id.as_ref();
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if id.is_empty() || id.len() > ORDER_ID_CHARS_MAX || !id.bytes().all(sound) {
        return Err(Failure::reject("the order's id is not 1 to 64 characters out of letters, digits and . _ : -"));
    }
    if event.subject != id {
        return Err(Failure::reject(format!("the event is about `{}`, but it carries order `{id}`", event.subject)));
    }
    Ok(())
}
