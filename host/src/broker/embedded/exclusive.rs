//! The one writer of its name. Names are known to this process alone, and no other has the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job::{Denied, Fence, Work, Write};
use super::record::Draft;
use super::shared::Shared;
use crate::broker::{Committed, Error, Exclusive, Pulse};
use crate::event::Record;

/// The writer.
pub(super) struct EmbeddedExclusive {
    shared: Arc<Shared>,
    name: String,
    ticket: u64,
}

impl EmbeddedExclusive {
    pub(super) fn new(shared: Arc<Shared>, name: &str) -> Result<Self, Error> {
        let ticket = shared.take_name(name);
        let writer = Self { shared, name: name.to_owned(), ticket };
        // What an older holder handed in before is decided when this returns.
        writer.shared.barrier()?;
        Ok(writer)
    }
}

impl Exclusive for EmbeddedExclusive {
    fn write(&mut self, records: &[Record]) -> Result<Committed, Error> {
        let fence = Fence::Exclusive { name: self.name.clone(), ticket: self.ticket };
        let drafts = records.iter().map(Draft::of).collect();
        let work = Work::Write(Write { fence, group: String::new(), positions: BTreeMap::new(), records: drafts });
        match self.shared.ask(work, &Pulse::default()) {
            Ok(stored) => Ok(super::committed(records, &stored)),
            Err(Denied::Fenced) => Err(Error::Fenced { name: self.name.clone() }),
            Err(refused @ Denied::Refused(_)) => {
                Err(Error::Refused { action: format!("take a record of `{}`", self.name), cause: Box::new(refused) })
            }
            Err(other) => Err(self.shared.error(other, "writing")),
        }
    }
}

impl Drop for EmbeddedExclusive {
    fn drop(&mut self) {
        self.shared.give_name_back(&self.name, self.ticket);
    }
}
