//! Disks that fail.

use std::sync::atomic::AtomicU8;

use redb::{StorageBackend, TableDefinition};

use super::opening::open_backend;
use super::*;
use crate::broker::embedded::log::create_tables;

const WORKS: u8 = 0;
const IS_FULL: u8 = 1;
/// All is written, and the last step of making sure of it fails.
const FAILS_WHEN_DONE: u8 = 2;
/// The same, and what was written last is gone.
const LOSES: u8 = 3;
/// Making sure of it takes until there is another mode.
const HANGS: u8 = 4;

/// A disk in memory, which fails when told to, and outlives the databases on it.
#[derive(Clone, Debug, Default)]
pub(in crate::broker::embedded) struct Disk {
    mode: Arc<AtomicU8>,
    contents: Arc<Mutex<Contents>>,
    is_waited_for: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Contents {
    written: Vec<u8>,
    synced: Vec<u8>,
}

impl Disk {
    /// A file on it, made anew.
    pub(in crate::broker::embedded) fn file(&self) -> File {
        let path = Path::new("/disk/broker.redb");
        let disk = self.clone();
        let open = move |access| open_backend(&Database::builder(), disk.clone(), access);
        initialise(path, open(Access::Use)).unwrap();
        File::with(path.to_owned(), Box::new(open)).unwrap()
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }

    pub(in crate::broker::embedded) fn fill(&self) {
        self.set(IS_FULL);
    }

    pub(in crate::broker::embedded) fn hang(&self) {
        self.set(HANGS);
    }

    /// Whether a hanging disk is waited for.
    pub(in crate::broker::embedded) fn is_waited_for(&self) -> bool {
        self.is_waited_for.load(Ordering::Relaxed)
    }

    pub(in crate::broker::embedded) fn work(&self) {
        self.set(WORKS);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(lock(&self.contents).written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let start = offset as usize;
        let contents = lock(&self.contents);
        let bytes = contents.written.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        lock(&self.contents).written.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        while self.mode.load(Ordering::Relaxed) == HANGS {
            self.is_waited_for.store(true, Ordering::Relaxed);
            std::thread::yield_now();
        }
        let mut contents = lock(&self.contents);
        match self.mode.swap(WORKS, Ordering::Relaxed) {
            FAILS_WHEN_DONE => Err(io::ErrorKind::Other.into()),
            LOSES => {
                contents.written = contents.synced.clone();
                Err(io::ErrorKind::Other.into())
            }
            mode => {
                self.set(mode);
                contents.synced = contents.written.clone();
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        if self.mode.load(Ordering::Relaxed) == IS_FULL {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let start = offset as usize;
        lock(&self.contents).written[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

const TABLE: TableDefinition<'static, u64, u64> = TableDefinition::new("test");

fn put(file: &File, number: u64) -> Result<u64, Fault> {
    file.write(|transaction| {
        transaction.open_table(TABLE)?.insert(number, number)?;
        Ok(Written::Commit(number))
    })
}

fn numbers(file: &File) -> Vec<u64> {
    let read = file.read(|transaction| {
        let table = transaction.open_table(TABLE)?;
        let numbers = table.range(0..)?.map(|entry| entry.map(|(number, _)| number.value()));
        Ok(numbers.collect::<Result<Vec<_>, _>>()?)
    });
    read.unwrap()
}

/// Writes until it works, which it does not before the file is tried again.
fn put_at_last(file: &File, number: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(fault) = put(file, number) {
        assert!(Instant::now() < deadline, "{fault}");
        std::thread::yield_now();
    }
}

#[test]
fn a_write_on_a_full_disk_is_undone_and_there_is_room_later() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    disk.fill();
    let fault = put(&file, 2).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the file cannot be used; it is tried again until it can be. Free some space on its disk"
    );
    assert!(file.is_in_trouble());
    assert!(put(&file, 3).is_err(), "it is left alone for a while");
    disk.work();
    put_at_last(&file, 4);
    assert!(!file.is_in_trouble());
    assert_eq!(numbers(&file), [1, 4]);
}

#[test]
fn a_commit_that_failed_when_it_was_done_is_found_to_be_done() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    disk.set(FAILS_WHEN_DONE);
    assert_eq!(put(&file, 2).unwrap(), 2);
    put_at_last(&file, 3);
    assert_eq!(numbers(&file), [1, 2, 3]);
}

#[test]
fn a_commit_that_failed_and_is_gone_is_found_to_be_undone() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    disk.set(LOSES);
    put(&file, 2).unwrap_err();
    put_at_last(&file, 3);
    assert_eq!(numbers(&file), [1, 3]);
}

#[test]
fn a_write_that_panics_is_undone() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    let fault = file.write(|transaction| -> Result<Written<()>, redb::Error> {
        transaction.open_table(TABLE)?.insert(2, 2)?;
        panic!("in the middle");
    });
    assert_eq!(fault.unwrap_err().to_string(), "the file is damaged: in the middle");
    put_at_last(&file, 3);
    assert_eq!(numbers(&file), [1, 3]);
}

#[test]
fn a_file_that_lost_what_was_acknowledged_is_not_gone_on_with() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    let before = lock(&disk.contents).written.clone();
    put(&file, 2).unwrap();
    put(&file, 3).unwrap();
    disk.set(LOSES);
    lock(&disk.contents).synced = before;
    let fault = put(&file, 4).unwrap_err();
    assert_eq!(fault.to_string(), "the file is damaged: it held 3 writes, and now it holds 1");
    assert!(put(&file, 5).is_err() && file.read(|_| Ok(())).is_err());
}

#[test]
fn what_writes_nothing_leaves_no_trace() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    let before = lock(&disk.contents).written.clone();
    let nothing = file.write(|transaction| {
        create_tables(transaction)?;
        Ok(Written::Nothing(()))
    });
    nothing.unwrap();
    assert_eq!(lock(&disk.contents).written, before);
}
