//! What becomes of errors that are not the SDK's: rejected or tried again, as it is written.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde::Deserialize;

#[derive(Deserialize)]
struct Says {
    says: String,
}

fn event(says: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e-1","source":"/shop","type":"example","subject":"b-1","data":{{"says":"{says}"}}}}"#
    )
}

/// An error type as a user has one, with those of the SDK in it.
enum Refused {
    Closed,
    Unknown(String),
    Other(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => Self::retry("the shop is closed"),
            Refused::Unknown(what) => Self::reject(format!("`{what}` is not sold here")),
            Refused::Other(failure) => failure,
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

fn sell(what: &str) -> Result<(), Refused> {
    match what {
        "mask" => Ok(()),
        "closed" => Err(Refused::Closed),
        other => Err(Refused::Unknown(other.to_owned())),
    }
}

mod own_error {
    use super::*;

    fn handle(event: Event<'_, Says>, context: &mut Context<'_>) -> Result<Vec<Output>, Refused> {
        sell(&event.data.says)?;
        context.config.required("open")?;
        Ok(vec![context.output(&event, "out", "example", &1)?])
    }

    fnhost_sdk::function!(handle, source = "/shop/sells");
}

mod outcome {
    use super::*;

    fn handle(event: Event<'_, Says>, context: &mut Context<'_>) -> Outcome {
        sell(&event.data.says)?;
        context.config.required("open")?;
        Ok(vec![context.output(&event, "out", "example", &1)?])
    }

    fnhost_sdk::function!(handle, source = "/shop/sells");
}

#[test]
fn an_error_of_ones_own_becomes_what_its_conversion_says() {
    for invoke in [own_error::invoke, outcome::invoke] {
        let mut bench = Bench::new(invoke, [("open", "yes")]);
        assert_eq!(bench.handle(event("closed")), Err(Failure::Retry("the shop is closed".into())));
        assert_eq!(bench.handle(event("cake")), Err(Failure::Reject("`cake` is not sold here".into())));
        assert_eq!(bench.handle(event("mask")).unwrap().len(), 1);
        bench.config = [].into();
        assert_eq!(bench.handle(event("mask")), Err(Failure::Retry("config key `open` is not set".into())));
        assert!(matches!(bench.handle("nonsense"), Err(Failure::Reject(_))));
    }
}

#[test]
fn any_error_is_rejected_or_tried_again_as_the_call_says_with_what_it_was_about() {
    let wrong = || "1OO".parse::<u8>();
    let line = 2;
    assert_eq!(
        wrong().or_reject(format_args!("products[{line}]")),
        Err(Failure::Reject("products[2]: invalid digit found in string".into()))
    );
    assert_eq!(wrong().or_retry("amount"), Err(Failure::Retry("amount: invalid digit found in string".into())));
    assert_eq!("100".parse::<u8>().or_reject("amount"), Ok(100));
    assert_eq!("100".parse::<u8>().or_retry("amount"), Ok(100));
}
