//! A new RSA key, found in small steps: a worker that looks for one at a stretch would stand still
//! for a second, and every request of it with it.

use std::fmt;

use num_bigint_dig::BigUint;
use num_bigint_dig::prime::{probably_prime_lucas, probably_prime_miller_rabin};
use rsa::RsaPrivateKey;
use rsa::traits::PublicKeyParts;

use super::{KEY_BITS_MIN, PrivateKey};
use crate::id::Entropy;

/// Bits of each of the two primes.
const PRIME_BITS: usize = KEY_BITS_MIN / 2;

/// The public exponent that everybody uses.
const EXPONENT: u32 = 65_537;

/// Candidates are held against the primes below this first, which is far cheaper than a test.
const SIEVE_BELOW: u32 = 2_048;

/// How far candidates go from a random start, before there is a new start.
const DISTANCE_MAX: u32 = 1 << 13;

/// Miller-Rabin tests that a prime of a key passes beside the first one (FIPS 186-5, table B.1).
const TESTS: usize = 5;

/// The two primes differ somewhere in these bits (FIPS 186-5, A.1.3, step 5.4).
const DIFFERENT_BITS: usize = 100;

/// What a step has brought.
#[derive(Debug)]
pub enum Step {
    /// Nothing yet.
    Searching,
    /// The key.
    Found(Box<PrivateKey>),
}

/// A search for a key of 2048 bits. A step makes one Miller-Rabin test of a candidate, or one of
/// the few longer tests that a likely prime has to pass.
pub struct KeySearch {
    entropy: Entropy,
    sieve: Vec<u32>,
    walk: Option<Walk>,
    likely: Option<Likely>,
    first: Option<BigUint>,
    steps: u32,
}

/// From a random number upwards, by odd numbers.
struct Walk {
    start: BigUint,
    /// The start's remainders by the primes of the sieve.
    remainders: Vec<u32>,
    distance: u32,
}

/// A candidate that has passed its first test.
struct Likely {
    number: BigUint,
    /// The tests of Miller and Rabin are passed, and that of Lucas is left.
    is_tested: bool,
}

impl fmt::Debug for KeySearch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeySearch({} steps)", self.steps)
    }
}

impl KeySearch {
    /// A search whose key depends on nothing but `entropy`.
    #[must_use]
    pub fn new(entropy: Entropy) -> Self {
        Self {
            entropy,
            sieve: odd_primes_below(SIEVE_BELOW),
            walk: None,
            likely: None,
            first: None,
            steps: 0,
        }
    }

    /// Returns how many steps were made.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Makes one step: some milliseconds as wasm.
    pub fn step(&mut self) -> Step {
        self.steps = self.steps.saturating_add(1);
        if let Some(likely) = self.likely.take() {
            return self.test_likely(likely);
        }
        if let Some(number) = self.next_candidate()
            && probably_prime_miller_rabin(&number, 1, false)
        {
            self.likely = Some(Likely {
                number,
                is_tested: false,
            });
        }
        Step::Searching
    }

    fn test_likely(&mut self, likely: Likely) -> Step {
        let Likely { number, is_tested } = likely;
        if !is_tested {
            if probably_prime_miller_rabin(&number, TESTS, true) {
                self.likely = Some(Likely {
                    number,
                    is_tested: true,
                });
            }
            return Step::Searching;
        }
        if !probably_prime_lucas(&number) {
            return Step::Searching;
        }
        // The next prime isn't one in the neighbourhood of this one.
        self.walk = None;
        let Some(first) = self.first.take() else {
            self.first = Some(number);
            return Step::Searching;
        };
        let shift = PRIME_BITS.saturating_sub(DIFFERENT_BITS);
        if &first >> shift == &number >> shift {
            self.first = Some(first);
            return Step::Searching;
        }
        match RsaPrivateKey::from_p_q(first, number, BigUint::from(EXPONENT)) {
            Ok(key) if key.n().bits() == KEY_BITS_MIN => Step::Found(Box::new(PrivateKey::of(key))),
            // Two primes with both highest bits set have a product of all bits.
            Ok(_) | Err(_) => Step::Searching,
        }
    }

    /// The next number that no small prime divides; none where a new start is to be drawn.
    fn next_candidate(&mut self) -> Option<BigUint> {
        let mut walk = self.walk.take().unwrap_or_else(|| self.start_walk());
        while walk.distance < DISTANCE_MAX {
            let distance = walk.distance;
            walk.distance = distance.saturating_add(2);
            let mut remainders = self.sieve.iter().zip(&walk.remainders);
            let is_divided = remainders.any(|(prime, remainder)| {
                remainder.saturating_add(distance).is_multiple_of(*prime)
            });
            if is_divided {
                continue;
            }
            let number = &walk.start + distance;
            if number.bits() != PRIME_BITS || &number % EXPONENT == BigUint::from(1_u8) {
                continue;
            }
            self.walk = Some(walk);
            return Some(number);
        }
        None
    }

    fn start_walk(&mut self) -> Walk {
        let mut bytes = [0; PRIME_BITS / 8];
        self.entropy.fill(&mut bytes);
        let [first, .., last] = &mut bytes;
        // With both highest bits set the product has all bits; a prime is odd.
        *first |= 0b1100_0000;
        *last |= 1;
        let start = BigUint::from_bytes_be(&bytes);
        let remainder = |prime: &u32| {
            let rest = (&start % *prime).to_bytes_le();
            rest.iter()
                .rev()
                .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte))
        };
        Walk {
            remainders: self.sieve.iter().map(remainder).collect(),
            start,
            distance: 0,
        }
    }
}

/// The primes from 3 on, by trial division: there are some hundred.
fn odd_primes_below(limit: u32) -> Vec<u32> {
    let mut primes: Vec<u32> = Vec::new();
    for number in (3..limit).step_by(2) {
        if !primes.iter().any(|prime| number.is_multiple_of(*prime)) {
            primes.push(number);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sieve_has_the_small_primes() {
        assert_eq!(odd_primes_below(30), [3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!(odd_primes_below(SIEVE_BELOW).len(), 308);
    }

    fn key(seed: u8) -> PrivateKey {
        let mut search = KeySearch::new(Entropy::from_seed([seed; 32]));
        for _ in 0..20_000 {
            if let Step::Found(key) = search.step() {
                return *key;
            }
        }
        panic!("no key after {} steps", search.steps());
    }

    #[test]
    fn a_key_is_found_that_signs_and_can_be_read_again() {
        let key = key(1);
        assert_eq!(format!("{key:?}"), "PrivateKey(2048 bits)");
        let der = key.to_der().unwrap();
        let again = PrivateKey::from_der(&der).unwrap();
        assert_eq!(again.fingerprint(), key.fingerprint());
        let mut signs = key.signs_itself(Entropy::from_seed([2; 32]));
        assert_eq!(signs.sign(b"text").unwrap().len(), 256);
    }

    #[test]
    fn each_seed_has_a_key_of_its_own() {
        let [one, two] = [3, 4].map(|seed| key(seed).fingerprint().unwrap());
        assert_ne!(one, two);
    }
}
