//! The tables of the file, and reading and changing a partition's log in them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `topics` | name | id, partitions and configuration, as JSON |
//! | `bounds` | topic id, partition | see [`Bounds`] |
//! | `records` | topic id, partition, offset | [`record`](super::record) |
//! | `positions` | group, topic id, partition | next offset, note |
//!
//! Offsets are dense when they are given out; upkeep leaves gaps, and never moves one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::catalog::{Catalog, Stored};
use super::file::Fault;
use super::record::{self, Malformed};
use crate::broker::Position;
use crate::event::{Event, Offset, Partition};

type RecordKey = (u32, i32, Offset);
type BoundsValue = (Offset, Offset, Offset, u64, u64);

const TOPICS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("topics");
const BOUNDS: TableDefinition<'static, (u32, i32), BoundsValue> = TableDefinition::new("bounds");
const RECORDS: TableDefinition<'static, RecordKey, &[u8]> = TableDefinition::new("records");
const POSITIONS: TableDefinition<'static, (&str, u32, i32), (Offset, &str)> = TableDefinition::new("positions");

/// A partition as the tables know it.
pub(super) type Place = (u32, i32);

/// What is known of a partition's log without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The oldest offset that may be read.
    pub(super) start: Offset,
    /// The offset after the newest record.
    pub(super) end: Offset,
    /// Before it, each key has one record.
    pub(super) cleaned: Offset,
    /// How many records there are.
    pub(super) records: u64,
    /// How many bytes they take.
    pub(super) bytes: u64,
}

impl Bounds {
    fn value(self) -> BoundsValue {
        (self.start, self.end, self.cleaned, self.records, self.bytes)
    }

    fn of((start, end, cleaned, records, bytes): BoundsValue) -> Self {
        Self { start, end, cleaned, records, bytes }
    }
}

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Self {
        Self::Damaged(error.to_string().into())
    }
}

/// Makes every table, so that none is ever missing.
pub(super) fn create_tables(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    drop(transaction.open_table(TOPICS)?);
    drop(transaction.open_table(BOUNDS)?);
    drop(transaction.open_table(RECORDS)?);
    drop(transaction.open_table(POSITIONS)?);
    Ok(())
}

/// All topics.
pub(super) fn load(transaction: &ReadTransaction) -> Result<Catalog, Fault> {
    let bounds = transaction.open_table(BOUNDS)?;
    let mut catalog = Catalog::default();
    for entry in transaction.open_table(TOPICS)?.iter()? {
        let (name, stored) = entry?;
        let name = name.value();
        let unreadable = |why: String| Fault::Damaged(format!("topic `{name}`: {why}").into());
        let stored: Stored = serde_json::from_slice(stored.value()).map_err(|e| unreadable(e.to_string()))?;
        let mut partitions = Vec::new();
        for number in 0..stored.partitions {
            let found = bounds.get((stored.id, number))?.map(|found| Bounds::of(found.value()));
            partitions.push(found.ok_or_else(|| unreadable(format!("partition {number} is missing")))?);
        }
        catalog.add(name.into(), stored, partitions).map_err(unreadable)?;
    }
    Ok(catalog)
}

/// How much more may be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// This many records.
    pub(super) records: usize,
    /// No further one once this is 0.
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn is_left(self) -> bool {
        self.records > 0 && self.bytes > 0
    }

    fn take(&mut self, bytes: usize) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Logs as they are at one moment.
pub(super) struct Reader {
    bounds: ReadOnlyTable<Place, BoundsValue>,
    records: ReadOnlyTable<RecordKey, &'static [u8]>,
}

impl Reader {
    pub(super) fn new(transaction: &ReadTransaction) -> Result<Self, Fault> {
        Ok(Self { bounds: transaction.open_table(BOUNDS)?, records: transaction.open_table(RECORDS)? })
    }

    /// The bounds of a partition.
    pub(super) fn bounds(&self, place: Place) -> Result<Option<Bounds>, Fault> {
        Ok(self.bounds.get(place)?.map(|found| Bounds::of(found.value())))
    }

