//! The sample orders: what is placed, and what must become of each.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::client;

/// How long one request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What must become of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is shipped.
    Shipped,
    /// It is shipped already, and nothing more happens.
    Again,
    /// The schema does not let it in.
    Refused,
    /// Inventory rejects it.
    Rejected,
}

/// One order to place.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The order's id.
    pub(super) id: String,
    body: String,
    /// What must become of it.
    pub(super) fate: Fate,
}

/// An order that was placed.
pub(super) struct Placed {
    /// The order's id.
    pub(super) id: String,
    /// When it was sent.
    pub(super) at: Instant,
    /// What HTTP answered.
    pub(super) status: u16,
    /// Why it was refused.
    pub(super) detail: Option<String>,
}

/// A dozen orders, with ids that no other demo has.
pub(super) fn samples() -> Vec<Sample> {
    const PEOPLE: [(&str, &str); 3] = [("Ada", "Okafor"), ("Bea", "Lindqvist"), ("Cho", "Tanaka")];
    let run: String = uuid::Uuid::new_v4().simple().to_string().chars().take(4).collect();
    let id = |number: usize| format!("demo-{run}-{number:02}");
    let order = |number: usize, product: &str, quantity: i64| -> Value {
        let (first, last) = PEOPLE.get(number % PEOPLE.len()).copied().unwrap_or_default();
        json!({
            "id": id(number),
            "products": [{ "productCode": product, "quantity": quantity }],
            "customer": {
                "firstName": first, "lastName": last, "emailAddress": format!("{}@example.com", first.to_lowercase()),
                "shippingAddress": {
                    "line1": "1500 Harbor Way", "city": "Oakland", "state": "CA", "postalCode": "94607"
                },
            },
        })
    };
    let sample = |number, order: Value, fate| Sample { id: id(number), body: order.to_string(), fate };
    let good = |number: usize| {
        let product = format!("P-10{number:02}");
        order(number, &product, i64::try_from(number).unwrap_or(1))
    };
    let mut samples: Vec<Sample> = (1..=9).map(|number| sample(number, good(number), Fate::Shipped)).collect();
    samples.push(sample(1, good(1), Fate::Again));
    samples.push(sample(11, order(11, "P-1001", 0), Fate::Refused));
    samples.push(sample(12, order(12, "P-9999", 1), Fate::Rejected));
    samples
}

/// Places an order.
///
/// # Errors
/// When there is no answer at all.
pub(super) fn place(url: &str, sample: &Sample) -> anyhow::Result<Placed> {
    let agent = client::agent(ANSWER_WITHIN);
    let at = Instant::now();
    let request = agent.post(url).header("content-type", "application/json");
    let mut answer = request.send(sample.body.as_bytes()).with_context(|| format!("POST {url} had no answer"))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_to_string().with_context(|| format!("POST {url} had half an answer"))?;
    let detail = (status >= 400).then(|| detail(&body));
    Ok(Placed { id: sample.id.clone(), at, status, detail })
}

/// The first thing that a problem document says is wrong.
fn detail(body: &str) -> String {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let first = problem.pointer("/errors/0");
    let part = |key: &str| first.and_then(|e| e.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
    match first {
        Some(_) => format!("{}: {}", part("pointer"), part("detail")),
        None => problem.get("title").and_then(Value::as_str).unwrap_or(body).to_owned(),
    }
}
