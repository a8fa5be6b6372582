//! How much memory a guest may have, and whether it wanted more.

use wasmtime::ResourceLimiter;

use super::engine::TABLE_ELEMENTS_MAX;

/// The memory of one invocation: all linear memories together.
pub(super) struct Memory {
    bytes: usize,
    bytes_max: usize,
    /// What it would have come to when it was first refused.
    refused_bytes: Option<usize>,
}

impl Memory {
    pub(super) fn up_to(bytes_max: usize) -> Self {
        Self { bytes: 0, bytes_max, refused_bytes: None }
    }

    /// How much the guest wanted to have, if that was more than it may.
    pub(super) fn refused_bytes(&self) -> Option<usize> {
        self.refused_bytes
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.bytes.saturating_add(desired.saturating_sub(current));
        if total > self.bytes_max {
            self.refused_bytes.get_or_insert(total);
            return Ok(false);
        }
        // What the memory's own type forbids fails without us, and is not counted.
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.bytes = total;
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_together_have_one_limit() {
        let mut memory = Memory::up_to(100);
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(memory.memory_growing(0, 40, None).unwrap());
        assert_eq!(memory.refused_bytes(), None);
        assert!(!memory.memory_growing(60, 61, None).unwrap());
        assert!(!memory.memory_growing(40, usize::MAX, None).unwrap());
        assert_eq!(memory.refused_bytes(), Some(101), "the first refusal is what people read");
    }

    #[test]
    fn growth_that_the_memory_itself_forbids_is_not_counted() {
        let mut memory = Memory::up_to(100);
        assert!(memory.memory_growing(0, 90, Some(80)).unwrap());
        assert!(memory.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn a_table_has_a_limit_too() {
        let mut memory = Memory::up_to(0);
        assert!(memory.table_growing(0, TABLE_ELEMENTS_MAX, None).unwrap());
        assert!(!memory.table_growing(0, TABLE_ELEMENTS_MAX + 1, None).unwrap());
    }
}