    /// Appends the records of `from..until` to `events` as far as there is room. Gives where to go on: `until` when there
    /// was room for all.
    pub(super) fn events(
        &self,
        partition: &Partition,
        id: u32,
        (from, until): (Offset, Offset),
        room: &mut Room,
        events: &mut Vec<Event>,
    ) -> Result<Offset, Fault> {
        let place = (id, partition.number);
        let mut next = from;
        let stopped = self.visit(place, (from, until), |offset, bytes| {
            if !room.is_left() {
                return Ok(ControlFlow::Break(()));
            }
            let event = record::decode(partition, offset, bytes)?;
            room.take(event.size_bytes());
            events.push(event);
            next = offset + 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(if stopped.is_break() { next } else { until })
    }

    /// Shows each record of `from..until` to `visit`, in order, until it has seen enough.
    pub(super) fn visit(
        &self,
        (id, number): Place,
        (from, until): (Offset, Offset),
        mut visit: impl FnMut(Offset, &[u8]) -> Result<ControlFlow<()>, Fault>,
    ) -> Result<ControlFlow<()>, Fault> {
        if from >= until {
            return Ok(ControlFlow::Continue(()));
        }
        for entry in self.records.range((id, number, from)..(id, number, until))? {
            let (key, bytes) = entry?;
            let (_, _, offset) = key.value();
            if visit(offset, bytes.value())?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// A group's positions in these partitions, as far as it has any.
pub(super) fn positions(
    transaction: &ReadTransaction,
    group: &str,
    places: &BTreeMap<Partition, u32>,
) -> Result<BTreeMap<Partition, Position>, Fault> {
    let table = transaction.open_table(POSITIONS)?;
    let mut positions = BTreeMap::new();
    for (partition, id) in places {
        if let Some(found) = table.get((group, *id, partition.number))? {
            let (next, note) = found.value();
            positions.insert(partition.clone(), Position { next: Some(next), note: note.to_owned() });
        }
    }
    Ok(positions)
}

/// Logs that are being changed, in one transaction.
pub(super) struct Changer<'a> {
    records: Table<'a, RecordKey, &'static [u8]>,
    positions: Table<'a, (&'static str, u32, i32), (Offset, &'static str)>,
    bounds: Table<'a, Place, BoundsValue>,
    /// Of what was touched: the newest.
    touched: BTreeMap<Place, Bounds>,
    /// Whether anything is to be committed.
    pub(super) is_changed: bool,
}

impl<'a> Changer<'a> {
    pub(super) fn new(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            positions: transaction.open_table(POSITIONS)?,
            bounds: transaction.open_table(BOUNDS)?,
            touched: BTreeMap::new(),
            is_changed: false,
        })
    }

    /// Appends a record to a partition whose bounds were `known` when the transaction began.
    pub(super) fn append(&mut self, (id, number): Place, known: Bounds, bytes: &[u8]) -> Result<Offset, redb::Error> {
        let bounds = touch(&mut self.touched, &mut self.is_changed, (id, number), known);
        let offset = bounds.end;
        self.records.insert((id, number, offset), bytes)?;
        bounds.end += 1;
        bounds.records += 1;
        bounds.bytes += bytes.len() as u64;
        Ok(offset)
    }

    /// Sets a group's position.
    pub(super) fn move_to(
        &mut self,
        group: &str,
        (id, number): Place,
        next: Offset,
        note: &str,
    ) -> Result<(), redb::Error> {
        self.is_changed = true;
        self.positions.insert((group, id, number), (next, note))?;
        Ok(())
    }

    /// Deletes the records before `offset`, at most `records_max` of them, and begins the log after them.
    pub(super) fn delete_before(
        &mut self,
        (id, number): Place,
        known: Bounds,
        offset: Offset,
        records_max: usize,
    ) -> Result<(), redb::Error> {
        let bounds = touch(&mut self.touched, &mut self.is_changed, (id, number), known);
        let until = offset.min(bounds.end);
        let mut deleted = 0;
        let range = (id, number, bounds.start)..(id, number, until);
        let mut gone = self.records.extract_from_if(range, |_, _| true)?;
        // What is not taken from it stays.
        while deleted < records_max {
            let Some(entry) = gone.next() else { break };
            let (key, bytes) = entry?;
            deleted += 1;
            bounds.start = key.value().2 + 1;
            bounds.records = bounds.records.saturating_sub(1);
            bounds.bytes = bounds.bytes.saturating_sub(bytes.value().len() as u64);
        }
        gone.close()?;
        if deleted < records_max {
            bounds.start = bounds.start.max(until);
        }
        bounds.cleaned = bounds.cleaned.max(bounds.start);
        Ok(())
    }

    /// Deletes single records; their offsets stay empty.
    pub(super) fn delete(&mut self, (id, number): Place, known: Bounds, offsets: &[Offset]) -> Result<(), redb::Error> {
        let bounds = touch(&mut self.touched, &mut self.is_changed, (id, number), known);
        for offset in offsets {
            if let Some(bytes) = self.records.remove((id, number, *offset))? {
                bounds.records = bounds.records.saturating_sub(1);
                bounds.bytes = bounds.bytes.saturating_sub(bytes.value().len() as u64);
            }
        }
        Ok(())
    }

    /// Notes that each key before `offset` has one record.
    pub(super) fn set_cleaned(&mut self, place: Place, known: Bounds, offset: Offset) {
        touch(&mut self.touched, &mut self.is_changed, place, known).cleaned = offset;
    }

    /// Writes the bounds of all that was touched, and gives them.
    pub(super) fn finish(mut self) -> Result<BTreeMap<Place, Bounds>, redb::Error> {
        for (place, bounds) in &self.touched {
            self.bounds.insert(place, bounds.value())?;
        }
        Ok(self.touched)
    }
}

/// The bounds to change of a partition whose bounds were `known` when the transaction began.
fn touch<'a>(
    touched: &'a mut BTreeMap<Place, Bounds>,
    is_changed: &mut bool,
    place: Place,
    known: Bounds,
) -> &'a mut Bounds {
    *is_changed = true;
    touched.entry(place).or_insert(known)
}

/// Writes a topic, with bounds for the partitions from `first` on.
pub(super) fn put_topic(
    transaction: &WriteTransaction,
    name: &Arc<str>,
    stored: &Stored,
    first: i32,
) -> Result<(), redb::Error> {
    let json = serde_json::to_vec(stored).map_err(|e| redb::Error::Io(e.into()))?;
    transaction.open_table(TOPICS)?.insert(&**name, json.as_slice())?;
    let mut bounds = transaction.open_table(BOUNDS)?;
    for number in first..stored.partitions {
        bounds.insert((stored.id, number), Bounds::default().value())?;
    }
    Ok(())
}
