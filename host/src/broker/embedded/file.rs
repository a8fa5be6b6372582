//! The file: opening it, reading it, and writing it in one transaction after the other.
//!
//! redb keeps it whole whatever ends the process. What redb leaves open is decided here:
//!
//! - Who may have it: the file is locked for as long as it is open.
//! - Whether it can be trusted: its format is known, and it is read through once, for what a careless copy or a bad disk did
//!   to it would show late, or not at all.
//! - What became of a write that failed: redb gives such a database up, and says that the write may have been done all the
//!   same. A number that goes up with every write tells, and it is looked up without writing ([`Shadow`]), for that may
//!   not be possible. Then the file is opened anew, which may have to wait until there is room on the disk.
//!
//! Reads are short, and hold a lock that only opening anew takes for itself.

use std::any::Any;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{
    Database, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition, TableError, WriteTransaction,
};

use super::log;
use super::open_error::OpenError;
use super::shadow::Shadow;
use crate::broker::lock;

/// The layout of the tables and of what is in them. Raise it with every change that an older fnhost would not understand.
pub(super) const FORMAT: u64 = 1;

/// What redb may keep of the file in memory.
const CACHE_BYTES: usize = 16 << 20;
/// A larger file is not read through when it is opened: that would take longer than a start may.
const CHECKED_BYTES_MAX: u64 = 256 << 20;
/// How long a file that failed is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
const WRITES_KEY: &str = "writes";

/// Makes a database of the file, which it holds.
type Opener = Box<dyn Fn(Access) -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// How the file is opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    /// To be used.
    Use,
    /// To be looked at, even if nothing can be written.
    Look,
}

/// Why the file could not be read or written. Nothing was written.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The disk, most likely. It may work again.
    #[error("the file cannot be used; it is tried again until it can be{}", hint(.0))]
    Storage(#[source] Arc<redb::Error>),
    /// The file is not what it was.
    #[error("the file is damaged: {0}")]
    Damaged(Arc<str>),
    /// The broker was dropped.
    #[error("the broker is closed")]
    Closed,
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
    opener: Opener,
    /// `None` while it cannot be opened, and after it was closed.
    database: RwLock<Option<Database>>,
    /// How many writes were committed. Changed by the writer alone.
    writes: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
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
        Self::with(path.to_owned(), Box::new(move |access| open_handle(handle.try_clone()?, access)))
    }

    /// A file that nobody else can open, and that is gone with the process.
    pub(super) fn temporary() -> Result<Self, OpenError> {
        let path = std::env::temp_dir();
        let io = |what| move |cause| OpenError::Io { path: std::env::temp_dir(), what, cause };
        let handle = tempfile::tempfile().map_err(io("written to"))?;
        initialise(&path, open_handle(handle.try_clone().map_err(io("written to"))?, Access::Use))?;
        Self::with(path, Box::new(move |access| open_handle(handle.try_clone()?, access)))
    }

    /// An opened database of a known format.
    pub(super) fn with(path: PathBuf, opener: Opener) -> Result<Self, OpenError> {
        let database = sort_panics(&path, || opener(Access::Use))?.map_err(|e| sort(&path, e))?;
        let writes = writes_of(&path, &database)?;
        Ok(Self {
            path,
            opener,
            database: RwLock::new(Some(database)),
            writes: AtomicU64::new(writes),
            trouble: Mutex::new(None),
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

    /// Writes all that `work` does, or nothing. Only the writer may call this. What it returns is true: the file is opened
    /// anew until that is known.
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
                return value.ok_or(Fault::Closed);
            }
            Ok(Err(error)) => Fault::from(error),
            Err(panic) => Fault::Damaged(text_of(&*panic).into()),
        };
        tracing::error!(path = %self.path.display(), error = %Chain(&fault), "a write failed");
        self.set_trouble(&fault);
        // It holds the lock, and is of no more use.
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
        if !is_in_doubt {
            return Err(fault);
        }
        let found = self.find_out()?;
        self.expect(self.writes.load(Ordering::Relaxed), found)?;
        self.writes.store(found, Ordering::Relaxed);
        if found == number { value.ok_or(Fault::Closed) } else { Err(fault) }
    }

    /// Closes it for good, and lets go of the lock.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = database.map(Database::close) {
            tracing::warn!(path = %self.path.display(), %error, "the file was not closed well; nothing is lost");
        }
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
        if Instant::now() < current.retry_at {
            return Err(current.fault.clone());
        }
        drop(trouble);
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_some() {
            return Ok(());
        }
        let (opened, found) = self.opened(Access::Use).inspect_err(|fault| self.set_trouble(fault))?;
        *database = Some(opened);
        drop(database);
        self.expect(self.writes.load(Ordering::Relaxed), found)
    }

    fn set_trouble(&self, fault: &Fault) {
        *lock(&self.trouble) = Some(Trouble { fault: fault.clone(), retry_at: Instant::now() + RETRY });
    }

    /// Why there is no database.
    fn why_not(&self) -> Fault {
        lock(&self.trouble).as_ref().map_or(Fault::Closed, |trouble| trouble.fault.clone())
    }

    /// The file as it is, and how many writes it holds.
    fn opened(&self, access: Access) -> Result<(Database, u64), Fault> {
        if self.is_closing() {
            return Err(Fault::Closed);
        }
        let opened = catch_unwind(AssertUnwindSafe(|| (self.opener)(access)));
        let opened = opened.map_err(|panic| Fault::Damaged(text_of(&*panic).into()))?.map_err(Fault::from)?;
        let writes = writes_of(&self.path, &opened).map_err(|error| Fault::Damaged(error.to_string().into()))?;
        Ok((opened, writes))
    }

    /// How many writes a file holds that cannot be written, however long it takes to read it.
    fn find_out(&self) -> Result<u64, Fault> {
        loop {
            match self.opened(Access::Look) {
                Ok((_, found)) => return Ok(found),
                Err(fault @ Fault::Storage(_)) => self.set_trouble(&fault),
                Err(fault) => return Err(fault),
            }
            std::thread::sleep(RETRY);
        }
    }

    /// There is no going on with a file that lost what was acknowledged.
    fn expect(&self, expected: u64, found: u64) -> Result<(), Fault> {
        if found >= expected {
            return Ok(());
        }
        let what = format!("it held {expected} writes, and now it holds {found}");
        tracing::error!(path = %self.path.display(), what, "the file is damaged, the broker is closed");
        let fault = Fault::Damaged(what.into());
        self.set_trouble(&fault);
        self.close();
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

fn open_handle(handle: fs::File, access: Access) -> Result<Database, redb::DatabaseError> {
    let is_checked = handle.metadata()?.len() <= CHECKED_BYTES_MAX;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(is_checked);
    open_backend(&builder, FileBackend::new(handle)?, access)
}

fn open_backend(
    builder: &redb::Builder,
    backend: impl StorageBackend,
    access: Access,
) -> Result<Database, redb::DatabaseError> {
    match access {
        Access::Use => builder.create_with_backend(backend),
        Access::Look => builder.create_with_backend(Shadow::new(backend)?),
    }
}

/// Makes a file that appears whole or not at all: a process that is killed here leaves nothing to stumble over.
fn create(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let io = |what| move |cause| OpenError::Io { path: folder.to_owned(), what, cause };
    fs::create_dir_all(folder).map_err(io("made"))?;
    let new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(io("written to"))?;
    initialise(path, new.as_file().try_clone().map_err(Into::into).and_then(|new| open_handle(new, Access::Use)))?;
    match new.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster; its file is as good.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(io("written to")(error.error)),
    }
    // The name, too, is to survive a power cut.
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("written to"))
}

