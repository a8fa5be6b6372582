//! The deployments topic: read by every host, written by one at a time.
//!
//! A change is one transaction of the one writer of the topic: its deployment, the bytes of modules that are new, and tombstones
//! for those that nothing leads to. Whoever wants to change something fences whoever did before, then reads to the end, so what it
//! decides on is the newest; of two at the same time the one that is fenced is told ([`WriteError::Raced`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::book::{Book, Change, Deployment, Module, Number, Refusal};
use super::record::{self, Unreadable};
use crate::broker::read::read_to_end;
use crate::broker::{Broker, Error};
use crate::event::{Digest, Offset};
use crate::sync::lock;

/// The topic, and what is known of it.
pub struct Ledger {
    broker: Arc<dyn Broker>,
    topic: Arc<str>,
    /// Never held while the broker is asked.
    book: Mutex<Book>,
    /// The offset in partition 0 up to which the book goes. Held by whoever reads on, or writes.
    next: Mutex<Offset>,
    /// The functions whose newest record cannot be read, and why.
    unreadable: Mutex<BTreeMap<String, String>>,
}

/// A component that a change brings.
struct Bytes<'a> {
    digest: Digest,
    wasm: &'a [u8],
}

/// Why a change was not written. Nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It makes no sense.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Somebody else wrote at the same time.
    #[error("somebody else changes deployments at this moment")]
    Raced,
    /// The broker did not take it.
    #[error("the deployment could not be written")]
    Broker(#[from] Error),
}

