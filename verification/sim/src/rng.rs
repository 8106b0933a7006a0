//! The only source of randomness: one generator, started from one seed. A fuzzer may put bytes in
//! front of it, which are used first.

use std::collections::VecDeque;

/// The generator.
pub struct Rng {
    generator: fastrand::Rng,
    bytes: VecDeque<u8>,
}

impl Rng {
    /// Returns a generator that starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::steered(seed, &[])
    }

    /// Returns a generator whose first draws come from these bytes, two bytes each.
    #[must_use]
    pub fn steered(seed: u64, bytes: &[u8]) -> Self {
        Self {
            generator: fastrand::Rng::with_seed(seed),
            bytes: bytes.iter().copied().collect(),
        }
    }

    /// Returns a number in `0..bound`; 0 if that is empty.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        match (self.bytes.pop_front(), self.bytes.pop_front()) {
            (Some(high), Some(low)) => {
                (u64::from(u16::from_be_bytes([high, low])) * bound.min(1 << 47)) >> 16
            }
            _ => self.generator.u64(..bound),
        }
    }

    /// Returns a number in `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// Returns true with a probability of `rate` in a thousand.
    pub fn per_mille(&mut self, rate: u64) -> bool {
        self.below(1_000) < rate
    }

    /// Returns true half of the time.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Returns one of these.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let count = u64::try_from(choices.len()).unwrap_or_default();
        choices
            .get(usize::try_from(self.below(count)).unwrap_or_default())
            .copied()
    }

    /// Returns the seed of an engine.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.generator.fill(&mut seed);
        seed
    }

    /// Returns the seed of another generator.
    pub fn fork(&mut self) -> u64 {
        self.generator.u64(..)
    }
}
