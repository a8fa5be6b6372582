//! The function's key-value pairs, as a trait: the host's on WebAssembly, [`MemoryState`](crate::testing::MemoryState)
//! in a native test.

/// The function's key-value pairs, scoped to the partition of the event.
///
/// The limits are the host's (keys of 1 B to 1 KiB, values up to 64 KiB, 1,024 writes an event); a call beyond one
/// ends the invocation, and the function does not get to see it. Values of a type are in
/// [`TypedState`](crate::TypedState).
pub trait State {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Puts `value` under `key`. An empty value is a value.
    fn set(&mut self, key: &[u8], value: &[u8]);

    /// Removes `key`, if it is there.
    fn delete(&mut self, key: &[u8]);

    /// Pairs whose key begins with `prefix`, in order of key, beginning after `after`; at most `limit` of them.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// Whether there is a value under `key`.
    fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }
}
