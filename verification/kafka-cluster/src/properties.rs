//! What stands in a broker's file of settings.

use crate::setup::{Ports, Setup, Ways};

/// Returns the name by which brokers find one another, where the way leads through something.
fn name(place: usize) -> String {
    format!("broker-{place}.test")
}

/// Returns the file that tells a broker where the others are: as `/etc/hosts` has it.
pub(crate) fn hosts(place: usize, ways: &Ways) -> String {
    let peers = ways.peers.get(place).into_iter().flatten();
    let line = |(peer, address)| format!("{address} {}\n", name(peer));
    peers.enumerate().map(line).collect()
}

/// Returns the settings of the broker with this place. The times are short, so that tests needn't
/// wait for the brokers' defaults.
pub(crate) fn properties(place: usize, data: &str, all: &[Ports], setup: &Setup) -> String {
    let number = place.saturating_add(1);
    let ways = setup.ways.as_ref();
    let host = |peer: usize| match ways {
        Some(_) => name(peer),
        None => "127.0.0.1".to_owned(),
    };
    let voter = |(peer, ports): (usize, &Ports)| {
        let number = peer.saturating_add(1);
        format!("{number}@{}:{}", host(peer), ports.controllers)
    };
    let voters: Vec<String> = all.iter().enumerate().map(voter).collect();
    let (voters, copies) = (voters.join(","), all.len().min(3));
    let in_sync = copies.saturating_sub(1).max(1);
    let listeners = listeners(place, all, setup);
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id={number}\n\
         controller.quorum.voters={voters}\n\
         {listeners}\
         controller.listener.names=CONTROLLER\n\
         log.dirs={data}\n\
         default.replication.factor={copies}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={copies}\n\
         offsets.topic.num.partitions=1\n\
         auto.create.topics.enable=false\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         log.cleaner.dedupe.buffer.size=8388608\n\
         log.retention.check.interval.ms=1000\n\
         log.initial.task.delay.ms=1000\n\
         file.delete.delay.ms=1000\n"
    );
    for (name, value) in &setup.properties {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

/// Returns where a broker listens, and where it tells others to find it.
fn listeners(place: usize, all: &[Ports], setup: &Setup) -> String {
    let Some(ports) = all.get(place) else {
        return String::new();
    };
    let (clients, controllers) = (ports.clients, ports.controllers);
    let listen = |name: &str, port: u16| format!("{name}://127.0.0.1:{port}");
    let mut listens = vec![
        listen("PLAINTEXT", clients),
        listen("CONTROLLER", controllers),
    ];
    let mut told = vec![listen("PLAINTEXT", clients)];
    let mut protocols = vec![
        "PLAINTEXT:PLAINTEXT".to_owned(),
        "CONTROLLER:PLAINTEXT".to_owned(),
    ];
    let mut between = "PLAINTEXT";
    if let Some(ways) = &setup.ways {
        between = "BROKERS";
        let host = name(place);
        listens.push(listen(between, ports.brokers));
        told.push(format!("CONTROLLER://{host}:{controllers}"));
        told.push(format!("{between}://{host}:{}", ports.brokers));
        protocols.push(format!("{between}:PLAINTEXT"));
        for (client, doors) in ways.doors.iter().enumerate() {
            let Some(door) = doors.get(place) else {
                continue;
            };
            let name = format!("CLIENT{client}");
            listens.push(listen(&name, door.listens));
            told.push(listen(&name, door.told));
            protocols.push(format!("{name}:PLAINTEXT"));
        }
    }
    format!(
        "listeners={}\n\
         advertised.listeners={}\n\
         listener.security.protocol.map={}\n\
         inter.broker.listener.name={between}\n",
        listens.join(","),
        told.join(","),
        protocols.join(",")
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::setup::Door;

    const PORTS: Ports = Ports {
        clients: 1,
        controllers: 2,
        brokers: 3,
    };

    #[test]
    fn a_broker_is_reached_straight() {
        let text = properties(0, "data", &[PORTS], &Setup::default());
        assert!(
            text.contains("\ncontroller.quorum.voters=1@127.0.0.1:2\n"),
            "{text}"
        );
        assert!(
            text.contains("\nadvertised.listeners=PLAINTEXT://127.0.0.1:1\n"),
            "{text}"
        );
    }

    #[test]
    fn or_through_something() {
        let door = Door {
            listens: 4,
            told: 5,
        };
        let ways = Ways {
            ports: vec![PORTS; 2],
            doors: vec![vec![door; 2]],
            peers: vec![vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 1, 2)]; 2],
        };
        let hosts = hosts(0, &ways);
        assert_eq!(hosts, "127.0.0.1 broker-0.test\n127.0.1.2 broker-1.test\n");
        let setup = Setup {
            ways: Some(ways),
            ..Setup::default()
        };
        let text = properties(1, "data", &[PORTS; 2], &setup);
        assert!(text.contains("CLIENT0://127.0.0.1:4\n"), "{text}");
        assert!(text.contains("CLIENT0://127.0.0.1:5\n"), "{text}");
        assert!(text.contains("BROKERS://broker-1.test:3"), "{text}");
    }
}
