//! What stands in a broker's file of settings.

use std::path::Path;

use crate::setup::{Ports, Setup, Ways};

/// Where the files of a broker lie.
pub(crate) struct Files<'a> {
    pub(crate) data: &'a Path,
    pub(crate) identity: &'a Path,
    pub(crate) authority: &'a Path,
}

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

/// Returns the settings of the broker with this place, from 0, among all. Times are short, so that
/// tests needn't wait for the brokers' defaults.
pub(crate) fn text(place: usize, all: &[Ports], files: &Files<'_>, setup: &Setup) -> String {
    let controllers = setup.controllers.unwrap_or(all.len()).max(1);
    let host = |peer: usize| match setup.ways {
        Some(_) => name(peer),
        None => "127.0.0.1".to_owned(),
    };
    let voter = |(peer, ports): (usize, &Ports)| {
        let number = peer.saturating_add(1);
        format!("{number}@{}:{}", host(peer), ports.controllers)
    };
    let voters = all.iter().take(controllers).enumerate().map(voter);
    let voters: Vec<String> = voters.collect();
    let copies = all.len().min(3);
    let roles = match place < controllers {
        true => "broker,controller",
        false => "broker",
    };
    let mut text = format!(
        "process.roles={roles}\n\
         node.id={}\n\
         controller.quorum.voters={}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         default.replication.factor={copies}\n\
         min.insync.replicas={}\n\
         offsets.topic.replication.factor={copies}\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         offsets.topic.num.partitions=1\n\
         auto.create.topics.enable=false\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         log.cleaner.dedupe.buffer.size=8388608\n\
         log.retention.check.interval.ms=1000\n\
         log.initial.task.delay.ms=1000\n\
         file.delete.delay.ms=1000\n",
        place.saturating_add(1),
        voters.join(","),
        files.data.display(),
        copies.saturating_sub(1).max(1),
    );
    if let Some(ports) = all.get(place) {
        let mut listeners = Listeners::new(*ports, place < controllers);
        if setup.secured.is_some() {
            listeners.secure(*ports);
        }
        if let Some(ways) = &setup.ways {
            listeners.lead(place, *ports, ways);
        }
        text.push_str(&listeners.text());
    }
    if setup.secured.is_some() {
        text.push_str(&secured(files));
    }
    for (name, value) in &setup.properties {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

/// Where a broker listens, and where it tells others to find it.
struct Listeners {
    listens: Vec<String>,
    told: Vec<String>,
    protocols: Vec<String>,
    /// The listener of other brokers.
    between: &'static str,
}

impl Listeners {
    fn new(ports: Ports, is_controller: bool) -> Self {
        let mut new = Self {
            listens: Vec::new(),
            told: Vec::new(),
            protocols: vec!["CONTROLLER:PLAINTEXT".to_owned()],
            between: "PLAINTEXT",
        };
        new.add("PLAINTEXT", "PLAINTEXT", ports.clients, ports.clients);
        if is_controller {
            new.listens
                .push(format!("CONTROLLER://127.0.0.1:{}", ports.controllers));
        }
        new
    }

    /// Adds a listener for clients.
    fn add(&mut self, name: &str, protocol: &str, port: u16, told: u16) {
        self.listens.push(format!("{name}://127.0.0.1:{port}"));
        self.told.push(format!("{name}://127.0.0.1:{told}"));
        self.protocols.push(format!("{name}:{protocol}"));
    }

    fn secure(&mut self, ports: Ports) {
        self.add("SASL_SSL", "SASL_SSL", ports.scram, ports.scram);
        self.add("SSL", "SSL", ports.mutual_tls, ports.mutual_tls);
    }

    /// Brokers find one another, and clients find the broker, through something.
    fn lead(&mut self, place: usize, ports: Ports, ways: &Ways) {
        self.between = "BROKERS";
        let host = name(place);
        self.listens
            .push(format!("{}://127.0.0.1:{}", self.between, ports.brokers));
        self.told
            .push(format!("CONTROLLER://{host}:{}", ports.controllers));
        self.told
            .push(format!("{}://{host}:{}", self.between, ports.brokers));
        self.protocols.push(format!("{}:PLAINTEXT", self.between));
        for (client, doors) in ways.doors.iter().enumerate() {
            if let Some(door) = doors.get(place) {
                let name = format!("CLIENT{client}");
                self.add(&name, "PLAINTEXT", door.listens, door.told);
            }
        }
    }

    fn text(&self) -> String {
        format!(
            "listeners={}\n\
             advertised.listeners={}\n\
             listener.security.protocol.map={}\n\
             inter.broker.listener.name={}\n",
            self.listens.join(","),
            self.told.join(","),
            self.protocols.join(","),
            self.between
        )
    }
}

fn secured(files: &Files<'_>) -> String {
    format!(
        "sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
         listener.name.ssl.ssl.client.auth=required\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={}\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={}\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n",
        files.identity.display(),
        files.authority.display(),
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
        scram: 6,
        mutual_tls: 7,
    };

    fn of(place: usize, all: &[Ports], setup: &Setup) -> String {
        let here = Path::new("here");
        let files = Files {
            data: here,
            identity: here,
            authority: here,
        };
        text(place, all, &files, setup)
    }

    #[test]
    fn a_broker_is_reached_straight() {
        let text = of(0, &[PORTS], &Setup::default());
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
        let text = of(1, &[PORTS; 2], &setup);
        assert!(text.contains("CLIENT0://127.0.0.1:4\n"), "{text}");
        assert!(text.contains("CLIENT0://127.0.0.1:5\n"), "{text}");
        assert!(text.contains("BROKERS://broker-1.test:3"), "{text}");
    }
}
