//! `fnhost run`: to be written.

use super::{Failure, RunArgs};

/// Runs an app until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, or ended it.
pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    Err(Failure::internal(anyhow::anyhow!("`run` is not written yet: {}", args.app.path.display())))
}
