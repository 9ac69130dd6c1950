//! A guest's random bytes, all of them from the run's seed.
//!
//! Plan and apply have one seed, so that a message id or a boundary is the same in both. The three sources of WASI
//! are separate streams of one generator: how much is drawn from one changes nothing in another.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

/// The most bytes that one call may draw.
const MOST_BYTES: u64 = 1 << 20;

/// The random sources of one run. The seed is a secret, so this type has no `Debug`.
pub(crate) struct Random {
    secure: ChaCha20Rng,
    insecure: ChaCha20Rng,
    hash_seed: (u64, u64),
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let stream = |number| {
            let mut generator = ChaCha20Rng::from_seed(seed);
            generator.set_stream(number);
            generator
        };
        let mut hash = stream(3);
        Self { secure: stream(1), insecure: stream(2), hash_seed: (hash.next_u64(), hash.next_u64()) }
    }
}

fn bytes(generator: &mut ChaCha20Rng, length: u64) -> wasmtime::Result<Vec<u8>> {
    match usize::try_from(length) {
        Ok(size) if length <= MOST_BYTES => {
            let mut bytes = vec![0; size];
            generator.fill_bytes(&mut bytes);
            Ok(bytes)
        }
        _ => Err(wasmtime::Error::msg(format!(
            "it asked for {length} random bytes in one call; at most {MOST_BYTES} are given"
        ))),
    }
}

impl random::Host for Random {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(&mut self.secure, length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.secure.next_u64())
    }
}

impl insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(&mut self.insecure, length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.insecure.next_u64())
    }
}

impl insecure_seed::Host for Random {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.hash_seed)
    }
}

#[cfg(test)]
mod tests {
    use insecure::Host as _;
    use insecure_seed::Host as _;
    use random::Host as _;

    use super::*;

    fn draw(seed: u8, secure: u64) -> (Vec<u8>, Vec<u8>, (u64, u64)) {
        let mut random = Random::new([seed; 32]);
        let drawn = random.get_random_bytes(secure).unwrap();
        (drawn, random.get_insecure_random_bytes(32).unwrap(), random.insecure_seed().unwrap())
    }

    #[test]
    fn one_seed_one_sequence() {
        assert_eq!(draw(1, 32), draw(1, 32));
        let (one, other) = (draw(1, 32), draw(2, 32));
        assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2);
    }

    #[test]
    fn the_streams_are_separate() {
        let (secure, insecure, _) = draw(1, 32);
        assert_ne!(secure, insecure);
        assert_eq!(draw(1, 32).1, draw(1, 9).1);
    }

    #[test]
    fn a_request_is_bounded() {
        let mut random = Random::new([0; 32]);
        assert!(random.get_random_bytes(MOST_BYTES).is_ok());
        for length in [MOST_BYTES + 1, u64::MAX] {
            assert!(random.get_random_bytes(length).is_err());
            assert!(random.get_insecure_random_bytes(length).is_err());
        }
    }
}
