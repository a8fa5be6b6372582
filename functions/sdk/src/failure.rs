//! Short ways to fail. What becomes of each is the host's business: see `failure` in `wit/function.wit`.

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
