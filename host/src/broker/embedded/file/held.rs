//! The bytes of the file: locked from the first database over them to the last, and made sure of again when the disk failed
//! to.

use std::fs;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{DatabaseError, StorageBackend};

/// How much is read and written at once when all is written again.
const PIECE_BYTES: usize = 1 << 20;

/// What databases are made over, one after the other. redb would lock the file for each of them, and let go in between.
#[derive(Debug)]
pub(super) struct Held {
    beneath: Box<dyn StorageBackend>,
    /// Whether what is read may be in memory alone: an `fsync` that fails takes with it all knowledge of what was not written,
    /// and the next one finds nothing to do.
    is_unsure: AtomicBool,
}

impl Held {
    /// Locks a file, as redb would: neither gets what the other has.
    pub(super) fn lock(handle: fs::File) -> Result<Arc<Self>, DatabaseError> {
        let beneath = FileBackend::new(handle)?;
        match beneath.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(true) => Ok(Self::of(beneath)),
            Ok(false) => Err(DatabaseError::DatabaseAlreadyOpen),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// What nobody else can come upon.
    pub(super) fn of(beneath: impl StorageBackend) -> Arc<Self> {
        Arc::new(Self { beneath: Box::new(beneath), is_unsure: AtomicBool::new(false) })
    }

    /// For one database.
    pub(super) fn lend(self: &Arc<Self>) -> Lent {
        Lent(Arc::clone(self))
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> Result<u64, io::Error> {
        self.beneath.len()
    }

    /// Whether what is read may not be on the disk.
    pub(super) fn is_unsure(&self) -> bool {
        self.is_unsure.load(Ordering::Relaxed)
    }

    /// Writes all that is read once more, and returns when it is on the disk. No database may be open meanwhile.
    pub(super) fn make_sure(&self, is_ended: impl Fn() -> bool) -> Result<(), io::Error> {
        let (mut piece, end, mut at) = (vec![0; PIECE_BYTES], self.len()?, 0);
        while at < end {
            if is_ended() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            piece.truncate(usize::try_from(end - at).unwrap_or(PIECE_BYTES));
            self.beneath.read(at, &mut piece)?;
            self.beneath.write(at, &piece)?;
            at += piece.len() as u64;
        }
        self.beneath.sync_data()?;
        self.is_unsure.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // At once, for a child process that is just being started may have the handle for a moment longer.
        if let Err(error) = self.beneath.close() {
            tracing::warn!(%error, "the lock of a file is given back by closing it");
        }
    }
}

/// The bytes as one database has them: without locks.
#[derive(Debug)]
pub(super) struct Lent(Arc<Held>);

impl StorageBackend for Lent {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.beneath.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.beneath.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.beneath.sync_data().inspect_err(|_| self.0.is_unsure.store(true, Ordering::Relaxed))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.beneath.write(offset, data)
    }
}
