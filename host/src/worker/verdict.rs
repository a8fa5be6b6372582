//! From what an invocation did to what becomes of its event. Pure: time comes in as an argument.
//!
//! Every outcome ends in exactly one [`Verdict`]; a retry is a wait before it.

use std::time::Duration;

use crate::app::Retry;
use crate::event::{Class, Effects, Failure, Outcome};

/// What becomes of an event, for one function that reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its effects become visible.
    Apply(Effects),
    /// An error event takes the place of its effects.
    Fail {
        /// Why.
        failure: Failure,
        /// How often it was tried.
        attempts: u32,
    },
}

/// What to do after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is decided.
    Decided(Verdict),
    /// Try again after this long.
    Wait(Duration),
}

/// Decides after attempt number `attempt` (from 1).
pub fn decide(outcome: Outcome, attempt: u32, retry: &Retry) -> Next {
    match outcome {
        Outcome::Completed(effects) => Next::Decided(Verdict::Apply(effects)),
        Outcome::Failed(failure) => Next::Decided(Verdict::Fail { failure, attempts: attempt }),
        Outcome::RetryAsked(_) if attempt < retry.attempts => Next::Wait(retry.backoff(attempt)),
        Outcome::RetryAsked(reason) => {
            Next::Decided(Verdict::Fail { failure: Failure::new(Class::RetriesExhausted, reason), attempts: attempt })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry =
        Retry { attempts: 3, backoff_min: Duration::from_millis(50), backoff_max: Duration::from_millis(80) };

    #[test]
    fn a_function_that_always_asks_again_ends_as_an_error_event_after_the_last_attempt() {
        let ask = || Outcome::RetryAsked("later".to_owned());
        assert_eq!(decide(ask(), 1, &RETRY), Next::Wait(Duration::from_millis(50)));
        assert_eq!(decide(ask(), 2, &RETRY), Next::Wait(Duration::from_millis(80)));
        let Next::Decided(Verdict::Fail { failure, attempts }) = decide(ask(), 3, &RETRY) else {
            panic!("a fourth attempt");
        };
        assert_eq!((failure.class, failure.reason.as_str(), attempts), (Class::RetriesExhausted, "later", 3));
    }

    #[test]
    fn every_class_of_failure_is_decided_at_the_first_attempt() {
        for class in Class::ALL {
            let next = decide(Outcome::Failed(Failure::new(class, "why")), 1, &RETRY);
            assert!(matches!(next, Next::Decided(Verdict::Fail { attempts: 1, .. })), "{class}");
        }
    }
}
