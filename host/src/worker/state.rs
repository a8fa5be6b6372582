//! A function's state in one partition: what is committed, and the changes of the open batch laid over it.
//!
//! The worker owns a [`Store`] for each function and input partition, hands it out read-only to invocations, and puts their
//! changes into the overlay when their event's verdict is to apply. The overlay becomes changelog records of the
//! transaction, then part of the committed pairs, or is dropped: it never survives a batch. Everything is in memory; the
//! changelog is what is durable.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::event::{Change, Offset};
use crate::invocation::View;

/// A pair's new value, or its deletion, and which invocation of the batch wrote it last.
#[derive(Clone, Debug)]
struct Laid {
    value: Option<Vec<u8>>,
    origin: usize,
}

/// One function's state in one partition.
#[derive(Clone, Debug, Default)]
pub struct Store {
    committed: BTreeMap<Vec<u8>, Vec<u8>>,
    overlay: BTreeMap<Vec<u8>, Laid>,
    /// Of `committed`: keys and values.
    bytes: usize,
    /// The changelog offset up to which `committed` is known. Earlier records may be in it too.
    next: Offset,
    /// The offset after an event of the newest batch whose changes were applied here; 0 when all was restored.
    applied: Offset,
}

impl Store {
    /// Where the changelog is to be read on from.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Takes over one changelog record while restoring.
    pub fn restore(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key_bytes = key.len();
        let before = match value {
            Some(value) => {
                self.bytes += key_bytes + value.len();
                self.committed.insert(key, value)
            }
            None => self.committed.remove(&key),
        };
        if let Some(before) = before {
            self.bytes -= key_bytes + before.len();
        }
    }

    /// Notes that the changelog is known up to `next`.
    pub fn restored_to(&mut self, next: Offset) {
        self.next = self.next.max(next);
    }

    /// Lays the changes of one invocation over the store. `origin` names it for [`Store::changes`].
    pub fn lay(&mut self, changes: Vec<Change>, origin: usize) {
        for (key, value) in changes {
            self.overlay.insert(key, Laid { value, origin });
        }
    }

    /// What the batch changed: key, value and the invocation that wrote it last, ordered by key.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>, usize)> {
        self.overlay.iter().map(|(key, laid)| (key.as_slice(), laid.value.as_deref(), laid.origin))
    }

    /// The transaction is committed: the overlay is now the truth. `end` is where its records end in the changelog, when
    /// that is known; `input` is the offset after the event that made the changes, or one of them.
    pub fn apply(&mut self, end: Option<Offset>, input: Offset) {
        for (key, laid) in std::mem::take(&mut self.overlay) {
            self.restore(key, laid.value);
        }
        self.next = self.next.max(end.unwrap_or(0));
        self.applied = self.applied.max(input);
    }

    /// Whether it holds what events from this position on did: their transaction was taken for committed, and was not.
    pub fn is_ahead_of(&self, position: Option<Offset>) -> bool {
        self.applied > position.unwrap_or(0)
    }

    /// The batch came to nothing.
    pub fn undo(&mut self) {
        self.overlay.clear();
    }

    /// How many pairs are committed.
    pub fn len(&self) -> usize {
        self.committed.len()
    }

    /// How many bytes the committed keys and values have.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is committed.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty()
    }

    /// What is committed under `key`.
    pub(super) fn committed(&self, key: &[u8]) -> Option<&[u8]> {
        self.committed.get(key).map(Vec::as_slice)
    }

    /// [`View::scan`] of what is committed, `overlay` laid over it; that begins where [`range`] does.
    pub(super) fn scan_under<'a>(
        &'a self,
        overlay: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let range = range(prefix, after);
        let mut committed =
            self.committed.range::<[u8], _>(range).map(|(k, v)| (k.as_slice(), Some(v.as_slice()))).peekable();
        let mut overlay = overlay.peekable();
        let mut changes = changes.range::<[u8], _>(range).map(|(k, v)| (k.as_slice(), v.as_deref())).peekable();
        let mut found = Vec::new();
        while found.len() < limit {
            // The smallest key of the three; where layers share a key the newest one speaks.
            let heads = [committed.peek().copied(), overlay.peek().copied(), changes.peek().copied()];
            let Some(key) = heads.iter().flatten().map(|(key, _)| *key).min() else { break };
            if !key.starts_with(prefix) {
                break;
            }
            let mut value = None;
            let layers =
                [committed.next_if(|h| h.0 == key), overlay.next_if(|h| h.0 == key), changes.next_if(|h| h.0 == key)];
            for (_, newer) in layers.into_iter().flatten() {
                value = newer;
            }
            if let Some(value) = value {
                found.push((key.to_vec(), value.to_vec()));
            }
        }
        found
    }
}

/// The keys in which a scan looks for its prefix.
pub(super) fn range<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    (from, Bound::Unbounded)
}

impl View for Store {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match self.overlay.get(key) {
            Some(laid) => laid.value.as_deref(),
            None => self.committed(key),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let overlay = self.overlay.range::<[u8], _>(range(prefix, after));
        let overlay = overlay.map(|(key, laid)| (key.as_slice(), laid.value.as_deref()));
        self.scan_under(overlay, prefix, after, limit, changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

    fn put(pairs: &mut Pairs, changes: &[Change]) {
        for (key, value) in changes {
            match value {
                Some(value) => drop(pairs.insert(key.clone(), value.clone())),
                None => drop(pairs.remove(key)),
            }
        }
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let key = prop::collection::vec(0_u8..3, 1..4);
        prop::collection::vec((key, prop::option::of(prop::collection::vec(any::<u8>(), 0..3))), 0..12)
    }

    proptest! {
        #[test]
        fn a_store_reads_like_one_map_whatever_lies_in_which_layer(
            old in changes(), batch in changes(), own in changes(),
            prefix in prop::collection::vec(0_u8..3, 0..3), after in prop::option::of(prop::collection::vec(0_u8..3, 0..4)),
            limit in 0_usize..9,
        ) {
            let mut model = Pairs::new();
            let mut store = Store::default();
            put(&mut model, &old);
            store.lay(old, 0);
            store.apply(Some(7), 0);
            put(&mut model, &batch);
            store.lay(batch, 1);
            for (key, value) in &model {
                prop_assert_eq!(store.get(key), Some(value.as_slice()));
            }
            let mut applied = store.clone();
            applied.apply(None, 0);
            let bytes: usize = model.iter().map(|(key, value)| key.len() + value.len()).sum();
            prop_assert_eq!((applied.len(), applied.size_bytes()), (model.len(), bytes));
            put(&mut model, &own);
            let own: BTreeMap<Vec<u8>, Option<Vec<u8>>> = own.into_iter().collect();
            let expected: Vec<(Vec<u8>, Vec<u8>)> = model
                .into_iter()
                .filter(|(key, _)| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| key > after))
                .take(limit)
                .collect();
            prop_assert_eq!(store.scan(&prefix, after.as_deref(), limit, &own), expected);
        }

        #[test]
        fn a_batch_that_came_to_nothing_leaves_no_trace(old in changes(), batch in changes()) {
            let mut store = Store::default();
            store.lay(old, 0);
            store.apply(None, 0);
            let before = store.scan(b"", None, usize::MAX, &BTreeMap::new());
            store.lay(batch, 1);
            store.undo();
            prop_assert_eq!(store.scan(b"", None, usize::MAX, &BTreeMap::new()), before);
        }
    }
}
