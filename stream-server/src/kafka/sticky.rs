//! Which partition takes messages without a key: a random one, for some messages or a moment.
//!
//! A request to a broker has messages of one partition. If each message had a random one of its
//! own, then those that come together would take several requests, which the brokers' answers
//! would have to be waited for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a choice lasts.
const LIFE: Duration = Duration::from_millis(5);
/// For how many messages it lasts: few enough that one large request is spread over partitions, so
/// that all who read them have a share of it.
const MESSAGES_MAX: u32 = 64;

/// The random number that stands for the present choice.
#[derive(Default)]
pub(super) struct Sticky(Mutex<Option<Choice>>);

struct Choice {
    random: u64,
    at: Instant,
    messages: u32,
}

impl Sticky {
    /// Returns the number of the present choice for one message more. `random` is the number of a
    /// new choice, if it is time for one.
    pub(super) fn choose(&self, random: u64) -> u64 {
        let mut choice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts =
            |choice: &&mut Choice| choice.messages < MESSAGES_MAX && choice.at.elapsed() < LIFE;
        if let Some(choice) = choice.as_mut().filter(lasts) {
            choice.messages = choice.messages.saturating_add(1);
            return choice.random;
        }
        let at = Instant::now();
        *choice = Some(Choice {
            random,
            at,
            messages: 1,
        });
        random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_lasts_for_some_messages() {
        let sticky = Sticky::default();
        let chosen: Vec<u64> = (0..300).map(|random| sticky.choose(random)).collect();
        assert!(
            chosen
                .iter()
                .zip(0..)
                .all(|(chosen, random)| *chosen <= random)
        );
        let mut times: Vec<usize> = Vec::new();
        for same in chosen.chunk_by(|one, next| one == next) {
            times.push(same.len());
        }
        assert!(times.iter().all(|times| *times <= 64), "{times:?}");
        assert!(times.len() >= 5, "{times:?}");
    }
}