/// Writes the tables of an empty broker.
fn initialise(path: &Path, database: Result<Database, redb::DatabaseError>) -> Result<(), OpenError> {
    let database = database.map_err(|e| sort(path, e))?;
    let write = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT)?;
        meta.insert(WRITES_KEY, 0)?;
        drop(meta);
        log::create_tables(&transaction)?;
        Ok(transaction.commit()?)
    };
    write().map_err(|e| sort_error(path, e))
}

/// How many writes a database of our format holds.
fn writes_of(path: &Path, database: &Database) -> Result<u64, OpenError> {
    let foreign = || OpenError::Foreign { path: path.to_owned() };
    let number = |key| -> Result<Option<u64>, redb::Error> {
        let transaction = database.begin_read()?;
        match transaction.open_table(META) {
            Ok(meta) => Ok(meta.get(key)?.map(|number| number.value())),
            Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let format = number(FORMAT_KEY).map_err(|e| sort_error(path, e))?.ok_or_else(foreign)?;
    if format > FORMAT {
        return Err(OpenError::Newer { path: path.to_owned(), found: format });
    }
    number(WRITES_KEY).map_err(|e| sort_error(path, e))?.ok_or_else(foreign)
}

/// redb checks most of what it reads; what it does not check may make it panic.
fn sort_panics<T>(path: &Path, work: impl FnOnce() -> T) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| OpenError::Damaged { path: path.to_owned(), cause: text_of(&*panic).into() })
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it makes no sense").to_owned()
}

/// redb's error as ours.
fn sort(path: &Path, error: redb::DatabaseError) -> OpenError {
    sort_error(path, error.into())
}

fn sort_error(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => OpenError::InUse { path },
        // That is how redb says that the file does not begin as its files do.
        redb::Error::Io(cause) if cause.kind() == io::ErrorKind::InvalidData => OpenError::Foreign { path },
        // A file that ends before its time.
        redb::Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged { path, cause: Box::new(cause) }
        }
        redb::Error::Io(cause) => OpenError::Io { path, what: "used", cause },
        other => OpenError::Damaged { path, cause: Box::new(other) },
    }
}

#[cfg(test)]
pub(super) mod tests;
