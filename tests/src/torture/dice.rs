//! Chance that can be repeated: the same seed, the same test.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A generator (SplitMix64). Good enough to choose where to hit; nothing secret comes of it.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

/// The seed of this run of the tests: `TORTURE_SEED` where it is set, else the time for a long campaign, which looks for
/// what nobody has seen, and always the same for the short ones, which say whether a change broke something. Print it.
pub fn seed() -> u64 {
    match std::env::var("TORTURE_SEED") {
        Ok(text) => text.parse().expect("TORTURE_SEED is a number"),
        Err(_) if std::env::var_os("TORTURE").is_none() => 1,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 % 1_000_000,
    }
}

impl Dice {
    /// Dice that fall as the seed says.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Whether something happens that does once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A time from nothing to `longest`.
    pub fn time(&mut self, longest: Duration) -> Duration {
        Duration::from_nanos(self.number() % (longest.as_nanos() as u64).max(1))
    }
}
