//! `fnhost events send`: events from a file, each published by the host.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::SendArgs;
use crate::cli::client::Client;
use crate::cli::{Failure, Format};
use crate::event::Header;
use crate::form::Published;
use crate::form::read::Document;

/// Where an event lies.
#[derive(Deserialize, Serialize)]
struct Sent {
    topic: String,
    partition: i32,
    offset: i64,
}

/// Sends, and prints where each event lies.
pub(super) fn send(args: &SendArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (name, from) = open(&args.file)?;
    let events = Document::read(name, from).map_err(Into::into).and_then(|d| d.with_each(Published::read_to_send))?;
    if events.is_empty() {
        return Err(Failure::fault(anyhow::anyhow!("there is no event in {}", name.display()))
            .hint(r#"write one, such as { "key": "a", "value": { } }"#));
    }
    let client = Client::new(&args.admin)?;
    let all = events.len();
    for (before, event) in events.into_iter().enumerate() {
        let sent = send_one(&client, args, event).map_err(|failure| match before {
            0 => failure,
            before => failure.context(format!("{before} of {all} events were sent, then one failed")),
        })?;
        match args.format {
            Format::Text => writeln!(out, "{}  {}@{}", sent.topic, sent.partition, sent.offset)?,
            Format::Json => writeln!(out, "{}", serde_json::to_string(&sent).map_err(Failure::internal)?)?,
        }
    }
    Ok(())
}

fn send_one(client: &Client, args: &SendArgs, mut event: Published) -> Result<Sent, Failure> {
    if let Some(key) = &args.key {
        event.key = Some(key.clone().into());
    }
    let more = args.header.iter().map(|(name, value)| Header { name: name.clone(), value: Some(value.clone().into()) });
    event.headers.extend(more);
    let json = serde_json::to_string(&event).map_err(Failure::internal)?;
    client.post(&format!("/events/{}", args.topic), &json)?.good()
}

/// What is read, and what faults call it.
fn open(path: &Path) -> Result<(&Path, Box<dyn Read>), Failure> {
    if path == Path::new("-") {
        return Ok((Path::new("stdin"), Box::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()));
    let file = file.map_err(|error| Failure::fault(error).hint("name a file of events, or `-` for stdin"))?;
    Ok((path, Box::new(file)))
}
