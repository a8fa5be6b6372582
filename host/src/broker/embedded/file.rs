//! The file: opening it, reading it, and writing it in one transaction after the other.
//!
//! redb keeps it whole whatever ends the process. What redb leaves open is decided here:
//!
//! - Who may have it: it is locked until it is closed, also while there is no database over it ([`Held`]).
//! - Whether it can be trusted: its format is known, and it is read through once, for what a careless copy or a bad disk did
//!   to it would show late, or not at all.
//! - What became of a write that failed: redb gives such a database up, and says that the write may have been done all the
//!   same. A number that goes up with every write tells, and it is looked up without writing ([`Access::Look`]), for that may
//!   not be possible. Then the file is opened anew, which may have to wait until there is room on the disk.
//! - Whether what is found is on the disk: after an `fsync` that failed it need not be, and all is written once more before it
//!   is relied on ([`Held::make_sure`]).
//!
//! Reads are short, and hold a lock that only opening anew takes for itself.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use self::held::Held;
pub(super) use self::opening::text_of;
use self::opening::{Access, META, WRITES_KEY, create, hold, initialise, sort, sort_panics, writes_of};
use super::open_error::OpenError;
use crate::sync::lock;

mod held;
mod opening;
mod shadow;
#[cfg(test)]
pub(super) mod tests;

/// The layout of the tables and of what is in them. Raise it with every change that an older fnhost would not understand.
pub(super) const FORMAT: u64 = 1;

/// [`File::retry`], unless a test has no time.
const RETRY: Duration = Duration::from_millis(500);

/// Why the file could not be read or written. But for [`Fault::Unknown`], nothing was written.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The disk, most likely. It may work again.
    #[error("the file cannot be used; it is tried again until it can be{}", hint(.0))]
    Storage(#[source] Arc<redb::Error>),
    /// The file is not what it was.
    #[error("the file is damaged: {0}")]
    Damaged(Arc<str>),
    /// A fault of ours.
    #[error("the writer broke down: {0}")]
    Broken(Arc<str>),
    /// The broker was dropped.
    #[error("the broker is closed")]
    Closed,
    /// A write failed, and so did finding out what became of it.
    #[error("whether it was written is unknown")]
    Unknown,
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Corrupted(what) => Self::Damaged(what.into()),
            other => Self::Storage(Arc::new(other)),
        }
    }
}

fn hint(error: &redb::Error) -> &'static str {
    match error {
        redb::Error::Io(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            ". Free some space on its disk"
        }
        _ => "",
    }
}

/// What a write came to.
pub(super) enum Written<T> {
    /// It is to be committed.
    Commit(T),
    /// Nothing was written.
    Nothing(T),
}

/// An open file.
pub(super) struct File {
    path: PathBuf,
    /// `None` after it was closed.
    held: Mutex<Option<Arc<Held>>>,
    /// `None` while it cannot be opened, and after it was closed.
    database: RwLock<Option<Database>>,
    /// How many writes were committed. Changed by the writer alone.
    writes: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
    /// How long a file that failed is left alone before it is tried again.
    retry: Duration,
    closing: AtomicBool,
}

/// Why the file is not written right now.
struct Trouble {
    fault: Fault,
    retry_at: Instant,
}

