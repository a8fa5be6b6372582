//! Which records of a compacted log are superseded. Pure.

use std::collections::HashMap;

use super::record::Glance;
use crate::event::Offset;

/// What an entry of the map costs beside its key.
const ENTRY_BYTES: usize = 64;

/// The newest record of each key in a part of a log, as far as memory goes.
#[derive(Debug, Default)]
pub(super) struct Newest {
    offsets: HashMap<Box<[u8]>, Offset>,
    bytes: usize,
}

impl Newest {
    /// Notes a record that is newer than all that were noted. `false` when there is no room for another key.
    pub(super) fn note(&mut self, key: &[u8], offset: Offset, bytes_max: usize) -> bool {
        if let Some(known) = self.offsets.get_mut(key) {
            *known = offset;
            return true;
        }
        let bytes = self.bytes + key.len() + ENTRY_BYTES;
        // One key is always let in, so that there is progress.
        if bytes > bytes_max && !self.offsets.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.offsets.insert(key.into(), offset);
        true
    }

    /// Whether a record need not be kept: a newer one has its key, or it is a deletion that everybody has had time to see.
    ///
    /// A deletion is dropped only when it lies before `cleaned`: then what it deletes was dropped before, and no replay that
    /// begins now can come upon it.
    pub(super) fn is_superseded(&self, offset: Offset, glance: &Glance<'_>, cleaned: Offset, horizon_ms: u64) -> bool {
        let Some(key) = glance.key else { return false };
        let is_old = self.offsets.get(key).is_some_and(|newest| offset < *newest);
        is_old || (glance.is_tombstone && offset < cleaned && glance.timestamp_ms < horizon_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_as_many_keys_are_noted_as_there_is_room_for() {
        let mut newest = Newest::default();
        let room = 2 * (ENTRY_BYTES + 1);
        assert!(newest.note(b"a", 0, room) && newest.note(b"b", 1, room));
        assert!(!newest.note(b"c", 2, room));
        assert!(newest.note(b"a", 2, room), "a known key takes no more room");
        assert!(Newest::default().note(&[0; 5000], 0, 1), "but one is always noted");
    }

    /// By offset: a key, and whether it is deleted.
    type Log = BTreeMap<Offset, (u8, bool)>;

    /// What one pass over a log as the upkeep makes it would delete, and up to where it then is clean.
    fn superseded(log: &Log, cleaned: Offset, end: Offset, bytes_max: usize, horizon: u64) -> (Vec<Offset>, Offset) {
        let (mut newest, mut until) = (Newest::default(), end);
        for (offset, (key, _)) in log.range(cleaned..end) {
            if !newest.note(&[*key], *offset, bytes_max) {
                until = *offset;
                break;
            }
        }
        let is_superseded = |(offset, (key, is_tombstone)): &(&Offset, &(u8, bool))| {
            let timestamp_ms = u64::try_from(**offset).unwrap();
            let glance = Glance { timestamp_ms, key: Some(std::slice::from_ref(key)), is_tombstone: *is_tombstone };
            newest.is_superseded(**offset, &glance, cleaned, horizon)
        };
        (log.range(..until).filter(is_superseded).map(|(offset, _)| *offset).collect(), until)
    }

    fn clean(log: &mut Log, cleaned: &mut Offset, end: Offset, bytes_max: usize, horizon: u64) {
        let (gone, until) = superseded(log, *cleaned, end, bytes_max, horizon);
        log.retain(|offset, _| !gone.contains(offset));
        *cleaned = until;
    }

    fn state(log: &Log) -> BTreeMap<u8, Offset> {
        let mut state = BTreeMap::new();
        for (offset, (key, is_tombstone)) in log {
            if *is_tombstone {
                state.remove(key)
            } else {
                state.insert(*key, *offset)
            };
        }
        state
    }

    proptest! {
        #[test]
        fn what_a_log_says_is_the_same_however_often_it_is_compacted(
            records in proptest::collection::vec((0..6_u8, any::<bool>()), 0..80),
            passes in proptest::collection::vec((0..80_i64, 1..6_usize, 0..80_u64), 0..6),
        ) {
            let whole: BTreeMap<Offset, _> = (0..).zip(records).collect();
            let (mut log, mut cleaned, mut end) = (whole.clone(), 0, 0);
            for (more, keys, horizon) in passes {
                end = (end + more).min(i64::try_from(whole.len()).unwrap());
                let mut known = log.split_off(&end);
                clean(&mut log, &mut cleaned, end, keys * (ENTRY_BYTES + 1), horizon);
                log.append(&mut known);
                prop_assert_eq!(state(&log), state(&whole));
            }
        }

        /// A replay that begins between two pieces of a pass: the piece that is on its way is still deleted, no other is.
        #[test]
        fn a_replay_that_begins_during_a_pass_has_all_that_the_log_says(
            records in proptest::collection::vec((0..4_u8, any::<bool>()), 1..60),
            (first, horizon) in (0..60_i64, 0..60_u64),
            (pieces, piece, read) in (0..4_usize, 1..20_usize, 0..60_usize),
        ) {
            let mut log: Log = (0..).zip(records).collect();
            let end = i64::try_from(log.len()).unwrap();
            let mut cleaned = 0;
            clean(&mut log, &mut cleaned, first.min(end), usize::MAX, horizon);
            let (gone, _) = superseded(&log, cleaned, end, usize::MAX, horizon);
            let (done, rest) = gone.split_at((pieces * piece).min(gone.len()));
            log.retain(|offset, _| !done.contains(offset));
            let says = state(&log);
            let mut replayed: Log = log.iter().take(read).map(|(offset, record)| (*offset, *record)).collect();
            let next = replayed.keys().next_back().map_or(0, |last| last + 1);
            log.retain(|offset, _| !rest.iter().take(piece).any(|gone| gone == offset));
            replayed.extend(log.range(next..));
            prop_assert_eq!(state(&replayed), says);
        }
    }
}
