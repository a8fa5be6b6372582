//! The checksum of `fold`, for the tests to compute as well.

/// The checksum of nothing: FNV-1a's offset basis.
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The checksum after `value`, when it was `before`: FNV-1a over 64 bits. It depends on the order of values.
#[must_use]
pub fn checksum(before: u64, value: &[u8]) -> u64 {
    value.iter().fold(before, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_fnv_1a_as_published() {
        assert_eq!(checksum(FNV_START, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(checksum(FNV_START, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(checksum(FNV_START, b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn values_that_swap_places_change_the_checksum() {
        let of = |values: [&[u8]; 2]| values.iter().fold(FNV_START, |sum, value| checksum(sum, value));
        assert_ne!(of([b"a", b"b"]), of([b"b", b"a"]));
    }
}
