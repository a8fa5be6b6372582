//! Answers greetings: `greeting` to `greeted`.

use fnhost_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The data of an event on `greeting`: the body of a request, under the `member` of its route in app.toml.
#[derive(Deserialize)]
struct Data {
    greeting: Greeting,
}

#[derive(Deserialize)]
struct Greeting {
    name: String,
}

/// The data of an event on `greeted`.
#[derive(Serialize)]
struct Greeted {
    message: String,
}

fn handle(event: Event<'_, Data>, context: &mut Context<'_>) -> Outcome {
    let name = event.data.greeting.name.trim();
    if name.is_empty() {
        // This will never work, so the event goes to the topic `error` at once.
        return Err(Failure::reject("there is nobody to greet"));
    }

    // The subject is the greeting's id. The same greeting again has no second effect.
    let id = event.subject.as_bytes();
    if context.state.contains(id) {
        return Ok(vec![]);
    }
    context.state.set(id, b"greeted");

    // From `config` in app.toml.
    let salutation = context.config.required("salutation")?;
    let message = format!("{salutation}, {name}!");
    let greeted = context.output(&event, "greeted", "{{app}}.greeted", &Greeted { message })?;
    Ok(vec![greeted])
}

// Who publishes, in each event that it does. It takes part in their ids, so it should stay as it is.
fnhost_sdk::function!(handle, source = "/{{app}}/greeter");
