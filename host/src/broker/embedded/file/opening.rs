//! Making a database of a file: one that is there, or a new one; and telling what is wrong with it.

use std::any::Any;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition, TableError};

use super::FORMAT;
use super::held::Held;
use super::shadow::Shadow;
use crate::broker::embedded::log;
use crate::broker::embedded::open_error::OpenError;

/// What redb may keep of the file in memory.
const CACHE_BYTES: usize = 16 << 20;
/// A larger file is not read through when it is opened: that would take longer than a start may.
const CHECKED_BYTES_MAX: u64 = 256 << 20;

/// Numbers about the file itself.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
/// How many writes were committed.
pub(super) const WRITES_KEY: &str = "writes";

/// How the file is opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    /// To be used.
    Use,
    /// To be looked at, even if nothing can be written.
    Look,
}

pub(super) fn open(held: &Arc<Held>, access: Access) -> Result<Database, redb::DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(held.len()? <= CHECKED_BYTES_MAX);
    match access {
        Access::Use => builder.create_with_backend(held.lend()),
        Access::Look => builder.create_with_backend(Shadow::new(held.lend())?),
    }
}

/// Makes a file that appears whole or not at all: a process that is killed here leaves nothing to stumble over.
pub(super) fn create(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let io = |what| move |cause| OpenError::Io { path: folder.to_owned(), what, cause };
    fs::create_dir_all(folder).map_err(io("made"))?;
    let new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(io("written to"))?;
    initialise(path, &hold(path, new.as_file().try_clone().map_err(io("written to"))?)?)?;
    match new.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster; its file is as good.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(io("written to")(error.error)),
    }
    // The name, too, is to survive a power cut.
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("written to"))
}

/// Locks a file.
pub(super) fn hold(path: &Path, handle: fs::File) -> Result<Arc<Held>, OpenError> {
    Held::lock(handle).map_err(|e| sort(path, e))
}

/// Writes the tables of an empty broker.
pub(super) fn initialise(path: &Path, held: &Arc<Held>) -> Result<(), OpenError> {
    let database = open(held, Access::Use).map_err(|e| sort(path, e))?;
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
pub(super) fn writes_of(path: &Path, database: &Database) -> Result<u64, OpenError> {
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
pub(super) fn sort_panics<T>(path: &Path, work: impl FnOnce() -> T) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| OpenError::Damaged { path: path.to_owned(), cause: text_of(&*panic).into() })
}

/// What a panic says.
pub(in crate::broker::embedded) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it makes no sense").to_owned()
}

/// redb's error as ours.
pub(super) fn sort(path: &Path, error: redb::DatabaseError) -> OpenError {
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