/// Why the bytes of a module could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// They are not all there, or they are other bytes.
    #[error("the bytes of {0} are not on `{1}` as they were written; was the topic cut, or made anew?")]
    Gone(Digest, Arc<str>),
    /// A record of another format.
    #[error("a record of a module is none of this host's")]
    Unreadable(#[from] Unreadable),
    /// The broker.
    #[error("the bytes of a module could not be read")]
    Broker(#[from] Error),
}

impl Ledger {
    /// The ledger on `topic`. Nothing is read yet.
    pub fn new(broker: Arc<dyn Broker>, topic: Arc<str>) -> Self {
        Self { broker, topic, book: Mutex::default(), next: Mutex::default(), unreadable: Mutex::default() }
    }

    /// The topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The functions whose newest record cannot be read, and why.
    pub fn unreadable(&self) -> BTreeMap<String, String> {
        lock(&self.unreadable).clone()
    }

    /// What was known when it was read last. Waits for nobody.
    pub fn book(&self) -> Book {
        lock(&self.book).clone()
    }

    /// Reads what was written since.
    ///
    /// # Errors
    /// [`Error::Away`]: ask again. A record that is none of ours is no error: see [`Ledger::unreadable`].
    pub fn catch_up(&self) -> Result<(), Error> {
        self.read_on(&mut lock(&self.next))
    }

    fn read_on(&self, next: &mut Offset) -> Result<(), Error> {
        *next = match self.enter_from(*next) {
            // It was made anew: what it says now is all that holds.
            Err(Error::Shrunk { partition, expected, end }) => {
                tracing::error!(%partition, expected, end, "the topic of deployments is shorter than it was; reading it anew");
                *lock(&self.book) = Book::default();
                // Should that fail, it is read from its beginning the next time.
                *next = 0;
                self.enter_from(0)?
            }
            end => end?,
        };
        Ok(())
    }

    /// Enters what partition 0 has from `from` on into the book, and gives the offset after it.
    fn enter_from(&self, from: Offset) -> Result<Offset, Error> {
        let partition = record::partition(&self.topic, record::DEPLOYMENTS);
        let end = read_to_end(self.broker.as_ref(), &partition, from, |event| {
            let function = String::from_utf8_lossy(event.key.as_deref().unwrap_or_default()).into_owned();
            match record::read(event) {
                Ok(deployment) => {
                    lock(&self.unreadable).remove(&function);
                    deployment.into_iter().for_each(|deployment| lock(&self.book).enter(deployment));
                }
                // Anybody may write to a topic. What is known of the function holds until somebody deploys it again.
                Err(error) => {
                    tracing::error!(%partition, offset = event.offset, function, %error, "a record of deployments is none");
                    lock(&self.unreadable).insert(function, error.to_string());
                }
            }
            Ok(false)
        })?;
        Ok(end.unwrap_or(from))
    }

    /// Makes one change, with a number above `after`. `change` is given the newest book and where the next
    /// module's bytes will begin, and says what becomes of it and which modules it brings, in order.
    ///
    /// # Errors
    /// [`WriteError`]. After [`WriteError::Broker`] the change may have been written all the same: the book tells, once it can be read.
    pub fn write<'a>(
        &self,
        after: Number,
        change: impl FnOnce(&Book, &mut Layout<'a>) -> Result<Change, Refusal>,
    ) -> Result<Deployment, WriteError> {
        let mut next = lock(&self.next);
        let mut writer = self.broker.exclusive(&self.topic)?;
        self.read_on(&mut next)?;
        let book = self.book().numbered_after(after);
        let mut layout = Layout { next: self.end_of_modules()?, brought: Vec::new() };
        let Change { deployment, dropped } = change(&book, &mut layout)?;
        let bug = |cause: serde_json::Error| Error::Bug { what: "writing a deployment", cause: Box::new(cause) };
        let chunks = layout.brought.iter().flat_map(|(bytes, _)| record::chunks(&self.topic, bytes.digest, bytes.wasm));
        let gone = dropped.iter().flat_map(|(digest, bytes)| record::tombstones(&self.topic, *digest, *bytes));
        let mut records: Vec<_> = chunks.chain(gone).collect();
        records.push(record::deployment(&self.topic, &deployment).map_err(bug)?);
        match writer.write(&records) {
            Ok(_) => {}
            Err(Error::Fenced { .. }) => return Err(WriteError::Raced),
            Err(error) => return Err(error.into()),
        }
        lock(&self.book).enter(deployment.clone());
        Ok(deployment)
    }

    /// What [`Ledger::write`] would write, as far as can be told without fencing whoever writes.
    ///
    /// # Errors
    /// The same, but never [`WriteError::Raced`].
    pub fn rehearse<'a>(
        &self,
        after: Number,
        change: impl FnOnce(&Book, &mut Layout<'a>) -> Result<Change, Refusal>,
    ) -> Result<Deployment, WriteError> {
        self.catch_up()?;
        let book = self.book().numbered_after(after);
        Ok(change(&book, &mut Layout { next: 0, brought: Vec::new() })?.deployment)
    }

    /// Where the next record of partition 1 will lie: nobody else writes there.
    fn end_of_modules(&self) -> Result<Offset, Error> {
        let modules = record::partition(&self.topic, record::MODULES);
        let all = self.broker.progress(&self.topic, &[&self.topic])?;
        Ok(all.iter().find(|progress| progress.partition == modules).map_or(0, |progress| progress.end))
    }

    /// The bytes of a component, whole and unchanged.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn fetch(&self, digest: Digest, module: Module) -> Result<Vec<u8>, FetchError> {
        let gone = || FetchError::Gone(digest, Arc::clone(&self.topic));
        // Where they were said to be; or else anywhere.
        for from in [module.first, 0] {
            match self.fetch_from(digest, module.bytes, from) {
                Ok(wasm) if Digest::of(&wasm) == digest => return Ok(wasm),
                Ok(_) | Err(FetchError::Broker(Error::Shrunk { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(gone())
    }

    fn fetch_from(&self, digest: Digest, bytes: u64, from: Offset) -> Result<Vec<u8>, FetchError> {
        let partition = record::partition(&self.topic, record::MODULES);
        let mut parts: Vec<Option<Vec<u8>>> = vec![None; record::chunk_count(bytes)];
        let mut unreadable = None;
        read_to_end(self.broker.as_ref(), &partition, from, |event| {
            match record::chunk(event, digest) {
                Ok(Some((number, bytes))) => {
                    if let Some(part) = parts.get_mut(number) {
                        *part = Some(bytes.to_vec());
                    }
                }
                Ok(None) => {}
                Err(error) => unreadable = Some(error),
            }
            Ok(unreadable.is_some() || parts.iter().all(Option::is_some))
        })?;
        match unreadable {
            Some(error) => Err(error.into()),
            None => Ok(parts.into_iter().flatten().flatten().collect()),
        }
    }
}

/// Where the modules that a change brings will lie.
pub struct Layout<'a> {
    next: Offset,
    brought: Vec<(Bytes<'a>, Module)>,
}

impl<'a> Layout<'a> {
    /// Puts a module behind those before it, unless the book has it already.
    pub fn bring(&mut self, book: &Book, digest: Digest, wasm: &'a [u8]) -> Module {
        if let Some(known) = book.module(digest) {
            return known;
        }
        if let Some(known) = self.brought.iter().find(|(brought, _)| brought.digest == digest) {
            return known.1;
        }
        let module = Module { bytes: wasm.len() as u64, first: self.next };
        self.next += Offset::try_from(record::chunk_count(module.bytes)).unwrap_or_default();
        self.brought.push((Bytes { digest, wasm }, module));
        module
    }
}
