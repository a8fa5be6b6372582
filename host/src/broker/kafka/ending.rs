//! Clients end on threads of their own: to drop one waits for its connections, and for a group that it is in, without a bound.

use std::sync::Arc;
use std::time::Duration;

/// Between two looks whether somebody else still has it.
const LOOK: Duration = Duration::from_millis(10);

/// Drops a client, elsewhere, once nobody else has it.
pub(super) fn end<T: Send + Sync + 'static>(client: Arc<T>) {
    let ending = std::thread::Builder::new().name("ending".to_owned()).spawn(move || {
        while Arc::strong_count(&client) > 1 {
            std::thread::sleep(LOOK);
        }
    });
    if let Err(error) = ending {
        tracing::debug!(%error, "a client is ended by whoever had it last");
    }
}
