//! A guest's random numbers: ChaCha20 from the call's seed, so that an event that is handled again draws the same ones.
//!
//! The seed is the host's secret's child, so nobody outside can foresee them.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::contract::wasi::random::{insecure, insecure_seed, random};
use super::ended::Ended;

/// The most bytes that one call gives.
const BYTES_MAX: u64 = 64 << 10;

/// The random numbers of one invocation. Most draw none.
pub(super) struct Random {
    seed: [u8; 32],
    drawn: Option<Box<ChaCha20Rng>>,
}

impl Random {
    pub(super) fn seeded(seed: [u8; 32]) -> Self {
        Self { seed, drawn: None }
    }

    fn generator(&mut self) -> &mut ChaCha20Rng {
        self.drawn.get_or_insert_with(|| Box::new(ChaCha20Rng::from_seed(self.seed)))
    }

    fn bytes(&mut self, count: u64) -> wasmtime::Result<Vec<u8>> {
        if count > BYTES_MAX {
            let what = format!("it asked for {count} random bytes at once, and {BYTES_MAX} are the most");
            return Err(Ended::Refused(what).into());
        }
        let mut bytes = vec![0; usize::try_from(count)?];
        self.generator().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

impl random::Host for Random {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.generator().next_u64())
    }
}

impl insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.generator().next_u64())
    }
}

impl insecure_seed::Host for Random {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        let generator = self.generator();
        Ok((generator.next_u64(), generator.next_u64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_the_same_numbers_and_another_gives_others() {
        let draw = |seed| {
            let mut random = Random::seeded([seed; 32]);
            (random.bytes(40).unwrap(), random::Host::get_random_u64(&mut random).unwrap())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn numbers_stay_the_same_from_release_to_release() {
        // RFC 8439's key stream for the key and nonce of zeros, block 0.
        let first = Random::seeded([0; 32]).bytes(8).unwrap();
        assert_eq!(first, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    }

    #[test]
    fn too_many_bytes_at_once_are_refused() {
        let mut random = Random::seeded([0; 32]);
        assert_eq!(random.bytes(BYTES_MAX).unwrap().len(), 65_536);
        let refused = random.bytes(4 << 30).unwrap_err();
        assert_eq!(refused.to_string(), "it asked for 4294967296 random bytes at once, and 65536 are the most");
    }
}
