//! The suite on the embedded broker.
//!
//! Each case has a broker of its own, and what is visible is what would be if the process were killed there and then: a copy
//! of the file, read by other code.

use std::path::PathBuf;
use std::sync::Arc;

use fnhost::broker::Broker;
use fnhost::broker::embedded::{Embedded, Options};
use fnhost::event::{Event, Offset, Partition, Record};
use tempfile::TempDir;

use super::{Fixture, Open};
use crate::embedded::raw;

/// A broker and its file.
struct Own {
    broker: Arc<Embedded>,
    path: PathBuf,
    _folder: TempDir,
}

/// There is one wherever there is a disk.
pub(super) fn fixture() -> Option<impl Fixture> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.redb");
    Some(Own { broker: Embedded::open(&path, &Options::default()).unwrap(), path, _folder: folder })
}

impl Fixture for Own {
    /// There is one process; others are memberships and writers beside each other in it.
    fn process(&self, _: &str) -> Arc<dyn Broker> {
        Arc::<Embedded>::clone(&self.broker)
    }

    fn visible(&self, topic: &str) -> Vec<Event> {
        raw::read_a_copy(&self.path, topic)
    }

    fn open(&self, _: &[Record]) -> Option<Box<dyn Open>> {
        None
    }

    fn delete_before(&self, partition: &Partition, offset: Offset) -> bool {
        self.broker.delete_before(partition, offset).unwrap();
        true
    }
}
