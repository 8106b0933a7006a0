//! The ways between the parts, each of which leads through a link of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use kafka_cluster::{Door, Ports, Ways};
use local_gateway::ports;

use crate::history::{Broker, Front, Gateway, Part};
use crate::link::Link;
use crate::plan::GATEWAYS;
use crate::plan::faults::{BROKERS, FRONTS};

/// A way from one part to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From a gateway to a front.
    ToFront(Gateway, Front),
    /// From all fronts to one of them.
    FrontsToFront(Front),
    /// From a front to a broker.
    ToBroker(Front, Broker),
    /// From a broker to another one, as brokers.
    Between(Broker, Broker),
    /// The same, as controllers.
    BetweenControllers(Broker, Broker),
}

/// Starts the links to and between brokers. Returns how brokers find one another, and where fronts
/// find them.
pub(super) fn between(links: &mut BTreeMap<Way, Link>) -> Result<Ways> {
    let all: Vec<Ports> = (0..BROKERS).map(|_| Ports::free()).collect::<Result<_>>()?;
    let mut doors = Vec::new();
    for front in 0..FRONTS {
        let mut own = Vec::new();
        for broker in 0..BROKERS {
            let listens = ports::free()?;
            let link = Link::to(listens)?;
            own.push(Door {
                listens,
                told: link.port(),
            });
            links.insert(Way::ToBroker(front, broker), link);
        }
        doors.push(own);
    }
    let mut peers = Vec::new();
    for from in 0..BROKERS {
        let mut addresses = Vec::new();
        for (to, ports) in all.iter().enumerate() {
            let address = address(from, to);
            addresses.push(address);
            if from == to {
                continue;
            }
            let link = |port: u16| Link::at(SocketAddr::from((address, port)), port);
            links.insert(Way::Between(from, to), link(ports.brokers)?);
            links.insert(Way::BetweenControllers(from, to), link(ports.controllers)?);
        }
        peers.push(addresses);
    }
    Ok(Ways {
        ports: all,
        doors,
        peers,
    })
}

/// Returns the address at which one broker finds another one. All of them are on the loopback
/// interface.
fn address(from: Broker, to: Broker) -> Ipv4Addr {
    let byte = |broker: Broker| u8::try_from(broker).unwrap_or(u8::MAX).saturating_add(1);
    match from == to {
        true => Ipv4Addr::LOCALHOST,
        false => Ipv4Addr::new(127, 0, byte(from), byte(to)),
    }
}

/// Returns where a front finds the brokers, as its flag takes it.
pub(super) fn told(doors: &[Door]) -> String {
    let address = |door: &Door| format!("127.0.0.1:{}", door.told);
    doors.iter().map(address).collect::<Vec<_>>().join(",")
}

/// Returns the ways that are cut when a part is cut off.
pub(super) fn of(part: Part) -> Vec<Way> {
    let fronts = 0..FRONTS;
    let to_fronts = |gateway| {
        fronts
            .clone()
            .map(move |front| Way::ToFront(gateway, front))
    };
    match part {
        Part::ToStream(gateway) => to_fronts(gateway).collect(),
        Part::ToFront(gateway, front) => vec![Way::ToFront(gateway, front)],
        Part::ToBrokers(front) => to_brokers(front).collect(),
        Part::Front(front) => {
            let gateways = (0..GATEWAYS).map(|gateway| Way::ToFront(gateway, front));
            let ways = gateways.chain(to_brokers(front));
            ways.chain([Way::FrontsToFront(front)]).collect()
        }
        Part::Broker(broker) => {
            let fronts = fronts.map(|front| Way::ToBroker(front, broker));
            fronts.chain(around(broker)).collect()
        }
        Part::BetweenBrokers(broker) => around(broker).collect(),
        Part::Controller
        | Part::Gateway(_)
        | Part::Stream
        | Part::Target(_)
        | Part::ToTarget(..) => Vec::new(),
    }
}

fn to_brokers(front: Front) -> impl Iterator<Item = Way> {
    (0..BROKERS).map(move |broker| Way::ToBroker(front, broker))
}

/// Returns the ways between a broker and the others, in both directions.
fn around(broker: Broker) -> impl Iterator<Item = Way> {
    let others = (0..BROKERS).filter(move |other| *other != broker);
    others.flat_map(move |other| {
        [
            Way::Between(broker, other),
            Way::Between(other, broker),
            Way::BetweenControllers(broker, other),
            Way::BetweenControllers(other, broker),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_cut_off_is_alone() {
        assert_eq!(of(Part::Front(0)).len(), GATEWAYS + BROKERS + 1);
        assert_eq!(of(Part::Broker(1)).len(), FRONTS + 4 * (BROKERS - 1));
        assert_eq!(of(Part::BetweenBrokers(1)).len(), 4 * (BROKERS - 1));
        assert_eq!(of(Part::ToStream(0)).len(), FRONTS);
    }
}
