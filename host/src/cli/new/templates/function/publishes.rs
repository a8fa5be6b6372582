//! Counts the events about each subject: {{reads}} to {{writes}}.

use fnhost_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The data of an event that comes in: name the fields that are needed, the others are passed over.
#[derive(Deserialize)]
struct Data {}

/// The data of an event that is published.
#[derive(Serialize)]
struct Counted {
    count: u64,
}

fn handle(event: Event<'_, Data>, context: &mut Context<'_>) -> Outcome {
    let subject = event.subject.as_bytes();
    let count = context.state.get_json::<u64>(subject)?.unwrap_or(0) + 1;
    context.state.set_json(subject, &count)?;

    let counted = Counted { count };
{{answers}}
}

// Who publishes, in each event that it does. It takes part in their ids, so it should stay as it is.
fnhost_sdk::function!(handle, source = "/{{app}}/{{function}}");