impl File {
    /// Opens the file at `path`; makes it, and its folder, where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |what| move |cause| OpenError::Io { path: path.to_owned(), what, cause };
        if !path.try_exists().map_err(io("looked for"))? {
            create(path)?;
        }
        let handle = fs::OpenOptions::new().read(true).write(true).open(path).map_err(io("opened for writing"))?;
        // redb would make a database of it.
        if handle.metadata().map_err(io("read"))?.len() == 0 {
            return Err(OpenError::Foreign { path: path.to_owned() });
        }
        Self::with(path.to_owned(), hold(path, handle)?)
    }

    /// A file that nobody else can open, and that is gone with the process.
    pub(super) fn temporary() -> Result<Self, OpenError> {
        let path = std::env::temp_dir();
        let io = |cause| OpenError::Io { path: std::env::temp_dir(), what: "written to", cause };
        let held = hold(&path, tempfile::tempfile().map_err(io)?)?;
        initialise(&path, &held)?;
        Self::with(path, held)
    }

    /// An opened database of a known format.
    fn with(path: PathBuf, held: Arc<Held>) -> Result<Self, OpenError> {
        let database = sort_panics(&path, || opening::open(&held, Access::Use))?.map_err(|e| sort(&path, e))?;
        let writes = writes_of(&path, &database)?;
        Ok(Self {
            path,
            held: Mutex::new(Some(held)),
            database: RwLock::new(Some(database)),
            writes: AtomicU64::new(writes),
            trouble: Mutex::new(None),
            retry: RETRY,
            closing: AtomicBool::new(false),
        })
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the last write failed.
    pub(super) fn is_in_trouble(&self) -> bool {
        lock(&self.trouble).is_some() || self.closing.load(Ordering::Relaxed)
    }

    /// Looks at the newest state of it. What `work` does must be short.
    pub(super) fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, Fault>) -> Result<T, Fault> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        match database.as_ref() {
            Some(database) => work(&database.begin_read()?),
            None => Err(self.why_not()),
        }
    }

    /// Writes all that `work` does, or nothing. Only the writer may call this. Does not return while it is unknown which,
    /// unless that cannot be found out any more.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<Written<T>, redb::Error>,
    ) -> Result<T, Fault> {
        self.heal()?;
        let number = self.writes.load(Ordering::Relaxed) + 1;
        let (mut value, mut is_in_doubt) = (None, false);
        let tried = catch_unwind(AssertUnwindSafe(|| self.try_write(number, work, &mut value, &mut is_in_doubt)));
        let fault = match tried {
            Ok(Ok(is_written)) => {
                if is_written {
                    self.writes.store(number, Ordering::Relaxed);
                    *lock(&self.trouble) = None;
                }
                return value.ok_or(Fault::Unknown);
            }
            Ok(Err(error)) => Fault::from(error),
            Err(panic) => Fault::Damaged(text_of(&*panic).into()),
        };
        tracing::error!(path = %self.path.display(), error = %Chain(&fault), "a write failed");
        self.set_trouble(&fault);
        // It is of no more use.
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
        if !is_in_doubt {
            return Err(fault);
        }
        let found = self.find_out(number).map_err(|_| Fault::Unknown)?;
        self.check(found, number - 1..=number)?;
        self.writes.store(found, Ordering::Relaxed);
        if found == number { value.ok_or(Fault::Unknown) } else { Err(fault) }
    }

    /// Closes it for good, and lets go of the lock.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = database.map(Database::close) {
            tracing::warn!(path = %self.path.display(), %error, "the file was not closed well; nothing is lost");
        }
        let held = lock(&self.held).take();
        // Whoever opens it next cannot know that there is doubt.
        if let Some(held) = held
            && held.is_unsure()
            && let Err(error) = held.make_sure(|| false)
        {
            tracing::error!(path = %self.path.display(), %error, "what was written last may be lost if the power fails");
        }
    }

    /// Closes it for good, for a reason that everybody is told from now on.
    pub(super) fn give_up(&self, fault: &Fault) {
        self.set_trouble(fault);
        self.close();
    }

    /// No more than what is under way: a writer that waits for the disk gives up.
    pub(super) fn begin_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether the end has begun.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn try_write<T>(
        &self,
        number: u64,
        work: impl FnOnce(&WriteTransaction) -> Result<Written<T>, redb::Error>,
        value: &mut Option<T>,
        is_in_doubt: &mut bool,
    ) -> Result<bool, redb::Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = database.as_ref() else { return Err(redb::Error::DatabaseClosed) };
        let transaction = database.begin_write()?;
        match work(&transaction)? {
            Written::Nothing(worked) => {
                *value = Some(worked);
                transaction.abort()?;
                Ok(false)
            }
            Written::Commit(worked) => {
                *value = Some(worked);
                transaction.open_table(META)?.insert(WRITES_KEY, number)?;
                *is_in_doubt = true;
                transaction.commit()?;
                Ok(true)
            }
        }
    }

    /// Makes a file that failed ready again, when it is time.
    fn heal(&self) -> Result<(), Fault> {
        let trouble = lock(&self.trouble);
        let Some(current) = trouble.as_ref() else { return Ok(()) };
        if Instant::now() < current.retry_at || self.is_closing() {
            return Err(current.fault.clone());
        }
        drop(trouble);
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let opened = self.made_sure().and_then(|()| self.opened(Access::Use));
        let (opened, found) = opened.inspect_err(|fault| self.set_trouble(fault))?;
        let expected = self.writes.load(Ordering::Relaxed);
        self.check(found, expected..=expected)?;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(())
    }

    fn set_trouble(&self, fault: &Fault) {
        *lock(&self.trouble) = Some(Trouble { fault: fault.clone(), retry_at: Instant::now() + self.retry });
    }

    /// Why there is no database.
    pub(super) fn why_not(&self) -> Fault {
        let fault = lock(&self.trouble).as_ref().map(|trouble| trouble.fault.clone());
        // Nobody tries a closed file again.
        fault.filter(|fault| !(self.is_closing() && matches!(fault, Fault::Storage(_)))).unwrap_or(Fault::Closed)
    }

    /// What databases are made over.
    fn held(&self) -> Result<Arc<Held>, Fault> {
        let held = lock(&self.held).clone().filter(|_| !self.is_closing());
        held.ok_or(Fault::Closed)
    }

    /// Returns when what is read is on the disk.
    fn made_sure(&self) -> Result<(), Fault> {
        let held = self.held()?;
        if held.is_unsure() { Ok(held.make_sure(|| self.is_closing())?) } else { Ok(()) }
    }

    /// The file as it is, and how many writes it holds.
    fn opened(&self, access: Access) -> Result<(Database, u64), Fault> {
        let held = self.held()?;
        let opened = catch_unwind(AssertUnwindSafe(|| opening::open(&held, access)));
        let opened = opened.map_err(|panic| Fault::Damaged(text_of(&*panic).into()))?.map_err(Fault::from)?;
        let writes = writes_of(&self.path, &opened).map_err(|error| Fault::Damaged(error.to_string().into()))?;
        Ok((opened, writes))
    }

    /// How many writes a file holds that cannot be written, however long it takes to read it. The one in doubt, number
    /// `doubtful`, counts when it is on the disk. If it is not even read, it never will be.
    fn find_out(&self, doubtful: u64) -> Result<u64, Fault> {
        loop {
            let looked = self.opened(Access::Look).and_then(|(_, found)| match found < doubtful {
                true => Ok(found),
                false => self.made_sure().and_then(|()| self.opened(Access::Look)).map(|(_, found)| found),
            });
            match looked {
                Ok(found) => return Ok(found),
                Err(fault @ Fault::Storage(_)) => self.set_trouble(&fault),
                Err(fault) => return Err(fault),
            }
            std::thread::sleep(self.retry);
        }
    }

    /// There is no going on with a file that lost what was acknowledged, or that somebody else wrote.
    fn check(&self, found: u64, expected: RangeInclusive<u64>) -> Result<(), Fault> {
        if expected.contains(&found) {
            return Ok(());
        }
        let what = format!("it held {} writes, and now it holds {found}", expected.start());
        tracing::error!(path = %self.path.display(), what, "the file is damaged, the broker is closed");
        let fault = Fault::Damaged(what.into());
        self.give_up(&fault);
        Err(fault)
    }
}

/// An error and what lies beneath, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
