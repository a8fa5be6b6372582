//! Counts the events about each subject: {{reads}} to the log.

use fnhost_sdk::prelude::*;
use serde::Deserialize;

/// The data of an event that comes in: name the fields that are needed, the others are passed over.
#[derive(Deserialize)]
struct Data {}

fn handle(event: Event<'_, Data>, context: &mut Context<'_>) -> Outcome {
    let subject = event.subject.as_bytes();
    let count = context.state.get_json::<u64>(subject)?.unwrap_or(0) + 1;
    context.state.set_json(subject, &count)?;

    let message = format!("event number {count} about its subject");
    context.log.info("count", &message);
    Ok(vec![])
}

// Who publishes, in each event that it does. It takes part in their ids, so it should stay as it is.
fnhost_sdk::function!(handle, source = "/{{app}}/{{function}}");
