//! Ways to fail. What becomes of each is the host's business: see `failure` in `wit/function.wit`.

use std::fmt::Display;

use crate::Failure;

impl Failure {
    /// It will never work: the event goes to the error topic at once, with this reason.
    ///
    /// A reason is read by people and by logs: it names what is wrong and where, and holds no personal data.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject(reason.into())
    }

    /// It may work later: the host tries again, as often as `app.toml` allows.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }
}

/// Makes a [`Failure`] of any error that can be shown, and says at the call which.
///
/// The reason is `what` went wrong and the error itself: `amount: invalid digit found in string`. Mind what the error
/// quotes: a reason holds no personal data. A `Failure` needs neither: `?` passes it on as it is.
pub trait OrFail<T> {
    /// It will never work: see [`Failure::reject`].
    ///
    /// # Errors
    ///
    /// [`Failure::Reject`] in place of any error.
    fn or_reject(self, what: impl Display) -> Result<T, Failure>;

    /// It may work later: see [`Failure::retry`].
    ///
    /// # Errors
    ///
    /// [`Failure::Retry`] in place of any error.
    fn or_retry(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_reject(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::Reject(format!("{what}: {error}")))
    }

    fn or_retry(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::Retry(format!("{what}: {error}")))
    }
}
