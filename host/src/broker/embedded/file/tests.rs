//! Disks that fail.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU8;

use proptest::prelude::*;
use redb::{StorageBackend, TableDefinition};

use super::*;
use crate::broker::embedded::log::create_tables;

const PATH: &str = "/disk/broker.redb";

const WORKS: u8 = 0;
const IS_FULL: u8 = 1;
/// All is written, and the last step of making sure of it fails. As Linux does, it is read from then on, and is not on the
/// disk until somebody writes it again.
const FAILS_WHEN_DONE: u8 = 2;
/// It fails as well, and what was written last is gone.
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
    /// What was written since it was last tried to make sure of it.
    unsynced: Vec<std::ops::Range<usize>>,
    synced: Vec<u8>,
    syncs: usize,
    /// Which of the next ones fail when they are done.
    to_fail: VecDeque<bool>,
}

impl Contents {
    fn sync(&mut self) {
        self.synced.resize(self.written.len(), 0);
        for range in std::mem::take(&mut self.unsynced) {
            // What was cut off since need not be there.
            let end = range.end.min(self.written.len());
            let range = range.start.min(end)..end;
            self.synced[range.clone()].copy_from_slice(&self.written[range]);
        }
    }
}

impl Disk {
    /// A file on it, made anew.
    pub(in crate::broker::embedded) fn file(&self) -> File {
        initialise(Path::new(PATH), &Held::of(self.clone())).unwrap();
        self.opened().unwrap()
    }

    /// The file that is on it.
    pub(in crate::broker::embedded) fn opened(&self) -> Result<File, OpenError> {
        File::with(PATH.into(), Held::of(self.clone()))
    }

    /// Another disk, as this one is when the power has failed.
    fn after_a_power_cut(&self) -> Self {
        let synced = lock(&self.contents).synced.clone();
        let contents = Contents { written: synced.clone(), synced, ..Contents::default() };
        Self { contents: Arc::new(Mutex::new(contents)), ..Self::default() }
    }

    /// Whether nothing is read that is not on it. Its end may be cut off later.
    fn has_all_that_is_read(&self) -> bool {
        let contents = lock(&self.contents);
        contents.synced.starts_with(&contents.written)
    }

    /// How often it was made sure of what was written.
    pub(in crate::broker::embedded) fn syncs(&self) -> usize {
        lock(&self.contents).syncs
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
        let mut contents = lock(&self.contents);
        let new = contents.written.len()..len as usize;
        contents.written.resize(new.end, 0);
        contents.unsynced.push(new);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        while self.mode.load(Ordering::Relaxed) == HANGS {
            self.is_waited_for.store(true, Ordering::Relaxed);
            std::thread::yield_now();
        }
        let mut contents = lock(&self.contents);
        contents.syncs += 1;
        let mode = match contents.to_fail.pop_front() {
            Some(true) => FAILS_WHEN_DONE,
            _ => self.mode.swap(WORKS, Ordering::Relaxed),
        };
        match mode {
            FAILS_WHEN_DONE => {
                contents.unsynced.clear();
                Err(io::ErrorKind::Other.into())
            }
            LOSES => {
                contents.written = contents.synced.clone();
                contents.unsynced.clear();
                Err(io::ErrorKind::Other.into())
            }
            mode => {
                self.set(mode);
                contents.sync();
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        if self.mode.load(Ordering::Relaxed) == IS_FULL {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let start = offset as usize;
        let mut contents = lock(&self.contents);
        let range = start..start + data.len();
        contents.written[range.clone()].copy_from_slice(data);
        contents.unsynced.push(range);
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
fn what_was_found_to_be_done_survives_a_power_cut() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    disk.set(FAILS_WHEN_DONE);
    assert_eq!(put(&file, 2).unwrap(), 2);
    assert_eq!(numbers(&disk.after_a_power_cut().opened().unwrap()), [1, 2]);
    put_at_last(&file, 3);
    assert_eq!(numbers(&disk.after_a_power_cut().opened().unwrap()), [1, 2, 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// In writing, in finding out what became of it, in closing a database, and in making the file ready again.
    #[test]
    fn whenever_the_disk_fails_what_was_acknowledged_survives_a_power_cut(
        to_fail in proptest::collection::vec(any::<bool>(), 0..12),
        panics in proptest::collection::vec(any::<bool>(), 6),
    ) {
        let disk = Disk::default();
        let mut file = disk.file();
        file.retry = Duration::ZERO;
        lock(&disk.contents).to_fail = to_fail.into();
        for (number, does_panic) in (0..).zip(panics) {
            if does_panic {
                fail(&file);
            }
            put_at_last(&file, number);
            prop_assert!(disk.has_all_that_is_read(), "what comes next builds upon it");
            let after = disk.after_a_power_cut().opened();
            prop_assert_eq!(numbers(&after.unwrap()), (0..=number).collect::<Vec<_>>());
        }
    }
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
fn what_the_disk_failed_to_make_sure_of_at_the_end_is_made_sure_of_all_the_same() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    disk.set(FAILS_WHEN_DONE);
    file.close();
    assert!(disk.has_all_that_is_read());
    assert_eq!(numbers(&disk.opened().unwrap()), [1]);
}

/// A write that is undone.
fn fail(file: &File) -> Fault {
    let failed = file.write(|transaction| -> Result<Written<()>, redb::Error> {
        transaction.open_table(TABLE)?.insert(2, 2)?;
        panic!("in the middle");
    });
    failed.unwrap_err()
}

#[test]
fn a_write_that_panics_is_undone() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    assert_eq!(fail(&file).to_string(), "the file is damaged: in the middle");
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

/// A copy that somebody brought back over it, perhaps.
#[test]
fn a_file_that_somebody_else_wrote_meanwhile_is_not_gone_on_with() {
    let disk = Disk::default();
    let file = disk.file();
    put(&file, 1).unwrap();
    fail(&file);
    let another = disk.opened().unwrap();
    put(&another, 2).unwrap();
    another.close();
    let deadline = Instant::now() + Duration::from_secs(60);
    let fault = loop {
        match put(&file, 3).unwrap_err() {
            Fault::Damaged(what) if &*what == "in the middle" => assert!(Instant::now() < deadline),
            fault => break fault,
        }
        std::thread::yield_now();
    };
    assert_eq!(fault.to_string(), "the file is damaged: it held 1 writes, and now it holds 2");
    assert!(put(&file, 4).is_err() && file.read(|_| Ok(())).is_err());
}

#[test]
fn a_file_in_trouble_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.redb");
    let file = File::open(&path).unwrap();
    let is_in_use = || matches!(File::open(&path), Err(OpenError::InUse { .. }));
    assert!(is_in_use());
    fail(&file);
    assert!(is_in_use(), "it will be tried again");
    assert!(
        matches!(Database::open(&path), Err(redb::DatabaseError::DatabaseAlreadyOpen)),
        "redb looks for its own lock"
    );
    put_at_last(&file, 1);
    assert!(is_in_use());
    file.close();
    assert_eq!(numbers(&File::open(&path).unwrap()), [1]);
    let _redbs = Database::open(&path).unwrap();
    assert!(is_in_use());
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
