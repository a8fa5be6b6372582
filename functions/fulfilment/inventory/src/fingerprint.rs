//! What inventory keeps of an order: enough to tell it from another one, and nothing of what is in it.

use xxhash_rust::xxh3::xxh3_128;

/// Of which kind a fingerprint is. If that changes, give it another number, and know orders by the old kind too:
/// otherwise an order that comes again is rejected as another one.
const FORMAT: u8 = 1;

/// Tells one content from another: a byte that names the kind, and XXH3-128 of the JSON.
///
/// A hash without cryptographic strength is enough: who makes two orders of one id and one fingerprint only has the
/// second of them ignored. For 400 B it takes 0.2 us on WebAssembly; SHA-256 takes 1.8, a quarter of the whole call.
pub(crate) fn of(json: &str) -> [u8; 17] {
    let mut fingerprint = [FORMAT; 17];
    if let Some((_, hash)) = fingerprint.split_first_mut() {
        hash.copy_from_slice(&xxh3_128(json.as_bytes()).to_be_bytes());
    }
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_xxh3_as_published() {
        let hex: String = of("").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0199aa06d3014798d86001c324468d497f");
    }
}
