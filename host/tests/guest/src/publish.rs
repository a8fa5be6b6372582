//! Steps that publish, and steps that fail as a function may.

use fnhost_sdk::bindings::fnhost::function::types::{Event, Failure, Header, Output};

use crate::script::Step;

/// What is published so far.
pub(crate) struct Outputs<'a> {
    event: &'a Event,
    pub(crate) made: Vec<Output>,
}

impl<'a> Outputs<'a> {
    pub(crate) fn of(event: &'a Event) -> Self {
        Self { event, made: vec![] }
    }

    /// Publishes `value` under the event's key.
    pub(crate) fn report(&mut self, topic: &str, value: impl Into<Vec<u8>>) {
        self.push(topic, self.event.key.clone(), Some(value.into()), vec![]);
    }

    /// Publishes exactly this.
    pub(crate) fn push(&mut self, topic: &str, key: Option<Vec<u8>>, value: Option<Vec<u8>>, headers: Vec<Header>) {
        self.made.push(Output { topic: topic.to_owned(), key, value, headers });
    }
}

pub(crate) fn run(step: &Step<'_>, event: &Event, outputs: &mut Outputs<'_>) -> Result<bool, Failure> {
    match step.command {
        "echo" => outputs.push(step.word(0)?, event.key.clone(), event.value.clone(), event.headers.clone()),
        "emit" => outputs.report(step.word(0)?, step.text_after(1)),
        "see" => outputs.report(step.word(0)?, seen(event)),
        "count" => {
            for number in 0..step.number::<u32>(1)? {
                outputs.report(step.word(0)?, number.to_string());
            }
        }
        "size" => outputs.report(step.word(0)?, vec![b'x'; step.number(1)?]),
        "null" => {
            let header = |value: Option<&[u8]>| Header { name: "h".to_owned(), value: value.map(<[u8]>::to_vec) };
            let headers = [Some(b"1".as_slice()), Some(b"2"), None, Some(b"")].map(header);
            outputs.push(step.word(0)?, None, None, headers.into());
        }
        "nullkey" => outputs.push(step.word(0)?, None, Some(step.text_after(1).into()), vec![]),
        "key" => outputs.push(step.word(0)?, Some(step.word(1)?.into()), Some(step.text_after(2).into()), vec![]),
        "reject" => return Err(Failure::reject(step.text())),
        "retry" => return Err(Failure::retry(step.text())),
        _ => return Ok(false),
    }
    Ok(true)
}

fn seen(event: &Event) -> String {
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        None => "null".to_owned(),
    };
    let headers: Vec<_> =
        event.headers.iter().map(|header| format!("{}:{}", header.name, text(&header.value))).collect();
    let timestamp = event.timestamp.map_or_else(|| "none".to_owned(), |timestamp| timestamp.to_string());
    format!(
        "topic={} timestamp={timestamp} key={} value={} headers=[{}]",
        event.topic,
        text(&event.key),
        text(&event.value),
        headers.join(" ")
    )
}
