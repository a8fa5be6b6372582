//! Which partition a key belongs to: what Java's clients and librdkafka's `murmur2_random` pick.
//!
//! A change breaks every topic there is: a key's records would lie in two partitions.

/// The hash of a key.
pub(super) fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // As 32 bits, as in Java, where no array is longer.
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (shift, byte) in (0..).step_by(8).zip(rest) {
            hash ^= u32::from(*byte) << shift;
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key with this hash, or of the `turn`-th record without a key. `None` where there are none.
pub(super) fn partition_of(hash: Option<u32>, turn: u32, partitions: i32) -> Option<i32> {
    let positive = (hash.unwrap_or(turn) & 0x7fff_ffff).cast_signed();
    positive.checked_rem(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn a_key_hashes_as_in_java() {
        let known = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn records_without_a_key_are_spread() {
        let picked: Vec<_> = (0..4).filter_map(|turn| partition_of(None, turn, 3)).collect();
        assert_eq!(picked, [0, 1, 2, 0]);
        assert_eq!(partition_of(None, 0, 0), None);
    }
}
