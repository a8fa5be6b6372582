//! Why the host ended an invocation from inside a call that the guest made.

/// Travels through the guest's frames as a trap, and is recognised where the call began.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// A state key, value, or the number of changes is beyond its limit.
    #[error("{0}")]
    StateTooLarge(String),
    /// The guest left by itself.
    #[error("it called exit")]
    Exited,
    /// A call that no function may make, or not with these arguments.
    #[error("{0}")]
    Refused(String),
}
