//! Which faults a seed brings, and when.

use fastrand::Rng;

use super::{GATEWAYS, Round, TARGETS, draws};
use crate::history::{Engine, Gateway, How, Millis, Part};

/// How many stream servers stand in front of Kafka.
pub const FRONTS: usize = 3;

/// How many brokers there are.
pub const BROKERS: usize = 3;

/// Rounds without end. Each kind comes once before any comes again.
pub struct Rounds {
    rng: Rng,
    kinds: Vec<(Kind, How)>,
    deck: Vec<(Kind, How)>,
    times: Times,
}

/// How long rounds are, and how often there are two faults at once.
#[derive(Clone, Copy)]
struct Times {
    hold: (Millis, Millis),
    peace: (Millis, Millis),
    two_in_100: u32,
}

/// Faults last sometimes shorter and sometimes longer than the group waits for its members.
const EMBEDDED: Times = Times {
    hold: (100, 3_500),
    peace: (2_000, 7_000),
    two_in_100: 30,
};

/// Faults last sometimes shorter and sometimes longer than brokers and fronts wait for one another.
const KAFKA: Times = Times {
    hold: (200, 9_000),
    peace: (3_000, 8_000),
    two_in_100: 40,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gateway,
    Stream,
    Target,
    ToStream,
    ToTarget,
    Broker,
    LastBroker,
    Controller,
    BetweenBrokers,
    Front,
    ToFront,
    ToBrokers,
}

const ON_EMBEDDED: &[(Kind, How)] = &[
    (Kind::Gateway, How::Kill),
    (Kind::Gateway, How::Stop),
    (Kind::Stream, How::Kill),
    (Kind::Stream, How::Stop),
    (Kind::Target, How::Kill),
    (Kind::ToStream, How::Refuse),
    (Kind::ToStream, How::Drop),
    (Kind::ToTarget, How::Refuse),
    (Kind::ToTarget, How::Drop),
    (Kind::Gateway, How::Kill),
];

const ON_KAFKA: &[(Kind, How)] = &[
    (Kind::Gateway, How::Kill),
    (Kind::Gateway, How::Stop),
    (Kind::Target, How::Kill),
    (Kind::ToStream, How::Refuse),
    (Kind::ToStream, How::Drop),
    (Kind::ToTarget, How::Drop),
    (Kind::Broker, How::Kill),
    (Kind::Broker, How::Stop),
    (Kind::Broker, How::Restart),
    (Kind::Broker, How::Refuse),
    (Kind::Broker, How::Drop),
    (Kind::LastBroker, How::Full),
    (Kind::Controller, How::Kill),
    (Kind::Controller, How::Stop),
    (Kind::Controller, How::Drop),
    (Kind::BetweenBrokers, How::Drop),
    (Kind::Front, How::Kill),
    (Kind::Front, How::Kill),
    (Kind::Front, How::Stop),
    (Kind::Front, How::Restart),
    (Kind::Front, How::Drop),
    (Kind::ToFront, How::Refuse),
    (Kind::ToFront, How::Drop),
    (Kind::ToBrokers, How::Refuse),
    (Kind::ToBrokers, How::Drop),
];

impl Rounds {
    /// Returns the rounds of a seed: of all kinds of faults, or of those whose kind begins with
    /// this text, as [`name`](crate::verdict::recovery::name) has it.
    #[must_use]
    pub fn of(seed: u64, engine: Engine, only: &str) -> Self {
        let (kinds, times) = match engine {
            Engine::Embedded => (ON_EMBEDDED, EMBEDDED),
            Engine::Kafka => (ON_KAFKA, KAFKA),
        };
        let mut rounds = Self {
            rng: draws(seed, 0, 4),
            kinds: kinds.to_vec(),
            deck: Vec::new(),
            times,
        };
        if !only.is_empty() {
            rounds.kinds.retain(|(kind, how)| {
                let name = crate::verdict::recovery::name((kind.part(0, 0, 0), *how));
                name.starts_with(only)
            });
            rounds.times.two_in_100 = 0;
        }
        rounds
    }

    /// Returns whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    fn fault(&mut self) -> (Part, How) {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.kinds);
            self.rng.shuffle(&mut self.deck);
        }
        let (kind, how) = self.deck.pop().unwrap_or((Kind::Gateway, How::Kill));
        let gateway: Gateway = self.rng.usize(..GATEWAYS);
        let target = self.rng.usize(..TARGETS);
        // There are as many brokers and fronts as targets.
        (kind.part(gateway, target, target), how)
    }
}

impl Kind {
    fn part(self, gateway: Gateway, target: usize, server: usize) -> Part {
        match self {
            Self::Gateway => Part::Gateway(gateway),
            Self::Stream => Part::Stream,
            Self::Target => Part::Target(target),
            Self::ToStream => Part::ToStream(gateway),
            Self::ToTarget => Part::ToTarget(gateway, target),
            Self::Broker => Part::Broker(server % BROKERS),
            Self::LastBroker => Part::Broker(BROKERS - 1),
            Self::Controller => Part::Controller,
            Self::BetweenBrokers => Part::BetweenBrokers(server % BROKERS),
            Self::Front => Part::Front(server % FRONTS),
            Self::ToFront => Part::ToFront(gateway, server % FRONTS),
            Self::ToBrokers => Part::ToBrokers(server % FRONTS),
        }
    }
}

/// Returns whether two faults must not come together: they are at the same part, cut the same ways,
/// or take more brokers than the cluster can spare.
fn clash((one, how): (Part, How), (other, other_how): (Part, How)) -> bool {
    let cuts = |how: How| matches!(how, How::Refuse | How::Drop);
    let are_cut = cuts(how) && cuts(other_how);
    let shares = |part: Part| {
        part.is_of_brokers() || part.is_of_fronts() || matches!(part, Part::ToStream(_))
    };
    let are_gateways = matches!((one, other), (Part::ToStream(_), Part::ToStream(_)));
    one == other
        || one.is_of_brokers() && other.is_of_brokers()
        || are_cut && shares(one) && shares(other) && !are_gateways
}

impl Iterator for Rounds {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let mut faults = vec![self.fault()];
        if self.rng.u32(..100) < self.times.two_in_100 {
            let second = self.fault();
            if faults.iter().all(|first| !clash(*first, second)) {
                faults.push(second);
            }
        }
        let hold = self.rng.u64(self.times.hold.0..self.times.hold.1);
        let peace = self.rng.u64(self.times.peace.0..self.times.peace.1);
        Some(Round {
            peace,
            faults,
            hold,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_brings_the_same_faults_again() {
        let some = |seed| {
            Rounds::of(seed, Engine::Kafka, "")
                .take(50)
                .collect::<Vec<_>>()
        };
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
    }

    #[test]
    fn one_broker_fails_at_a_time_and_ways_are_cut_once() {
        for seed in 0..200 {
            for round in Rounds::of(seed, Engine::Kafka, "").take(40) {
                let of_brokers = round.faults.iter().filter(|(part, _)| part.is_of_brokers());
                assert!(of_brokers.count() <= 1, "{round:?}");
                if let [one, other] = round.faults.as_slice() {
                    assert!(!clash(*one, *other), "{round:?}");
                }
            }
        }
    }

    #[test]
    fn one_kind_can_be_chosen() {
        let mut rounds = Rounds::of(1, Engine::Kafka, "broker killed").take(20);
        assert!(
            rounds.all(|round| matches!(round.faults.as_slice(), [(Part::Broker(_), How::Kill)]))
        );
        assert!(Rounds::of(1, Engine::Embedded, "broker").is_empty());
    }
}
