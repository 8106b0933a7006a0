//! The settings of a broker.

use std::path::Path;

use crate::node::Ports;
use crate::setup::Setup;

/// Where the files of a broker lie.
pub(crate) struct Files<'a> {
    pub(crate) data: &'a Path,
    pub(crate) identity: &'a Path,
    pub(crate) authority: &'a Path,
}

/// Returns the settings of the broker with this place, from 0, among all. Times are short, so that
/// tests needn't wait for the brokers' defaults.
pub(crate) fn text(place: usize, all: &[Ports], files: &Files<'_>, setup: &Setup) -> String {
    let ports = all.get(place).copied().unwrap_or_default();
    let controllers = setup.controllers.unwrap_or(all.len()).max(1);
    let voter = |(place, ports): (usize, &Ports)| {
        let number = place.saturating_add(1);
        format!("{number}@127.0.0.1:{}", ports.controllers)
    };
    let voters = all.iter().take(controllers).enumerate().map(voter);
    let voters: Vec<String> = voters.collect();
    let copies = all.len().min(3);
    let mut text = roles(place < controllers, ports, setup.secured.is_some());
    text.push_str(&format!(
        "node.id={}\n\
         controller.quorum.voters={}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
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
    ));
    if setup.secured.is_some() {
        text.push_str(&secured(files));
    }
    for (name, value) in &setup.properties {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

/// Returns what the broker is, and where it listens.
fn roles(is_controller: bool, ports: Ports, is_secured: bool) -> String {
    let mut for_clients = format!("PLAINTEXT://127.0.0.1:{}", ports.clients);
    if is_secured {
        for (name, port) in [("SASL_SSL", ports.scram), ("SSL", ports.mutual_tls)] {
            for_clients.push_str(&format!(",{name}://127.0.0.1:{port}"));
        }
    }
    let (roles, controller) = match is_controller {
        true => (
            "broker,controller",
            format!(",CONTROLLER://127.0.0.1:{}", ports.controllers),
        ),
        false => ("broker", String::new()),
    };
    format!(
        "process.roles={roles}\n\
         listeners={for_clients}{controller}\n\
         advertised.listeners={for_clients}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,\
         SASL_SSL:SASL_SSL,SSL:SSL\n"
    )
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
