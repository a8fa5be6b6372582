//! What ingress writes with: records go to the writer as they come, and promises resolve when they are durable.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::file::Fault;
use super::job::{Denied, Fence, Job, Work, Write};
use super::queue::Shut;
use super::record::Draft;
use super::shared::Shared;
use crate::broker::{Cause, Promise, PublishError, Publisher, Stored};
use crate::event::Record;

/// A publisher.
pub(super) struct EmbeddedPublisher {
    shared: Arc<Shared>,
}

impl EmbeddedPublisher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Publisher for EmbeddedPublisher {
    fn publish(&self, record: Record) -> Promise<Result<Stored, PublishError>> {
        let (fate, told) = oneshot::channel();
        let work = Work::Write(Write {
            fence: Fence::None,
            group: String::new(),
            positions: std::collections::BTreeMap::new(),
            records: vec![Draft::of(&record)],
        });
        // Who does not wait any more has nothing to hear.
        let done = Box::new(move |result: Result<Vec<Stored>, Denied>| drop(fate.send(result)));
        // Queued here and now: the order of calls is the order of records.
        let queued = self.shared.queue.offer(Job { work, done }).map_err(|shut| match shut {
            Shut::Full => away("too many records wait for the disk".into()),
            Shut::Closed => away(Box::new(self.shared.file.why_not())),
        });
        Box::pin(async move {
            queued?;
            let answer = told.await.map_err(|gone| PublishError::Unknown { cause: Box::new(gone) })?;
            let stored = answer.map_err(fate_of)?;
            stored.into_iter().next().ok_or_else(|| PublishError::Unknown { cause: "the writer names no place".into() })
        })
    }

    fn is_reachable(&self) -> bool {
        !self.shared.file.is_in_trouble()
    }
}

fn away(cause: Cause) -> PublishError {
    PublishError::Away { cause }
}

/// What it means for a record that it was not written.
fn fate_of(denied: Denied) -> PublishError {
    match denied {
        Denied::Refused(refused) => {
            let too_large = refused.iter().any(|refusal| refusal.too_large);
            PublishError::Refused { too_large, cause: Box::new(Denied::Refused(refused)) }
        }
        unknown @ Denied::Fault(Fault::Unknown) => PublishError::Unknown { cause: Box::new(unknown) },
        other => PublishError::Away { cause: Box::new(other) },
    }
}
